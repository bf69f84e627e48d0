r"""Leaky integrate-and-fire neurons.

Rate form, for J > 1:

.. math:: r = a / (\tau_{ref} + \tau_{rc} \log(1 + 1 / (J - 1)))

Spiking form, for a step of length dt. With the time left after the refractory
period, :math:`d = clip(dt - t_{ref}, 0, dt)`, the voltage relaxes to J,

.. math:: v \leftarrow v + (J - v) (1 - e^{-d / \tau_{rc}}),

and a neuron with v > 1 spikes. It crossed 1 at
:math:`t_s = dt + \tau_{rc} \log(1 - (v - 1) / (J - 1))` after the start of the step.

In single precision the two transcendental functions are replaced by Padé
approximants, because both arguments are at most dt / tau_rc in magnitude:

.. math::
   1 - e^{-x} \approx x / (1 + x/2 + x^2/12), \qquad
   \log(1 + z) \approx z (1 + z/2) / (1 + z + z^2/6),

with relative errors below x^4/720 and z^4/180. That is exact to single precision up
to ``_PADE_LIMIT`` and three times as fast. Each is written with one division as its
last operation: XLA does not recompute the result of a division in each of its users,
so the voltage is worked out once and not four times. The approximants are smooth, and
their derivatives are as good.

In training with a surrogate, the gradient goes through the output of the step and
through the voltage to earlier steps. The reset is detached, as if the spike in
:math:`v \leftarrow (1 - s) v` were a constant: gradients through it make training less
robust (Zenke and Vogels, 2021). The time of a spike has no gradient either.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import nengo
import numpy as np
from jax import Array, lax
from jax.ad_checkpoint import checkpoint_name

from .model import NeuronModel, Step, emit, frozen, spike_height, surrogate_of
from .soft import soft_rate_step

_PADE_LIMIT = 0.06  # dt / tau_rc up to which the approximants are exact to float32
_KEPT = "voltage"  # before the reset; kept for the way back, with what a step is given


def rate_step(constants, settings, neurons) -> Step:
    """Make the step of LIFRate."""
    tau_rc, tau_ref = constants["tau_rc"], constants["tau_ref"]
    amplitude = constants["amplitude"]

    def step(current: Array) -> tuple[Array]:
        excess = current - 1
        active = excess > 0
        interval = tau_ref + tau_rc * jnp.log1p(1 / jnp.where(active, excess, 1))
        return (jnp.where(active, amplitude / interval, 0),)

    return step


def training_rate_step(constants, settings, neurons) -> Step:
    """Make the step of the rate form in training, whose threshold may be smooth."""
    smoothing = settings.training.smoothing
    if smoothing is None:
        return rate_step(constants, settings, neurons)
    soft = {**constants, "sigma": settings.dtype.type(smoothing)}
    return soft_rate_step(soft, settings, neurons)


def spiking_step(constants, settings, neurons) -> Step:
    """Make the step of LIF."""
    dt = settings.dtype.type(settings.dt)
    tau_rc, tau_ref = constants["tau_rc"], constants["tau_ref"]
    min_voltage = constants["min_voltage"]
    height, surrogate = spike_height(constants, settings), surrogate_of(settings)
    short = bool(np.all(dt <= _PADE_LIMIT * tau_rc))
    single = settings.dtype.itemsize <= 4
    relax, relaxation, overshoot = _PADE if short and single else _EXACT
    trained = settings.training is not None

    def step(current: Array, voltage: Array, refractory: Array) -> tuple[Array, ...]:
        if not trained:
            # the results are three loops, and XLA repeats in each what is cheap; it
            # does not repeat a division, here by a 1 that it cannot see through
            current = current / (1 + 0 * voltage)
        refractory = refractory - dt
        available = jnp.clip(dt - refractory, 0, dt)
        if trained:  # the refractory time has no gradient
            factor = relaxation(lax.stop_gradient(available / tau_rc))
            voltage = checkpoint_name(voltage + (current - voltage) * factor, _KEPT)
            # a mask, as maximum would share the derivative where both are equal
            inside = (voltage > min_voltage) & ~(voltage > 1)
            after = jnp.where(inside, voltage, jnp.where(voltage > 1, 0, min_voltage))
        else:
            voltage = relax(current, voltage, available / tau_rc)
            after = jnp.where(voltage > 1, 0, jnp.maximum(voltage, min_voltage))
        spiked = voltage > 1
        # the log is only meaningful, and only used, where the neuron spiked
        late = dt + tau_rc * overshoot(1 - voltage, current - 1)
        return (
            emit(spiked, voltage - 1, height, surrogate),
            after,
            lax.stop_gradient(jnp.where(spiked, tau_ref + late, refractory)),
        )

    if not trained:
        return step
    # all else that the way back needs is sooner worked out again than read again
    policy = jax.checkpoint_policies.save_only_these_names(_KEPT)
    return jax.checkpoint(step, policy=policy, prevent_cse=False)


def _relaxation_pade(x: Array) -> Array:
    return x / (1 + x * (0.5 + x / 12))


def _relaxation_exact(x: Array) -> Array:
    return -jnp.expm1(-x)


def _relax_pade(current: Array, voltage: Array, x: Array) -> Array:
    divisor = 1 + x * (0.5 + x / 12)
    return (voltage * divisor + (current - voltage) * x) / divisor


def _overshoot_pade(a: Array, b: Array) -> Array:
    return a * (b + a / 2) / (b * b + a * (b + a / 6))


def _relax_exact(current: Array, voltage: Array, x: Array) -> Array:
    return voltage - (current - voltage) * jnp.expm1(-x)


def _overshoot_exact(a: Array, b: Array) -> Array:
    spiked = a < 0
    return jnp.log1p(jnp.where(spiked, a, 0) / jnp.where(spiked, b, 1))


_PADE = (_relax_pade, _relaxation_pade, _overshoot_pade)
_EXACT = (_relax_exact, _relaxation_exact, _overshoot_exact)

LIF_RATE = NeuronModel(
    nengo.LIFRate,
    ("tau_rc", "tau_ref", "amplitude"),
    (),
    rate_step,
    rate=training_rate_step,
)
LIF = NeuronModel(
    nengo.LIF,
    ("tau_rc", "tau_ref", "min_voltage", "amplitude"),
    ("voltage", "refractory_time"),
    spiking_step,
    rate=frozen(training_rate_step),
)
