"""Neurons in training: types to try, and what runs and differentiates them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import nengo
import numpy as np
from jax import lax
from nengo.builder.neurons import SimNeurons
from nengo.builder.signal import Signal

from nengo_jax.families.base import Settings
from nengo_jax.families.neurons import NEURONS, model_of
from nengo_jax.families.neurons.mt19937 import stream_of
from nengo_jax.neurons import (
    LeakyReLU,
    SoftLIFRate,
    SoftResetIntegrateAndFire,
    SpikingLeakyReLU,
)
from nengo_jax.neurons.nir import (
    CurrentBased,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
)

DT = 0.002
SIZE = 6  # neurons of each type
STEPS = 14

# neuron types with different constants, and the range of their input
SPIKING = {
    "LIF": (
        [nengo.LIF(), nengo.LIF(0.05, 0.0035, -0.7, 0.1), nengo.LIF(tau_ref=0)],
        (-5, 30),
    ),
    "AdaptiveLIF": (
        [
            nengo.AdaptiveLIF(0.05, 0.05),
            nengo.AdaptiveLIF(0.1, 0.02, min_voltage=-0.3, amplitude=2),
        ],
        (-5, 30),
    ),
    "Izhikevich": (
        [nengo.Izhikevich(), nengo.Izhikevich(0.1, 0.25, -50, 2)],
        (-40, 20),
    ),
    "SpikingRectifiedLinear": (
        [nengo.SpikingRectifiedLinear(), nengo.SpikingRectifiedLinear(0.3)],
        (-200, 800),
    ),
    "SpikingLeakyReLU": (
        [SpikingLeakyReLU(), SpikingLeakyReLU(0.8, amplitude=0.1)],
        (-1500, 800),
    ),
    "SoftResetIntegrateAndFire": (
        [
            SoftResetIntegrateAndFire(),
            SoftResetIntegrateAndFire(0.3, max_spikes=1),
        ],
        (-600, 1500),
    ),
    "RegularSpiking": (
        [
            nengo.RegularSpiking(nengo.LIFRate()),
            nengo.RegularSpiking(nengo.Tanh(), amplitude=0.5),
        ],
        (-400, 900),
    ),
    "IntegrateAndFire": (
        [IntegrateAndFire(), IntegrateAndFire(0.3)],
        (-200, 800),
    ),
    "LeakyIntegrateAndFire": (
        [
            LeakyIntegrateAndFire(),
            LeakyIntegrateAndFire(np.linspace(0.005, 0.05, SIZE), amplitude=0.1),
        ],
        (-5, 30),
    ),
    "CurrentBased": (
        [
            CurrentBased(),
            CurrentBased(0.01, np.linspace(0.015, 0.05, SIZE), 0.5, amplitude=0.1),
        ],
        (-5, 30),
    ),
}
RANDOM = {
    "StochasticSpiking": (
        [nengo.StochasticSpiking(nengo.Tanh(), amplitude=0.5)],
        (-900, 900),
    ),
    "PoissonSpiking": ([nengo.PoissonSpiking(nengo.LIFRate())], (0, 9000)),
}
RATE = {
    "RectifiedLinear": ([nengo.RectifiedLinear(), nengo.RectifiedLinear(2)], (-2, 2)),
    "LeakyReLU": ([LeakyReLU(), LeakyReLU(0.8, amplitude=0.1)], (-2, 2)),
    "Sigmoid": ([nengo.Sigmoid(), nengo.Sigmoid(0.01)], (-5, 5)),
    "Tanh": ([nengo.Tanh(), nengo.Tanh(0.01)], (-3, 3)),
    "LIFRate": ([nengo.LIFRate(), nengo.LIFRate(0.05, 0.004, 0.1)], (-4, 9)),
    "SoftLIFRate": ([SoftLIFRate(), SoftLIFRate(0.1, amplitude=0.1)], (-4, 9)),
    "AdaptiveLIFRate": (
        [nengo.AdaptiveLIFRate(0.05, 0.05), nengo.AdaptiveLIFRate(0.1, 0.01)],
        (-4, 9),
    ),
}
ALL = {**SPIKING, **RANDOM, **RATE}
WITH_RATE_FORM = [name for name in ALL if name != "Izhikevich"]

# currents at and around the threshold of LIF neurons, and far from it
BORDER = np.array([1, np.nextafter(1, 0), 0, -0.0, -5, -1e6, 1e6, 1 + 1e-6])


def prepare(name, training, dtype="float64", dt=DT):
    """Make what runs the types as one group, with currents and a state."""
    types, (low, high) = ALL[name]
    rng = np.random.RandomState(8)
    operators = [operator(neurons) for neurons in types]
    settings = Settings(dt, np.dtype(dtype), batched=True, training=training)
    states = [neurons.make_state(SIZE, rng, np.float64) for neurons in types]
    state = tuple(
        join_states([values[key] for values in states], dtype)
        for key in model_of(types[0]).state
    )
    currents = rng.uniform(low, high, size=(STEPS, SIZE * len(types)))
    return NEURONS.build(operators, settings), currents.astype(dtype), state


def operator(neurons):
    current, output = (Signal(np.zeros(SIZE), name=f"{neurons}.{x}") for x in "Jr")
    return SimNeurons(neurons, current, output)


def join_states(values, dtype):
    if isinstance(values[0], np.random.RandomState):
        return np.concatenate([stream_of(rng) for rng in values])
    return np.concatenate(values).astype(dtype)


def simulate(run, currents, state):
    """Run all steps; return the outputs and the last state."""

    def step(state, current):
        output, *state = run(current, *state)
        return tuple(state), output

    state, outputs = lax.scan(step, tuple(map(jnp.asarray, state)), currents)
    return outputs, state


def weights_of(currents):
    """Weights of a loss that is their product with the outputs."""
    return np.random.RandomState(5).standard_normal(currents.shape)


def gradient(run, currents, state):
    """Derivative of a weighted sum of all outputs by all currents."""
    weights = jnp.asarray(weights_of(currents), currents.dtype)

    def loss(currents):
        return jnp.sum(weights * simulate(run, currents, state)[0])

    return np.asarray(jax.jit(jax.grad(loss))(currents))


def assert_agree(actual, expected, rtol=1e-9):
    """Fail unless values agree within a fraction of the neuron's largest one."""
    assert actual.shape == expected.shape
    assert np.all(np.isfinite(actual))
    scale = np.max(np.abs(expected), axis=0, keepdims=True)
    assert np.any(scale > 0)
    worst = np.max(np.abs(actual - expected) / np.maximum(scale, 1e-6))
    assert worst <= rtol, f"differs by {worst:.3g} of a neuron's largest value"
