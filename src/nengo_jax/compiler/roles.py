"""Who reads and writes each signal, and so how long its value lives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from ..core import Role
from ..families import OPERATOR, Family, FamilyTable, Operand, Target, family_of
from .sources import Source


@dataclass(frozen=True)
class Task:
    """An operator with its family and its operands."""

    op: Operator
    family: Family
    reads: tuple[Operand, ...]
    writes: tuple[Target, ...]

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Signals of all operands, written ones first."""
        return tuple(t.operand.signal for t in self.writes) + tuple(
            operand.signal for operand in self.reads
        )


def tasks_of(operators: Sequence[Operator], families: FamilyTable) -> list[Task]:
    """Look up the family of every operator."""
    chosen = [(op, family_of(op, families)) for op in operators]
    return [Task(op, f, f.reads(op), f.writes(op)) for op, f in chosen]


def assign_roles(
    tasks: Sequence[Task], model: Model, sources: Sequence[Source]
) -> Mapping[Signal, Role]:
    """Give every base signal that an operator touches or a probe records a role.

    Parameters
    ----------
    tasks : sequence of Task
    model : Model
        Its step and time are given from outside, like the sources.
    sources : sequence of Source
    """
    fed = {s.signal.base for s in sources if s.signal is not None}
    fed |= {model.step, model.time}
    readers, writers = defaultdict(list), defaultdict(list)
    covered: dict[Signal, int] = defaultdict(int)
    kept: set[Signal] = set()
    shared: set[Signal] = set()
    for task in tasks:
        read = {operand.signal.base for operand in task.reads}
        for base in read:
            readers[base].append(task)
        for operand, _ in task.writes:
            base = operand.signal.base
            writers[base].append(task)
            if operand.shared:
                shared.add(base)
            if base in read or operand.signal in task.op.updates:
                kept.add(base)
            if operand.signal in task.op.sets:
                covered[base] += _size(operand)
    probed = {model.sig[probe]["in"].base: None for probe in model.probes}

    def role(base: Signal) -> Role:
        users = {id(task): task for task in (*readers[base], *writers[base])}
        alone = len(users) == 1 and next(iter(users.values())).family is OPERATOR
        if base in fed:
            return Role.INPUT
        if alone and base in writers and base not in probed:
            return Role.HOST
        if not writers[base]:
            return Role.PARAM
        if base in shared:
            return Role.SHARED
        if base in kept or covered[base] < base.size:
            return Role.STATE
        return Role.WIRE

    touched = dict.fromkeys(s.base for task in tasks for s in task.signals)
    return {base: role(base) for base in touched | probed}


def drop_host_operands(
    tasks: Sequence[Task], roles: Mapping[Signal, Role], model: Model
) -> list[Task]:
    """Take from host operators the operands that need not go to the device and back.

    These are the signals that no other operator touches, and the clock.
    """

    def shared(signal: Signal) -> bool:
        return is_shared(signal, roles, model)

    return [
        task
        if task.family is not OPERATOR
        else replace(
            task,
            reads=tuple(o for o in task.reads if shared(o.signal)),
            writes=tuple(t for t in task.writes if shared(t.operand.signal)),
        )
        for task in tasks
    ]


def is_shared(signal: Signal, roles: Mapping[Signal, Role], model: Model) -> bool:
    """Whether a host operator exchanges a signal with the device in each step."""
    base = signal.base
    hidden = base.sparse or base in (model.step, model.time)
    return not hidden and roles[base] is not Role.HOST


def _size(operand: Operand) -> int:
    return operand.signal.size if operand.elements is None else operand.elements.size
