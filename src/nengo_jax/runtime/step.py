"""One time step of a program for one example, as pure functions of arrays.

``Memory`` maps block names to arrays. A step reads parameters, states and inputs,
makes the wires and returns all that it wrote.

What depends on nothing that changes over time is computed once, before the loop over
time: groups that read only constant blocks (biases, constant nodes, a held image and
what follows from it), and operands that are gathered from constant blocks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from ..core import Access, Group, Program, Role
from .memory import Pieces, read, read_pieces, whole, write

Memory = Mapping[str, Array]
Operands = Mapping[tuple[int, int], Array]


@dataclass(frozen=True)
class Split:
    """Groups that run once, groups that run in each step, operands read once.

    Attributes
    ----------
    once, each : tuple of int
        Numbers of the groups, in order.
    operands : tuple of (int, int)
        Group and operand numbers of operands of ``each`` that never change.
    """

    once: tuple[int, ...]
    each: tuple[int, ...]
    operands: tuple[tuple[int, int], ...]


def state_axes(program: Program) -> dict[str, int | None]:
    """Say of each block that is kept from step to step where its batch axis is.

    Returns
    -------
    dict of str to (0 or None)
        None for blocks that belong to the whole batch.
    """
    own = dict.fromkeys(program.names(Role.STATE), 0)
    return {**own, **dict.fromkeys(program.names(Role.SHARED))}


def split_by_time(
    program: Program, constant_inputs: Collection[str], everything: bool = False
) -> Split:
    """Find out what does not change over time.

    Parameters
    ----------
    program : Program
    constant_inputs : collection of str
        Input blocks that hold the same values in all steps.
    everything : bool
        Whether to include groups that are not live.
    """
    changing = {n for n in program.names(Role.INPUT) if n not in constant_inputs}
    changing |= set(state_axes(program))
    once: list[int] = []
    each: list[int] = []
    operands: list[tuple[int, int]] = []
    for number, group in enumerate(program.groups):
        if not (group.live or everything):
            continue
        touched = [a.block for a in group.reads]
        targets = [w.access.block for w in group.writes]
        if group.run is not None and not changing.intersection(touched + targets):
            once.append(number)
            continue
        each.append(number)
        operands += [
            (number, k) for k, name in enumerate(touched) if name not in changing
        ]
        changing.update(targets)
    settled = {name for name in program.blocks if name not in changing}
    kept = [(g, k) for g, k in operands if program.groups[g].reads[k].block in settled]
    return Split(tuple(once), tuple(each), tuple(kept))


def read_operands(program: Program, split: Split, memory: Memory) -> Operands:
    """Read the operands that never change."""
    return {
        (g, k): _prepared(
            program.groups[g],
            k,
            read(memory[program.groups[g].reads[k].block], program.groups[g].reads[k]),
        )
        for g, k in split.operands
    }


def run_groups(
    program: Program, numbers: Sequence[int], memory: Memory, operands: Operands
) -> dict[str, Array]:
    """Run groups in order.

    Parameters
    ----------
    program : Program
    numbers : sequence of int
        Numbers of the groups.
    memory : mapping of str to Array
        All blocks that exist so far.
    operands : mapping of (group, operand) to Array
        Operands that are known already.

    Returns
    -------
    dict of str to Array
        The memory after the step.
    """
    blocks: dict[str, Array | Pieces] = dict(memory)
    for number in numbers:
        group = program.groups[number]
        assert group.run is not None
        values = []
        for k, access in enumerate(group.reads):
            if (number, k) in operands:
                values.append(operands[number, k])
                continue
            values.append(_prepared(group, k, _read(blocks, access)))
        _store(program, group, group.run(*values), blocks)
    return {name: whole(block) for name, block in blocks.items()}


def _read(blocks: dict[str, Array | Pieces], access: Access) -> Array:
    """Read an operand; only if necessary, carry out the writes to its block first."""
    block = blocks[access.block]
    if isinstance(block, Pieces):
        value = read_pieces(block, access)
        if value is not None:
            return value
        blocks[access.block] = block = whole(block)
    return read(block, access)


def _prepared(group: Group, number: int, value: Array) -> Any:
    return group.prepare[number](value) if number in group.prepare else value


def store(
    program: Program, group: Group, values: Sequence[Any], memory: Memory
) -> dict[str, Array]:
    """Return ``memory`` with the results of a group written to it."""
    blocks: dict[str, Array | Pieces] = dict(memory)
    _store(program, group, values, blocks)
    return {name: whole(block) for name, block in blocks.items()}


def _store(
    program: Program,
    group: Group,
    values: Sequence[Any],
    blocks: dict[str, Array | Pieces],
) -> None:
    for target, value in zip(group.writes, values, strict=True):
        name = target.access.block
        if name not in blocks:
            block = program.blocks[name]
            blocks[name] = jnp.zeros(block.size, block.dtype)
        blocks[name] = write(blocks[name], target.access, value, target.mode)


def sample(program: Program, memory: Memory) -> list[Array]:
    """Read all that is recorded, after the last update of a step."""
    return [read(memory[s.access.block], s.access).reshape(-1) for s in program.samples]
