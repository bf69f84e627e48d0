"""Options of the compiler go with convolutions, and change no result."""

import jax
import nengo
import numpy as np
import pytest

import nengo_jax
from nengo_jax.runtime import compiler_options

STEPS = 20
IMAGES = np.random.RandomState(0).uniform(0, 1, (3, 1, 36)).astype("float32")


@pytest.fixture
def knows():
    """Forget what was found out of this version of jaxlib, before and after."""
    compiler_options._knows.cache_clear()
    yield compiler_options._knows
    compiler_options._knows.cache_clear()


def _network(transform) -> nengo.Network:
    with nengo.Network(seed=1) as network:
        network.source = nengo.Node(np.zeros(36))
        ensemble = nengo.Ensemble(
            transform.size_out, 1, neuron_type=nengo.SpikingRectifiedLinear()
        )
        nengo.Connection(network.source, ensemble.neurons, transform=transform)
        network.probe = nengo.Probe(ensemble.neurons, synapse=0.01)
    return network


def _convolution() -> nengo.Network:
    return _network(nengo.Convolution(4, (6, 6, 1), kernel_size=(3, 3)))


def _simulator(network: nengo.Network) -> nengo_jax.Simulator:
    return nengo_jax.Simulator(network, minibatch_size=3, progress_bar=False)


def test_only_for_convolutions(knows):
    dense = _network(nengo.Dense((8, 36), init=np.ones((8, 36))))
    known = [name for name in compiler_options._OPTIONS if knows(name)]
    chosen = known if jax.default_backend() == "cpu" else []
    for network, wanted in ((dense, []), (_convolution(), chosen)):
        with _simulator(network) as sim:
            layer = sim.keras_model.network_layer
            options = layer.compiler_options
            assert list(options or ()) == wanted


def test_results_are_the_same_without(monkeypatch, knows):
    unknown = {"xla_cpu_no_such_option": "1"}
    found = []
    for options in (compiler_options._OPTIONS, unknown):
        monkeypatch.setattr(compiler_options, "_OPTIONS", options)
        network = _convolution()
        source, probe = network.source, network.probe
        with _simulator(network) as sim:
            if options is unknown:
                assert sim.keras_model.network_layer.compiler_options is None
            sim.compile(loss="mse")
            predicted = sim.predict({source: IMAGES}, n_steps=STEPS, verbose=0)[probe]
            error = sim.evaluate(
                {source: IMAGES}, 1 + predicted, n_steps=STEPS, verbose=0
            )["loss"]
            held = IMAGES.repeat(STEPS, axis=1)
            sim.run_steps(STEPS, data={source: held})
            found.append((predicted, sim.data[probe], error))
    for with_options, without in zip(*found, strict=True):
        np.testing.assert_allclose(with_options, without, rtol=1e-4, atol=1e-3)
    predicted, simulated, error = found[0]
    assert np.abs(predicted).max() > 1
    np.testing.assert_allclose(predicted, simulated, rtol=1e-4, atol=1e-3)
    assert error == pytest.approx(1, rel=1e-3)


def test_in_a_loop_with_python():
    network = _convolution()
    with network:
        node = nengo.Node(lambda t, x: x + 1, size_in=1)
        nengo.Connection(network.source[:1], node, synapse=None)
        seen = nengo.Probe(node)
    with nengo.Simulator(network, progress_bar=False) as reference:
        reference.run_steps(STEPS)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(STEPS)
    for probe in (network.probe, seen):
        np.testing.assert_allclose(
            sim.data[probe], reference.data[probe], rtol=1e-4, atol=1e-3
        )
