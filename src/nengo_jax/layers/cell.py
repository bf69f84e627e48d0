"""What the cells have in common: one step of a layer, for Keras's RNN or our layers."""

from __future__ import annotations

import math
import random
from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import jax
import keras
from jax import Array
from nengo.exceptions import ValidationError

from .dynamics import Dynamics, advance
from .timestep import TimeStep


class KerasSpikingCell(keras.layers.Layer):
    """One step of a layer of this package; the base class of its cells.

    A cell whose ``size`` is one number also works in ``keras.layers.RNN`` and
    ``keras.layers.StackedRNNCells``.

    A subclass says in ``dynamics`` what it computes, and in ``get_initial_state`` where
    it begins.

    Parameters
    ----------
    size : int or tuple of int
        Shape of the output of one example in one step.
    state_size : int, list or None
        Size of each state; None is one state of the shape of the output.
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.
    **kwargs
        As for ``keras.layers.Layer``.

    Raises
    ------
    ValidationError
        If ``size`` or ``dt`` is not positive.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        state_size: Any = None,
        *,
        dt: Any = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        self.size = _check_size(size)
        self.output_size: Any = _flat(self.size)
        self.state_size: Any = self.output_size if state_size is None else state_size
        self._time_step = TimeStep(dt)

    @property
    def dt(self) -> float | keras.Variable:
        """Length of a step in seconds."""
        return self._time_step.source

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables, among them ``dt`` if it is one."""
        return [*super().variables, *self._time_step.variables]

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the states of one example, known before the cell is built."""
        sizes = self.state_size
        sizes = sizes if isinstance(sizes, list) else [sizes]
        return [(size,) if isinstance(size, int) else tuple(size) for size in sizes]

    @abstractmethod
    def dynamics(self, training: bool) -> Dynamics:
        """Return what the cell computes, with its weights as they are now."""

    @abstractmethod
    def get_initial_state(self, batch_size: int) -> list[Array]:
        """Return the states before the first step, shape (batch, ...)."""

    def call(
        self, inputs: Array, states: Any, training: bool | None = False
    ) -> tuple[Array, list[Array]]:
        """Run one step on inputs of shape (batch, ...)."""
        likes = jax.eval_shape(lambda: self.get_initial_state(1))
        begin = [
            state.astype(like.dtype)
            for state, like in zip(keras.tree.flatten(states), likes, strict=True)
        ]
        values = inputs.astype(self.compute_dtype)
        return advance(self.dynamics(bool(training)), values, begin)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same cell."""
        config = super().get_config()
        own = {"size": self.output_size, "dt": self._time_step.to_config()}
        return {**config, **own}


def random_voltage(seed: int, shape: Sequence[int], dtype: str) -> Array:
    """Draw voltages between 0 and 1; always the same ones for a seed.

    Drawn flat: on a CPU, JAX 0.10 takes five seconds to compile random numbers in four
    dimensions, and less than one in one. The numbers are the same.
    """
    flat = jax.random.uniform(jax.random.key(seed), (math.prod(shape),), dtype)
    return flat.reshape(shape)


def draw_seed(seed: int | None) -> int:
    """Return the seed, or draw one that ``keras.utils.set_random_seed`` determines.

    Raises
    ------
    ValidationError
        If it is neither None nor an integer.
    """
    if seed is None:
        return random.randrange(2**31)
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise ValidationError(f"Must be an integer or None, got {seed!r}", attr="seed")
    return int(seed)


def _check_size(size: int | Sequence[int]) -> tuple[int, ...]:
    sizes = (size,) if isinstance(size, int) else tuple(size)
    if not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValidationError(
            f"Must be one or several positive whole numbers, got {size!r}", attr="size"
        )
    return sizes


def _flat(size: tuple[int, ...]) -> int | tuple[int, ...]:
    return size[0] if len(size) == 1 else size
