"""A batch that runs in parts gives what the whole batch gives."""

import nengo
import numpy as np
import pytest

import nengo_jax
from nengo_jax.runtime import parts

STEPS = 12


@pytest.fixture
def network():
    """Learning, noise, a probe of weights and one that samples now and then."""
    with nengo.Network(seed=1) as network:
        network.source = nengo.Node([0.3, -0.2])
        noise = nengo.Node(nengo.processes.WhiteSignal(0.1, high=50, seed=None))
        a, b = nengo.Ensemble(30, 2), nengo.Ensemble(20, 1)
        nengo.Connection(network.source, a, synapse=None)
        nengo.Connection(noise, b, synapse=0.005)
        learned = nengo.Connection(a, b, learning_rule_type=nengo.PES(), function=sum)
        nengo.Connection(b, learned.learning_rule)
        network.probes_of_all = [
            nengo.Probe(b, synapse=0.01),
            nengo.Probe(learned, "weights"),
            nengo.Probe(a.neurons, sample_every=0.003),
        ]
    return network


@pytest.mark.parametrize("examples", [5, 6])
def test_parts_of_a_batch(network, monkeypatch, examples):
    values = np.random.RandomState(0).uniform(-1, 1, (examples, STEPS, 2))
    results = []
    for cache in (parts._CACHE, 2048):
        monkeypatch.setattr(parts, "_CACHE", cache)
        with nengo_jax.Simulator(
            network, minibatch_size=examples, dtype="float64", progress_bar=False
        ) as sim:
            program = sim._engine.compiled.program
            part = parts.part_size(program, examples)
            assert (part < examples) == (cache == 2048)
            sim.run_steps(STEPS, data={network.source: values})
            sim.run_steps(STEPS, data={network.source: values})
            ran = [sim.data[probe] for probe in network.probes_of_all]
            output = network.probes_of_all[0]
            ran.append(sim.predict({network.source: values}, verbose=0)[output])
            voltage = sim.model.sig[network.ensembles[0].neurons]["voltage"]
            ran.append(np.array(sim.signals[voltage]))
        results.append(ran)
    for whole, apart in zip(*results, strict=True):
        np.testing.assert_allclose(apart, whole, rtol=1e-9, atol=1e-12)
    assert np.ptp(results[0][0][:, -1]) > 0.01  # examples differ


def _centred(x):
    return x - x.mean(axis=0, keepdims=True)


def test_what_sees_the_whole_batch_is_not_divided(monkeypatch):
    monkeypatch.setattr(parts, "_CACHE", 1)
    with nengo.Network() as network:
        node = nengo_jax.TensorNode(_centred, 3, pass_time=False)
        probe = nengo.Probe(node)
        source = nengo.Node(np.zeros(3))
        nengo.Connection(source, node, synapse=None)
    values = np.random.RandomState(0).uniform(-1, 1, (4, 2, 3))
    with nengo_jax.Simulator(network, minibatch_size=4, progress_bar=False) as sim:
        sim.run_steps(2, data={source: values})
    np.testing.assert_allclose(sim.data[probe], values - values.mean(0), atol=1e-6)
