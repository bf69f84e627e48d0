"""What scripts for NengoDL pass to a simulator, and what they get."""

import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError, ValidationError

import nengo_jax

STEPS = 10


@pytest.fixture
def network():
    with nengo.Network(seed=1) as network:
        network.a = nengo.Node([0.5], label="left")
        network.b = nengo.Node([0.1, 0.2], label="right side")
        network.ensemble = nengo.Ensemble(20, 1)
        nengo.Connection(network.a, network.ensemble, synapse=0.005)
        nengo.Connection(network.b[0], network.ensemble, synapse=0.005)
        network.p = nengo.Probe(network.ensemble)
    return network


@pytest.fixture
def values():
    rng = np.random.RandomState(0)
    return rng.uniform(-1, 1, (STEPS, 1)), rng.uniform(-1, 1, (STEPS, 2))


def test_data_in_any_form(network, values):
    left, right = values
    forms = [
        {network.a: left, network.b: right},
        {"left": left, "right_side": right},
        {"left": left, network.b: right},
        [left, right],
        left,
    ]
    results = []
    for form in forms:
        with nengo_jax.Simulator(network, progress_bar=False) as sim:
            sim.run_steps(STEPS, data=form)
            results.append(sim.data[network.p])
    for result in results[1:4]:
        np.testing.assert_array_equal(result, results[0])
    assert (results[4] != results[0]).any()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"middle": 1}, "'middle' is no input node .* left, right_side"),
        ([1, 2, 3], "3 values for 2 objects"),
        ("left", "not numbers"),
    ],
)
def test_data_that_cannot_be(network, data, match):
    with (
        nengo_jax.Simulator(network, progress_bar=False) as sim,
        pytest.raises(ValidationError, match=match),
    ):
        sim.run_steps(STEPS, data=data)


@pytest.mark.parametrize("with_python", [False, True])
def test_run_without_a_trace(network, with_python):
    """Recorded as any other run, but the simulation stays where it was."""
    if with_python:
        with network:
            total = [0.0]

            def add(t, x):
                total[0] += x[0]
                return total[0]

            node = nengo.Node(add, size_in=1)
            nengo.Connection(network.ensemble, node)
            network.q = nengo.Probe(node)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(5)
        voltage = sim.signals[sim.model.sig[network.ensemble.neurons]["voltage"]].copy()
        sim.run_steps(STEPS, stateful=False)
        assert sim.n_steps == 5
        now = sim.signals[sim.model.sig[network.ensemble.neurons]["voltage"]]
        np.testing.assert_array_equal(now, voltage)
        sim.run_steps(STEPS)
        assert sim.n_steps == 5 + STEPS
        for probe in network.probes:
            data = sim.data[probe]
            np.testing.assert_array_equal(data[5 : 5 + STEPS], data[5 + STEPS :])
            assert np.abs(data[5:]).max() > 0


def test_processes_that_go_on(network):
    with network:
        noise = nengo.Node(nengo.processes.WhiteNoise(seed=0))
        probe = nengo.Probe(noise)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(STEPS)
        sim.reset()
        sim.run_steps(STEPS)
        again = sim.data[probe]
        sim.reset(include_processes=False)
        sim.run_steps(STEPS)
        on = sim.data[probe]
        with pytest.warns(DeprecationWarning, match="soft_reset"):
            sim.soft_reset()
        assert sim.n_steps == 0
        assert len(sim.data[probe]) == STEPS
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(2 * STEPS)
        np.testing.assert_array_equal(sim.data[probe], np.concatenate([again, on]))


def test_unroll_simulation(network):
    with pytest.warns(UserWarning, match="no effect"):
        sim = nengo_jax.Simulator(network, unroll_simulation=5, progress_bar=False)
    with sim:
        sim.run_steps(3)
        assert sim.n_steps == 3


def test_the_keras_model_is_not_saved_whole(network, tmp_path):
    x, y = np.zeros((2, 3, 1)), np.zeros((2, 3, 1))
    path = tmp_path / "model.keras"
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile("sgd", loss="mse")
        with pytest.raises(SimulationError, match="save_params"):
            sim.fit(x, y, verbose=0, callbacks=keras.callbacks.ModelCheckpoint(path))
        weights = tmp_path / "model.weights.h5"
        checkpoint = keras.callbacks.ModelCheckpoint(weights, save_weights_only=True)
        sim.fit(x, y, verbose=0, callbacks=checkpoint)
        assert weights.exists()


def test_nothing_to_train(network):
    with network:
        nengo_jax.configure_settings(trainable=False)
    x, y = np.zeros((2, 3, 1)), np.zeros((2, 3, 1))
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile("sgd", loss="mse")
        with pytest.warns(UserWarning, match="Nothing in the network is trained"):
            sim.fit(x, y, verbose=0)
