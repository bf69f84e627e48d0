r"""Natural gradient descent on a loss of outputs, as pure functions.

If the loss is the mean of negative log-likelihoods whose natural parameters are the
outputs, as with cross-entropy of logits or the squared error, the Gauss-Newton matrix
is the Fisher matrix (Martens, 2014). So conjugate gradients solve
:math:`(G + \lambda I) n = g`, beginning at the last solution, and the step is
:math:`-\sqrt{\delta / g^T n}\, n`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from .checks import check_parameters
from .conjugate_gradient import conjugate_gradient
from .curvature import LocalModel, Vector, local_model, norm, of_vector
from .fisher import (
    ITERATIVE,
    NaturalGradientReport,
    NaturalGradientSettings,
    scale_step,
)
from .method import Method
from .paths import check_paths

DESCENT = NaturalGradientSettings(solver=ITERATIVE, tolerance=5e-4, damping=1e-3)


class NaturalDescentState(NamedTuple):
    """What is remembered between updates.

    Attributes
    ----------
    direction : tree of Array
        Like the parameters; the last natural gradient.
    """

    direction: Any


def natural_descent(
    predict: Callable[[Any, Any], Any],
    loss: Callable[[Any, Any], Array],
    settings: NaturalGradientSettings = DESCENT,
    *,
    penalty: Callable[[Any], Array] | None = None,
) -> Method:
    """Make the functions that minimise a loss along its natural gradient.

    Parameters
    ----------
    predict, loss, penalty : callable
        As for :func:`hessian_free`.
    settings : NaturalGradientSettings
        The solver is always "cg".

    Returns
    -------
    Method
        ``init(params) -> state`` and ``update(state, params, batch,
        curvature_batch=None, longest=1) -> (params, state, report)``; ``longest`` is a
        factor of the step. If the loss is not a finite number, the parameters stay as
        they are, and the report says that the step was 0.

    Raises
    ------
    ValidationError
        In ``update``, as for :func:`hessian_free`.
    """

    def init(params: Any) -> NaturalDescentState:
        check_parameters(params)
        return NaturalDescentState(jax.tree.map(jnp.zeros_like, params))

    def total(params: Any, batch: Any) -> Array:
        value = loss(predict(params, batch), batch)
        return value if penalty is None else value + penalty(params)

    @jax.jit
    def update(
        state: NaturalDescentState,
        params: Any,
        batch: Any,
        curvature_batch: Any = None,
        longest: Array | float = 1.0,
    ) -> tuple[Any, NaturalDescentState, NaturalGradientReport]:
        check_parameters(params)
        check_paths(lambda params: total(params, batch), params)
        flat, unravel = ravel_pytree(params)

        def look(batch: Any) -> LocalModel:
            return local_model(
                lambda flat: predict(unravel(flat), batch),
                lambda outputs: loss(outputs, batch),
                flat,
                penalty=of_vector(penalty, unravel),
            )

        here = look(batch)
        bent = here if curvature_batch is None else look(curvature_batch)

        def product(v: Vector) -> Vector:
            return bent.product(v) + settings.damping * v

        found = conjugate_gradient(
            product,
            -here.gradient,
            ravel_pytree(state.direction)[0],
            iterations=settings.iterations,
            tolerance=settings.tolerance,
            singular=True,
        )
        natural = found.kept[found.last]
        step, report = scale_step(
            here.gradient, natural, found.iterations, settings.radius
        )
        good = jnp.isfinite(here.loss) & jnp.all(jnp.isfinite(step))
        longest = jnp.asarray(longest, flat.dtype)
        moved, length, direction = (
            jnp.where(good, value, 0)
            for value in (longest * step, longest * report.step_length, natural)
        )
        report = report._replace(step_length=length, update_norm=norm(moved))
        after = NaturalDescentState(unravel(direction))
        return unravel(flat - moved), after, report

    return Method(init, update)
