r"""The natural gradient of a policy, from its score functions.

The score of step t is :math:`s_t = \nabla_\theta \log \pi_\theta(a_t | x_t)`. The
Fisher matrix and the policy gradient are means over the steps,

.. math:: F = \frac1T \sum_t s_t s_t^T, \qquad g = \frac1T \sum_t A_t s_t,

and a step is as long as a number says, measured by F (Kakade, 2001; Rajeswaran et al.,
2017):

.. math:: \Delta = \sqrt{\frac{\delta}{g^T F^{-1} g}}\, F^{-1} g,
          \qquad \Delta^T F \Delta = \delta.

The policy then changes by a Kullback-Leibler divergence of about :math:`\delta / 2`,
whatever its parameters mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from nengo.exceptions import ValidationError

from .checks import check_count, check_parameters, check_range
from .conjugate_gradient import conjugate_gradient
from .curvature import Vector, norm
from .method import Method

EXACT, ITERATIVE = "svd", "cg"


@dataclass(frozen=True)
class NaturalGradientSettings:
    r"""How to follow the natural gradient.

    Attributes
    ----------
    radius : float
        :math:`\delta`, the squared length of a step.
    solver : "svd" or "cg"
        Singular values of the scores, for up to some hundred parameters; or conjugate
        gradients, which never form F.
    tolerance : float
        Of "svd": eigenvalues of F below this share of the largest count as zero. Of
        "cg": the rule that ends it, see ``conjugate_gradient.py``.
    damping : float
        Added to the diagonal of F. A policy that hardly ever chooses has next to no F,
        so that its steps get too large; some damping keeps them from doing so.
    iterations : int
        The largest number of iterations of "cg".

    Raises
    ------
    ValidationError
        If a number is out of range, or there is no such solver.
    """

    radius: float = 1e-3
    solver: Literal["svd", "cg"] = EXACT
    tolerance: float = 1e-6
    damping: float = 0.0
    iterations: int = 50

    def __post_init__(self) -> None:
        check_range("radius", self.radius, 0, open_below=True)
        check_range("tolerance", self.tolerance, 0, 1)
        check_range("damping", self.damping, 0)
        check_count("iterations", self.iterations, 1)
        if self.solver not in (EXACT, ITERATIVE):
            raise ValidationError(
                f"Must be {EXACT!r} or {ITERATIVE!r} (got {self.solver!r})",
                attr="solver",
            )


class NaturalGradientReport(NamedTuple):
    """What happened in an update; all are scalars.

    Attributes
    ----------
    squared_norm : Array
        :math:`g^T F^{-1} g`.
    step_length : Array
        Factor of the natural gradient that was gone.
    rank : Array
        Number of directions that count: of "svd" those that are kept, of "cg" the
        iterations.
    update_norm : Array
    """

    squared_norm: Array
    step_length: Array
    rank: Array
    update_norm: Array


def natural_gradient(settings: NaturalGradientSettings | None = None) -> Method:
    """Make the functions that follow the natural gradient of a policy, uphill.

    Parameters
    ----------
    settings : NaturalGradientSettings or None

    Returns
    -------
    Method
        ``init(params) -> state`` and ``update(state, params, scores, advantages) ->
        (params, state, report)``. Scores are a tree like the parameters, with an axis
        of steps in front; advantages have shape (steps,). If the gradient is zero, the
        parameters stay as they are.

    Raises
    ------
    ValidationError
        In ``update``: if shapes do not fit.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from nengo_jax.optimizers import natural_gradient
    >>> def log_probability(params, state, action):
    ...     return jax.nn.log_softmax(state @ params["w"])[action]
    >>> params = {"w": jnp.zeros((3, 2))}
    >>> states = jax.random.normal(jax.random.key(0), (100, 3))
    >>> actions = jax.random.randint(jax.random.key(1), (100,), 0, 2)
    >>> score = jax.vmap(jax.grad(log_probability), (None, 0, 0))
    >>> method = natural_gradient()
    >>> state = method.init(params)
    >>> advantages = jnp.where(actions == 1, 1.0, -1.0)
    >>> scores = score(params, states, actions)
    >>> params, state, report = method.update(state, params, scores, advantages)
    >>> params["w"].shape
    (3, 2)
    """
    settings = settings or NaturalGradientSettings()

    def init(params: Any) -> tuple[()]:
        check_parameters(params)
        return ()

    @jax.jit
    def update(
        state: tuple[()], params: Any, scores: Any, advantages: Array
    ) -> tuple[Any, tuple[()], NaturalGradientReport]:
        check_parameters(params)
        flat, unravel = ravel_pytree(params)
        rows = join_scores(scores, params, advantages)
        gradient = rows.T @ advantages.astype(rows.dtype) / len(rows)
        natural, rank = SOLVERS[settings.solver](rows, gradient, settings)
        step, report = scale_step(gradient, natural, rank, settings.radius)
        return unravel(flat + step), state, report

    return Method(init, update)


def scale_step(
    gradient: Vector, natural: Vector, rank: Array, radius: Array | float
) -> tuple[Vector, NaturalGradientReport]:
    """Give a natural gradient its length."""
    squared = jnp.vdot(gradient, natural)
    # A gradient of zero has no direction; rounding can make the square negative.
    positive = squared > 0
    length = jnp.where(positive, jnp.sqrt(radius / jnp.where(positive, squared, 1)), 0)
    step = length * natural
    return step, NaturalGradientReport(squared, length, rank, norm(step))


def join_scores(scores: Any, params: Any, advantages: Array) -> Array:
    """Return scores as an array of shape (steps, size).

    Raises
    ------
    ValidationError
        If they are not like the parameters, with an axis of steps in front.
    """
    steps = jnp.shape(advantages)
    if len(steps) != 1 or not steps[0]:
        raise ValidationError(
            f"Advantages must have shape (steps,), but have {steps}.", attr="advantages"
        )
    if jax.tree.structure(scores) != jax.tree.structure(params):
        raise ValidationError(
            f"Scores must be a tree like the parameters, {jax.tree.structure(params)}, "
            f"but are {jax.tree.structure(scores)}.",
            attr="scores",
        )
    parts = jax.tree_util.tree_leaves_with_path(params)
    for (path, parameter), score in zip(parts, jax.tree.leaves(scores), strict=True):
        expected = (*steps, *jnp.shape(parameter))
        if jnp.shape(score) != expected:
            raise ValidationError(
                f"The scores of {jax.tree_util.keystr(path) or 'the parameters'} have "
                f"shape {jnp.shape(score)}, but should have shape {expected}: a score "
                "for each step that has an advantage.",
                attr="scores",
            )
    return jax.vmap(lambda tree: ravel_pytree(tree)[0])(scores)


def solve_exactly(
    scores: Array, gradient: Vector, settings: NaturalGradientSettings
) -> tuple[Vector, Array]:
    """Multiply with the pseudo-inverse of F, by the singular values of the scores.

    Those are the roots of the eigenvalues of F, so that single precision is enough for
    eigenvalues that are a million times smaller than the largest.
    """
    _, roots, vectors = jnp.linalg.svd(scores / len(scores) ** 0.5, full_matrices=False)
    eigenvalues = jnp.square(roots)
    keep = eigenvalues > settings.tolerance * eigenvalues[0]
    inverse = jnp.where(keep, 1 / jnp.where(keep, eigenvalues + settings.damping, 1), 0)
    return vectors.T @ (inverse * (vectors @ gradient)), jnp.sum(keep)


def solve_iteratively(
    scores: Array, gradient: Vector, settings: NaturalGradientSettings
) -> tuple[Vector, Array]:
    """Multiply with the inverse of F, by conjugate gradients."""

    def product(v: Vector) -> Vector:
        return scores.T @ (scores @ v) / len(scores) + settings.damping * v

    found = conjugate_gradient(
        product,
        -gradient,
        jnp.zeros_like(gradient),
        iterations=settings.iterations,
        tolerance=settings.tolerance,
        singular=True,
    )
    return found.kept[found.last], found.iterations


Solver = Callable[[Array, Vector, NaturalGradientSettings], tuple[Vector, Array]]
SOLVERS: dict[str, Solver] = {EXACT: solve_exactly, ITERATIVE: solve_iteratively}
