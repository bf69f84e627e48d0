"""A program in words: what runs, in which order, on what, and what it takes."""

from __future__ import annotations

from ..core import Group, Program, Role

_ROLES = (Role.PARAM, Role.STATE, Role.SHARED, Role.WIRE, Role.INPUT)


def explain(program: Program) -> str:
    """Describe a program as text: groups in order, operands, memory, host calls.

    Returns
    -------
    str
        Several lines; the same for every build of the same model.
    """
    operators = sum(len(group.members) for group in program.groups)
    lines = [
        f"{operators} operators in {len(program.groups)} groups, "
        f"dt = {program.dt:g} s, {len(program.samples)} probes",
        "",
    ]
    lines += [_group_line(k, group, program) for k, group in enumerate(program.groups)]
    lines += ["", *_memory_lines(program)]
    calls = [call for group in program.groups for call in group.calls]
    lines += ["", "on the host in each step:"]
    lines += [f"  {call.label}: {call.reason}" for call in calls] or ["  nothing"]
    return "\n".join(lines)


def _group_line(number: int, group: Group, program: Program) -> str:
    reads = ", ".join(access.describe(program.blocks) for access in group.reads)
    writes = ", ".join(
        write.access.describe(program.blocks)
        + (" (set)" if write.mode.value == "set" else " (inc)")
        for write in group.writes
    )
    mark = "" if group.live else " (unused)"
    title = f"{number:4d}  {group.family} x {len(group.members)}{mark}"
    return f"{title:32s} {reads or '-'} -> {writes or '-'}"


def _memory_lines(program: Program) -> list[str]:
    lines = ["memory (bytes for one example):"]
    for role in _ROLES:
        blocks = [program.blocks[name] for name in program.names(role)]
        if role is Role.SHARED and not blocks:
            continue  # few models have any
        total = sum(block.nbytes for block in blocks)
        lines.append(f"  {role.value:6s} {total:12,d} in {len(blocks)} blocks")
    return lines
