"""What a cell computes over time, as a record of functions, and how it is run.

A cell reads its weights once and returns its :class:`Dynamics`. :func:`advance` runs
one step of them, :func:`run` a sequence: what does not depend on the past is computed
for all steps at once, and only the rest in a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..surrogates import straight_through

States = list[Array]
Step = Callable[[Array, States], tuple[Array, States]]


@dataclass(frozen=True)
class Dynamics:
    """How inputs become outputs, step by step.

    Attributes
    ----------
    step : callable or None
        ``step(values, states) -> (outputs, states)`` for values, outputs and states of
        shape (batch, ...). None: outputs are the values, and states stay.
    before : callable or None
        ``before(inputs) -> values``, which does not depend on the past. None: values
        are the inputs.
    derivative : callable or None
        If given, ``derivative(values)`` is what is differentiated instead of ``step``,
        and nothing goes back through the states.
    """

    step: Step | None = None
    before: Callable[[Array], Array] | None = None
    derivative: Callable[[Array], Array] | None = None


def advance(dynamics: Dynamics, inputs: Array, states: States) -> tuple[Array, States]:
    """Run one step; shapes are (batch, ...)."""
    values = inputs if dynamics.before is None else dynamics.before(inputs)
    if dynamics.step is None:
        return values, states
    if dynamics.derivative is None:
        return dynamics.step(values, states)
    outputs, states = dynamics.step(*lax.stop_gradient((values, states)))
    return straight_through(outputs, dynamics.derivative(values)), states


def run(
    dynamics: Dynamics,
    inputs: Array,
    states: States,
    mask: Array | None = None,
    *,
    axis: int = 1,
    last_only: bool = False,
    unroll: bool = False,
) -> tuple[Array, States]:
    """Run a sequence.

    Parameters
    ----------
    dynamics : Dynamics
    inputs : Array, shape (batch, steps, ...), or (steps, batch, ...) if ``axis`` is 0
    states : list of Array, shape (batch, ...)
    mask : Array of bool, shape (batch, steps) or (steps, batch), or None
        In a step where it is False, states stay and the output is that of the step
        before, zero at first, as in layers of Keras.
    axis : int
        The axis of the steps, 0 or 1.
    last_only : bool
        Return the outputs of the last step instead of all.
    unroll : bool
        Compile the steps one after the other instead of a loop.

    Returns
    -------
    outputs : Array, shape (batch, steps, ...), (steps, batch, ...) or (batch, ...)
    states : list of Array
    """
    values = inputs
    if dynamics.before is not None:
        flat = dynamics.before(inputs.reshape(-1, *inputs.shape[2:]))
        values = flat.reshape(*inputs.shape[:2], *flat.shape[1:])
    rest = Dynamics(dynamics.step, derivative=dynamics.derivative)
    last = lax.index_in_dim(values, -1, axis, keepdims=False)
    if mask is None and rest.step is None:
        return (last if last_only else values), states
    options = {"axis": axis, "last_only": last_only, "unroll": unroll or 1}
    if mask is not None or rest.step is None or rest.derivative is None:
        return _loop(rest, values, states, mask, **options)
    fixed, begin = lax.stop_gradient((values, states))
    outputs, states = _loop_without_gradient(rest.step, fixed, begin, **options)
    path = rest.derivative(last if last_only else values)
    return straight_through(outputs, path), states


def _loop_without_gradient(
    step: Step, values: Array, states: States, *, axis: int, last_only: bool, unroll
) -> tuple[Array, States]:
    """Read and write each step where it lies.

    A loop over transposed arrays takes twice as long on a CPU, as XLA then hands the
    products before and after it transposed arrays.
    """
    like, _ = jax.eval_shape(step, lax.index_in_dim(values, 0, axis, False), states)
    shape = like.shape if last_only else (*values.shape[:2], *like.shape[1:])

    def body(before: tuple[Array, States], number: Array):
        outputs, states = before
        now = lax.dynamic_index_in_dim(values, number, axis, keepdims=False)
        output, states = step(now, states)
        if not last_only:
            place = lax.dynamic_update_index_in_dim
            output = place(outputs, output, number, axis)
        return (output, states), None

    first = jnp.zeros(shape, like.dtype), states
    numbers = jnp.arange(values.shape[axis])
    return lax.scan(body, first, numbers, unroll=unroll)[0]


def _loop(
    dynamics: Dynamics,
    values: Array,
    states: States,
    mask: Array | None,
    *,
    axis: int,
    last_only: bool,
    unroll: int | bool,
) -> tuple[Array, States]:
    values = _steps_first(values, axis)
    mask = None if mask is None else jnp.moveaxis(mask, axis, 0)
    like, _ = jax.eval_shape(partial(advance, dynamics), values[0], states)
    nothing = jnp.zeros(like.shape, like.dtype)
    held = mask is not None or last_only  # the output of the step before is needed

    def body(before: tuple[Array, States], now: tuple[Array, Array | None]):
        values, active = now
        after = advance(dynamics, values, before[1])
        if active is not None:
            after = jax.tree.map(partial(_select, active), after, before)
        output, states = after
        kept = nothing[:0] if last_only else output
        return (output if held else nothing, states), kept

    (last, states), outputs = lax.scan(
        body, (nothing, states), (values, mask), unroll=unroll
    )
    return (last if last_only else _steps_first(outputs, axis)), states


def _steps_first(values: Array, axis: int) -> Array:
    """Exchange the first axis and that of the steps, or back.

    The barriers keep XLA from handing transposed arrays to the products before and
    after the loop, which are slow on a CPU.
    """
    if axis == 0:
        return values
    barrier = lax.optimization_barrier
    return barrier(jnp.swapaxes(barrier(values), 0, axis))


def _select(active: Array, new: Array, old: Array) -> Array:
    return jnp.where(active.reshape(-1, *[1] * (new.ndim - 1)), new, old)
