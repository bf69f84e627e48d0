r"""Conjugate gradients, as Hessian-free optimization uses them.

They minimise :math:`q(x) = g^T x + \frac12 x^T B x` for a positive definite B,
beginning anywhere, and end when progress gets slow (Martens 2010, section 4.4): in
iteration i, with :math:`k = \max(10, 0.1 i)`, if

.. math:: i > k, \quad q(x_i) < 0, \quad
          \frac{q(x_i) - q(x_{i-k})}{q(x_i)} < k \epsilon.

They also end where only rounding is left in the residual and, if B may be singular,
such as the Fisher matrix of a softmax, in the curvature along the next direction:
rounding divided by the curvature of a direction that has none would be a huge step.
Hessian-free optimization does without that: damping gives every direction curvature,
and steps that are too long are made shorter.

Iterates at :math:`\lceil 1.3^j \rceil` are kept, and the last one, because an earlier
one is often better for the loss itself (section 4.6).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .curvature import Product, Vector

_WINDOW = 10  # iterations; then a tenth of all so far
_ROUNDING = 10  # times the spacing of numbers near 1; what is smaller is noise
_SPACING = 1.3  # ratio of the numbers of iterations whose results are kept


class Iterates(NamedTuple):
    """What conjugate gradients found.

    Attributes
    ----------
    kept : Array, shape (kept, size)
        Iterates in order; those after ``last`` have no meaning.
    values : Array, shape (kept,)
        q of each.
    last : Array, shape ()
        Row of the last iterate.
    iterations : Array, shape ()
    """

    kept: Array
    values: Array
    last: Array
    iterations: Array


class _Search(NamedTuple):
    """What goes from one iteration to the next; names as in the equations."""

    i: Array
    x: Vector
    r: Vector  # gradient of q at x
    d: Vector  # direction
    rz: Array  # r^T M^-1 r
    history: Array  # q of all iterates
    kept: Array
    values: Array
    top: Array  # the largest curvature so far, of a direction of length 1
    done: Array


def conjugate_gradient(
    product: Product,
    gradient: Vector,
    start: Vector,
    *,
    iterations: int,
    tolerance: float,
    scale: Vector | None = None,
    singular: bool = False,
) -> Iterates:
    r"""Minimise a quadratic function.

    Parameters
    ----------
    product : callable
        ``product(v) -> B v``.
    gradient : Array, shape (size,)
        g.
    start : Array, shape (size,)
        Where to begin.
    iterations : int
        The largest number of iterations.
    tolerance : float
        :math:`\epsilon` of the rule that ends the search.
    scale : Array, shape (size,), or None
        Diagonal of the preconditioner M.
    singular : bool
        Whether curvature that is lost in rounding counts as none.
    """
    rows = _rows(iterations)
    dtype = gradient.dtype
    noise = _ROUNDING * jnp.finfo(dtype).eps

    def solve(r: Vector) -> Vector:
        return r if scale is None else r / scale

    def squared_length(d: Vector) -> Array:
        return jnp.vdot(d, d if scale is None else scale * d)

    smallest = noise**2 * jnp.vdot(gradient, solve(gradient))

    def step(s: _Search) -> _Search:
        bd = product(s.d)
        curvature = jnp.vdot(s.d, bd)
        top, least = s.top, jnp.zeros_like(s.top)
        if singular:
            squared = squared_length(s.d)
            top = jnp.maximum(top, curvature / squared)
            least = noise * top * squared
        alpha = s.rz / curvature
        i = s.i + 1
        x, r = s.x + alpha * s.d, s.r + alpha * bd
        z = solve(r)
        rz = jnp.vdot(r, z)
        q = jnp.vdot(x, gradient + r) / 2
        good = (curvature > least) & jnp.isfinite(q)
        x, q = jnp.where(good, x, s.x), jnp.where(good, q, s.history[s.i])
        history = s.history.at[i].set(q)
        k = jnp.maximum(_WINDOW, i // 10)
        progress = (q - history[i - k]) / q
        slow = (i > k) & (q < 0) & (progress < tolerance * k.astype(dtype))
        row = rows[i]
        return _Search(
            i,
            x,
            r,
            -z + rz / s.rz * s.d,
            rz,
            history,
            s.kept.at[row].set(x),
            s.values.at[row].set(q),
            top,
            ~good | slow | ~(rz > smallest),
        )

    r = gradient + product(start)
    z = solve(r)
    q = jnp.vdot(start, gradient + r) / 2
    rz = jnp.vdot(r, z)
    count = int(rows[-1]) + 1
    first = _Search(
        jnp.zeros((), jnp.int32),
        start,
        r,
        -z,
        rz,
        jnp.full(iterations + 1, q, dtype),
        jnp.zeros((count, gradient.size), dtype).at[0].set(start),
        jnp.full(count, q, dtype),
        jnp.zeros((), dtype),
        ~(rz > smallest),
    )
    rows = jnp.asarray(rows)
    last = lax.while_loop(lambda s: ~s.done & (s.i < iterations), step, first)
    return Iterates(last.kept, last.values, rows[last.i], last.i)


def _rows(iterations: int) -> np.ndarray:
    """Return the row that each iterate goes to, shape (iterations + 1,).

    A row is overwritten until an iterate comes that is to be kept.
    """
    powers = np.arange(np.ceil(np.log(iterations + 1) / np.log(_SPACING)) + 1)
    marks = np.unique(np.ceil(_SPACING**powers))
    numbers = np.arange(iterations + 1)
    return np.searchsorted(marks, numbers, side="left").astype(np.int32)
