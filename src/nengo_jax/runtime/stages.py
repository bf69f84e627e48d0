"""Time steps of a program that calls Python in the middle of each step.

The step is cut where Python is called, and each piece is one compiled function.
Calling a compiled function takes less time than a callback out of a compiled loop,
errors reach the caller as they are, and user code runs in the caller's own thread.

With one cut, steps are run as ``first | host | turn | host | turn | host | last``:
the turn is the end of one step and the beginning of the next, so each step takes one
compiled call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..core import Group, Program, Role
from .memory import read
from .step import (
    Memory,
    Operands,
    Split,
    read_operands,
    run_groups,
    sample,
    split_by_time,
    store,
)

Call = Callable[..., tuple[np.ndarray, ...]]
Blocks = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What lies between two cuts of a step.

    Attributes
    ----------
    before, after : Group or None
        The host groups on both sides; None at the beginning and the end of the step.
    numbers : tuple of int
        Numbers of the groups to run.
    touched, written : frozenset of str
        Blocks that the part reads or writes, and those that it writes.
    """

    before: Group | None
    numbers: tuple[int, ...]
    after: Group | None
    touched: frozenset[str]
    written: frozenset[str]


@dataclass(frozen=True)
class Piece:
    """One compiled function: one part of a step, or the end of one and the next start.

    Attributes
    ----------
    takes, fresh, gives : tuple of str
        Blocks taken from the present step, inputs taken for the next one, results.
    fixed, known : tuple
        Names of blocks, and keys of operands, that do not change over time.
    run : callable
        ``run(constants, taken, fresh, results) -> (given, samples, reads)``.
    """

    takes: tuple[str, ...]
    fresh: tuple[str, ...]
    gives: tuple[str, ...]
    fixed: tuple[str, ...]
    known: tuple[tuple[int, int], ...]
    run: Callable


