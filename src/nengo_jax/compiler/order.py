"""The order in which the reference makes the steps of its operators.

At each reset the reference walks through its operators and lets every process that
has no seed draw one. So the noise of a seeded model depends on that order, which in
turn depends on nengo's optimizer. Where noise is at stake, nengo's own functions find
the order, on copies.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.optimizer import optimize as merge_operators
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.utils.graphs import toposort
from nengo.utils.simulator import operator_dependency_graph
from nengo.utils.stdlib import OrderedSet

from ..core import Role
from ..families import HostPlace
from .roles import Task, is_shared
from .sources import Source


@dataclass(frozen=True)
class Starter:
    """Something that is started anew for each example at each reset.

    Attributes
    ----------
    start : callable
        ``start(rng, element) -> Sampler or host call``. Called in the order of the
        starters with one random stream, from which unseeded processes draw.
    source : int or None
        Number of the source that it starts.
    call : int or None
        Number of the host call that it starts.
    """

    start: Callable[[np.random.RandomState, int], Any]
    source: int | None = None
    call: int | None = None


def starters_of(
    model: Model,
    tasks: Sequence[Task],
    sources: Sequence[Source],
    roles: Mapping[Signal, Role],
    optimize: bool,
) -> tuple[Starter, ...]:
    """List what a reset starts, in the order of the reference.

    Parameters
    ----------
    model : Model
    tasks : sequence of Task
    sources : sequence of Source
    roles : mapping of Signal to Role
    optimize : bool
        Whether the reference would merge operators first.
    """
    place = HostPlace(
        model.dt, model.step, model.time, lambda s: is_shared(s, roles, model)
    )
    started: dict[Operator, Starter] = {}
    for number, source in enumerate(sources):
        if source.op is not None:
            started[source.op] = Starter(_start_source(source), source=number)
    for number, task in enumerate(tasks):
        if task.family.host is not None:
            started[task.op] = Starter(_start_call(task, place), call=number)
    noisy = any(_depends_on_order(op) for op in started)
    ordered = _execution_order(model, optimize) if noisy else list(started)
    starters = [
        started.get(op) or Starter(_draw_seed(op))
        for op in ordered
        if op in started or (noisy and isinstance(op, SimProcess))
    ]
    return tuple(starters)


def _depends_on_order(op: Operator) -> bool:
    """Whether the values of an operator may depend on a seed that it draws."""
    return not isinstance(op, SimProcess) or op.process.seed is None


def _start_source(source: Source):
    def start(rng: np.random.RandomState, element: int):
        assert source.start is not None
        if isinstance(source.op, SimProcess):
            rng = source.op.process.get_rng(rng)
        return source.start(rng)

    return start


def _start_call(task: Task, place: HostPlace):
    def start(rng: np.random.RandomState, element: int):
        assert task.family.host is not None
        return task.family.host.start(task.op, place, rng, element)

    return start


def _draw_seed(op: SimProcess):
    """A process that runs natively draws its seed as well, though it needs none."""

    def start(rng: np.random.RandomState, element: int) -> None:
        op.process.get_rng(rng)

    return start


def _execution_order(model: Model, optimize: bool) -> list[Operator]:
    """Return the operators of a model in the order of the reference."""
    twins = {op: _twin(op) for op in model.operators}
    originals = {twin: op for op, twin in twins.items()}
    graph = {
        twins[op]: OrderedSet(twins[after] for after in later)
        for op, later in operator_dependency_graph(model.operators).items()
    }
    if optimize:
        merged: list[Operator] = []
        shadow = SimpleNamespace(operators=merged, sig={}, add_op=merged.append)
        merge_operators(shadow, graph)
    return [originals[twin] for twin in toposort(graph) if twin in originals]


def _twin(op: Operator) -> Operator:
    twin = copy.copy(op)
    twin.sets, twin.incs = list(op.sets), list(op.incs)
    twin.reads, twin.updates = list(op.reads), list(op.updates)
    return twin
