"""How far to go: backtracking over iterates, a line search, and the damping.

Martens (2010), sections 4.1 and 4.6; Martens and Sutskever (2012), section 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from .conjugate_gradient import Iterates
from .curvature import Vector

_ARMIJO = 1e-2  # share of the decrease that the slope promises
_SHRINK = 0.8
_ATTEMPTS = 60
_GROW_BELOW, _SHRINK_ABOVE = 0.25, 0.75  # reduction ratios
_GROW, _REDUCE = 3 / 2, 2 / 3

Value = Callable[[Vector], Array]  # the loss after a step


class Chosen(NamedTuple):
    """An iterate.

    Attributes
    ----------
    step : Array, shape (size,)
    value : Array, shape ()
        The loss after it; infinite if it is not a number.
    model : Array, shape ()
        The decrease that the quadratic model promises, a negative number.
    row : Array, shape ()
    """

    step: Vector
    value: Array
    model: Array
    row: Array


def backtrack(value_after: Value, iterates: Iterates) -> Chosen:
    """Go back over the iterates for as long as the loss gets smaller."""

    def value_of(row: Array) -> Array:
        value = value_after(iterates.kept[row])
        return jnp.where(jnp.isnan(value), jnp.inf, value)

    def before(row: Array) -> Array:
        return value_of(jnp.maximum(row - 1, 0))

    def better(carry: tuple[Array, Array, Array]) -> Array:
        row, value, previous = carry
        return (row > 0) & ((previous < value) | jnp.isinf(value))

    def go_back(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        row, _, previous = carry
        return row - 1, previous, before(row - 1)

    last = iterates.last
    row, value, _ = lax.while_loop(
        better, go_back, (last, value_of(last), before(last))
    )
    return Chosen(iterates.kept[row], value, iterates.values[row], row)


def search_line(
    value_after: Value,
    chosen: Chosen,
    loss: Array,
    slope: Array,
    longest: Array | None = None,
) -> Array:
    """Return the factor of a step that decreases the loss enough (Armijo).

    Parameters
    ----------
    value_after : callable
        ``value_after(step)`` is the loss after a step.
    chosen : Chosen
        The step.
    loss : Array, shape ()
        Before the step.
    slope : Array, shape ()
        Product of gradient and step.
    longest : Array, shape (), or None
        The first factor to try. None: 1, whose loss is known.

    Returns
    -------
    Array, shape ()
        Zero if no step was good enough.
    """

    def small(value: Array, factor: Array) -> Array:  # False for NaN
        return value <= loss + _ARMIJO * factor * slope

    def enough(factor: Array) -> Array:
        return small(value_after(factor * chosen.step), factor)

    def shorter(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        factor, count, _ = carry
        factor = _SHRINK * factor
        return factor, count + 1, enough(factor)

    def go_on(carry: tuple[Array, Array, Array]) -> Array:
        factor, count, found = carry
        # What is gained would be lost in the rounding of the loss.
        visible = -factor * slope > jnp.finfo(loss.dtype).eps * jnp.abs(loss)
        return ~found & visible & (count < _ATTEMPTS)

    # Nothing is tried along a direction that does not lead down.
    hopeless = ~(jnp.isfinite(loss) & (slope < 0))
    count = jnp.where(hopeless, _ATTEMPTS, 0)
    if longest is None:
        longest = jnp.ones_like(loss)
        found = small(chosen.value, longest)
    else:
        found = enough(longest)
    first = (longest, count, ~hopeless & found)
    factor, _, found = lax.while_loop(go_on, shorter, first)
    return jnp.where(found, factor, 0)


def adapt_damping(damping: Array, ratio: Array) -> Array:
    """Return the next damping, by the reduction ratio (Levenberg and Marquardt).

    Parameters
    ----------
    damping : Array, shape ()
    ratio : Array, shape ()
        The decrease of the loss divided by that of the quadratic model.
    """
    trusted = ratio >= _GROW_BELOW  # False for NaN
    factor = jnp.where(trusted, jnp.where(ratio > _SHRINK_ABOVE, _REDUCE, 1.0), _GROW)
    damping = damping * factor.astype(damping.dtype)
    return jnp.maximum(damping, jnp.finfo(damping.dtype).tiny)
