"""What feeds a model from outside: node functions of time, processes, constants.

A source is started for each example of a batch; the sampler that this gives is asked
for the values of the next steps, always in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from nengo.builder.operator import Operator, SimPyFunc
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.dists import Gaussian, Uniform
from nengo.processes import Piecewise, PresentInput, WhiteNoise, WhiteSignal
from nengo.utils.functions import function_name

from ..families.host import check_result


class Sampler(Protocol):
    """Gives the values of successive steps."""

    @property
    def signals(self) -> Mapping[Signal, np.ndarray]:
        """Signals that live with the sampler."""
        ...

    def now(self, step: int) -> np.ndarray | float:
        """Return the value of one step."""
        ...

    def take(self, step: int, count: int) -> np.ndarray:
        """Return the values of ``count`` steps, the first one being ``step``."""
        ...


@dataclass(frozen=True)
class Source:
    """One signal that is given from outside.

    Attributes
    ----------
    label : str
        Name for messages.
    signal : Signal or None
        What is fed; None for a function whose result is not used.
    op : Operator or None
        The operator that the source stands for; None for a constant node.
    start : callable or None
        ``start(rng) -> Sampler``; None for a constant node.
    python : bool
        Whether it runs Python code of the user in each step.
    shared : bool
        Whether all examples of a batch get the same values.
    """

    label: str
    signal: Signal | None
    op: Operator | None = None
    start: Callable[[np.random.RandomState], Sampler] | None = None
    python: bool = False
    shared: bool = True


class FunctionSampler:
    """Calls a node function of time once per step, with a Python float."""

    def __init__(self, op: SimPyFunc, dt: float):
        self.signals: Mapping[Signal, np.ndarray] = {}
        self._fn = op.fn
        self._dt = dt
        self._shape = None if op.output is None else op.output.shape
        self._t_passed = op.t_passed

    def now(self, step: int) -> np.ndarray | float:
        """Return the value of one step."""
        value = self._fn(float(step * self._dt)) if self._t_passed else self._fn()
        if self._shape is None:
            return 0.0
        return check_result(self._fn, value, self._shape)

    def take(self, step: int, count: int) -> np.ndarray:
        """Return the values of ``count`` steps."""
        return np.array([self.now(step + k) for k in range(count)])


class ProcessSampler:
    """Runs the step of a process that has no input."""

    def __init__(self, op: SimProcess, dt: float, rng: np.random.RandomState):
        self._dt = dt
        self._shape = op.output.shape
        self.signals = {s: np.array(s.initial_value) for s in op.state.values()}
        state = {name: self.signals[signal] for name, signal in op.state.items()}
        self._step = op.process.make_step((0,), self._shape, dt, rng, state)

    def now(self, step: int) -> np.ndarray | float:
        """Return the value of one step."""
        return self._step(float(step * self._dt))

    def take(self, step: int, count: int) -> np.ndarray:
        """Return the values of ``count`` steps."""
        rows = np.empty((count, *self._shape))
        for k in range(count):
            rows[k] = self.now(step + k)
        return rows


class NoiseSampler:
    """Draws white noise for many steps at once, from the stream of single steps."""

    def __init__(self, process, shape: tuple[int], dt: float, rng):
        self.signals: Mapping[Signal, np.ndarray] = {}
        self._dist, self._size, self._rng = process.dist, shape[0], rng
        self._scale = 1 / np.sqrt(dt) if process.scale else 1.0

    def now(self, step: int) -> np.ndarray | float:
        """Return the value of one step."""
        return self.take(step, 1)[0]

    def take(self, step: int, count: int) -> np.ndarray:
        """Return the values of ``count`` steps."""
        draws = self._dist.sample
        if type(self._dist) in (Gaussian, Uniform):
            rows = draws(n=count, d=self._size, rng=self._rng)
        else:
            rows = np.empty((count, self._size))
            for k in range(count):
                rows[k] = draws(n=1, d=self._size, rng=self._rng)[0]
        return rows * self._scale


_OF_NENGO = (PresentInput, Piecewise, WhiteNoise, WhiteSignal)


def function_source(op: SimPyFunc, dt: float) -> Source:
    """Make the source for a node function that has no input."""
    return Source(
        label=function_name(op.fn),
        signal=op.output,
        op=op,
        start=lambda rng: FunctionSampler(op, dt),
        python=True,
    )


def process_source(op: SimProcess, signal: Signal, dt: float) -> Source:
    """Make the source for a process that has no input and whose output is fed."""
    process = op.process
    noise = type(process) is WhiteNoise
    callables = type(process) is Piecewise and any(
        callable(value) for value in process.data.values()
    )

    def start(rng: np.random.RandomState) -> Sampler:
        if noise:
            return NoiseSampler(process, op.output.shape, dt, rng)
        return ProcessSampler(op, dt, rng)

    return Source(
        label=str(process),
        signal=signal,
        op=op,
        start=start,
        python=type(process) not in _OF_NENGO or callables,
        shared=process.seed is not None,
    )


def noise_source(op: SimProcess, signal: Signal, dt: float) -> Source:
    """Make the source for the white noise inside a FilteredNoise."""

    def start(rng: np.random.RandomState) -> Sampler:
        return NoiseSampler(op.process, op.output.shape, dt, rng)

    return Source(
        label=str(op.process),
        signal=signal,
        op=op,
        start=start,
        shared=op.process.seed is not None,
    )
