"""Which operators run together, and in which order.

Operators are ready when all operators that they depend on have run. Among the ready
ones, those with equal merge keys can run as one group. Keys that are ready in full
come first; otherwise the key that lies least deep in the graph, as in agenda-based
batching (Neubig, Goldberg and Dyer, 2017). Host operators wait until nothing else is
ready, so that a step crosses to the host as few times as possible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import numpy as np
from nengo.builder.operator import Operator
from nengo.exceptions import BuildError

from ..core import Group, HostCall, Role, Write
from ..families import OPERATOR, Family, Operand, Settings, is_python
from .graph import dependents_of
from .layout import Layout
from .roles import Task

_FEW_REPEATS = 0.25  # share of a group from which repeated operands stay in it


class Planned(NamedTuple):
    """A group, and what it was made of.

    Attributes
    ----------
    group : Group
    family : Family
    ops : tuple of Operator
    """

    group: Group
    family: Family
    ops: tuple[Operator, ...]

    def rebuild(self, settings: Settings) -> Group:
        """Return the group as it computes under other settings."""
        if self.family.build is None:
            return self.group
        prepare = self.family.prepare
        return replace(
            self.group,
            run=self.family.build(self.ops, settings),
            prepare=prepare(self.ops, settings) if prepare else {},
        )


def plan(
    tasks: Sequence[Task],
    layout: Layout,
    settings: Settings,
    merge: bool,
    live: Sequence[bool],
) -> list[Planned]:
    """Order the tasks into groups and place their signals.

    Parameters
    ----------
    tasks : sequence of Task
    layout : Layout
        Filled while planning.
    settings : Settings
    merge : bool
        If False, each operator is a group of its own.
    live : sequence of bool
        Whether each task is live; groups have only live members, or none.

    Raises
    ------
    BuildError
        If operators wait for each other in a cycle.
    """
    dependents = dependents_of([task.op for task in tasks])
    schedule = _Schedule(tasks, dependents, merge, live)
    planner = _Planner(tasks, layout, settings, live)
    groups: list[Planned] = []
    while schedule.buckets:
        key = schedule.choose()
        chosen = schedule.take(key)
        if tasks[chosen[0]].family.host is not None:
            groups.append(planner.host_group(chosen))
        else:
            parts = planner.split(chosen)
            groups += [planner.group(part) for part in parts]
    return groups


class _Schedule:
    """Keeps track of what is ready."""

    def __init__(
        self,
        tasks: Sequence[Task],
        dependents: Sequence[Sequence[int]],
        merge: bool,
        live: Sequence[bool],
    ):
        self._tasks = tasks
        self._dependents = dependents
        self._missing = np.zeros(len(tasks), dtype=int)
        for later in dependents:
            for number in later:
                self._missing[number] += 1
        self._keys = [
            (_merge_key(task, k, merge), live[k]) for k, task in enumerate(tasks)
        ]
        self._left: dict[Hashable, int] = defaultdict(int)
        for key in self._keys:
            self._left[key] += 1
        self._depth = _depths(tasks, dependents)
        self._mean_depth = _mean_depths(self._keys, self._depth)
        self.buckets: dict[Hashable, list[int]] = defaultdict(list)
        for number, missing in enumerate(self._missing):
            if not missing:
                self.buckets[self._keys[number]].append(number)

    def choose(self) -> Hashable:
        """Return the key to run next."""

        def cost(key: Hashable) -> tuple[bool, bool, float]:
            ready = self.buckets[key]
            on_host = self._tasks[ready[0]].family.host is not None
            return on_host, len(ready) < self._left[key], self._mean_depth[key]

        return min(self.buckets, key=cost)

    def take(self, key: Hashable) -> list[int]:
        """Remove the ready operators of ``key``; release those that wait for them."""
        chosen = self.buckets.pop(key)
        self._left[key] -= len(chosen)
        for number in chosen:
            for later in self._dependents[number]:
                self._missing[later] -= 1
                if not self._missing[later]:
                    self.buckets[self._keys[later]].append(later)
        return sorted(chosen)


def _merge_key(task: Task, number: int, merge: bool) -> Hashable:
    if task.family.host is not None:
        return "host"  # one crossing to the host runs all that is ready there
    return task.family.name, task.family.key(task.op) if merge else number


def _depths(tasks: Sequence[Task], dependents: Sequence[Sequence[int]]) -> np.ndarray:
    """Length of the longest chain of operators before each operator."""
    before = {number: [] for number in range(len(tasks))}
    for number, later in enumerate(dependents):
        for other in later:
            before[other].append(number)
    try:
        ordered = list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise BuildError(_explain_cycle([tasks[k].op for k in error.args[1]])) from None
    depth = np.zeros(len(tasks))
    for number in ordered:
        for later in dependents[number]:
            depth[later] = max(depth[later], depth[number] + 1)
    return depth


def _explain_cycle(cycle: Sequence[Operator]) -> str:
    chain = "\n  ".join(str(op) for op in cycle)
    return (
        "The model has a cycle without delay, so no operator in it can run first. "
        "This usually occurs because too many connections have no synapses. Give one "
        "of these connections a synapse (synapse=0 delays by one step):\n  " + chain
    )


def _mean_depths(keys: Sequence[Hashable], depth: np.ndarray) -> dict[Hashable, float]:
    total: dict[Hashable, float] = defaultdict(float)
    count: dict[Hashable, int] = defaultdict(int)
    for key, value in zip(keys, depth, strict=True):
        total[key] += value
        count[key] += 1
    return {key: total[key] / count[key] for key in total}


class _Planner:
    """Turns chosen operators into groups, placing signals as it goes."""

    def __init__(
        self,
        tasks: Sequence[Task],
        layout: Layout,
        settings: Settings,
        live: Sequence[bool],
    ):
        self._live = live
        self._tasks = tasks
        self._layout = layout
        self._settings = settings

    def split(self, chosen: Sequence[int]) -> list[list[int]]:
        """Split operators so that each operand of a part lies in one block.

        Operators that read nothing but parameters are kept apart from the others:
        they need to run only once.
        """
        parts: dict[Hashable, list[int]] = defaultdict(list)
        for number in chosen:
            task = self._tasks[number]
            signature = tuple(self._layout.signature(o) for o in _operands(task))
            parts[signature, self._is_constant(task)].append(number)
        return [piece for part in parts.values() for piece in self._part_repeats(part)]

    def _part_repeats(self, numbers: list[int]) -> list[list[int]]:
        """Set apart the operators that read what another one of the part reads.

        A few of them, such as the decoders of a probe among those of all ensembles,
        would turn slices of the others into gathers.
        """
        seen: set[Operand] = set()
        first, repeats = [], []
        for number in numbers:
            reads = {o for o in self._tasks[number].reads if o.elements is None}
            (repeats if reads & seen else first).append(number)
            seen |= reads
        few = 0 < len(repeats) <= _FEW_REPEATS * len(numbers)
        return [first, repeats] if few else [numbers]

    def _is_constant(self, task: Task) -> bool:
        roles = self._layout.roles
        return all(roles[o.signal.base] is Role.PARAM for o in task.reads)

    def group(self, numbers: Sequence[int]) -> Planned:
        """Make one group of operators that can run together."""
        tasks = self._arrange([self._tasks[k] for k in numbers])
        family = tasks[0].family
        columns = list(zip(*(_operands(task) for task in tasks), strict=True))
        for operands in columns:
            self._layout.place(operands)
        accesses = [self._layout.access(ops, family.flat) for ops in columns]
        written = len(tasks[0].writes)
        modes = [target.mode for target in tasks[0].writes]
        group = Group(
            family=family.name,
            members=tuple(str(task.op) for task in tasks),
            reads=tuple(accesses[written:]),
            writes=tuple(map(Write, accesses[:written], modes)),
            live=self._live[numbers[0]],
        )
        planned = Planned(group, family, tuple(task.op for task in tasks))
        return planned._replace(group=planned.rebuild(self._settings))

    def _arrange(self, tasks: list[Task]) -> list[Task]:
        """Order members as the largest operand that has a place lies in memory."""
        slots = self._layout.slots
        best: list[int] | None = None
        size = 0
        for column in zip(*(_operands(task) for task in tasks), strict=True):
            if not all(o.signal.base in slots for o in column):
                continue
            places = [slots[o.signal.base].offset + _first(o) for o in column]
            total = sum(o.signal.size for o in column)
            if len(set(places)) == len(places) and total > size:
                best, size = places, total
        if best is None:  # nothing has a place yet: equal sizes side by side
            best = [sum(o.signal.size for o in _operands(task)) for task in tasks]
        return [tasks[k] for k in np.argsort(best, kind="stable")]

    def host_group(self, numbers: Sequence[int]) -> Planned:
        """Make the group of all host operators that are ready."""
        calls: list[HostCall] = []
        reads, writes = [], []
        for number in numbers:
            task = self._tasks[number]
            for operand in _operands(task):
                self._layout.place([operand])
            first_read, first_write = len(reads), len(writes)
            reads += [self._layout.access_alone(operand) for operand in task.reads]
            writes += [
                Write(self._layout.access_alone(operand), mode)
                for operand, mode in task.writes
            ]
            assert task.family.host is not None
            label, reason = task.family.host.describe(task.op)
            calls.append(
                HostCall(
                    number=number,
                    label=label,
                    reason=reason,
                    native_missing=task.family is OPERATOR and not is_python(task.op),
                    reads=slice(first_read, len(reads)),
                    writes=slice(first_write, len(writes)),
                )
            )
        ops = tuple(self._tasks[k].op for k in numbers)
        names = tuple(map(str, ops))
        group = Group("host", names, tuple(reads), tuple(writes), calls=tuple(calls))
        return Planned(group, self._tasks[numbers[0]].family, ops)


def _operands(task: Task) -> tuple[Operand, ...]:
    return (*(target.operand for target in task.writes), *task.reads)


def _first(operand: Operand) -> int:
    if operand.elements is not None:
        return int(operand.elements.flat[0]) if operand.elements.size else 0
    return 0 if operand.signal.sparse else operand.signal.elemoffset
