r"""Any activation function, computed by spikes.

The activation f is taken for a firing rate in Hz. With voltage v, for a step of dt,

.. math:: v \leftarrow v + f(x) dt, \quad n = \lfloor v \rfloor, \quad
   v \leftarrow v - n,

and the output is n / dt, n spikes in one step. So the sum of the outputs over time is
that of f(x), up to one spike. Where f is negative, so are spikes.

In the backward pass, the derivative of the output by x is that of f in the same step,
and voltages have none. As n does not depend on parameters then, the loop over time is
not differentiated at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import keras
from jax import Array
from nengo.exceptions import ValidationError

from .cell import KerasSpikingCell, draw_seed, random_voltage
from .dynamics import Dynamics, States
from .layer import KerasSpikingLayer


@keras.saving.register_keras_serializable(package="nengo_jax")
class SpikingActivationCell(KerasSpikingCell):
    """One step of a :class:`SpikingActivation`.

    Its state is the voltage, drawn between 0 and 1 for each unit and example.

    Parameters
    ----------
    size : int or tuple of int
        Shape of input and output, without the batch.
    activation : str or callable
        The activation function, as for ``keras.layers.Activation``.
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.
    seed : int or None
        Determines the initial voltages.
    spiking_aware_training : bool
        Whether to spike in training, too.
    **kwargs
        As for ``keras.layers.Layer``.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        activation: str | Callable[[Array], Array],
        *,
        dt: Any = None,
        seed: int | None = None,
        spiking_aware_training: bool = True,
        **kwargs: Any,
    ):
        super().__init__(size, dt=dt, **kwargs)
        self.activation = check_activation(activation)
        self.seed = draw_seed(seed)
        self.spiking_aware_training = spiking_aware_training

    def build(self, input_shape: Any) -> None:
        """Build the activation, if it is a layer."""
        build_activation(self.activation, (input_shape[0], *self.size))

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """Return random voltages, always the same ones for a seed."""
        shape = (batch_size, *self.size)
        return [random_voltage(self.seed, shape, self.variable_dtype)]

    def dynamics(self, training: bool) -> Dynamics:
        """Return the equations of this module, or the activation alone."""
        if training and not self.spiking_aware_training:
            return Dynamics(before=self._respond)
        step = _integrate(self._time_step.read(self.variable_dtype))
        return Dynamics(step, before=self._respond, derivative=_same)

    def _respond(self, inputs: Array) -> Array:
        return call_activation(self.activation, inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same cell."""
        return {
            **super().get_config(),
            "activation": serialize_activation(self.activation),
            "seed": self.seed,
            "spiking_aware_training": self.spiking_aware_training,
        }


def _integrate(dt: Any) -> Callable[[Array, States], tuple[Array, States]]:
    height = 1 / dt

    def step(rates: Array, states: States) -> tuple[Array, States]:
        (voltage,) = states
        voltage = voltage + rates.astype(voltage.dtype) * dt
        spikes = jnp.floor(voltage)
        return (spikes * height).astype(rates.dtype), [voltage - spikes]

    return step


def _same(rates: Array) -> Array:
    return rates


@keras.saving.register_keras_serializable(package="nengo_jax")
class SpikingActivation(KerasSpikingLayer):
    """An activation function, computed by spikes.

    It takes the place of ``keras.layers.Activation`` in a model with a time axis.

    Parameters
    ----------
    activation : str or callable
        The activation function, whose values are firing rates in Hz, as for
        ``keras.layers.Activation``; a layer, such as PReLU, will do. A model with a
        function of one's own can be loaded if the function is registered by
        ``keras.saving.register_keras_serializable``.
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``. A
        neuron spikes with a height of ``1 / dt``.
    seed : int or None
        Determines the initial voltages, which are random between 0 and 1.
    spiking_aware_training : bool
        If True, the outputs are spikes in training, too, with the derivative of the
        activation function. If False, they are the values of the activation function
        in training, and spikes otherwise.
    **kwargs
        ``return_sequences=True``, ``return_state=False``, ``stateful=False``,
        ``unroll=False``, ``time_major=False``, see :class:`KerasSpikingLayer`; and as
        for ``keras.layers.Layer``.

    Examples
    --------
    100 Hz for 0.1 s are ten spikes:

    >>> import numpy as np
    >>> from nengo_jax.layers import SpikingActivation
    >>> spikes = SpikingActivation("relu", seed=0)(np.full((1, 100, 1), 100.0))
    >>> int(np.count_nonzero(spikes)), float(np.max(spikes))
    (10, 1000.0)
    """

    def __init__(
        self,
        activation: str | Callable[[Array], Array],
        *,
        dt: Any = None,
        seed: int | None = None,
        spiking_aware_training: bool = True,
        **kwargs: Any,
    ):
        super().__init__(dt=dt, **kwargs)
        self.activation = check_activation(activation)
        self.seed = draw_seed(seed)
        self.spiking_aware_training = spiking_aware_training

    def build_cell(self, shape: tuple[int, ...]) -> SpikingActivationCell:
        """Return the cell for inputs of a shape, without batch and time."""
        return SpikingActivationCell(
            shape,
            self.activation,
            dt=self.dt,
            seed=self.seed,
            spiking_aware_training=self.spiking_aware_training,
            dtype=self.dtype_policy,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        return {
            **super().get_config(),
            "activation": serialize_activation(self.activation),
            "seed": self.seed,
            "spiking_aware_training": self.spiking_aware_training,
        }


def check_activation(activation: Any) -> Callable[[Array], Array]:
    """Return the function that an argument stands for.

    Raises
    ------
    ValidationError
        If Keras knows none.
    """
    if activation is None:
        raise ValidationError(
            "Must be the name of an activation function of Keras or a function, got "
            "None; for the identity give 'linear'",
            attr="activation",
        )
    if isinstance(activation, dict):
        return keras.saving.deserialize_keras_object(activation)
    return keras.activations.get(activation)


def serialize_activation(activation: Any) -> Any:
    """Return what an activation is saved as; a lambda needs ``safe_mode=False``."""
    if getattr(activation, "__name__", None) == "<lambda>":
        return keras.saving.serialize_keras_object(activation)
    return keras.activations.serialize(activation)


def call_activation(activation: Callable[[Array], Array], inputs: Array) -> Array:
    """Return the rates, in the precision of the inputs.

    Some activations of Keras return single precision whatever they are given.
    """
    rates = activation(inputs)
    if rates.shape != inputs.shape:
        raise ValueError(
            f"The activation {activation} turned inputs of the shape {inputs.shape} "
            f"into {rates.shape}, but needs to keep it"
        )
    return rates.astype(inputs.dtype)


def build_activation(activation: Any, shape: tuple) -> None:
    """Build an activation that is a layer, such as PReLU."""
    if isinstance(activation, keras.layers.Layer) and not activation.built:
        activation.build(shape)
