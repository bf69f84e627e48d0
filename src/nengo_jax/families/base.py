"""What a family of operators is: all that nengo_jax knows about one type of operator.

A family is a record of pure functions. Its ``key`` says which operators may run as
one group; ``reads`` and ``writes`` name their operands; ``build`` returns the
function that computes a whole group.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jax.typing import DTypeLike
from nengo.builder.signal import Signal

from ..core import Mode, Prepare, Run
from ..surrogates import Surrogate

Constant = Any  # a NumPy array; Any, as its products with JAX arrays are JAX arrays


class Operand(NamedTuple):
    """A signal as one operator sees it.

    Attributes
    ----------
    signal : Signal
    elements : ndarray of int or None
        Numbers of the elements that are meant, counted within the *base* of the
        signal; None means all elements of the signal.
    shape : tuple of int or None
        Shape in which the operator sees them; None means the signal's own shape.
    by_column : bool
        Store the signal column by column if this operand is the first to place it.
    shared : bool
        Whether a signal that is kept from step to step belongs to the whole batch, and
        not to each example. Only :func:`~nengo_jax.runtime.whole_batch.call_with_batch`
        can make such values.
    """

    signal: Signal
    elements: np.ndarray | None = None
    shape: tuple[int, ...] | None = None
    by_column: bool = False
    shared: bool = False


class Target(NamedTuple):
    """An operand that is written, and how."""

    operand: Operand
    mode: Mode


class Training(NamedTuple):
    """How operators behave while a network is trained.

    Attributes
    ----------
    surrogate : callable, RateDerivative or None
        Neurons spike, and this takes the place of the derivative of a spike. None:
        spiking neurons use the rate form of their equations, and keep their state.
    smoothing : float or None
        Width over which the rate form of LIF neurons is smoothed at the threshold.
    online_rules : bool
        Whether online learning rules act.
    """

    surrogate: Surrogate | None = None
    smoothing: float | None = None
    online_rules: bool = True


class Settings(NamedTuple):
    """What the functions of a family need to know about the simulation.

    Attributes
    ----------
    dt : float
        Length of a step in seconds.
    dtype : dtype
        Floating-point type.
    batched : bool
        Whether ``vmap`` will make many examples of one: products of matrices and
        vectors then become products of matrices, for which other forms are fast.
        All operations of a batched form can be differentiated.
    training : Training or None
        None when a network is only run.
    """

    dt: float
    dtype: np.dtype
    batched: bool = False
    training: Training | None = None


@dataclass(frozen=True)
class HostPlace:
    """Where a host operator finds the simulation around it.

    Attributes
    ----------
    dt : float
        Length of a step in seconds.
    step, time : Signal
        The model's clock.
    is_shared : callable
        ``is_shared(signal) -> bool``: whether the signal is exchanged with the device
        in each step. The others belong to the operator alone and stay with it.
    """

    dt: float
    step: Signal
    time: Signal
    is_shared: Callable[[Signal], bool]


@dataclass(frozen=True)
class Host:
    """How to run an operator as Python.

    Attributes
    ----------
    describe : callable
        ``describe(op) -> (name, why it runs on the host)``.
    start : callable
        ``start(op, place, rng, element) -> call`` with
        ``call(step, time, *reads) -> tuple of values``. ``call.signals`` maps the
        signals that live on the host to their arrays.
    """

    describe: Callable[[Any], tuple[str, str]]
    start: Callable[..., Callable[..., tuple[np.ndarray, ...]]]


@dataclass(frozen=True)
class Family:
    """All that nengo_jax knows about one type of operator.

    Attributes
    ----------
    name : str
        Name used in ``explain``.
    key : callable
        ``key(op) -> hashable``. Operators with equal keys may run as one group.
    reads, writes : callable
        ``reads(op) -> tuple of Operand`` and ``writes(op) -> tuple of Target``.
        A signal that the operator sets and also reads is kept from step to step.
    build : callable
        ``build(ops, settings) -> run`` with ``run(*reads) -> tuple of values``.
        None for a family that runs on the host.
    prepare : callable or None
        ``prepare(ops, settings) -> {number of operand: function}``. What is done to an
        operand after reading it; once only, if the operand never changes.
    flat : bool
        If True, operands of the members are joined end to end, whatever their
        sizes; otherwise they have equal shapes and are stacked on a new first axis.
    host : Host or None
        How to run the operator as Python, for families that do.
    """

    name: str
    key: Callable[[Any], Hashable]  # Any: each family takes its own type of operator
    reads: Callable[[Any], tuple[Operand, ...]]
    writes: Callable[[Any], tuple[Target, ...]]
    build: Callable[[Any, Settings], Run] | None = None
    prepare: Callable[[Any, Settings], Mapping[int, Prepare]] | None = None
    flat: bool = False
    host: Host | None = None


def per_element(
    values: Sequence[float | np.ndarray], sizes: Sequence[int], dtype: DTypeLike
) -> Constant:
    """Join one constant per operator into one constant per element.

    Returns a scalar where all operators agree, so that the common case costs
    nothing.

    Parameters
    ----------
    values : sequence of float or ndarray
        For each operator a number, or an array with one number per element.
    sizes : sequence of int
        Number of elements of each operator.
    dtype : dtype of the result
    """
    first = values[0]
    if all(np.ndim(v) == 0 and v == first for v in values):
        return np.asarray(first, dtype)
    parts = [np.broadcast_to(v, (n,)) for v, n in zip(values, sizes, strict=True)]
    return np.concatenate(parts).astype(dtype)


def signal_shapes(*signals: Signal | None) -> tuple[tuple[int, ...], ...]:
    """Shapes of signals, for merge keys."""
    return tuple(s.shape for s in signals if s is not None)
