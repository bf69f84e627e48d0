r"""Filters with trainable time constants.

With h = dt / tau and an input u that is held for a step (zero-order hold, so results
are exact, and the same as those of nengo's synapses of these names):

Lowpass, 1 / (tau s + 1), with level y:

.. math:: y \leftarrow y + (1 - e^{-h}) (u - y)

Alpha, 1 / (tau s + 1)^2, with level y and w = tau dy/dt:

.. math::
   y \leftarrow y + (1 - e^{-h} (1 + h)) (u - y) + h e^{-h} w, \qquad
   w \leftarrow h e^{-h} (u - y) + (1 - h) e^{-h} w

with the old y and w on the right. Written with the distance u - y, rounding grows
smaller as the filter settles.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import jax.numpy as jnp
import keras
from jax import Array
from nengo.exceptions import ValidationError

from .cell import KerasSpikingCell
from .dynamics import Dynamics, States, Step
from .layer import KerasSpikingLayer


class FilterCell(KerasSpikingCell):
    """One step of a filter of each unit; see :class:`LowpassCell`.

    A subclass gives the equations, and the number of its states; the last one is the
    output.
    """

    order: ClassVar[int]

    def __init__(
        self,
        size: int | Sequence[int],
        tau_initializer: Any,
        *,
        dt: Any = None,
        apply_during_training: bool = True,
        level_initializer: Any = "zeros",
        initial_level_constraint: Any = None,
        tau_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(size, dt=dt, **kwargs)
        self.state_size = [self.output_size] * self.order
        self.tau_initializer = check_tau(tau_initializer)
        self.apply_during_training = apply_during_training
        self.level_initializer = keras.initializers.get(level_initializer)
        self.initial_level_constraint = keras.constraints.get(initial_level_constraint)
        self.tau_constraint = keras.constraints.get(tau_constraint)

    def build(self, input_shape: Any) -> None:
        """Make the weights ``tau`` and ``initial_level``, one of each for each unit."""
        self.initial_level = self.add_weight(
            shape=self.size,
            initializer=self.level_initializer,
            constraint=self.initial_level_constraint,
            trainable=self.apply_during_training,
            autocast=False,
            name="initial_level",
        )
        self.tau = self.add_weight(
            shape=self.size,
            initializer=self.tau_initializer,
            constraint=self.tau_constraint,
            trainable=self.apply_during_training,
            autocast=False,
            name="tau",
        )

    @abstractmethod
    def make_step(self, steps: Array) -> Step:
        """Return the equations, for ``steps = dt / tau`` of each unit."""

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """Return the initial level, at rest."""
        level = self.initial_level.value
        level = jnp.broadcast_to(level, (batch_size, *self.size))
        return [jnp.zeros_like(level)] * (self.order - 1) + [level]

    def dynamics(self, training: bool) -> Dynamics:
        """Return the equations of this module, or nothing to do."""
        if training and not self.apply_during_training:
            return Dynamics()
        # training may step across zero, where there is no filter
        tau = jnp.maximum(self.tau.value, keras.config.epsilon())
        return Dynamics(self.make_step(self._time_step.read(tau.dtype) / tau))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same cell."""
        return {**super().get_config(), **_config(self)}


@keras.saving.register_keras_serializable(package="nengo_jax")
class LowpassCell(FilterCell):
    """One step of a :class:`Lowpass`.

    Its state is the level, which is also its output.

    Parameters
    ----------
    size : int or tuple of int
        Shape of input and output, without the batch.
    tau_initializer, dt, apply_during_training, level_initializer, \
initial_level_constraint, tau_constraint
        As for :class:`Lowpass`.
    **kwargs
        As for ``keras.layers.Layer``.
    """

    order = 1

    def make_step(self, steps: Array) -> Step:
        """Return the equation of a lowpass, for ``steps = dt / tau`` of each unit."""
        share = -jnp.expm1(-steps)[None]

        def step(inputs: Array, states: States) -> tuple[Array, States]:
            (level,) = states
            level = level + share * (inputs.astype(level.dtype) - level)
            return level.astype(inputs.dtype), [level]

        return step


@keras.saving.register_keras_serializable(package="nengo_jax")
class AlphaCell(FilterCell):
    """One step of an :class:`Alpha`.

    Its states are w, the rate of change in units of 1 / tau, and the level, which is
    also its output.

    Parameters
    ----------
    size : int or tuple of int
        Shape of input and output, without the batch.
    tau_initializer, dt, apply_during_training, level_initializer, \
initial_level_constraint, tau_constraint
        As for :class:`Alpha`.
    **kwargs
        As for ``keras.layers.Layer``.
    """

    order = 2

    def make_step(self, steps: Array) -> Step:
        """Return the equations of two lowpasses, for ``steps = dt / tau``."""
        h = steps[None]
        left = jnp.exp(-h)
        share = -jnp.expm1(-h) - h * left

        def step(inputs: Array, states: States) -> tuple[Array, States]:
            change, level = states
            distance = inputs.astype(level.dtype) - level
            level = level + share * distance + h * left * change
            change = h * left * distance + (1 - h) * left * change
            return level.astype(inputs.dtype), [change, level]

        return step


