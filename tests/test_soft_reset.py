"""SoftResetIntegrateAndFire against its own step function, and what it is good for."""

import keras
import nengo
import numpy as np
import pytest
from helpers import MERGED, check_operators
from nengo.builder.neurons import SimNeurons
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax.neurons import SoftResetIntegrateAndFire

TYPES = [
    SoftResetIntegrateAndFire(),
    SoftResetIntegrateAndFire(0.1, max_spikes=1),
    SoftResetIntegrateAndFire(max_spikes=3, initial_state={"voltage": [0] * 9}),
]
N_STEPS = 200


def run(neurons, currents, dtype="float64"):
    """Mean output of one neuron for a current in each step."""
    with nengo.Network() as network:
        node = nengo.Node(lambda t: currents[round(t / 0.001) - 1], size_out=1)
        ensemble = nengo.Ensemble(1, 1, neuron_type=neurons, gain=[1], bias=[0])
        nengo.Connection(node, ensemble.neurons, synapse=None)
        probe = nengo.Probe(ensemble.neurons)
    with nengo_jax.Simulator(network, dtype=dtype, progress_bar=False) as sim:
        sim.run_steps(len(currents))
        return sim.data[probe].ravel()


@MERGED
def test_type(optimize):
    def make(model):
        made = []
        for number, neurons in enumerate(TYPES):
            rng = np.random.RandomState(number)
            state = {
                name: Signal(value, name=f"{number}.{name}")
                for name, value in neurons.make_state(9, rng).items()
            }
            current = Signal(np.zeros(9), name=f"{number}.J")
            output = Signal(np.zeros(9), name=f"{number}.output")
            made.append(SimNeurons(neurons, current, output, state))
        return made

    ended = check_operators(
        make,
        optimize=optimize,
        inputs=lambda rng, shape: rng.normal(500, 2000, size=shape),
        steps=15,
    )
    outputs = [value for name, value in ended.items() if name.endswith("output")]
    assert all(np.any(value) for value in outputs)


def test_an_uneven_current_is_averaged():
    """Other than by neurons that rectify the current in each step."""
    currents = np.where(np.arange(N_STEPS) % 2, 1500.0, -1100.0)  # 200 on average
    expected = np.mean(currents)
    spike = 1000 / N_STEPS
    soft = run(SoftResetIntegrateAndFire(), currents).mean()
    rectified = run(nengo.SpikingRectifiedLinear(), currents).mean()
    assert abs(soft - expected) <= 1.5 * spike
    assert rectified > 2 * expected


def test_no_more_than_so_many_spikes_in_a_step():
    spikes = run(SoftResetIntegrateAndFire(max_spikes=2), np.full(50, 2500.0)) * 0.001
    np.testing.assert_array_equal(np.unique(spikes), [2])
    later = np.r_[np.full(5, 2500.0), np.zeros(5)]  # what is left comes later
    spikes = run(SoftResetIntegrateAndFire(max_spikes=2), later) * 0.001
    np.testing.assert_allclose(spikes.sum(), 13)  # 12.5, and half a spike before


@pytest.mark.parametrize("training", ["rate", "surrogate"])
def test_training(training):
    """The network learns to give a value."""
    with nengo.Network(seed=0) as network:
        nengo_jax.configure_settings(training=training)
        node = nengo.Node([1])
        ensemble = nengo.Ensemble(
            20,
            1,
            neuron_type=SoftResetIntegrateAndFire(amplitude=0.01),
            gain=np.full(20, 100),
            bias=np.zeros(20),
        )
        nengo.Connection(
            node, ensemble.neurons, transform=np.full((20, 1), 0.8), synapse=None
        )
        output = nengo.Node(size_in=1)
        nengo.Connection(
            ensemble.neurons, output, transform=np.full((1, 20), 0.05), synapse=None
        )
        probe = nengo.Probe(output, synapse=nengo.Lowpass(0.02))
    with nengo_jax.Simulator(network, minibatch_size=1, progress_bar=False) as sim:
        y = {probe: np.full((1, 50, 1), 2.0)}
        sim.compile("adam", loss={probe: "mse"})
        before = sim.evaluate(n_steps=50, y=y, verbose=0)["loss"]
        sim.compile(keras.optimizers.Adam(0.02), loss={probe: "mse"})
        sim.fit(n_steps=50, y=y, epochs=30, verbose=0)
        assert sim.evaluate(n_steps=50, y=y, verbose=0)["loss"] < 0.7 * before


def test_rates_and_errors():
    neurons = SoftResetIntegrateAndFire(amplitude=0.5)
    rates = neurons.rates([[-10], [40]], gain=[1.0], bias=[0.0])
    np.testing.assert_array_equal(rates.ravel(), [0, 20])
    with pytest.raises(ValidationError, match="max_spikes"):
        SoftResetIntegrateAndFire(max_spikes=0.5)
