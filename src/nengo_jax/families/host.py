"""Operators that run as Python: node functions, and whatever no other family knows.

A node function is called with a Python float and a fresh NumPy array. Any other
operator is run by its own ``make_step`` on NumPy buffers. Each example of a batch has
its own buffers, random stream and copy of the function.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Operator, SimPyFunc
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal, SignalDict
from nengo.exceptions import SimulationError
from nengo.utils.functions import function_name

from ..core import Mode
from .base import Family, Host, HostPlace, Operand, Target
from .replicate import PerExample, replicate

Values = tuple[np.ndarray, ...]


def check_result(fn: Callable, value: Any, shape: tuple[int, ...]) -> Any:
    """Check what a node function returned, as the reference does.

    Parameters
    ----------
    fn : callable
        The function, for the message.
    value : Any
        What it returned.
    shape : tuple of int
        Shape of the node's output.

    Returns
    -------
    float or ndarray
        The value, fit to be assigned to an array of ``shape``.

    Raises
    ------
    SimulationError
        If the value is None, not finite, not a number or of the wrong shape.
    """
    if type(value) is float and math.isfinite(value):
        return value  # the common case, which is called in every step
    name = function_name(fn)
    try:
        if value is None or not np.isfinite(value).all():
            raise SimulationError(
                f"Function '{name}' returned non-finite value {value!r}. Return "
                f"finite numbers of shape {shape} in every step."
            )
        if np.shape(value) != shape:
            result = np.empty(shape)
            result[...] = value
            return result
    except (TypeError, ValueError) as error:
        raise SimulationError(
            f"Function '{name}' returned a value {value!r} of invalid type "
            f"{type(value)!r}. Return finite numbers of shape {shape}."
        ) from error
    return value


class HostFunction:
    """A node function of one example: ``call(step, time, *reads) -> values``."""

    def __init__(self, op: SimPyFunc, element: int):
        self.signals: Mapping[Signal, np.ndarray] = {}
        self._fn = replicate(op.fn, element)
        self._shape = None if op.output is None else op.output.shape
        self._dtype = None if op.x is None else op.x.dtype
        self._t_passed = op.t_passed

    def __call__(self, step: int, time: float, *reads: np.ndarray) -> Values:
        """Run one step."""
        arguments = [time] if self._t_passed else []
        arguments += [np.array(x, self._dtype) for x in reads]
        value = self._fn(*arguments)
        if self._shape is None:
            return ()
        return (np.array(check_result(self._fn, value, self._shape), ndmin=1),)

    def follow(self, other: HostFunction) -> None:
        """Go on from where another has come to, and leave it there."""
        self._fn = replicate(other._fn, 1)

    def close(self) -> None:
        """Functions belong to the network, so they stay."""


class HostOperator:
    """Any operator of one example, run by its own ``make_step`` on NumPy buffers."""

    def __init__(self, op: Operator, place: HostPlace, rng, element: int):
        self.signals = SignalDict()
        for signal in _signals(op):
            if signal.base not in self.signals:
                _allocate(self.signals, signal.base)
        self._place = place
        self._reads = [s for s in _signals(op) if place.is_shared(s)]
        self._writes = [s for s in _written(op) if place.is_shared(s)]
        twin = op
        if isinstance(op, SimNeurons) and element > 0:
            twin = copy.copy(op)
            twin.state_extra = copy.deepcopy(op.state_extra)
        if is_python(op):
            twin = copy.copy(op)
            twin.process = replicate(op.process, element)
        self._step = twin.make_step(self.signals, place.dt, rng)

    def __call__(self, step: int, time: float, *reads: np.ndarray) -> Values:
        """Run one step."""
        for signal, value in zip(self._reads, reads, strict=True):
            self.signals[signal][...] = value
        for signal, value in ((self._place.step, step), (self._place.time, time)):
            if signal in self.signals:
                self.signals[signal][...] = value
        self._step()
        return tuple(np.array(self.signals[s]) for s in self._writes)

    def follow(self, other: HostOperator) -> None:
        """Take over the signals of another; what its code remembers stays unknown."""
        for signal, value in other.signals.items():
            self.signals[signal][...] = value

    def close(self) -> None:
        """Let go of what the step holds, such as an environment."""
        self._step = _closed


def _closed() -> None:
    raise SimulationError("The simulation has been closed.")


def _allocate(signals: SignalDict, base: Signal) -> None:
    if base.sparse:
        signals.init(base)
    else:  # writable whatever the signal says: its value may come from the device
        dict.__setitem__(signals, base, np.array(base.initial_value))


def _signals(op: Operator) -> list[Signal]:
    return list(dict.fromkeys(op.all_signals))


def _written(op: Operator) -> list[Signal]:
    return list(dict.fromkeys([*op.sets, *op.incs, *op.updates]))


def _start_function(op: SimPyFunc, place: HostPlace, rng, element: int):
    return HostFunction(op, element)


FUNCTION = Family(
    name="function",
    key=lambda op: (),
    reads=lambda op: () if op.x is None else (Operand(op.x),),
    writes=lambda op: (
        () if op.output is None else (Target(Operand(op.output), Mode.SET),)
    ),
    host=Host(
        describe=lambda op: (function_name(op.fn), "a Python function of the model"),
        start=_start_function,
    ),
)


def is_python(op: Operator) -> bool:
    """Whether an operator is Python code by its nature, such as an environment."""
    return isinstance(op, SimProcess) and isinstance(op.process, PerExample)


def _describe(op: Operator) -> tuple[str, str]:
    if isinstance(op, SimNeurons):
        kind = type(op.neurons).__name__
        return kind, f"neuron type {kind} has a step of its own"
    if is_python(op):
        return str(op.process), "a Python process of the model"
    if isinstance(op, SimProcess):
        kind = type(op.process).__name__
        return kind, f"process {kind} has a step of its own"
    kind = type(op).__name__
    return kind, f"operator {kind} is not known to nengo_jax"


OPERATOR = Family(
    name="host",
    key=lambda op: (),
    reads=lambda op: tuple(Operand(s) for s in _signals(op)),
    writes=lambda op: tuple(Target(Operand(s), Mode.SET) for s in _written(op)),
    host=Host(describe=_describe, start=HostOperator),
)
