"""What a plant is: a record of pure functions.

A plant is whatever a controller acts on: an arm, a pole on a cart, a mass. Its state is
any pytree of arrays, for one example; batches are made with ``jax.vmap``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from jax import Array, lax
from nengo.exceptions import ValidationError

from ..optimizers.checks import check_count

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

    def __post_init__(self) -> None:
        check_names("actions", self.actions)
        check_names("observations", self.observations)
        if not isinstance(self.dt, Real) or not 0 < self.dt < math.inf:
            raise ValidationError(
                f"A step of the plant {self.name!r} must take a positive time (got "
                f"{self.dt!r} s)",
                attr="dt",
            )

    @property
    def action_size(self) -> int:
        """Number of elements of an action."""
        return len(self.actions)

    @property
    def observation_size(self) -> int:
        """Number of elements of an observation."""
        return len(self.observations)


def check_names(attr: str, names: Any) -> None:
    """Check that there is a name for each action or observation.

    Raises
    ------
    ValidationError
    """
    several = isinstance(names, Sequence) and not isinstance(names, str)
    if not several or not all(isinstance(name, str) for name in names):
        raise ValidationError(
            f"Must be a tuple of names, such as ('force (N)',) (got {names!r})",
            attr=attr,
        )


def repeat(plant: Plant, times: int) -> Plant:
    """Return a plant whose step is several of another, with the same action.

    Parameters
    ----------
    plant : Plant
    times : int

    Raises
    ------
    ValidationError
        If ``times`` is no positive whole number.
    """
    check_count("times", times, 1)

    def step(state: State, action: Array) -> State:
        return lax.fori_loop(0, times, lambda _, s: plant.step(s, action), state)

    return replace(plant, step=step, dt=times * plant.dt)
