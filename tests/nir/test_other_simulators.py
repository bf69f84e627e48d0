"""What snnTorch and Norse write and compute, recorded once, and what nengo makes of it.

``recorded/*.nir`` are files that snnTorch 1.0.0 (MIT licence) has written, of networks
with random weights; the ``.npz`` beside each holds random inputs and the outputs that
snnTorch computed. ``exported.npz`` holds outputs that snnTorch and Norse 1.1.0, both on
PyTorch 2 in single precision, computed for the graph that is exported here.
"""

from pathlib import Path

import keras
import nengo
import nir
import numpy as np
import pytest
from nengo.dists import Uniform

from nengo_jax import Converter
from nengo_jax.nir import LeakyIntegrateAndFire, export, load

RECORDED = Path(__file__).parent / "recorded"
DT = 1e-4  # of all graphs of snnTorch


def simulate(network, node, probe, values):
    """Return the outputs of a network for values of a node."""
    flat = values.reshape(len(values), -1)
    node.output = lambda t: flat[round(t / DT) - 1]
    with nengo.Simulator(network, DT, progress_bar=False, optimize=False) as sim:
        sim.run_steps(len(flat), progress_bar=False)
    return sim.data[probe]


@pytest.mark.parametrize(
    ("name", "late"),
    [
        ("dense", 0),  # Affine and LIF, each with time constants and thresholds
        ("convolution", 0),  # Conv2d, LIF, AvgPool2d, Flatten, Affine
        # snnTorch adds a current to the voltage in the step in which it comes, forward
        # Euler in the step after it
        ("current_based", 1),
    ],
)
def test_files_of_snntorch(name, late):
    recorded = np.load(RECORDED / f"{name}.npz")
    loaded = load(RECORDED / f"{name}.nir", dt=DT, method="euler")
    (node,), (probe,) = loaded.inputs.values(), loaded.outputs.values()
    found = simulate(loaded.network, node, probe, recorded["x"])
    expected = recorded["y"]
    assert len(np.unique(expected.round(4), axis=0)) >= 8  # it spikes
    np.testing.assert_allclose(found[late:], expected[: len(found) - late], atol=1e-6)


def populations():
    """Two populations that differ in gains and biases."""
    rng, kind = np.random.RandomState(0), LeakyIntegrateAndFire(0.002, "euler")
    tuning = {"neuron_type": kind, "gain": Uniform(2, 6), "bias": Uniform(-2, 3)}
    with nengo.Network(seed=0) as network:
        source = nengo.Node(np.zeros(3), label="in")
        a, b = nengo.Ensemble(20, 3, **tuning), nengo.Ensemble(15, 2, **tuning)
        out = nengo.Node(size_in=2, label="out")
        nengo.Connection(source, a, synapse=None)
        inner, outer = rng.normal(size=(15, 20)), rng.normal(size=(2, 15))
        nengo.Connection(a.neurons, b.neurons, transform=2 * DT * inner, synapse=None)
        nengo.Connection(b.neurons, out, transform=DT * outer, synapse=None)
        probe = nengo.Probe(out)
    return network, source, probe


def converted():
    """A convolutional model with two layers of LIF neurons."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(6, activation="relu"),
            layers.Dense(3),
        ]
    )
    rng = np.random.RandomState(0)
    for variable in model.weights:
        variable.assign(3 * rng.normal(size=variable.shape))
    lif = LeakyIntegrateAndFire(0.0005, "euler", amplitude=DT)
    converter = Converter(model, inference_only=True, swap_activations={"relu": lif})
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    return converter.net, node, probe


NETWORKS = {"populations": populations, "converted": converted}


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_graphs(name):
    recorded = np.load(RECORDED / "exported.npz")
    network, node, probe = NETWORKS[name]()
    graph = export(network, dt=DT)
    for neurons in graph.nodes.values():
        if isinstance(neurons, nir.LIF):  # Norse ignores gains, snnTorch refuses leaks
            assert np.all(neurons.r == 1)
            assert not np.any(neurons.v_leak)
    found = simulate(network, node, probe, recorded[f"{name}.x"])
    assert len(np.unique(found.round(4), axis=0)) >= 8
    simulators = ["snntorch"] if name == "converted" else ["snntorch", "norse"]
    for simulator in simulators:  # Norse has no AvgPool2d
        expected = recorded[f"{name}.{simulator}"]
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(found).max())
