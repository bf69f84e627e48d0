"""Integrate-and-fire neurons whose reset is a subtraction.

With at most N spikes in a step,

    v += J dt;  n = min(max(floor(v), 0), N);  out = a n / dt;  v -= n

In training with a surrogate the reset is detached, as in
:mod:`~nengo_jax.families.neurons.lif`, and the limit N does not touch the derivative.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from ...neurons import SoftResetIntegrateAndFire
from ...surrogates import count_spikes
from .model import NeuronModel, frozen, spike_height, surrogate_of
from .rate import RECTIFIED_LINEAR


def _soft_reset(constants, settings, neurons):
    dt = settings.dtype.type(settings.dt)
    height, surrogate = spike_height(constants, settings), surrogate_of(settings)
    most = constants["max_spikes"]

    def count(voltage: Array) -> Array:
        positive = jax.nn.relu(voltage)
        if surrogate is None:
            return jnp.minimum(jnp.floor(positive), most)
        spikes = count_spikes(positive, surrogate)
        return spikes + lax.stop_gradient(jnp.minimum(spikes, most) - spikes)

    def step(current: Array, voltage: Array) -> tuple[Array, Array]:
        voltage = voltage + current * dt
        spikes = count(voltage)
        return height * spikes, voltage - lax.stop_gradient(spikes)

    return step


SOFT_RESET = NeuronModel(
    SoftResetIntegrateAndFire,
    ("amplitude", "max_spikes"),
    ("voltage",),
    _soft_reset,
    rate=frozen(RECTIFIED_LINEAR.make),
)
