"""Proof-reading of a program, after planning and before anything is compiled."""

from __future__ import annotations

from ..core import Access, Mode, Program, Role

_WRITABLE = (Role.STATE, Role.SHARED, Role.WIRE)


def check(program: Program) -> None:
    """Raise AssertionError if a program contradicts itself.

    Checked are: every operand lies inside its block, only states and wires are
    written, and wires are set before they are read in each step.
    """
    made: set[str] = set()
    for group in program.groups:
        for access in group.reads:
            _check_inside(program, access)
            role = program.blocks[access.block].role
            assert role is not Role.WIRE or access.block in made, (
                f"{group.family} reads {access.block} before anything sets it"
            )
        for write in group.writes:
            _check_inside(program, write.access)
            block = program.blocks[write.access.block]
            assert block.role in _WRITABLE, f"{group.family} writes {block}"
            if write.mode is Mode.SET:
                made.add(block.name)
        assert (group.run is None) != (not group.calls), f"{group.family} has no work"
    for sample in program.samples:
        _check_inside(program, sample.access)
    for name, block in program.blocks.items():
        if block.role is not Role.WIRE:
            assert program.initial[name].shape == (block.size,), name


def _check_inside(program: Program, access: Access) -> None:
    block = program.blocks[access.block]
    if access.rows is None:
        assert 0 <= access.start <= block.size - access.size, access
        return
    assert len(access.rows) * access.width == access.size, access
    if len(access.rows):
        last = (int(access.rows.max()) + 1) * access.width
        assert access.rows.min() >= 0, access
        assert last <= block.size, access
