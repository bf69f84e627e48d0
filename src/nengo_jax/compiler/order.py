"""What a reset starts anew, in the order of the reference.

At each reset the reference walks through its operators and lets every process that
has no seed draw one, processes that need none included. So the noise of a seeded
model depends on the order of its operators. Where noise is at stake, nengo's own
functions find that order.

It is the order of ``nengo.Simulator(optimize=False)``. With its optimizer, which
merges operators in an order that changes from run to run, the reference gives the
same numbers for most models, and no reproducible ones for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.processes import Piecewise, PresentInput
from nengo.synapses import LinearFilter, Triangle
from nengo.utils.graphs import toposort
from nengo.utils.simulator import operator_dependency_graph

from ..core import Role
from ..families import HostPlace
from .roles import Task, is_shared
from .sources import Source

_WITHOUT_CHANCE = (LinearFilter, Triangle, PresentInput, Piecewise)


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
) -> tuple[Starter, ...]:
    """List what a reset starts.

    Parameters
    ----------
    model : Model
    tasks : sequence of Task
    sources : sequence of Source
    roles : mapping of Signal to Role
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
    if not any(_depends_on_seed(op) for op in started):
        return tuple(started.values())
    ordered = toposort(operator_dependency_graph(model.operators))
    return tuple(
        started.get(op) or Starter(_draw_seed(op))
        for op in ordered
        if op in started or isinstance(op, SimProcess)
    )


def _depends_on_seed(op: Operator) -> bool:
    """Whether the values of an operator may depend on a seed that it draws."""
    if isinstance(op, SimProcess):
        return op.process.seed is None and not isinstance(op.process, _WITHOUT_CHANCE)
    return type(op).__module__.split(".")[0] != "nengo"


def _start_source(source: Source) -> Callable:
    def start(rng: np.random.RandomState, element: int) -> Any:
        assert source.start is not None
        op: Any = source.op
        if isinstance(op, SimProcess):
            rng = op.process.get_rng(rng)
        return source.start(rng)

    return start


def _start_call(task: Task, place: HostPlace) -> Callable:
    def start(rng: np.random.RandomState, element: int) -> Any:
        assert task.family.host is not None
        return task.family.host.start(task.op, place, rng, element)

    return start


def _draw_seed(op: SimProcess) -> Callable:
    """A process that runs natively draws its seed as well, though it needs none."""

    def start(rng: np.random.RandomState, element: int) -> None:
        op.process.get_rng(rng)

    return start
