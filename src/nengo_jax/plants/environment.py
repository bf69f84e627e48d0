"""Environments of Gymnasium inside a Nengo network.

An environment keeps its state to itself, so it has no gradient, and each example of a
batch has an environment of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import ValidationError


def gymnasium_node(
    make: str | Callable[[], Any],
    *,
    seed: int = 0,
    act: Callable[[np.ndarray], Any] | None = None,
    every: int = 1,
    label: str | None = None,
) -> nengo.Node:
    """Return a node that is an environment.

    Its input is the action. Its output is the observation, then the reward of the last
    step, then 1 if an episode has just ended; the next one starts at once.

    Parameters
    ----------
    make : str or callable
        Name of the environment, as for ``gymnasium.make``, or a function that makes it.
    seed : int
        In the first run, example k of a batch is reset with ``seed + k``. After a reset
        of the simulation, and in another one, example 0 goes on where it was, and the
        others get new environments with further seeds.
    act : callable or None
        Turns the input, shape (size_in,), into an action. None: for a discrete space
        the number of the largest element; for others the input, clipped to the space.
    every : int
        Steps of the simulation in each step of the environment; the output is held in
        between.
    label : str or None

    Raises
    ------
    ValidationError
        If observations are no arrays of numbers, or actions neither arrays nor
        discrete.
    """
    import gymnasium

    factory = make if callable(make) else (lambda: gymnasium.make(make))
    environment = factory()
    name = label or (make if isinstance(make, str) else "environment")
    sees, acts = environment.observation_space, environment.action_space
    if not isinstance(sees, gymnasium.spaces.Box):
        raise ValidationError(
            f"{name}: observations must be a Box, that is, an array of numbers (got "
            f"{sees})",
            attr="make",
        )
    if isinstance(acts, gymnasium.spaces.Discrete):
        size_in, choose = int(acts.n), partial(_largest, acts)
    elif isinstance(acts, gymnasium.spaces.Box):
        size_in, choose = int(np.prod(acts.shape)), partial(_clipped, acts)
    else:
        raise ValidationError(
            f"{name}: actions must be a Box or Discrete (got {acts})", attr="make"
        )
    if every < 1:
        raise ValidationError(f"Must be 1 or more (got {every})", attr="every")
    choose = choose if act is None else act
    running = _Environment(factory, environment, choose, seed, every)
    size_out = int(np.prod(sees.shape)) + 2
    return nengo.Node(running, size_in=size_in, size_out=size_out, label=name)


def _largest(space: Any, x: np.ndarray) -> int:
    return space.start + int(np.argmax(x))


def _clipped(space: Any, x: np.ndarray) -> np.ndarray:
    return np.clip(x.reshape(space.shape), space.low, space.high).astype(space.dtype)


class _Environment:
    """One environment; a copy is another one, with the next seed."""

    def __init__(
        self,
        factory: Callable[[], Any],
        environment: Any,
        choose: Callable[[np.ndarray], Any],
        seed: int,
        every: int,
    ):
        self._factory = factory
        self._environment = environment
        self._choose = choose
        self._every = every
        self._count = 0
        self._copies = 0
        self._seed = seed
        self._shown = self._show(environment.reset(seed=seed)[0], 0.0, False)

    def __deepcopy__(self, memo: dict) -> _Environment:
        self._copies += 1
        return _Environment(
            self._factory,
            self._factory(),
            self._choose,
            self._seed + self._copies,
            self._every,
        )

    def __call__(self, t: float, x: np.ndarray) -> np.ndarray:
        self._count += 1
        if self._count % self._every == 0:
            action = self._choose(x)
            seen, reward, ended, cut, _ = self._environment.step(action)
            if ended or cut:
                seen, _ = self._environment.reset()
            self._shown = self._show(seen, float(reward), ended or cut)
        return self._shown

    @staticmethod
    def _show(seen: Any, reward: float, ended: bool) -> np.ndarray:
        return np.concatenate([np.ravel(seen), [reward, float(ended)]])
