"""Environments of Gymnasium inside a Nengo network.

An environment keeps its state to itself, so it has no gradient, and each example of a
batch has an environment of its own. It is made when a simulation starts or is reset,
and closed when nothing runs it any more.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import SimulationError, ValidationError
from nengo.params import Parameter

from ..families.replicate import PerExample
from ..optimizers.checks import check_count

Choose = Callable[[np.ndarray], Any]  # an action
_SEEDS = 2**31


def gymnasium_node(
    make: str | Callable[[], Any],
    *,
    seed: int | None = None,
    act: Choose | None = None,
    every: int = 1,
    size_in: int | None = None,
    label: str | None = None,
) -> nengo.Node:
    """Return a node that is an environment.

    Its input is the action. Its output is the observation, then the reward of the last
    step, then 1 if an episode has just ended; the next one starts at once. A reset of
    the simulation makes a new environment and starts with the first episode again.

    Parameters
    ----------
    make : str or callable
        Name of the environment, as for ``gymnasium.make``, or a function that makes it.
    seed : int or None
        Example k of a batch is reset with ``seed + k``. None: drawn from the seed of
        the simulation, as for processes of Nengo.
    act : callable or None
        Turns the input, shape (size_in,), into an action. None: for a discrete space
        the number of the largest element; for a Box the input, clipped to the space,
        and rounded if the space is one of whole numbers.
    every : int
        Steps of the simulation in each step of the environment; the output is held in
        between.
    size_in : int or None
        Size of the input of ``act``. None: as without it. Spaces other than Box and
        Discrete need both.
    label : str or None

    Raises
    ------
    ValidationError
        If ``make`` does not make an environment, its observations are no arrays of
        numbers, its actions neither arrays nor discrete, or another argument does not
        fit.
    SimulationError
        When a simulation starts or runs, if the environment or ``act`` raises, or what
        is returned are no finite numbers or has another shape than the environment
        says.

    Examples
    --------
    >>> import nengo, nengo_jax
    >>> from nengo_jax import plants
    >>> with nengo.Network() as network:
    ...     pole = plants.gymnasium_node("CartPole-v1", seed=0)
    ...     push_right = nengo.Node([0, 1])
    ...     _ = nengo.Connection(push_right, pole, synapse=None)
    ...     probe = nengo.Probe(pole)
    >>> with nengo_jax.Simulator(network, progress_bar=False) as sim:
    ...     sim.run_steps(20)
    >>> int(sim.data[probe][:, -1].sum())  # it has fallen twice
    2
    """
    process = Environment(make, seed, act, every, size_in)
    return nengo.Node(process, label=label or process.name)


class Environment(nengo.Process, PerExample):
    """The process of :func:`gymnasium_node`, which says what the parameters are."""

    make = Parameter("make", readonly=True)
    act = Parameter("act", optional=True, readonly=True)
    every = Parameter("every", readonly=True)

    def __init__(
        self,
        make: str | Callable[[], Any],
        seed: int | None = None,
        act: Choose | None = None,
        every: int = 1,
        size_in: int | None = None,
    ):
        check_count("every", every, 1)
        if act is not None and not callable(act):
            raise ValidationError(f"Must be a function (got {act!r})", attr="act")
        if size_in is not None:
            check_count("size_in", size_in, 1)
        if size_in is not None and act is None:
            raise ValidationError(
                f"Is the size of the input of `act`, which is missing (got {size_in})",
                attr="size_in",
            )
        environment = _made(make)
        sees, acts = environment.observation_space, environment.action_space
        environment.close()
        if act is not None and size_in is not None:
            self._choose: Choose = act
        else:
            size_in, choose = _actions(acts, _name(make))
            self._choose = choose if act is None else act
        size_out = _observations(sees, _name(make)) + 2
        super().__init__(default_size_in=size_in, default_size_out=size_out, seed=seed)
        self.make, self.act, self.every = make, act, every
        self._element = 0

    @property
    def name(self) -> str:
        """For messages."""
        return _name(self.make)

    def for_example(self, element: int) -> Environment:
        """Return the process of one example of a batch."""
        twin = copy.copy(self)
        twin._element = element
        return twin

    def make_step(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        dt: float,
        rng: np.random.RandomState,
        state: dict,
    ) -> Callable[[float, np.ndarray], np.ndarray]:
        """Make an environment, and the function that moves it on."""
        own = None if self.seed is None else self.seed + self._element
        seed = int(rng.randint(_SEEDS)) if own is None else own % _SEEDS
        return _Running(self, seed, shape_out)


class _Running:
    """One environment in one simulation."""

    def __init__(self, process: Environment, seed: int, shape: tuple[int, ...]):
        self._name, self._every = process.name, process.every
        self._choose, self._shape = process._choose, shape
        self._environment = _made(process.make)
        weakref.finalize(self, self._environment.close)
        self._count = 0
        with self._naming(
            lambda: f"the environment failed when it was reset with seed {seed}"
        ):
            seen, _ = self._environment.reset(seed=seed)
        self._shown = self._show(seen, 0.0, False)

    def __call__(self, t: float, x: np.ndarray) -> np.ndarray:
        self._count += 1
        if self._count % self._every == 0:
            self._shown = self._move(np.array(x))
        return self._shown

    def _move(self, x: np.ndarray) -> np.ndarray:
        with self._naming(lambda: f"`act` failed for the input {x}"):
            action = self._choose(x.copy())
        with self._naming(
            lambda: (
                f"the environment failed for the action {action!r}, which comes from "
                f"the input {x}"
            )
        ):
            seen, reward, ended, cut, _ = self._environment.step(action)
            if ended or cut:
                seen, _ = self._environment.reset()
        return self._show(seen, reward, bool(ended or cut))

    def _show(self, seen: Any, reward: Any, ended: bool) -> np.ndarray:
        with self._naming(
            lambda: (
                f"the environment returned the observation {seen!r} and the reward "
                f"{reward!r}, which are not numbers"
            )
        ):
            numbers = np.asarray(seen, np.float64).ravel()
            shown = np.concatenate([numbers, [float(reward), float(ended)]])
        if shown.shape != self._shape:
            raise SimulationError(
                f"{self._name}: the environment returned {len(shown) - 2} numbers as "
                f"its observation, but its observation space has {self._shape[0] - 2}."
            )
        if not np.isfinite(shown).all():
            raise SimulationError(
                f"{self._name}: the environment returned the observation {seen} and "
                f"the reward {reward}, which are not all finite."
            )
        return shown

    @contextmanager
    def _naming(self, what: Callable[[], str]) -> Iterator[None]:
        """Call what is the user's; an error says where, and what happened."""
        try:
            yield
        except Exception as error:  # they raise what they like
            raise SimulationError(
                f"{self._name}: {what()}: {type(error).__name__}: {error}"
            ) from error


