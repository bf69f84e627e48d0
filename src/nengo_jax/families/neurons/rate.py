"""Rate neurons without a refractory period, and spiking rectified linear neurons.

====================== =====================================================
RectifiedLinear        r = a max(J, 0)
Sigmoid                r = 1 / (tau_ref (1 + exp(-J)))
Tanh                   r = tanh(J) / tau_ref
LeakyReLU              r = a g(J), g(J) = J where J >= 0, slope J elsewhere
SpikingRectifiedLinear v += max(J, 0) dt; n = floor(v); out = a n / dt; v -= n
SpikingLeakyReLU       v += g(J) dt; n = trunc(v); out = a n / dt; v -= n
====================== =====================================================

In training with a surrogate the reset v -= n is detached, as in
:mod:`~nengo_jax.families.neurons.lif`. The gradient of max(J, 0) is 0 at J = 0.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import nengo
from jax import Array, lax

from ...neurons import LeakyReLU, SpikingLeakyReLU
from ...surrogates import count_spikes
from .model import NeuronModel, frozen, spike_height, surrogate_of


def _rectified_linear(constants, settings, neurons):
    amplitude = constants["amplitude"]

    def step(current: Array) -> tuple[Array]:
        return (amplitude * jax.nn.relu(current),)

    return step


def _spiking_rectified_linear(constants, settings, neurons):
    dt = settings.dtype.type(settings.dt)
    height, surrogate = spike_height(constants, settings), surrogate_of(settings)

    def step(current: Array, voltage: Array) -> tuple[Array, Array]:
        voltage = voltage + jax.nn.relu(current) * dt
        spikes = count_spikes(voltage, surrogate) if surrogate else jnp.floor(voltage)
        return height * spikes, voltage - lax.stop_gradient(spikes)

    return step


def _leak(constants):
    slope = constants["negative_slope"]

    def leak(current: Array) -> Array:
        return jnp.where(current < 0, slope * current, current)

    return leak


def _leaky_relu(constants, settings, neurons):
    amplitude, leak = constants["amplitude"], _leak(constants)

    def step(current: Array) -> tuple[Array]:
        return (amplitude * leak(current),)

    return step


def _spiking_leaky_relu(constants, settings, neurons):
    dt = settings.dtype.type(settings.dt)
    leak = _leak(constants)
    height, surrogate = spike_height(constants, settings), surrogate_of(settings)

    def count(voltage: Array) -> Array:
        if surrogate is None:
            return jnp.trunc(voltage)
        upward = jnp.where(voltage < 0, -1, 1).astype(voltage.dtype)
        return upward * count_spikes(upward * voltage, surrogate)

    def step(current: Array, voltage: Array) -> tuple[Array, Array]:
        voltage = voltage + leak(current) * dt
        spikes = count(voltage)
        return height * spikes, voltage - lax.stop_gradient(spikes)

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
    rate=frozen(_rectified_linear),
)
LEAKY_RELU = NeuronModel(LeakyReLU, ("amplitude", "negative_slope"), (), _leaky_relu)
SPIKING_LEAKY_RELU = NeuronModel(
    SpikingLeakyReLU,
    ("amplitude", "negative_slope"),
    ("voltage",),
    _spiking_leaky_relu,
    rate=frozen(_leaky_relu),
)
SIGMOID = NeuronModel(nengo.Sigmoid, ("tau_ref",), (), _sigmoid)
TANH = NeuronModel(nengo.Tanh, ("tau_ref",), (), _tanh)
