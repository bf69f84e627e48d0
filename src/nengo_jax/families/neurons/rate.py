"""Rate neurons without a refractory period, and the spiking rectified linear neuron.

====================== =====================================================
RectifiedLinear        r = a max(J, 0)
Sigmoid                r = 1 / (tau_ref (1 + exp(-J)))
Tanh                   r = tanh(J) / tau_ref
SpikingRectifiedLinear v += max(J, 0) dt; n = floor(v); out = a n / dt; v -= n
====================== =====================================================
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import nengo
from jax import Array

from .model import NeuronModel, spike_height


def _rectified_linear(constants, settings, neurons):
    amplitude = constants["amplitude"]

    def step(current: Array) -> tuple[Array]:
        return (amplitude * jnp.maximum(current, 0),)

    return step


def _spiking_rectified_linear(constants, settings, neurons):
    dt = settings.dtype.type(settings.dt)
    height = spike_height(constants, settings)

    def step(current: Array, voltage: Array) -> tuple[Array, Array]:
        voltage = voltage + jnp.maximum(current, 0) * dt
        spikes = jnp.floor(voltage)
        return height * spikes, voltage - spikes

    return step


def _sigmoid(constants, settings, neurons):
    tau_ref = constants["tau_ref"]

    def step(current: Array) -> tuple[Array]:
        return (jax.nn.sigmoid(current) / tau_ref,)

    return step


def _tanh(constants, settings, neurons):
    tau_ref = constants["tau_ref"]

    def step(current: Array) -> tuple[Array]:
        return (jnp.tanh(current) / tau_ref,)

    return step


RECTIFIED_LINEAR = NeuronModel(
    nengo.RectifiedLinear, ("amplitude",), (), _rectified_linear
)
SPIKING_RECTIFIED_LINEAR = NeuronModel(
    nengo.SpikingRectifiedLinear,
    ("amplitude",),
    ("voltage",),
    _spiking_rectified_linear,
)
SIGMOID = NeuronModel(nengo.Sigmoid, ("tau_ref",), (), _sigmoid)
TANH = NeuronModel(nengo.Tanh, ("tau_ref",), (), _tanh)