class HostLoop:
    """A program with host groups, cut into compiled pieces.

    Parameters
    ----------
    program : Program
    held : collection of str
        Input blocks that never change and have no batch axis.
    batched : bool
        Whether all blocks that change have a batch axis.
    """

    def __init__(self, program: Program, held: Collection[str], batched: bool):
        self._program = program
        self._batched = batched
        self._held = tuple(held)
        self._split = split_by_time(program, held)
        self._settled = {*program.names(Role.PARAM), *held}
        for number in self._split.once:
            writes = program.groups[number].writes
            self._settled.update(write.access.block for write in writes)
        self._prepare = jax.jit(partial(_prepare, program, self._split))
        self._parts = _cut(program, self._split.each)
        count = len(self._parts)
        self._pieces = [self._compile((k,)) for k in range(count)]
        self._turn = self._compile((count - 1, 0))
        self._nothing = np.zeros((1, 0) if batched else (0,), np.float32)
        self._source: Memory = {}
        self._constants: dict[int, tuple] = {}
        self._last: tuple[Callable[[], Memory], Blocks, list[np.ndarray]] | None = None

    def load(self, params: Memory, held: Memory) -> None:
        """Take new values for all that does not change over time."""
        self._source = {**params, **held}
        fixed, operands = self._prepare(self._source)
        self._constants = {
            id(piece): (
                *(fixed[name] for name in piece.fixed),
                *(operands[key] for key in piece.known),
            )
            for piece in [*self._pieces, self._turn]
        }

    def _call(
        self,
        piece: Piece,
        memory: Blocks,
        results: np.ndarray,
        inputs: Blocks | None = None,
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        """Run a piece on ``memory``, which gets the new values."""
        taken = [memory[name] for name in piece.takes]
        fresh = [inputs[name] for name in piece.fresh] if inputs else []
        given, samples, reads = piece.run(
            self._constants[id(piece)], taken, fresh, results
        )
        memory.update(zip(piece.gives, given, strict=True))
        if inputs:
            memory.update(inputs)
        return samples, reads

    def run(
        self,
        state: Memory,
        inputs: Sequence[Callable[[], Blocks]],
        call: Callable[[Group, Sequence[Array]], np.ndarray],
    ) -> Iterator[tuple[Sequence[Array], Callable[[], Memory]]]:
        """Run one step for each item of ``inputs``.

        Parameters
        ----------
        state : mapping of str to Array
        inputs : sequence of callable
            Called at the beginning of each step; gives the input blocks.
        call : callable
            ``call(group, operands) -> array``, the Python work of a host group.

        Yields
        ------
        samples : sequence of Array
            What the probes see after the step.
        settle : callable
            ``settle() -> state`` gives the state after the step, should the run end
            there.
        """
        now = inputs[0]()
        memory: Blocks = {**state, **now}
        before: Callable[[], Memory] = lambda: state  # noqa: E731
        _, reads = self._call(self._pieces[0], memory, self._nothing)
        for number in range(len(inputs)):
            history: list[np.ndarray] = []
            for piece, part in zip(self._pieces[1:], self._parts, strict=False):
                assert part.after is not None
                history.append(call(part.after, reads))
                if piece is not self._pieces[-1]:
                    _, reads = self._call(piece, memory, history[-1])
            settle = partial(self._settle, dict(memory), history[-1], tuple(state))
            self._last = before, now, history
            if number + 1 == len(inputs):
                samples, _ = self._call(self._pieces[-1], memory, history[-1])
                yield samples, partial(_pick, memory, tuple(state))
                return
            try:
                now = inputs[number + 1]()
            except BaseException:
                samples, _ = self._call(self._pieces[-1], dict(memory), history[-1])
                yield samples, settle
                raise
            samples, reads = self._call(self._turn, memory, history[-1], now)
            yield samples, settle
            before = settle

    def wires(self) -> Memory:
        """Values of all wires in the last step, worked out again without compiling."""
        if self._last is None:
            return {}
        before, inputs, history = self._last

        split = split_by_time(self._program, self._held, everything=True)
        fixed = run_groups(self._program, split.once, self._source, {})
        parts = _cut(self._program, split.each)

        def again(state: Memory, inputs: Blocks, history: list[np.ndarray]) -> Memory:
            memory = {**fixed, **state, **inputs}
            for part, results in zip(parts, [None, *history], strict=True):
                if part.before is not None and results is not None:
                    own = _split_results(part.before, jnp.asarray(results))
                    memory = store(self._program, part.before, own, memory)
                memory = run_groups(self._program, part.numbers, memory, {})
            return {n: memory[n] for n in self._program.names(Role.WIRE)}

        return (jax.vmap(again) if self._batched else again)(before(), inputs, history)

    def _settle(self, memory: Blocks, results: np.ndarray, names: Sequence[str]):
        memory = dict(memory)
        self._call(self._pieces[-1], memory, results)
        return _pick(memory, names)

    def _compile(self, order: tuple[int, ...]) -> Piece:
        """Compile one part, or the last and the first part of the next step."""
        program = self._program
        parts = [self._parts[k] for k in order]
        turn = len(parts) == 2
        made = {n for part in self._parts[: order[0]] for n in part.written}
        states = set(program.names(Role.STATE))
        inputs = set(program.names(Role.INPUT)) - set(self._held)
        touched = frozenset().union(*(part.touched for part in parts))
        written = frozenset().union(*(part.written for part in parts))
        later = frozenset().union(*(p.touched for p in self._parts[order[-1] + 1 :]))
        needed = parts[0].touched & (inputs | made)
        takes = tuple(sorted(needed | (touched & states)))
        fresh = tuple(sorted(parts[1].touched & inputs)) if turn else ()
        gives = tuple(sorted(written & (states | (parts[-1].written & later))))
        fixed = tuple(sorted(touched & self._settled))
        numbers = {number for part in parts for number in part.numbers}
        known = tuple(key for key in self._split.operands if key[0] in numbers)

        def run(constants, taken, fresh_values, results):
            base = dict(zip(fixed, constants[: len(fixed)], strict=True))
            own = dict(zip(known, constants[len(fixed) :], strict=True))
            memory = {**base, **dict(zip(takes, taken, strict=True))}
            samples, reads = [], []
            for number, part in enumerate(parts):
                if number:  # a new step: only states live on
                    kept = {n: v for n, v in memory.items() if n in states}
                    memory = {
                        **base,
                        **kept,
                        **dict(zip(fresh, fresh_values, strict=True)),
                    }
                if part.before is not None:
                    own_results = _split_results(part.before, results)
                    memory = store(program, part.before, own_results, memory)
                memory = run_groups(program, part.numbers, memory, own)
                if part.after is None:
                    samples = sample(program, memory)
                else:
                    reads = [read(memory[a.block], a) for a in part.after.reads]
            return [memory[name] for name in gives], samples, reads

        if self._batched:
            run = jax.vmap(run, in_axes=(None, 0, 0, 0 if parts[0].before else None))
        return Piece(takes, fresh, gives, fixed, known, jax.jit(run))


def _pick(memory: Blocks, names: Sequence[str]) -> Memory:
    return {name: memory[name] for name in names}


def _prepare(program: Program, split: Split, memory: Memory) -> tuple[Memory, Operands]:
    fixed = run_groups(program, split.once, memory, {})
    return fixed, read_operands(program, split, fixed)


def _cut(program: Program, numbers: Sequence[int]) -> list[Part]:
    """Cut a step at its host groups."""
    parts: list[Part] = []
    before: Group | None = None
    run: list[int] = []
    for number in numbers:
        group = program.groups[number]
        if group.calls:
            parts.append(_part(program, before, tuple(run), group))
            before, run = group, []
        else:
            run.append(number)
    return [*parts, _part(program, before, tuple(run), None)]


def _part(
    program: Program,
    before: Group | None,
    numbers: tuple[int, ...],
    after: Group | None,
) -> Part:
    groups = [program.groups[n] for n in numbers]
    written = {
        w.access.block for g in [*groups, before] if g is not None for w in g.writes
    }
    reading = [*groups, after] if after is not None else groups
    touched = written | {a.block for g in reading for a in g.reads}
    if after is None:
        touched |= {s.access.block for s in program.samples}
    return Part(before, numbers, after, frozenset(touched), frozenset(written))


def call_group(
    host: Group,
    reads: Sequence[Array],
    calls: Sequence[Mapping[int, Call]],
    batched: bool,
    step: int,
    dt: float,
) -> np.ndarray:
    """Call the functions of a host group for every example of a batch.

    Parameters
    ----------
    host : Group
    reads : sequence of Array
        Operands of the group.
    calls : sequence of mapping of int to callable
        The functions of each example, by number.
    batched : bool
    step : int
        Number of the step; its time is ``step * dt``.
    dt : float

    Returns
    -------
    ndarray, shape ([batch,] size)
        What the group writes, joined end to end: one array is passed on faster.
    """
    values = [np.asarray(value) for value in reads]
    rows = []
    for example, own in enumerate(calls):
        operands = [v[example] for v in values] if batched else values
        row: list[np.ndarray] = []
        for call in host.calls:
            row += own[call.number](step, step * dt, *operands[call.reads])
        rows.append(_join(row))
    return np.stack(rows) if batched else rows[0]


def _join(values: Sequence[np.ndarray]) -> np.ndarray:
    if len(values) == 1:
        return values[0].reshape(-1)
    return np.concatenate([value.reshape(-1) for value in [*values, np.zeros(0)]])


def _split_results(host: Group, results: Array) -> list[Array]:
    """Undo the joining of what a host group writes."""
    sizes = [write.access.size for write in host.writes]
    stops = np.cumsum(sizes)
    return [
        results[stop - size : stop].reshape(write.access.shape)
        for size, stop, write in zip(sizes, stops, host.writes, strict=True)
    ]
