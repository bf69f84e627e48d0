"""What a plant is: a record of pure functions, and how to run one.

A plant is whatever a controller acts on: an arm, a pole on a cart, a mass. Its state is
any pytree of arrays, for one example; batches are made with ``jax.vmap``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

State = Any


@dataclass(frozen=True)
class Plant:
    """A plant as pure functions.

    Attributes
    ----------
    name : str
    dt : float
        Length of a step in seconds.
    actions, observations : tuple of str
        What the elements of an action and of an observation are, with their units.
    reset : callable
        ``reset(key) -> state``, with a key of ``jax.random``.
    step : callable
        ``step(state, action) -> state`` after ``dt``; action has shape (actions,).
    observe : callable
        ``observe(state) -> Array`` of shape (observations,).
    points : callable or None
        ``points(state) -> Array`` of shape (points, 2): a line through the plant in
        metres, for pictures. The last point of an arm is its hand.
    failed : callable or None
        ``failed(state) -> bool``: whether an attempt to control it is over.
    """

    name: str
    dt: float
    actions: tuple[str, ...]
    observations: tuple[str, ...]
    reset: Callable[[Array], State]
    step: Callable[[State, Array], State]
    observe: Callable[[State], Array]
    points: Callable[[State], Array] | None = None
    failed: Callable[[State], Array] | None = None

    @property
    def action_size(self) -> int:
        """Number of elements of an action."""
        return len(self.actions)

    @property
    def observation_size(self) -> int:
        """Number of elements of an observation."""
        return len(self.observations)


def repeat(plant: Plant, times: int) -> Plant:
    """Return a plant whose step is several of another, with the same action.

    Parameters
    ----------
    plant : Plant
    times : int
    """

    def step(state: State, action: Array) -> State:
        return lax.fori_loop(0, times, lambda _, s: plant.step(s, action), state)

    return replace(plant, step=step, dt=times * plant.dt)


def run(
    plant: Plant,
    policy: Callable[[Array], Array],
    state: State,
    steps: int,
) -> tuple[State, Array, Array]:
    """Let a policy control a plant.

    Parameters
    ----------
    plant : Plant
    policy : callable
        ``policy(observation) -> action``, in JAX.
    state : pytree of Array
        From which to start.
    steps : int

    Returns
    -------
    states : pytree of Array, shape (steps + 1, ...)
        The first one is ``state``.
    observations : Array, shape (steps, observations)
        What the policy saw.
    actions : Array, shape (steps, actions)

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from nengo_jax import plants
    >>> arm = plants.two_link_arm()
    >>> start = arm.reset(jax.random.key(0))
    >>> states, seen, torques = plants.run(arm, lambda seen: -seen[2:], start, 50)
    >>> seen.shape, torques.shape
    ((50, 4), (50, 2))
    """

    def step(state: State, _: None) -> tuple[State, tuple[State, Array, Array]]:
        seen = plant.observe(state)
        action = policy(seen)
        return plant.step(state, action), (state, seen, action)

    last, (states, seen, actions) = lax.scan(step, state, length=steps)
    states = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), states, last)
    return states, seen, actions
