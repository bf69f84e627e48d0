"""Surrogate gradients against NumPy.

The equations of each spiking type and their derivatives stand here once more, and the
chain rule is applied backwards through the steps.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest
from training_cases import (
    ALL,
    BORDER,
    DT,
    SIZE,
    SPIKING,
    assert_agree,
    gradient,
    operator,
    prepare,
    simulate,
    weights_of,
)

from nengo_jax.families.base import Settings, Training
from nengo_jax.families.neurons import NEURONS
from nengo_jax.surrogates import (
    Arctan,
    FastSigmoid,
    RateDerivative,
    SuperSpike,
    Triangle,
)

# each surrogate, and its formula in NumPy
SURROGATES = {
    "fast sigmoid": (FastSigmoid(5.0), lambda x: (1 + 5 * np.abs(x)) ** -2),
    "SuperSpike": (SuperSpike(), lambda x: (100 * np.abs(x) + 1) ** -2.0),
    "arctan": (Arctan(), lambda x: 1 / (1 + (np.pi * x) ** 2)),
    "triangle": (Triangle(0.5), lambda x: np.maximum(0, 1 - np.abs(x) / 0.5) / 0.5),
    "own, not symmetric": (
        lambda x: jnp.exp(-jnp.square(x - 0.1)),
        lambda x: np.exp(-((x - 0.1) ** 2)),
    ),
}


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


class Local(NamedTuple):
    """One step of a type, and its derivatives by the current and each state."""

    output: np.ndarray
    state: tuple[np.ndarray, ...]
    by_output: np.ndarray  # (1 + states, neurons)
    by_state: np.ndarray  # (states, 1 + states, neurons)


def lif(neurons, surrogate, current, voltage, refractory):
    refractory = refractory - DT
    share = -np.expm1(-np.clip(DT - refractory, 0, DT) / neurons.tau_rc)
    voltage = voltage + (current - voltage) * share
    spiked = voltage > 1
    late = DT + neurons.tau_rc * np.log1p(
        np.where(spiked, 1 - voltage, 0) / np.where(spiked, current - 1, 1)
    )
    by = np.stack([share, 1 - share, np.zeros_like(share)])
    height = neurons.amplitude / DT
    kept = ~spiked & (voltage > neurons.min_voltage)
    return Local(
        height * spiked,
        (
            np.where(spiked, 0, np.maximum(voltage, neurons.min_voltage)),
            np.where(spiked, neurons.tau_ref + late, refractory),
        ),
        height * surrogate(voltage - 1) * by,
        np.stack([kept * by, np.zeros_like(by)]),
    )


def adaptive_lif(neurons, surrogate, current, voltage, refractory, n):
    inner = lif(neurons, surrogate, current - n, voltage, refractory)
    by_output = np.stack([*inner.by_output, -inner.by_output[0]])
    by_inner = np.concatenate([inner.by_state, -inner.by_state[:, :1]], axis=1)
    share = DT / neurons.tau_n
    by_n = share * neurons.inc_n * by_output
    by_n[-1] += 1 - share
    return Local(
        inner.output,
        (*inner.state, n + share * (neurons.inc_n * inner.output - n)),
        by_output,
        np.concatenate([by_inner, by_n[None]]),
    )


def izhikevich(neurons, surrogate, current, v, u):
    ms = 1000 * DT
    inside = current > -30
    by_v = np.stack([inside * ms, 1 + (0.08 * v + 5) * ms, np.full_like(v, -ms)])
    v = v + (0.04 * v**2 + 5 * v + 140 - u + np.maximum(current, -30)) * ms
    spiked = v >= 30
    by_output = surrogate((v - 30) / 100) / 100 / DT * by_v
    v = np.where(spiked, neurons.reset_voltage, v)
    by_v = ~spiked * by_v
    share = neurons.tau_recovery * ms
    by_u = share * neurons.coupling * by_v
    by_u[2] += 1 - share
    u = u + share * (neurons.coupling * v - u) + spiked * neurons.reset_recovery
    return Local(spiked / DT, (v, u), by_output, np.stack([by_v, by_u]))


def integrator(drive, count, distance):
    """Types whose voltage adds up the current, and loses what is counted."""

    def step(neurons, surrogate, current, voltage):
        value, slope = drive(neurons, current)
        voltage = voltage + value * DT
        spikes = count(voltage)
        by = np.stack([slope * DT, np.ones_like(voltage)])
        height = neurons.amplitude / DT
        by_output = height * surrogate(distance(neurons, voltage)) * by
        return Local(height * spikes, (voltage - spikes,), by_output, by[None])

    return step


def reset_to_zero(neurons, surrogate, voltage, by, others=()):
    """The types of NIR: ``by`` are the derivatives of the voltage before a reset."""
    spiked, height = voltage > 1, neurons.amplitude / DT
    by = np.stack(np.broadcast_arrays(voltage, *by)[1:])
    state, derivatives = zip(*others, strict=True) if others else ((), ())
    return Local(
        height * spiked,
        (np.where(spiked, 0, voltage), *state),
        height * surrogate(voltage - 1) * by,
        np.stack([~spiked * by, *derivatives]),
    )


def integrate_and_fire(neurons, surrogate, current, voltage):
    return reset_to_zero(neurons, surrogate, voltage + DT * current, (DT, 1))


def leaky_integrate_and_fire(neurons, surrogate, current, voltage):
    kept = np.exp(-DT / neurons.tau)
    voltage = kept * voltage + (1 - kept) * current
    return reset_to_zero(neurons, surrogate, voltage, (1 - kept, kept))


def current_based(neurons, surrogate, drive, voltage, current):
    kept, kept_syn = np.exp(-DT / neurons.tau), np.exp(-DT / neurons.tau_syn)
    old = neurons.tau_syn / (neurons.tau_syn - neurons.tau) * (kept_syn - kept)
    new = 1 - kept - old
    voltage = kept * voltage + (1 - kept) * neurons.leak + old * current + new * drive
    after = kept_syn * current + (1 - kept_syn) * drive
    by_after = np.stack(
        np.broadcast_arrays(drive, 1 - kept_syn, np.zeros_like(drive), kept_syn)[1:]
    )
    by = (new, kept, old)
    return reset_to_zero(neurons, surrogate, voltage, by, [(after, by_after)])


def soft_reset(neurons, surrogate, current, voltage):
    voltage = voltage + current * DT
    spikes = np.clip(np.floor(voltage), 0, neurons.max_spikes)
    by = np.stack([np.full_like(voltage, DT), np.ones_like(voltage)])
    height = neurons.amplitude / DT
    slope = height * surrogate(above_one(voltage)) * (voltage > 0)
    return Local(height * spikes, (voltage - spikes,), slope * by, by[None])


def leak(neurons, current):
    slope = np.where(current < 0, neurons.negative_slope, 1)
    return slope * current, slope


def above_one(voltage):
    return voltage - np.maximum(np.round(voltage), 1)


LOCAL = {
    "LIF": lif,
    "IntegrateAndFire": integrate_and_fire,
    "LeakyIntegrateAndFire": leaky_integrate_and_fire,
    "CurrentBased": current_based,
    "AdaptiveLIF": adaptive_lif,
    "Izhikevich": izhikevich,
    "SpikingRectifiedLinear": integrator(
        lambda neurons, current: (np.maximum(current, 0), current > 0),
        np.floor,
        lambda neurons, voltage: above_one(voltage),
    ),
    "SpikingLeakyReLU": integrator(
        leak, np.trunc, lambda neurons, voltage: above_one(np.abs(voltage))
    ),
    "SoftResetIntegrateAndFire": soft_reset,
    "RegularSpiking": integrator(
        lambda neurons, current: (current, np.ones_like(current)),
        np.floor,
        lambda neurons, voltage: (
            voltage - np.round(voltage) if neurons.negative else above_one(voltage)
        ),
    ),
}


def backpropagate(step, neurons, surrogate, currents, state, weights):
    """Outputs of one type, and the derivative of their weighted sum by the currents."""
    steps = []
    for current in currents:
        steps.append(step(neurons, surrogate, current, *state))
        state = steps[-1].state
    gradients, adjoint = [], np.zeros((len(state), currents.shape[1]))
    for local, weight in zip(reversed(steps), weights[::-1], strict=True):
        through_state = np.einsum("sn,sin->in", adjoint, local.by_state)
        by_current, *rest = weight * local.by_output + through_state
        gradients.append(by_current)
        adjoint = np.stack(rest)
    return np.stack([local.output for local in steps]), np.stack(gradients[::-1])


@pytest.mark.parametrize("name", SPIKING)
def test_surrogate_gradient(name):
    """Through voltage, adaptation and time, for every surrogate."""
    names = list(SURROGATES)
    runs = [prepare(name, Training(SURROGATES[key][0]))[0] for key in names]
    plain, currents, state = prepare(name, None)
    weights = weights_of(currents)

    @jax.jit
    def gradients(currents):
        def losses(currents):
            outputs = [simulate(run, currents, state)[0] for run in runs]
            return [jnp.sum(weights * output) for output in outputs]

        return [
            jax.grad(lambda x, k=k: losses(x)[k])(currents) for k in range(len(runs))
        ]

    spikes = np.asarray(simulate(plain, currents, state)[0])
    assert np.any(spikes)
    for key, actual in zip(names, gradients(currents), strict=True):
        parts = []
        for k, neurons in enumerate(SPIKING[name][0]):
            mine = slice(k * SIZE, (k + 1) * SIZE)
            arrays = currents[:, mine], [v[mine] for v in state], weights[:, mine]
            surrogate = SURROGATES[key][1]
            parts.append(backpropagate(LOCAL[name], neurons, surrogate, *arrays))
        outputs, expected = (np.hstack(values) for values in zip(*parts, strict=True))
        assert_agree(outputs, spikes)
        assert_agree(np.asarray(actual), expected)


@pytest.mark.parametrize(
    ("name", "surrogate"),
    [(n, FastSigmoid()) for n in ALL]
    + [(n, RateDerivative()) for n in ALL if n != "Izhikevich"],
)
def test_outputs_with_a_surrogate_are_those_of_a_plain_run(name, surrogate):
    run, currents, state = prepare(name, Training(surrogate, 0.1))
    plain, _, _ = prepare(name, None)
    actual, expected = (simulate(r, currents, state) for r in (run, plain))
    assert np.any(expected[0])
    for value, target in zip(
        jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(value, target, rtol=1e-13, atol=1e-13)


def test_gradient_of_lif_in_single_precision():
    """Padé approximants have derivatives too; both precisions see the same spikes."""
    training = Training(FastSigmoid())
    single, currents, state = prepare("LIF", training, "float32", 0.001)
    double, _, _ = prepare("LIF", training, "float64", 0.001)
    wide = currents.astype(float), tuple(v.astype(float) for v in state)
    spikes = simulate(single, currents, state)[0], simulate(double, *wide)[0]
    np.testing.assert_allclose(*spikes, rtol=1e-6)
    assert_agree(gradient(single, currents, state), gradient(double, *wide), 1e-3)


def test_lif_gradient_at_the_ends_of_the_range():
    """Where the time of a spike is not defined, nothing is, but it has no gradient."""
    for dtype in ("float32", "float64"):
        settings = Settings(0.001, np.dtype(dtype), True, Training(FastSigmoid()))
        run = NEURONS.build([operator(nengo.LIF())], settings)
        size = len(BORDER)
        state = np.zeros(size, dtype), np.zeros(size, dtype)
        currents = np.tile(BORDER.astype(dtype), (4, 1))
        assert np.all(np.isfinite(gradient(run, currents, state)))
