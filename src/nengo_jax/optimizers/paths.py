"""Parameters that change a loss, but along no way that has a derivative.

Their gradient is zero whatever they are, and nothing would tell. Zero gradients alone
do not show it: those of encoders are zero as long as the decoders are. So the program
that computes the derivative is looked at: does it use the tangent of a parameter?
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.interpreters.partial_eval import dce_jaxpr
from nengo.exceptions import ValidationError


def check_paths(function: Callable[[Any], Array], params: Any) -> None:
    """Check that a loss can be differentiated by what it depends on.

    Parameters
    ----------
    function : callable
        ``function(params) -> loss``.
    params : tree of Array

    Raises
    ------
    ValidationError
        If it is not one floating-point number; depends on a parameter, but its
        derivative does not; or has no derivative by any of them.
    """

    def loss(params: Any) -> Array:
        value = function(params)
        _check_number(value)
        return value

    uses, differentiates = dependencies(loss, params)
    paths, _ = zip(*jax.tree_util.tree_leaves_with_path(params), strict=True)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path in paths]
    dead = [
        n for n, u, d in zip(names, uses, differentiates, strict=True) if u and not d
    ]
    if dead:
        raise ValidationError(
            f"The loss depends on {', '.join(dead)} only along ways that have no "
            "derivative, such as rounding, comparing, stop_gradient, spikes without a "
            "surrogate or Python code, so it cannot be trained. Freeze it, or replace "
            "what comes between it and the loss.",
            attr="loss",
        )
    if not any(differentiates):
        raise ValidationError(
            f"The loss depends on none of the parameters: {', '.join(names)}. Check "
            "that there is a loss, and that it looks at outputs of what is trained.",
            attr="loss",
        )


def dependencies(
    function: Callable[[Any], Array], params: Any
) -> tuple[list[bool], list[bool]]:
    """Return, for each leaf, if a value depends on it, and if the derivative does."""
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), params)

    def value_and_derivative(params: Any, tangents: Any) -> tuple[Array, Array]:
        return jax.jvp(function, (params,), (tangents,))

    jaxpr = jax.make_jaxpr(value_and_derivative)(shapes, shapes).jaxpr
    count = len(jaxpr.invars) // 2
    _, value = dce_jaxpr(jaxpr, [True, False])
    _, derivative = dce_jaxpr(jaxpr, [False, True])
    return value[:count], derivative[count:]


def _check_number(value: Any) -> None:
    if not isinstance(value, (Array, float)):
        found = f"a {type(value).__name__}"
    elif jnp.shape(value) or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        found = f"of shape {jnp.shape(value)} and type {jnp.result_type(value)}"
    else:
        return
    raise ValidationError(
        "The loss must be one floating-point number, such as a mean over examples, but "
        f"is {found}.",
        attr="loss",
    )
