r"""Neurons with an adaptation variable.

The adaptive LIF neurons subtract n from their input current and then let it follow
their output: :math:`n \leftarrow n + dt / \tau_n (inc_n r - n)` (Koch, 1999, p. 339).

Izhikevich (2003), in milliseconds, with the reset before the recovery update as in
nengo:

.. math::
   v' = 0.04 v^2 + 5 v + 140 - u + J, \qquad u' = a (b v - u)

In training with a surrogate the resets of v and u are detached, as in
:mod:`~nengo_jax.families.neurons.lif`. The distance of an Izhikevich neuron to its
threshold of 30 mV is measured in units of 100 mV, about the way from rest to there.
Adaptation passes gradients on to earlier spikes.
"""

from __future__ import annotations

import jax.numpy as jnp
import nengo
from jax import Array

from .lif import rate_step, spiking_step, training_rate_step
from .model import Maker, NeuronModel, Step, emit, surrogate_of

_MINIMUM_CURRENT = -30  # below it the Euler step of Izhikevich's equations is unstable
_THRESHOLD = 30  # mV
_SWING = 100  # mV from rest to threshold: the unit of distances
_MS_PER_S = 1000


def _adapt(constants, settings):
    dt = settings.dtype.type(settings.dt)
    rate, increment = dt / constants["tau_n"], constants["inc_n"]

    def adapt(output: Array, adaptation: Array) -> Array:
        return adaptation + rate * (increment * output - adaptation)

    return adapt


def _adaptive_rate(make: Maker) -> Maker:
    """Make the adaptive form of a rate; states other than the adaptation rest."""

    def make_adaptive(constants, settings, neurons) -> Step:
        respond = make(constants, settings, neurons)
        adapt = _adapt(constants, settings)

        def step(current: Array, *state: Array) -> tuple[Array, ...]:
            *kept, adaptation = state
            (output,) = respond(current - adaptation)
            return output, *kept, adapt(output, adaptation)

        return step

    return make_adaptive


def _adaptive_spiking(constants, settings, neurons) -> Step:
    fire = spiking_step(constants, settings, neurons)
    adapt = _adapt(constants, settings)

    def step(
        current: Array, voltage: Array, refractory: Array, adaptation: Array
    ) -> tuple[Array, ...]:
        output, voltage, refractory = fire(current - adaptation, voltage, refractory)
        return output, voltage, refractory, adapt(output, adaptation)

    return step


def _izhikevich(constants, settings, neurons) -> Step:
    dt = settings.dtype.type(settings.dt)
    tau, coupling = constants["tau_recovery"], constants["coupling"]
    reset_voltage = constants["reset_voltage"]
    reset_recovery = constants["reset_recovery"]
    height, surrogate = settings.dtype.type(1 / settings.dt), surrogate_of(settings)

    def step(
        current: Array, voltage: Array, recovery: Array
    ) -> tuple[Array, Array, Array]:
        current = jnp.maximum(current, _MINIMUM_CURRENT)
        slope = 0.04 * voltage**2 + 5 * voltage + 140 - recovery + current
        voltage = voltage + slope * _MS_PER_S * dt
        spiked = voltage >= _THRESHOLD
        output = emit(spiked, (voltage - _THRESHOLD) / _SWING, height, surrogate)
        voltage = jnp.where(spiked, reset_voltage, voltage)
        recovery = recovery + tau * (coupling * voltage - recovery) * _MS_PER_S * dt
        return output, voltage, jnp.where(spiked, recovery + reset_recovery, recovery)

    return step


_LIF_RATE = ("tau_rc", "tau_ref", "amplitude")

ADAPTIVE_LIF_RATE = NeuronModel(
    nengo.AdaptiveLIFRate,
    (*_LIF_RATE, "tau_n", "inc_n"),
    ("adaptation",),
    _adaptive_rate(rate_step),
    rate=_adaptive_rate(training_rate_step),
)
ADAPTIVE_LIF = NeuronModel(
    nengo.AdaptiveLIF,
    (*_LIF_RATE, "min_voltage", "tau_n", "inc_n"),
    ("voltage", "refractory_time", "adaptation"),
    _adaptive_spiking,
    rate=_adaptive_rate(training_rate_step),
)
IZHIKEVICH = NeuronModel(
    nengo.Izhikevich,
    ("tau_recovery", "coupling", "reset_voltage", "reset_recovery"),
    ("voltage", "recovery"),
    _izhikevich,
)
