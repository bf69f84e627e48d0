"""Taking a loop over time apart: layer after layer instead of step after step.

What does not depend on its own past can be computed for all steps at once. Where a
network has no recurrence, products with weights leave the loop and become few large
products, and each layer of neurons gets a loop of its own (loop distribution; Kennedy
and McKinley, 1990). What depends on itself across steps stays together.

The price is memory: what goes from one stage to the next is kept for all steps. So this
is for training, which keeps it anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from itertools import combinations, pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..core import Access, Group, Mode, Program, Role
from .callbacks import CALLED
from .memory import read
from .step import Memory, Operands, Split, run_groups
from .whole_batch import call_with_batch

_PRODUCTS = ("dot", "convolution")  # families that are worth leaving a loop
# Families that see the batch of one step: outside of loops, that of all steps is seen.
_IN_LOOP = ("layer",)
_MOST_GROUPS = 200  # of a step; longer ones are not worth the search

Edges = set[tuple[int, int]]


@dataclass(frozen=True)
class Stage:
    """Groups that run for all steps before those of the next stage.

    Attributes
    ----------
    groups : tuple of int
        Their numbers, in the order of a step.
    touched : frozenset of str
        Blocks that they write, or read in each step.
    states : tuple of str
        Blocks that one step hands to the next.
    old : tuple of str
        States of earlier stages that are read as they were before the step.
    gives : tuple of str
        Blocks that later stages or samples read.
    loops : bool
        Whether the steps run one after the other.
    """

    groups: tuple[int, ...]
    touched: frozenset[str]
    states: tuple[str, ...]
    old: tuple[str, ...]
    gives: tuple[str, ...]
    loops: bool


@dataclass(frozen=True)
class _Uses:
    """Which groups touch a block, as positions in a step.

    ``before`` and ``after`` are readers: of what the last step left, and of what this
    one made; ``between`` reads what some of the writers have written.
    """

    writers: tuple[int, ...]
    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """All of them, in the order of a step."""
        return tuple(sorted(self.writers + self.before + self.between + self.after))


def distribute(program: Program, split: Split) -> tuple[Stage, ...]:
    """Take the groups of a step apart into stages.

    Parameters
    ----------
    program : Program
        In small blocks (see :mod:`.refine`).
    split : Split
        Which groups run in each step, and which operands never change.

    Returns
    -------
    tuple of Stage
        Empty if no product would leave the loop.
    """
    groups = [program.groups[number] for number in split.each]
    shared = program.names(Role.SHARED) or CALLED in program.blocks
    if shared or len(groups) > _MOST_GROUPS:
        return ()
    uses = _find_uses(program, groups)
    edges = _edges(program, groups, uses)
    component, recurrent = _components(len(groups), edges)
    leaves = [
        _is_product(program, group, {k for g, k in split.operands if g == number})
        and component[position] not in recurrent
        for position, (number, group) in enumerate(zip(split.each, groups, strict=True))
    ]
    if not any(leaves):
        return ()
    depths = _depths(component, leaves, edges)
    return _stages(program, split, uses, depths)


def run_stages(
    program: Program,
    stages: Sequence[Stage],
    fixed: Memory,
    operands: Operands,
    state: Memory,
    sequences: Memory,
    steps: int,
) -> tuple[dict[str, Array], tuple[Array, ...]]:
    """Run all steps of one example, stage by stage.

    Parameters
    ----------
    program : Program
    stages : sequence of Stage
    fixed, operands
        What never changes.
    state : mapping of str to Array, shape (size,)
    sequences : mapping of str to Array, shape (steps, size)
        Input blocks.
    steps : int

    Returns
    -------
    state : dict of str to Array
    samples : tuple of Array, shape (steps, size)
    """
    ends: dict[str, Array] = {}
    moving = dict(sequences)
    still = {**fixed, **state}
    for stage in stages:
        held = {n: v for n, v in still.items() if n in stage.touched}
        given = {n: v for n, v in moving.items() if n in stage.touched}
        for name in stage.old:
            given[name] = jnp.concatenate([state[name][None], moving[name][:-1]])
        own = {key: v for key, v in operands.items() if key[0] in stage.groups}
        if stage.loops:
            start = {name: state[name] for name in stage.states}
            step = partial(_step, program, stage, own, held)
            last, made = lax.scan(step, start, given, length=steps)
            ends.update(last)
        else:
            made = _run_at_once(program, stage, own, held, given, steps)
        moving.update(made)
    return {**state, **ends}, tuple(
        _sample(s.access, moving, still, steps) for s in program.samples
    )


def _step(
    program: Program,
    stage: Stage,
    operands: Operands,
    held: Memory,
    carry: Memory,
    now: Memory,
) -> tuple[dict[str, Array], dict[str, Array]]:
    memory = run_groups(program, stage.groups, {**held, **now, **carry}, operands)
    return (
        {name: memory[name] for name in stage.states},
        {name: memory[name] for name in stage.gives},
    )


def _run_at_once(
    program: Program,
    stage: Stage,
    operands: Operands,
    held: Memory,
    given: Memory,
    steps: int,
) -> dict[str, Array]:
    """Run a stage without states for all steps at the same time.

    Steps and examples share an axis. With two of them, XLA on a CPU would transpose the
    gradient of a product before it multiplies it for the weights. Loops have the axis
    of time before that of the batch; ``vmap`` around this function would put the batch
    first, and each value would be transposed twice. So the axis is made here.
    """
    weights, form = jax.tree.flatten(operands)

    def one(weights: Sequence[Array], values: Sequence[Array]) -> list[Array]:
        own = jax.tree.unflatten(form, weights)
        memory = dict(zip((*held, *given), values, strict=True))
        _, made = _step(program, stage, own, memory, {}, {})
        return [made[name] for name in stage.gives]

    def run(weights: Sequence[Array], _: Any, blocks: Sequence[Array]) -> list[Array]:
        examples = len(blocks[0])
        still = [jnp.broadcast_to(v, (steps, *v.shape)) for v in blocks[: len(held)]]
        moving = [v.swapaxes(0, 1) for v in blocks[len(held) :]]
        rows = [v.reshape(steps * examples, *v.shape[2:]) for v in (*still, *moving)]
        made = jax.vmap(one, in_axes=(None, 0))(weights, rows)
        apart = [v.reshape(steps, examples, *v.shape[1:]) for v in made]
        return [v.swapaxes(0, 1) for v in apart]

    made = call_with_batch(run, weights, [], [*held.values(), *given.values()], 0)
    return dict(zip(stage.gives, made, strict=True))


def _sample(access: Access, moving: Memory, still: Memory, steps: int) -> Array:
    """Read what a probe sees in all steps, shape (steps, size)."""
    if access.block in moving:
        values = jax.vmap(partial(read, access=access))(moving[access.block])
        return values.reshape(steps, access.size)
    value = read(still[access.block], access).reshape(-1)
    return jnp.broadcast_to(value, (steps, access.size))


def _is_product(program: Program, group: Group, constant: Collection[int]) -> bool:
    """Whether a group multiplies what changes by one operand that does not."""
    kept = (Role.STATE, Role.SHARED)
    return (
        group.family in _PRODUCTS
        and len(constant) == len(group.reads) - 1
        and not any(program.blocks[w.access.block].role in kept for w in group.writes)
    )


def _find_uses(program: Program, groups: Sequence[Group]) -> dict[str, _Uses]:
    """Find the uses of all states and wires."""
    touching: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for position, group in enumerate(groups):
        written = {write.access.block for write in group.writes}
        for name in written | {access.block for access in group.reads}:
            touching[name].append((position, name in written))
    found = {}
    for name, touches in touching.items():
        writers = tuple(position for position, writes in touches if writes)
        if program.blocks[name].role not in (Role.STATE, Role.WIRE) or not writers:
            continue
        readers = [position for position, writes in touches if not writes]
        before = tuple(r for r in readers if r < writers[0])
        between = tuple(r for r in readers if writers[0] < r < writers[-1])
        after = tuple(r for r in readers if r > writers[-1])
        found[name] = _Uses(writers, before, between, after)
    return found


def _edges(
    program: Program, groups: Sequence[Group], uses: Mapping[str, _Uses]
) -> Edges:
    """Say which positions of a step must not come later than which others.

    Those that need each other across steps get an edge in both directions.
    """
    wires = [b.size for b in program.blocks.values() if b.role is Role.WIRE]
    edges: Edges = set()
    for name, use in uses.items():
        if program.blocks[name].role is Role.WIRE:
            edges.update(
                (one, two)
                for one, two in combinations(use.all, 2)
                if one in use.writers or two in use.writers
            )
            continue
        # States that are too large to be kept for all steps, weights for instance,
        # stay within one stage; so do those of which both versions are read.
        large = program.blocks[name].size > max(wires, default=0)
        if large or use.between or (use.before and use.after):
            together = use.all
        else:
            together = use.writers
            edges.update((w, r) for w in use.writers for r in use.before + use.after)
        if len(together) > 1:
            edges.update(pairwise([*together, together[0]]))
        edges.update(
            (writer, writer)
            for writer in use.writers
            if _needs_old(groups[writer], name, program)
        )
    return edges


def _needs_old(group: Group, name: str, program: Program) -> bool:
    """Whether what a group writes to a block depends on what was there before."""
    return any(access.block == name for access in group.reads) or any(
        write.mode is not Mode.SET or write.access.size < program.blocks[name].size
        for write in group.writes
        if write.access.block == name
    )


def _components(count: int, edges: Edges) -> tuple[np.ndarray, frozenset[int]]:
    """Find positions that depend on each other.

    Returns
    -------
    component : ndarray of int
        For each position the number of its strongly connected component.
    recurrent : frozenset of int
        Components that depend on themselves.
    """
    start, end = np.array(sorted(edges), dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(count, count))
    _, component = connected_components(graph, connection="strong")
    several = np.flatnonzero(np.bincount(component) > 1)
    alone = {component[one] for one, two in edges if one == two}
    return component, frozenset([*several, *alone])


def _depths(component: np.ndarray, leaves: Sequence[bool], edges: Edges) -> list[int]:
    """Number the stages of all positions: odd for what leaves the loop, else even."""
    before: dict[int, set[int]] = {number: set() for number in component}
    for one, two in edges:
        if component[one] != component[two]:
            before[component[two]].add(component[one])
    odd = {number: int(leaf) for number, leaf in zip(component, leaves, strict=True)}
    depth: dict[int, int] = {}
    for number in TopologicalSorter(before).static_order():
        least = [depth[k] + (odd[k] != odd[number]) for k in before[number]]
        depth[number] = max([odd[number], *least])
    return [depth[number] for number in component]


def _stages(
    program: Program,
    split: Split,
    uses: Mapping[str, _Uses],
    depths: Sequence[int],
) -> tuple[Stage, ...]:
    sampled = {sample.access.block for sample in program.samples}
    stages = []
    for depth in sorted(set(depths)):
        here = [k for k, d in enumerate(depths) if d == depth]
        numbers = [split.each[k] for k in here]
        groups = [program.groups[number] for number in numbers]
        written = {w.access.block for group in groups for w in group.writes}
        touched = written | {
            access.block
            for number, group in zip(numbers, groups, strict=True)
            for operand, access in enumerate(group.reads)
            if (number, operand) not in split.operands
        }
        states = {n for n in written if program.blocks[n].role is Role.STATE}
        old = {
            name
            for name in touched & uses.keys()
            if program.blocks[name].role is Role.STATE and name not in states
            if set(here) & set(uses[name].before)
        }
        later = {n for n, u in uses.items() if max(depths[k] for k in u.all) > depth}
        stages.append(
            Stage(
                tuple(numbers),
                frozenset(touched),
                tuple(sorted(states)),
                tuple(sorted(old)),
                tuple(sorted(written & (later | sampled))),
                bool(states) or any(g.family in _IN_LOOP for g in groups),
            )
        )
    return tuple(stages)
