r"""Hessian-free optimization as pure functions (Martens, 2010).

In each update conjugate gradients minimise the quadratic model of the loss,

.. math:: q(p) = g^T p + \tfrac12 p^T (G + \lambda I + \mu \lambda S) p,

with the Gauss-Newton matrix G, the damping :math:`\lambda` and structural damping
:math:`\mu S` (see ``curvature.py``). They begin at the last direction, made shorter. Of
their iterates the one is taken from which on the loss itself would rise again; a line
search along it decides how far to go, and the damping follows from how much of the
decrease that the model promised came true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from nengo.exceptions import ValidationError

from .checks import check_count, check_flag, check_parameters, check_range
from .conjugate_gradient import conjugate_gradient
from .curvature import LocalModel, Vector, local_model, norm, of_vector
from .method import Method
from .paths import check_paths
from .preconditioner import preconditioner, squared_gradients
from .step_length import adapt_damping, backtrack, search_line


@dataclass(frozen=True)
class HessianFreeSettings:
    r"""How to optimize.

    Attributes
    ----------
    damping : float
        The first :math:`\lambda`, in units of the curvature of the loss.
    iterations : int
        The largest number of iterations of conjugate gradients in an update.
    tolerance : float
        :math:`\epsilon` of the rule that ends them, see ``conjugate_gradient.py``.
        Martens (2010) has 5e-4; 5e-6 solves more exactly.
    decay : float
        What is left of a direction when the next search begins there.
    adapt : bool
        Whether the damping changes.
    structural_damping : float
        :math:`\mu`; Martens and Sutskever (2011) have 0.001 to 0.03.
    preconditioner : int
        Number of samples for the preconditioner, see ``preconditioner.py``. 0: none.

    Raises
    ------
    ValidationError
        If a number is out of range, or ``adapt`` is neither True nor False.
    """

    damping: float = 1.0
    iterations: int = 250
    tolerance: float = 5e-4
    decay: float = 0.95
    adapt: bool = True
    structural_damping: float = 0.0
    preconditioner: int = 0

    def __post_init__(self) -> None:
        check_range("damping", self.damping, 0, open_below=True)
        check_count("iterations", self.iterations, 1)
        check_range("tolerance", self.tolerance, 0)
        check_range("decay", self.decay, 0, 1)
        check_flag("adapt", self.adapt)
        check_range("structural_damping", self.structural_damping, 0)
        check_count("preconditioner", self.preconditioner, 0)


class HessianFreeState(NamedTuple):
    """What is remembered between updates.

    Attributes
    ----------
    damping : Array, shape ()
    updates : Array, shape ()
        Number of updates so far.
    direction : tree of Array
        Like the parameters; where conjugate gradients ended last.
    """

    damping: Array
    updates: Array
    direction: Any


class HessianFreeReport(NamedTuple):
    """What happened in an update; all are scalars.

    Attributes
    ----------
    loss : Array
        Before the update.
    damping : Array
        That was used.
    cg_iterations : Array
    backtracked : Array
        Number of kept iterates that were given up again.
    reduction_ratio : Array
        The decrease of the loss divided by that of the quadratic model.
    step_length : Array
        Factor of the direction that was gone; 0 if none made the loss smaller.
    update_norm, gradient_norm : Array
    """

    loss: Array
    damping: Array
    cg_iterations: Array
    backtracked: Array
    reduction_ratio: Array
    step_length: Array
    update_norm: Array
    gradient_norm: Array


def hessian_free(
    predict: Callable[[Any, Any], Any],
    loss: Callable[[Any, Any], Array],
    settings: HessianFreeSettings | None = None,
    *,
    hidden: Callable[[Any], Any] | None = None,
    penalty: Callable[[Any], Array] | None = None,
) -> Method:
    """Make the functions that minimise a loss.

    Parameters
    ----------
    predict : callable
        ``predict(params, batch) -> outputs``: trees of arrays. Outputs that are no
        floating-point numbers count as constants.
    loss : callable
        ``loss(outputs, batch) -> value``: a mean over examples, convex in the outputs.
    settings : HessianFreeSettings or None
    hidden : callable or None
        ``hidden(outputs)`` are the outputs that structural damping holds on to, of
        shape (examples, ...).
    penalty : callable or None
        ``penalty(params) -> value`` is added to the loss; convex.

    Returns
    -------
    Method
        ``init(params) -> state`` and ``update(state, params, batch,
        curvature_batch=None, longest=None) -> (params, state, report)``. If there is a
        batch for the curvature, often a part of the other one, products are computed
        with it. ``longest`` is the step length that is tried first, 1 if None. If the
        loss is not a finite number, or no step makes it smaller, the parameters stay as
        they are.

    Raises
    ------
    ValidationError
        In ``update``: if a parameter is no floating-point number, or the loss depends
        on one in a way that has no derivative.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from nengo_jax.optimizers import hessian_free
    >>> x = jnp.linspace(-1, 1, 20)
    >>> method = hessian_free(
    ...     lambda params, x: params["a"] * jnp.exp(params["b"] * x),
    ...     lambda outputs, x: jnp.mean((outputs - 2 * jnp.exp(-x)) ** 2),
    ... )
    >>> params = {"a": jnp.array(1.0), "b": jnp.array(1.0)}
    >>> state = method.init(params)
    >>> for _ in range(20):
    ...     params, state, report = method.update(state, params, x)
    >>> round(float(params["a"]), 3), round(float(params["b"]), 3)
    (2.0, -1.0)
    """
    settings = settings or HessianFreeSettings()
    if settings.structural_damping and hidden is None:
        raise ValidationError(
            "Structural damping needs to know which outputs to hold on to.",
            attr="structural_damping",
        )

    def init(params: Any) -> HessianFreeState:
        check_parameters(params)
        flat, _ = ravel_pytree(params)
        return HessianFreeState(
            jnp.asarray(settings.damping, flat.dtype),
            jnp.zeros((), jnp.int32),
            jax.tree.map(jnp.zeros_like, params),
        )

    def total(params: Any, batch: Any) -> Array:
        value = loss(predict(params, batch), batch)
        return value if penalty is None else value + penalty(params)

    @jax.jit
    def update(
        state: HessianFreeState,
        params: Any,
        batch: Any,
        curvature_batch: Any = None,
        longest: Array | float | None = None,
    ) -> tuple[Any, HessianFreeState, HessianFreeReport]:
        check_parameters(params)
        check_paths(lambda params: total(params, batch), params)
        flat, unravel = ravel_pytree(params)
        start, _ = ravel_pytree(state.direction)

        def look(batch: Any) -> LocalModel:
            return local_model(
                lambda flat: predict(unravel(flat), batch),
                lambda outputs: loss(outputs, batch),
                flat,
                hidden,
                of_vector(penalty, unravel),
            )

        here = look(batch)
        bent = here if curvature_batch is None else look(curvature_batch)
        strength = settings.structural_damping * state.damping

        def product(v: Vector) -> Vector:
            return bent.product(v, strength) + state.damping * v

        iterates = conjugate_gradient(
            product,
            here.gradient,
            settings.decay * start,
            iterations=settings.iterations,
            tolerance=settings.tolerance,
            scale=_scale(here, state, settings),
        )

        def value_after(step: Vector) -> Array:
            return total(unravel(flat + step), batch)

        chosen = backtrack(value_after, iterates)
        ratio = (chosen.value - here.loss) / chosen.model
        slope = jnp.vdot(here.gradient, chosen.step)
        if longest is not None:
            longest = jnp.asarray(longest, flat.dtype)
        length = search_line(value_after, chosen, here.loss, slope, longest)
        moved = jnp.where(length > 0, length * chosen.step, 0)
        adapted = (
            adapt_damping(state.damping, ratio) if settings.adapt else state.damping
        )
        direction = jnp.where(length > 0, iterates.kept[iterates.last], 0)
        after = HessianFreeState(adapted, state.updates + 1, unravel(direction))
        report = HessianFreeReport(
            loss=here.loss,
            damping=state.damping,
            cg_iterations=iterates.iterations,
            backtracked=iterates.last - chosen.row,
            reduction_ratio=ratio,
            step_length=length,
            update_norm=norm(moved),
            gradient_norm=norm(here.gradient),
        )
        return unravel(flat + moved), after, report

    return Method(init, update)


def _scale(
    here: LocalModel, state: HessianFreeState, settings: HessianFreeSettings
) -> Vector | None:
    """Return the diagonal of the preconditioner, if there is one."""
    if not settings.preconditioner:
        return None
    key = jax.random.fold_in(jax.random.key(0), state.updates)
    squares = squared_gradients(here, key, settings.preconditioner)
    return preconditioner(squares, state.damping)
