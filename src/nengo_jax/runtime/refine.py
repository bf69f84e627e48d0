"""A program whose blocks are cut where its operands begin and end.

Blocks hold the signals of many operators side by side, so that few arrays are handed
from step to step. Where it matters which operator needs which signal, as when a loop
over time is taken apart, smaller blocks say more. The result is a program like any
other; its states have to be taken apart before a run and joined after it, and its
inputs to be given in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from ..core import Access, Block, Group, Program, Role, Sample, Write
from .memory import contiguous_runs, read
from .step import Memory

_CUT = (Role.STATE, Role.WIRE, Role.INPUT)
_MOST = 32  # parts of a block; one that would have more stays whole


class Part(NamedTuple):
    """A part of a block: its name, its first element, and the one after its last."""

    name: str
    start: int
    stop: int


Parts = Mapping[str, tuple[Part, ...]]


@dataclass(frozen=True)
class Refined:
    """A program in smaller blocks.

    Attributes
    ----------
    program : Program
        Without initial values.
    parts : mapping of str to tuple of Part
        The parts of each block that was cut.
    """

    program: Program
    parts: Parts

    def parts_of(self, name: str) -> tuple[Part, ...]:
        """Parts of a block of the program before it was cut; one if it is whole."""
        if name in self.parts:
            return self.parts[name]
        return (Part(name, 0, self.program.blocks[name].size),)

    def split(self, memory: Memory) -> dict[str, Array]:
        """Take blocks apart."""
        split = {name: v for name, v in memory.items() if name not in self.parts}
        for name in memory.keys() & self.parts.keys():
            for part in self.parts[name]:
                split[part.name] = memory[name][part.start : part.stop]
        return split

    def join(self, memory: Memory, names: Sequence[str]) -> dict[str, Array]:
        """Make the blocks called ``names`` from their parts."""
        return {
            name: jnp.concatenate([memory[part.name] for part in self.parts[name]])
            if name in self.parts
            else memory[name]
            for name in names
        }


def refine(program: Program) -> Refined:
    """Cut the states, wires and inputs of a program.

    Parameters
    ----------
    program : Program
        Without host groups, or with callbacks in their place.
    """
    parts = _choose_parts(program)
    blocks: dict[str, Block] = {}
    for name, block in program.blocks.items():
        for part in parts.get(name, (Part(name, 0, block.size),)):
            blocks[part.name] = replace(
                block, name=part.name, size=part.stop - part.start
            )
    groups = tuple(_refine_group(group, parts) for group in program.groups)
    samples = tuple(
        Sample(_moved(s.access, parts[s.access.block]), s.period)
        if s.access.block in parts
        else s
        for s in program.samples
    )
    return Refined(Program(blocks, groups, {}, samples, program.dt), parts)


def _choose_parts(program: Program) -> Parts:
    """Cut blocks where operands begin and end.

    Samples and gathers are not cut, nor are operands that would get a part of a part.
    """
    operands: dict[str, list[Access]] = {
        name: [] for role in _CUT for name in program.names(role)
    }
    for group in program.groups:
        for access in (*group.reads, *(write.access for write in group.writes)):
            if group.live and access.block in operands and access.size:
                operands[access.block].append(access)
    chosen = {}
    for name, accesses in operands.items():
        whole = [s.access for s in program.samples if s.access.block == name]
        parts = _cut(name, program.blocks[name].size, accesses, whole)
        if 1 < len(parts) <= _MOST:
            chosen[name] = parts
    return chosen


def _cut(
    name: str, size: int, accesses: Sequence[Access], whole: Sequence[Access]
) -> tuple[Part, ...]:
    ends = {0, size, *(end for a in accesses for run in _runs(a) for end in run)}
    closed = [_span(a) for a in whole]
    while True:
        kept = sorted(e for e in ends if not any(a < e < b for a, b in closed))
        parts = tuple(Part(f"{name}:{a}", a, b) for a, b in pairwise(kept))
        torn = [_span(a) for a in accesses if not _fits(a, parts)]
        if not torn:
            return parts
        closed += torn


def _runs(access: Access) -> list[tuple[int, int]]:
    """Contiguous parts of an operand; none if it is gathered."""
    if access.rows is None:
        return [(access.start, access.start + access.size)]
    return contiguous_runs(access) or []


def _span(access: Access) -> tuple[int, int]:
    """First element of an operand, and the one after the last.

    Rows are counted from the beginning of the block, so it is not cut before them.
    """
    if access.rows is None:
        return access.start, access.start + access.size
    return 0, (int(access.rows.max()) + 1) * access.width


def _fits(access: Access, parts: Sequence[Part]) -> bool:
    """Whether an operand lies within one part, or consists of whole parts."""
    if _holder(access, parts) is not None:
        return True
    ends = {end for part in parts for end in part[1:]}
    return bool(_runs(access)) and all(end in ends for r in _runs(access) for end in r)


def _holder(access: Access, parts: Sequence[Part]) -> Part | None:
    """Return the part within which an operand lies."""
    runs = _runs(access)
    start, stop = runs[0] if len(runs) == 1 else _span(access)
    holders = (part for part in parts if part.start <= start and stop <= part.stop)
    return next(holders, None)


def _moved(access: Access, parts: Sequence[Part]) -> Access:
    """Return an operand that lies within one part as one of that part."""
    part = _holder(access, parts)
    assert part is not None
    runs = _runs(access)
    if access.rows is not None and len(runs) != 1:
        return replace(access, block=part.name)  # the part begins the block
    start = runs[0][0] - part.start
    return replace(access, block=part.name, start=start, rows=None, width=1)


def _pieces(access: Access, parts: Parts) -> list[Access]:
    """Return the operands, one for each part, that an operand consists of."""
    own = parts.get(access.block)
    if own is None or not access.size:
        return [access]
    if _holder(access, own) is not None:
        return [_moved(access, own)]
    return [
        Access(part.name, (part.stop - part.start,))
        for start, stop in _runs(access)
        for part in own
        if start <= part.start < stop
    ]


def _refine_group(group: Group, parts: Parts) -> Group:
    """Let a group read and write parts; join and split those of one operand."""
    if group.run is None or not group.live:
        return group
    reads = [_pieces(access, parts) for access in group.reads]
    writes = [_pieces(write.access, parts) for write in group.writes]
    starts = [0, *accumulate(len(pieces) for pieces in reads)]
    prepare = {
        starts[k]: function
        for k, function in group.prepare.items()
        if len(reads[k]) == 1
    }

    def run(*values: Any) -> tuple[Any, ...]:
        assert group.run is not None
        operands = [
            _joined(values[a:b], access, group.prepare.get(k))
            for k, ((a, b), access) in enumerate(
                zip(pairwise(starts), group.reads, strict=True)
            )
        ]
        results = zip(group.run(*operands), group.writes, writes, strict=True)
        return tuple(
            part
            for value, write, pieces in results
            for part in _apart(value, write.access, pieces)
        )

    return replace(
        group,
        reads=tuple(chain(*reads)),
        writes=tuple(
            Write(piece, write.mode)
            for write, pieces in zip(group.writes, writes, strict=True)
            for piece in pieces
        ),
        run=run,
        prepare=prepare,
    )


def _joined(
    values: Sequence[Any], access: Access, prepare: Callable[[Any], Any] | None
) -> Any:
    """Make one operand of its parts; a single one has been prepared already."""
    if len(values) == 1:
        return values[0]
    whole = replace(access, start=0, rows=None, width=1)
    value = read(jnp.concatenate(values), whole)
    return value if prepare is None else prepare(value)


def _apart(value: Any, access: Access, pieces: Sequence[Access]) -> list[Any]:
    """Take a result apart, in the order in which its elements are stored."""
    if len(pieces) == 1:
        return [value]
    value = jnp.asarray(value)
    if value.size != access.size:
        value = jnp.broadcast_to(value, access.shape)
    value = value.reshape(access.shape)
    if access.order is not None:
        value = value.transpose(access.order)
    flat = value.reshape(-1)
    ends = accumulate(piece.size for piece in pieces)
    return [flat[end - p.size : end] for end, p in zip(ends, pieces, strict=True)]
