r"""Leaky integrate-and-fire neurons in a plain Keras model.

The equations are those of ``nengo.LIF``, see :mod:`nengo_jax.families.neurons.lif`.
They are written here again, without approximations, because the length of a step may be
a variable, and that module is built on time constants that are known ahead.

The input is the current J in units of the threshold, so a Dense layer before it has the
role of gains and biases. In training, the gradient goes through the spike by a
surrogate, and back in time through the voltage. The reset and the refractory time have
none (Zenke and Vogels, 2021).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import keras
from jax import Array, lax
from nengo.exceptions import ValidationError

from .. import surrogates
from ..families.neurons.lif import rate_step
from ..families.neurons.model import emit
from ..surrogates import RateDerivative
from .cell import KerasSpikingCell, draw_seed, random_voltage
from .dynamics import Dynamics, States, Step
from .layer import KerasSpikingLayer

_DEFAULT = surrogates.FastSigmoid()
_SURROGATES = {
    kind.__name__: kind
    for kind in (
        surrogates.FastSigmoid,
        surrogates.SuperSpike,
        surrogates.Arctan,
        surrogates.Triangle,
        RateDerivative,
    )
}


@keras.saving.register_keras_serializable(package="nengo_jax")
class LIFCell(KerasSpikingCell):
    """One step of :class:`LIF`.

    Its states are the voltage and what is left of the refractory time in seconds.

    Parameters
    ----------
    size : int or tuple of int
        Shape of input and output, without the batch.
    tau_rc, tau_ref, min_voltage, amplitude, dt, seed, surrogate
        As for :class:`LIF`.
    **kwargs
        As for ``keras.layers.Layer``.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        tau_rc: float = 0.02,
        tau_ref: float = 0.002,
        min_voltage: float = 0,
        amplitude: float = 1,
        *,
        dt: Any = None,
        seed: int | None = None,
        surrogate: Any = _DEFAULT,
        **kwargs: Any,
    ):
        super().__init__(size, dt=dt, **kwargs)
        self.state_size = [self.output_size, self.output_size]
        self.neurons = _check_neurons(tau_rc, tau_ref, min_voltage, amplitude)
        self.seed = draw_seed(seed)
        self.surrogate = _check_surrogate(surrogate)

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """Return random voltages, always the same ones for a seed, and zero."""
        voltage = random_voltage(
            self.seed, (batch_size, *self.size), self.variable_dtype
        )
        return [voltage, jnp.zeros_like(voltage)]

    def dynamics(self, training: bool) -> Dynamics:
        """Return the equations of the neurons."""
        dt = self._time_step.read(self.variable_dtype)
        if not isinstance(self.surrogate, RateDerivative):
            return Dynamics(_lif_step(dt, **self.neurons, surrogate=self.surrogate))
        respond = rate_step(self.neurons, None, None)
        step = _lif_step(dt, **self.neurons, surrogate=None)
        return Dynamics(step, derivative=lambda current: respond(current)[0])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same cell."""
        return {**super().get_config(), **_config(self)}


def _lif_step(
    dt: Any,
    tau_rc: float,
    tau_ref: float,
    min_voltage: float,
    amplitude: float,
    surrogate: Any,
) -> Step:
    height = amplitude / dt

    def step(inputs: Array, states: States) -> tuple[Array, States]:
        voltage, refractory = states
        current = inputs.astype(voltage.dtype)
        refractory = refractory - dt
        available = jnp.clip(dt - refractory, 0, dt)
        voltage = voltage - (current - voltage) * jnp.expm1(-available / tau_rc)
        spiked = voltage > 1
        output = emit(spiked, voltage - 1, height, surrogate)
        # the log is only meaningful, and only used, where the neuron spiked
        over = jnp.where(spiked, (voltage - 1) / jnp.where(spiked, current - 1, 1), 0)
        again = tau_ref + dt + tau_rc * jnp.log1p(-lax.stop_gradient(over))
        voltage = jnp.where(spiked, 0, jnp.maximum(voltage, min_voltage))
        refractory = jnp.where(spiked, again, refractory)
        return output.astype(inputs.dtype), [voltage, lax.stop_gradient(refractory)]

    return step


@keras.saving.register_keras_serializable(package="nengo_jax")
class LIF(KerasSpikingLayer):
    """Leaky integrate-and-fire neurons, trained by a surrogate gradient through time.

    Parameters
    ----------
    tau_rc : float
        Membrane time constant in seconds.
    tau_ref : float
        Refractory period in seconds.
    min_voltage : float
        Lowest voltage, in units of the threshold.
    amplitude : float
        Factor on the output; a spike has the height ``amplitude / dt``.
    dt : float, keras.Variable or None
        Length of a step in seconds; None takes ``nengo_jax.layers.default.dt``.
    seed : int or None
        Determines the initial voltages, which are random between 0 and 1.
    surrogate : callable or RateDerivative
        What takes the place of the derivative of a spike, see
        :mod:`nengo_jax.surrogates`. With ``RateDerivative()``, it is that of the firing
        rate, and nothing goes back in time. A function of one's own has to be
        registered by ``keras.saving.register_keras_serializable`` to be saved.
    **kwargs
        ``return_sequences=True``, ``return_state=False``, ``stateful=False``,
        ``unroll=False``, ``time_major=False``, see :class:`KerasSpikingLayer`; and as
        for ``keras.layers.Layer``.

    Raises
    ------
    ValidationError
        If ``tau_rc`` or ``amplitude`` is not positive, ``tau_ref`` is negative,
        ``min_voltage`` is above the threshold, or ``surrogate`` is none.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.layers import LIF
    >>> spikes = LIF(seed=0)(np.full((1, 1000, 1), 2.0))  # 63 Hz for a second
    >>> int(np.count_nonzero(spikes))
    63
    """

    def __init__(
        self,
        tau_rc: float = 0.02,
        tau_ref: float = 0.002,
        min_voltage: float = 0,
        amplitude: float = 1,
        *,
        dt: Any = None,
        seed: int | None = None,
        surrogate: Any = _DEFAULT,
        **kwargs: Any,
    ):
        super().__init__(dt=dt, **kwargs)
        self.neurons = _check_neurons(tau_rc, tau_ref, min_voltage, amplitude)
        self.seed = draw_seed(seed)
        self.surrogate = _check_surrogate(surrogate)

    def build_cell(self, shape: tuple[int, ...]) -> LIFCell:
        """Return the cell for inputs of a shape, without batch and time."""
        return LIFCell(
            shape,
            **self.neurons,
            dt=self.dt,
            seed=self.seed,
            surrogate=self.surrogate,
            dtype=self.dtype_policy,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same layer."""
        return {**super().get_config(), **_config(self)}


