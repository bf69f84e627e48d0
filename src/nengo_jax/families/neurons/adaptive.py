r"""Neurons with an adaptation variable.

The adaptive LIF neurons subtract n from their input current and then let it follow
their output: :math:`n \leftarrow n + dt / \tau_n (inc_n r - n)` (Koch, 1999, p. 339).

Izhikevich (2003), in milliseconds, with the reset before the recovery update as in
nengo:

.. math::
   v' = 0.04 v^2 + 5 v + 140 - u + J, \qquad u' = a (b v - u)
"""

from __future__ import annotations

import jax.numpy as jnp
import nengo
from jax import Array

from .lif import rate_step, spiking_step
from .model import NeuronModel, Step

_MINIMUM_CURRENT = -30  # below it the Euler step of Izhikevich's equations is unstable
_THRESHOLD = 30  # mV
_MS_PER_S = 1000


def _adapt(constants, settings):
    dt = settings.dtype.type(settings.dt)
    rate, increment = dt / constants["tau_n"], constants["inc_n"]

    def adapt(output: Array, adaptation: Array) -> Array:
        return adaptation + rate * (increment * output - adaptation)

    return adapt


def _adaptive_rate(constants, settings, neurons) -> Step:
    respond, adapt = (
        rate_step(constants, settings, neurons),
        _adapt(constants, settings),
    )

    def step(current: Array, adaptation: Array) -> tuple[Array, Array]:
        (output,) = respond(current - adaptation)
        return output, adapt(output, adaptation)

    return step


def _adaptive_spiking(constants, settings, neurons) -> Step:
    fire, adapt = (
        spiking_step(constants, settings, neurons),
        _adapt(constants, settings),
    )

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

    def step(
        current: Array, voltage: Array, recovery: Array
    ) -> tuple[Array, Array, Array]:
        current = jnp.maximum(current, _MINIMUM_CURRENT)
        slope = 0.04 * voltage**2 + 5 * voltage + 140 - recovery + current
        voltage = voltage + slope * _MS_PER_S * dt
        spiked = voltage >= _THRESHOLD
        voltage = jnp.where(spiked, reset_voltage, voltage)
        recovery = recovery + tau * (coupling * voltage - recovery) * _MS_PER_S * dt
        output = jnp.where(spiked, settings.dtype.type(1 / settings.dt), 0)
        return output, voltage, jnp.where(spiked, recovery + reset_recovery, recovery)

    return step


_LIF_RATE = ("tau_rc", "tau_ref", "amplitude")

ADAPTIVE_LIF_RATE = NeuronModel(
    nengo.AdaptiveLIFRate,
    (*_LIF_RATE, "tau_n", "inc_n"),
    ("adaptation",),
    _adaptive_rate,
)
ADAPTIVE_LIF = NeuronModel(
    nengo.AdaptiveLIF,
    (*_LIF_RATE, "min_voltage", "tau_n", "inc_n"),
    ("voltage", "refractory_time", "adaptation"),
    _adaptive_spiking,
)
IZHIKEVICH = NeuronModel(
    nengo.Izhikevich,
    ("tau_recovery", "coupling", "reset_voltage", "reset_recovery"),
    ("voltage", "recovery"),
    _izhikevich,
)
