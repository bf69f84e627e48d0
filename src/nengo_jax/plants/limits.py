"""Keep a badly controlled plant finite.

An untrained controller may throw an arm around until its state, and then the gradient,
is no longer finite. Beyond a limit the state is squashed smoothly: nothing changes
inside of it, and nothing gets further than twice as far.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.exceptions import ValidationError

from .plant import Plant

KEEP_FINITE = "Keep it finite, for instance with nengo_jax.plants.squash."


def squash(plant: Plant, limit: Any) -> Plant:
    """Return a plant whose state stays within twice a limit.

    Parameters
    ----------
    plant : Plant
    limit : float, array, or pytree of them like the state
        A value x with abs(x) > limit becomes limit (1 + tanh(abs(x) / limit - 1)), with
        the sign of x.

    Raises
    ------
    ValidationError
        If a limit is not positive.
    """
    if not all(np.all(np.asarray(part) > 0) for part in jax.tree.leaves(limit)):
        raise ValidationError(f"Must be positive (got {limit!r})", attr="limit")

    def step(state: Any, action: Array) -> Any:
        after = plant.step(state, action)
        try:
            limits = jax.tree.broadcast(limit, after)
            return jax.tree.map(_squash, after, limits)
        except ValueError as error:
            raise ValidationError(
                f"The limit {limit!r} does not fit the state of the plant "
                f"{plant.name!r}, which is {jax.tree.map(jnp.shape, after)}: {error}",
                attr="limit",
            ) from error

    return replace(plant, step=step)


def _squash(value: Array, limit: Any) -> Array:
    limit = jnp.broadcast_to(jnp.asarray(limit, value.dtype), value.shape)
    far = jnp.abs(value) / limit
    beyond = jnp.sign(value) * limit * (1 + jnp.tanh(far - 1))
    return jnp.where(far > 1, beyond, value)
