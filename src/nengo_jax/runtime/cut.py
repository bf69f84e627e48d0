"""Where a step is cut: the groups between one call of Python and the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core import Group, Program


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


def cut(program: Program, numbers: Sequence[int]) -> list[Part]:
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
