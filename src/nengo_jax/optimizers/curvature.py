r"""The loss near some parameters: its value, gradient, and Gauss-Newton products.

A loss L of outputs z that depend on parameters :math:`\theta` is modelled by

.. math:: L(\theta + v) \approx L + g^T v + \tfrac12 v^T G v,
          \quad G = J^T H J, \quad J = \partial z / \partial \theta,
          \quad H = \partial^2 L / \partial z^2.

G is never formed. Its product with a vector is a derivative in direction v, the
product with H, and a derivative in reverse (Schraudolph, 2002). It is positive
semi-definite if L is convex in the outputs, so outputs should be what goes into a
softmax, not what comes out (``from_logits=True`` in Keras).

Structural damping (Martens and Sutskever, 2011) holds on to hidden outputs h. The
penalty :math:`\tfrac12 |h(\theta + v) - h(\theta)|^2`, a sum per example and a mean
over the examples, has its own Gauss-Newton matrix :math:`S = J_h^T J_h / N`.

A penalty on the parameters themselves, such as weight decay, comes with its own
Hessian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from nengo.exceptions import ValidationError

Vector = Array  # all parameters side by side
Product = Callable[[Vector], Vector]


class LocalModel(NamedTuple):
    """A loss near some parameters.

    Attributes
    ----------
    loss : Array, shape ()
    gradient : Array, shape (size,)
    product : callable
        ``product(v, strength=0) -> (G + strength S) v``.
    pull : callable
        ``pull(cotangent) -> J^T cotangent``; the cotangent is a tree like the outputs,
        with None for those that are no floating-point numbers.
    cotangent : tree of Array
        Gradient of the loss with respect to the outputs.
    """

    loss: Array
    gradient: Vector
    product: Callable[..., Vector]
    pull: Callable[[Any], Vector]
    cotangent: Any


def local_model(
    predict: Callable[[Vector], Any],
    loss: Callable[[Any], Array],
    flat: Vector,
    hidden: Callable[[Any], Any] | None = None,
    penalty: Callable[[Vector], Array] | None = None,
) -> LocalModel:
    """Look at a loss near some parameters.

    Parameters
    ----------
    predict : callable
        ``predict(flat) -> outputs``, a tree of arrays. Those that are no floating-point
        numbers count as constants.
    loss : callable
        ``loss(outputs) -> value``, convex and twice differentiable.
    flat : Array, shape (size,)
    hidden : callable or None
        ``hidden(outputs)`` are the outputs that structural damping holds on to, arrays
        of shape (examples, ...).
    penalty : callable or None
        ``penalty(flat) -> value``, convex.
    """
    outputs, push, constants = jax.linearize(
        lambda flat: _separate(predict(flat)), flat, has_aux=True
    )
    transposed = jax.linear_transpose(push, flat)

    def loss_of(outputs: Any) -> Array:
        return loss(_join(outputs, constants))

    cotangent, curve = jax.linearize(jax.grad(loss_of), outputs)

    def pull(cotangent: Any) -> Vector:
        return transposed(cotangent)[0]

    def product(v: Vector, strength: Array | float = 0.0) -> Vector:
        tangent = push(v)
        bent = curve(tangent)
        if hidden is not None:
            held = _hold(hidden, outputs, constants, tangent)
            bent = jax.tree.map(lambda b, h: b + strength * h, bent, held)
        return pull(bent) if bend is None else pull(bent) + bend(v)

    value, gradient, bend = loss_of(outputs), pull(cotangent), None
    if penalty is not None:
        slope, bend = jax.linearize(jax.grad(penalty), flat)
        value, gradient = value + penalty(flat), gradient + slope
    return LocalModel(value, gradient, product, pull, cotangent)


def gauss_newton_product(
    predict: Callable[[Any], Any], loss: Callable[[Any], Array], params: Any
) -> Callable[[Any], Any]:
    """Return the function that multiplies a tree like the parameters with G.

    Parameters
    ----------
    predict : callable
        ``predict(params) -> outputs``.
    loss : callable
        ``loss(outputs) -> value``.
    params : tree of Array

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from nengo_jax.optimizers import gauss_newton_product
    >>> product = gauss_newton_product(
    ...     lambda w: w**2, lambda z: jnp.sum(z**2) / 2, jnp.array([1.0, 3.0])
    ... )
    >>> product(jnp.array([1.0, 1.0])).tolist()
    [4.0, 36.0]
    """
    flat, unravel = ravel_pytree(params)
    local = local_model(lambda flat: predict(unravel(flat)), loss, flat)
    return lambda v: unravel(local.product(ravel_pytree(v)[0]))


def _hold(
    hidden: Callable[[Any], Any], outputs: Any, constants: Any, tangent: Any
) -> Any:
    """Multiply with the Gauss-Newton matrix of the penalty on hidden outputs."""

    def held(outputs: Any) -> Any:
        found, others = _separate(hidden(_join(outputs, constants)))
        if jax.tree.leaves(others):
            kinds = {str(jnp.result_type(leaf)) for leaf in jax.tree.leaves(others)}
            raise ValidationError(
                "Structural damping can only hold on to outputs that are "
                f"floating-point numbers (got {', '.join(sorted(kinds))}). Leave the "
                "others out.",
                attr="damped_outputs",
            )
        return found

    _, moved = jax.jvp(held, (outputs,), (tangent,))
    _, back = jax.vjp(held, outputs)
    return back(jax.tree.map(lambda m: m / m.shape[0], moved))[0]


def _separate(tree: Any) -> tuple[Any, Any]:
    """Tell floating-point arrays from others; None stands for what is elsewhere."""

    def pick(floating: bool) -> Any:
        return jax.tree.map(
            lambda a: (
                a
                if jnp.issubdtype(jnp.result_type(a), jnp.floating) is floating
                else None
            ),
            tree,
        )

    return pick(True), pick(False)


def _join(floating: Any, others: Any) -> Any:
    """Undo :func:`_separate`."""
    return jax.tree.map(
        lambda a, b: b if a is None else a,
        floating,
        others,
        is_leaf=lambda a: a is None,
    )


def of_vector(
    penalty: Callable[[Any], Array] | None, unravel: Callable[[Vector], Any]
) -> Callable[[Vector], Array] | None:
    """Turn a function of a tree, if there is one, into a function of a vector."""
    if penalty is None:
        return None
    return lambda flat: penalty(unravel(flat))


def norm(v: Vector) -> Array:
    """Return the length of a vector."""
    return jnp.sqrt(jnp.vdot(v, v))
