"""Which operators matter for anything that lasts.

An operator is *live* if it writes a state, feeds a probe or calls Python, or if a
live operator reads what it writes. The others make wires that nobody uses, such as
the default output of an ensemble array; they run only when a user looks at them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from nengo.builder import Model
from nengo.builder.signal import Signal

from ..core import Role
from .graph import extent
from .roles import Task

Span = tuple[int, int, int]  # task, first byte, end


def live_tasks(
    tasks: Sequence[Task], roles: Mapping[Signal, Role], model: Model
) -> list[bool]:
    """Say of each task whether it is live."""
    writers: dict[Signal, list[Span]] = defaultdict(list)
    for number, task in enumerate(tasks):
        for target in task.writes:
            signal = target.operand.signal
            writers[signal.base].append((number, *extent(signal)))
    tables = {base: np.array(spans).T for base, spans in writers.items()}
    waiting = [number for number, task in enumerate(tasks) if _is_root(task, roles)]
    for probe in model.probes:
        waiting += _writers_of(model.sig[probe]["in"], tables)
    live = [False] * len(tasks)
    while waiting:
        number = waiting.pop()
        if live[number]:
            continue
        live[number] = True
        for operand in tasks[number].reads:
            waiting += _writers_of(operand.signal, tables)
    return live


def _is_root(task: Task, roles: Mapping[Signal, Role]) -> bool:
    written = {roles[t.operand.signal.base] for t in task.writes}
    lasting = not written.isdisjoint({Role.STATE, Role.SHARED})
    return lasting or task.family.host is not None


def _writers_of(signal: Signal, tables: Mapping[Signal, np.ndarray]) -> list[int]:
    if signal.base not in tables:
        return []
    numbers, low, high = tables[signal.base]
    first, end = extent(signal)
    return list(numbers[(low < end) & (high > first)])
