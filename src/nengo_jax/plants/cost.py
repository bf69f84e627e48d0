r"""What it costs to control a plant: at the end, along the way, and in effort.

For one trajectory of K steps with the observations :math:`y_k`, the actions u and a
target :math:`y^*`,

.. math:: L = \tfrac12 \sum_i a_i (y_{K,i} - y^*_i)^2
            + \tfrac1{2K} \sum_k \sum_i b_i (y_{k,i} - y^*_i)^2
            + \tfrac1{2K} \sum_k \sum_j c_j u_{k,j}^2

It is convex in the trajectory, as Gauss-Newton products ask for.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from nengo.exceptions import ValidationError

from .closed_loop import Trajectory


def quadratic_cost(
    trajectory: Trajectory,
    target: ArrayLike,
    *,
    final: ArrayLike = 1.0,
    along: ArrayLike = 0.0,
    control: ArrayLike = 0.0,
) -> Array:
    """Return the cost of one trajectory; for a batch use ``jax.vmap``.

    Parameters
    ----------
    trajectory : Trajectory
    target : array, shape (observations,) or (steps, observations)
        For all steps, or for each of them. What is NaN does not count.
    final : float or array, shape (observations,)
        a: weights of what is observed at the end.
    along : float or array, shape (observations,)
        b: weights of what is observed after each step.
    control : float or array, shape (actions,)
        c: weights of the actions.

    Raises
    ------
    ValidationError
        If the target has another shape.

    Examples
    --------
    The way of a pushed mass counts little against where and how fast it ends.

    >>> import jax.numpy as jnp
    >>> from nengo_jax import plants
    >>> mass = plants.damped_mass()
    >>> push = lambda memory, seen, given: (memory, jnp.ones(1))
    >>> loop = plants.roll_out(mass, push, None, jnp.zeros(2), 100)
    >>> target = jnp.array([0.5, 0.0])
    >>> cost = plants.quadratic_cost(loop, target, final=[1.0, 0.1], control=0.01)
    >>> cost.shape
    ()
    """
    outcomes, actions = trajectory.outcomes, trajectory.actions
    target = jnp.asarray(target, outcomes.dtype)
    if target.shape not in (outcomes.shape, outcomes.shape[1:]):
        raise ValidationError(
            f"Must have the shape {outcomes.shape[1:]} of an observation, or "
            f"{outcomes.shape} (got {target.shape})",
            attr="target",
        )
    target = jnp.broadcast_to(target, outcomes.shape)
    # No NaN enters the subtraction: its gradient would be NaN times zero.
    known = ~jnp.isnan(target)
    squares = jnp.square(jnp.where(known, outcomes - jnp.where(known, target, 0), 0))
    return 0.5 * (
        jnp.sum(_weights(final, squares[-1]) * squares[-1])
        + jnp.sum(_weights(along, squares[-1]) * jnp.mean(squares, axis=0))
        + jnp.sum(_weights(control, actions[0]) * jnp.mean(jnp.square(actions), axis=0))
    )


def _weights(weights: ArrayLike, like: Array) -> Array:
    return jnp.broadcast_to(jnp.asarray(weights, like.dtype), like.shape)