class Filter(KerasSpikingLayer):
    """A filter of each unit with a time constant of its own; see :class:`Lowpass`."""

    cell_type: ClassVar[type[FilterCell]]

    def __init__(
        self,
        tau_initializer: Any,
        *,
        dt: Any = None,
        apply_during_training: bool = True,
        level_initializer: Any = "zeros",
        initial_level_constraint: Any = None,
        tau_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(dt=dt, **kwargs)
        self.tau_initializer = check_tau(tau_initializer)
        self.apply_during_training = apply_during_training
        self.level_initializer = keras.initializers.get(level_initializer)
        self.initial_level_constraint = keras.constraints.get(initial_level_constraint)
        self.tau_constraint = keras.constraints.get(tau_constraint)

    def build_cell(self, shape: tuple[int, ...]) -> FilterCell:
        """Return the cell for inputs of a shape, without batch and time."""
        return self.cell_type(
            shape,
            self.tau_initializer,
            dt=self.dt,
            apply_during_training=self.apply_during_training,
            level_initializer=self.level_initializer,
            initial_level_constraint=self.initial_level_constraint,
            tau_constraint=self.tau_constraint,
            dtype=self.dtype_policy,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        return {**super().get_config(), **_config(self)}


@keras.saving.register_keras_serializable(package="nengo_jax")
class Lowpass(Filter):
    """A lowpass filter of each unit, 1 / (tau s + 1), with trainable time constants.

    Parameters
    ----------
    tau_initializer : float or initializer
        Initial time constants in seconds, one for each unit. Those that training makes
        negative act as zero, that is, as no filter.
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.
    apply_during_training : bool
        If False, the layer returns its inputs in training, and is not trained.
    level_initializer : initializer
        Initial output of the filters, one for each unit; trained, too.
    initial_level_constraint, tau_constraint : constraint or None
        As for the weights of layers of Keras. With ``constraints.Mean()`` on ``tau``,
        all units share one time constant.
    **kwargs
        ``return_sequences=True``, ``return_state=False``, ``stateful=False``,
        ``unroll=False``, ``time_major=False``, see :class:`KerasSpikingLayer`; and as
        for ``keras.layers.Layer``.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.layers import Lowpass
    >>> np.asarray(Lowpass(0.1, dt=0.1)(np.ones((1, 3, 1)))).ravel().round(2)
    array([0.63, 0.86, 0.95], dtype=float32)
    """

    cell_type = LowpassCell


@keras.saving.register_keras_serializable(package="nengo_jax")
class Alpha(Filter):
    """An alpha filter of each unit, 1 / (tau s + 1)^2, with trainable time constants.

    Parameters
    ----------
    tau_initializer : float or initializer
        Initial time constants in seconds, one for each unit. Those that training makes
        negative act as zero, that is, as no filter.
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.
    apply_during_training : bool
        If False, the layer returns its inputs in training, and is not trained.
    level_initializer : initializer
        Initial output of the filters, one for each unit, where they are at rest;
        trained, too.
    initial_level_constraint, tau_constraint : constraint or None
        As for the weights of layers of Keras. With ``constraints.Mean()`` on ``tau``,
        all units share one time constant.
    **kwargs
        ``return_sequences=True``, ``return_state=False``, ``stateful=False``,
        ``unroll=False``, ``time_major=False``, see :class:`KerasSpikingLayer`; and as
        for ``keras.layers.Layer``.
    """

    cell_type = AlphaCell


def check_tau(tau_initializer: Any) -> Any:
    """Return the initializer of time constants that an argument stands for.

    Raises
    ------
    ValidationError
        If it is a number that is not positive.
    """
    if isinstance(tau_initializer, Real):
        if isinstance(tau_initializer, bool) or not float(tau_initializer) > 0:
            raise ValidationError(
                f"Must be a positive number of seconds or an initializer, got "
                f"{tau_initializer!r}",
                attr="tau_initializer",
            )
        return keras.initializers.Constant(float(tau_initializer))
    return keras.initializers.get(tau_initializer)


def _config(owner: FilterCell | Filter) -> dict[str, Any]:
    initializers, constraints = keras.initializers, keras.constraints
    return {
        "tau_initializer": initializers.serialize(owner.tau_initializer),
        "apply_during_training": owner.apply_during_training,
        "level_initializer": initializers.serialize(owner.level_initializer),
        "initial_level_constraint": constraints.serialize(
            owner.initial_level_constraint
        ),
        "tau_constraint": constraints.serialize(owner.tau_constraint),
    }
