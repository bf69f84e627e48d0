r"""The neuron types of NIR: integrators whose voltage becomes 0 after a spike.

The equations stand in :mod:`nengo_jax.neurons.nir`. In training with a surrogate the
reset is detached, as in :mod:`~nengo_jax.families.neurons.lif`. The rate form is the
rate at a constant current, and leaves the current of ``CurrentBased`` out.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from ...neurons.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
    coupling,
    relaxation,
)
from .lif import training_rate_step
from .model import NeuronModel, Step, emit, frozen, spike_height, surrogate_of
from .rate import RECTIFIED_LINEAR


def _fire(constants, settings):
    height, surrogate = spike_height(constants, settings), surrogate_of(settings)

    def fire(voltage: Array) -> tuple[Array, Array]:
        spiked = voltage > 1
        output = emit(spiked, voltage - 1, height, surrogate)
        return output, jnp.where(spiked, 0, voltage)

    return fire


def _integrate_and_fire(constants, settings, neurons) -> Step:
    dt, fire = settings.dtype.type(settings.dt), _fire(constants, settings)

    def step(current: Array, voltage: Array) -> tuple[Array, ...]:
        return fire(voltage + dt * current)

    return step


def _leaky_integrate_and_fire(constants, settings, neurons) -> Step:
    fire = _fire(constants, settings)
    tau = np.asarray(constants["tau"], np.float64)
    share = relaxation(tau, settings.dt, neurons.method).astype(settings.dtype)

    def step(current: Array, voltage: Array) -> tuple[Array, ...]:
        return fire(voltage + (current - voltage) * share)

    return step


def _current_based(constants, settings, neurons) -> Step:
    fire, leak = _fire(constants, settings), constants["leak"]
    tau, tau_syn = (np.asarray(constants[k], np.float64) for k in ("tau", "tau_syn"))
    dt, method = settings.dt, neurons.method
    share, old, new, share_syn = (
        np.asarray(value).astype(settings.dtype)
        for value in (
            relaxation(tau, dt, method),
            *coupling(tau_syn, tau, dt, method),
            relaxation(tau_syn, dt, method),
        )
    )

    def step(drive: Array, voltage: Array, current: Array) -> tuple[Array, ...]:
        voltage = voltage + share * (leak - voltage) + old * current + new * drive
        return *fire(voltage), current + (drive - current) * share_syn

    return step


def _heaviside(constants, settings, neurons) -> Step:
    amplitude, surrogate = constants["amplitude"], surrogate_of(settings)

    def step(current: Array) -> tuple[Array]:
        return (emit(current > 0, current, amplitude, surrogate),)

    return step


def _rate(constants, settings, neurons) -> Step:
    none = settings.dtype.type(0)
    lif = {**constants, "tau_rc": constants["tau"], "tau_ref": none}
    respond = training_rate_step(lif, settings, neurons)
    leak = constants.get("leak", none)

    def step(current: Array) -> tuple[Array, ...]:
        return respond(current + leak)

    return step


INTEGRATE_AND_FIRE = NeuronModel(
    IntegrateAndFire,
    ("amplitude",),
    ("voltage",),
    _integrate_and_fire,
    rate=frozen(RECTIFIED_LINEAR.make),
)
LEAKY_INTEGRATE_AND_FIRE = NeuronModel(
    LeakyIntegrateAndFire,
    ("amplitude", "tau"),
    ("voltage",),
    _leaky_integrate_and_fire,
    rate=frozen(_rate),
    variant=lambda neurons: neurons.method,
)
CURRENT_BASED = NeuronModel(
    CurrentBased,
    ("amplitude", "tau", "tau_syn", "leak"),
    ("voltage", "current"),
    _current_based,
    rate=frozen(_rate),
    variant=lambda neurons: neurons.method,
)
HEAVISIDE = NeuronModel(Heaviside, ("amplitude",), (), _heaviside)
