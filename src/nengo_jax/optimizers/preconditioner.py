r"""A diagonal preconditioner for conjugate gradients.

Martens (2010), section 4.7:

.. math:: M = (\mathrm{diag}(\textstyle\frac1N \sum_n g_n^2) + \lambda)^{0.75},

where :math:`g_n` is the gradient of the loss of example n. Here the sum of squares is
estimated, because a model need not be one that can be asked for a single example. With
a random sign :math:`s_n` for each example,

.. math:: \mathbb{E}\,(\textstyle\sum_n s_n g_n)^2 = \sum_n g_n^2,

and each sample takes one derivative in reverse.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from nengo.exceptions import ValidationError

from .curvature import LocalModel, Vector

_EXPONENT = 0.75


def squared_gradients(local: LocalModel, key: Array, samples: int) -> Vector:
    """Estimate the mean over examples of their squared gradients.

    Parameters
    ----------
    local : LocalModel
        All outputs on which the loss depends have shape (examples, ...).
    key : Array
    samples : int
        The relative standard deviation is about ``sqrt(2 / samples)``.

    Raises
    ------
    ValidationError
        If outputs differ in their number of examples.
    """
    examples = _count_examples(local.cotangent)

    def add(total: Vector, key: Array) -> tuple[Vector, None]:
        signs = jax.random.rademacher(key, (examples,))
        cotangent = jax.tree.map(lambda c: _signed(c, signs), local.cotangent)
        return total + jnp.square(local.pull(cotangent)), None

    keys = jax.random.split(key, samples)
    total, _ = lax.scan(add, jnp.zeros_like(local.gradient), keys)
    # Gradients of the mean are those of the examples divided by their number.
    return total * examples / samples


def preconditioner(squares: Vector, damping: Array) -> Vector:
    """Return the diagonal of M."""
    return (squares + damping) ** _EXPONENT


def _count_examples(cotangent: Any) -> int:
    counts = {c.shape[0] for c in jax.tree.leaves(cotangent) if c.ndim}
    if len(counts) != 1:
        raise ValidationError(
            "The preconditioner needs outputs of shape (examples, ...) that have the "
            f"same number of examples, but their first axes are {sorted(counts)}.",
            attr="preconditioner",
        )
    return counts.pop()


def _signed(cotangent: Array, signs: Array) -> Array:
    """Turn round the sign of what belongs to some of the examples."""
    if not cotangent.ndim:  # a term that is no sum over examples
        return jnp.zeros_like(cotangent)
    shape = (-1, *[1] * (cotangent.ndim - 1))
    return cotangent * signs.reshape(shape).astype(cotangent.dtype)