def _made(make: str | Callable[[], Any]) -> Any:
    import gymnasium

    if not callable(make) and not isinstance(make, str):
        raise ValidationError(
            "Must be a name or a function, as each example of a batch gets an "
            f"environment of its own (got {make!r})",
            attr="make",
        )
    made = make() if callable(make) else gymnasium.make(make)
    if not isinstance(made, gymnasium.Env):
        raise ValidationError(
            f"{_name(make)}: Must make a gymnasium.Env (got {made!r})", attr="make"
        )
    return made


def _name(make: str | Callable[[], Any]) -> str:
    return make if isinstance(make, str) else getattr(make, "__name__", "environment")


def _observations(space: Any, name: str) -> int:
    import gymnasium

    if not isinstance(space, gymnasium.spaces.Box):
        raise ValidationError(
            f"{name}: observations must be a Box, that is, an array of numbers (got "
            f"{space}). gymnasium.wrappers.FlattenObservation makes one of most spaces",
            attr="make",
        )
    return int(np.prod(space.shape))


def _actions(space: Any, name: str) -> tuple[int, Choose]:
    """Return the size of the input, and what turns it into an action."""
    import gymnasium

    if isinstance(space, gymnasium.spaces.Discrete):
        return int(space.n), partial(_largest, space)
    if isinstance(space, gymnasium.spaces.Box):
        return int(np.prod(space.shape)), partial(_clipped, space)
    raise ValidationError(
        f"{name}: actions must be a Box or Discrete (got {space}). For others give "
        "`act` and `size_in`",
        attr="make",
    )


def _largest(space: Any, x: np.ndarray) -> int:
    return int(space.start + np.argmax(x))


def _clipped(space: Any, x: np.ndarray) -> np.ndarray:
    action = np.clip(x.reshape(space.shape), space.low, space.high)
    whole = np.issubdtype(space.dtype, np.integer)
    return (np.rint(action) if whole else action).astype(space.dtype)