def _check_neurons(
    tau_rc: float, tau_ref: float, min_voltage: float, amplitude: float
) -> dict[str, float]:
    for name, value, right, rule in (
        ("tau_rc", tau_rc, tau_rc > 0, "positive"),
        ("tau_ref", tau_ref, tau_ref >= 0, "zero or positive"),
        ("min_voltage", min_voltage, min_voltage <= 1, "at most 1, the threshold"),
        ("amplitude", amplitude, amplitude > 0, "positive"),
    ):
        if not right:
            raise ValidationError(f"Must be {rule}, got {value!r}", attr=name)
    return {
        "tau_rc": tau_rc,
        "tau_ref": tau_ref,
        "min_voltage": min_voltage,
        "amplitude": amplitude,
    }


def _check_surrogate(surrogate: Any) -> Any:
    """Return a surrogate, or make it from what it was saved as."""
    if isinstance(surrogate, dict):
        if "surrogate" not in surrogate:
            return keras.saving.deserialize_keras_object(surrogate)
        arguments = {k: v for k, v in surrogate.items() if k != "surrogate"}
        return _SURROGATES[surrogate["surrogate"]](**arguments)
    if not (callable(surrogate) or isinstance(surrogate, RateDerivative)):
        raise ValidationError(
            "Must be one of nengo_jax.surrogates, such as FastSigmoid(), or a function "
            f"of the distance to the threshold, got {surrogate!r}",
            attr="surrogate",
        )
    return surrogate


def _config(owner: LIFCell | LIF) -> dict[str, Any]:
    kind = type(owner.surrogate).__name__
    if isinstance(owner.surrogate, tuple(_SURROGATES.values())):
        surrogate = {"surrogate": kind, **dataclasses.asdict(owner.surrogate)}
    else:
        surrogate = keras.saving.serialize_keras_object(owner.surrogate)
    return {**owner.neurons, "seed": owner.seed, "surrogate": surrogate}
