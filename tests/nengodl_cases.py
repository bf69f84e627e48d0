"""Networks of which NengoDL has written files, and how it has.

The files in ``params/data`` were made with NengoDL 3.6.0 (TensorFlow 2.12, nengo 3.2):

    python nengodl_cases.py params/data

NAME.npz holds the parameters after training, from ``save_params``; NAME_outputs.npz the
inputs, held for 20 steps, and what ``predict`` gave for each probe in the last 5. No
library is imported before it is needed, so that this file runs with either.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import nengo
import numpy as np

STEPS, SHOWN = 20, 5


class Case(NamedTuple):
    """A network, and how it was trained with Adam.

    Attributes
    ----------
    build : callable
        Gets the package that is to run the network, and Keras; its first node is the
        input, and its first probe is trained.
    rate : float
        Learning rate.
    epochs : int
    state : bool
        Whether the file goes on with the state.
    """

    build: Callable[[Any, Any], nengo.Network]
    rate: float
    epochs: int
    state: bool


def several(library: Any, keras: Any, seed: int = 3) -> nengo.Network:
    """Ensembles of equal and different sizes, a subnetwork, a convolution."""
    with nengo.Network(seed=seed) as network:
        network.config[nengo.Ensemble].neuron_type = nengo.LIFRate(amplitude=0.01)
        node = nengo.Node([0.0, 0.0])
        a = nengo.Ensemble(30, 2, label="a")
        b = nengo.Ensemble(25, 1, label="b")
        with nengo.Network(label="sub"):
            c = nengo.Ensemble(20, 1, label="c")
            d = nengo.Ensemble(20, 1, label="d")
            nengo.Connection(c, d, synapse=0.01)
        out = nengo.Node(size_in=1)
        nengo.Connection(node, a, synapse=None)
        nengo.Connection(a, b, function=lambda x: x[0] * x[1], synapse=0.005)
        nengo.Connection(b, c, synapse=None)
        weights = np.random.RandomState(0).randn(20, 30) * 0.01
        nengo.Connection(a.neurons, d.neurons, transform=weights, synapse=None)
        convolution = nengo.Convolution(2, (5, 4, 1), kernel_size=(2, 2))
        e = nengo.Ensemble(convolution.output_shape.size, 1, label="e")
        nengo.Connection(c.neurons, e.neurons, transform=convolution, synapse=None)
        nengo.Connection(d, out, synapse=None)
        nengo.Probe(out)
        nengo.Probe(e.neurons, synapse=0.01)
    return network


def array(library: Any, keras: Any, seed: int = 4) -> nengo.Network:
    """An ensemble array and an integrator, spiking; a decoded probe."""
    with nengo.Network(seed=seed) as network:
        network.config[nengo.Ensemble].neuron_type = nengo.LIF(amplitude=0.01)
        node = nengo.Node(np.zeros(4))
        inner = nengo.networks.EnsembleArray(20, 4, label="array")
        memory = nengo.Ensemble(40, 2, label="memory")
        nengo.Connection(node, inner.input)
        nengo.Connection(inner.output[:2], memory)
        nengo.Connection(memory, memory, transform=0.9, synapse=0.1)
        nengo.Probe(memory, synapse=0.01)
        nengo.Probe(inner.output, synapse=0.01)
    return network


def dense(library: Any, keras: Any, seed: int = 5) -> nengo.Network:
    """Dense layers of spiking neurons, of equal and different sizes."""
    with nengo.Network(seed=seed) as network:
        network.config[nengo.Connection].synapse = None
        neuron_type = nengo.SpikingRectifiedLinear(amplitude=0.01)
        layers = [
            nengo.Ensemble(size, 1, neuron_type=neuron_type, label=f"layer{number}")
            for number, size in enumerate((16, 16, 12))
        ]
        node = nengo.Node(np.zeros(6))
        out = nengo.Node(size_in=3)
        points = [node, *(layer.neurons for layer in layers), out]
        weights = nengo.dists.Uniform(-0.5, 0.5)
        for pre, post in pairwise(points):
            nengo.Connection(pre, post, transform=weights)
        nengo.Probe(out, synapse=0.01)
        nengo.Probe(layers[1].neurons, synapse=0.02)
    return network


def biases(library: Any, keras: Any, seed: int = 8) -> nengo.Network:
    """Only biases are trained; two connections have the same decoders."""
    with nengo.Network(seed=seed) as network:
        library.configure_settings(trainable=None)
        network.config[nengo.Connection].trainable = False
        network.config[nengo.Ensemble].trainable = False
        node = nengo.Node([0.0])
        ensembles = [
            nengo.Ensemble(size, 1, neuron_type=nengo.LIF(amplitude=0.01))
            for size in (20, 20, 35)
        ]
        for ensemble in ensembles:
            network.config[ensemble.neurons].trainable = True
        nengo.Connection(node, ensembles[0])
        nengo.Connection(ensembles[0], ensembles[1])
        nengo.Connection(ensembles[1], ensembles[2], function=np.square)
        nengo.Connection(ensembles[0], ensembles[2])
        nengo.Probe(ensembles[2], synapse=0.01)
        nengo.Probe(ensembles[0], synapse=0.01)
    return network


def keras_layers(library: Any, keras: Any, seed: int = 7) -> nengo.Network:
    """Layers of Keras between neurons."""
    with nengo.Network(seed=seed) as network:
        neuron_type = nengo.LIFRate(amplitude=0.01)
        node = nengo.Node(np.zeros(5))
        x = library.Layer(keras.layers.Dense(12))(node)
        x = library.Layer(neuron_type)(x)
        x = library.Layer(keras.layers.Dense(8))(x)
        x = library.Layer(neuron_type)(x)
        out = nengo.Node(size_in=2)
        nengo.Connection(x, out, transform=nengo.dists.Uniform(-0.3, 0.3))
        nengo.Probe(out, synapse=0.1)
        nengo.Probe(x)
    return network


def equal_tuning(library: Any, keras: Any, seed: int = 6) -> nengo.Network:
    """Convolutions of images, with neurons that are all alike."""
    with nengo.Network(seed=seed) as network:
        network.config[nengo.Ensemble].max_rates = nengo.dists.Choice([100])
        network.config[nengo.Ensemble].intercepts = nengo.dists.Choice([0])
        network.config[nengo.Ensemble].neuron_type = nengo.LIF(amplitude=0.01)
        network.config[nengo.Connection].synapse = None
        node = nengo.Node(np.zeros(36))
        first = nengo.Convolution(2, (6, 6, 1), kernel_size=(3, 3))
        second = nengo.Convolution(3, (4, 4, 2), kernel_size=(3, 3))
        one = nengo.Ensemble(32, 1, label="one")
        two = nengo.Ensemble(12, 1, label="two")
        out = nengo.Node(size_in=3)
        nengo.Connection(node, one.neurons, transform=first)
        nengo.Connection(one.neurons, two.neurons, transform=second)
        nengo.Connection(two.neurons, out, transform=nengo.dists.Uniform(-0.3, 0.3))
        nengo.Probe(out, synapse=0.1)
    return network


def nodes(library: Any, keras: Any, seed: int = 9) -> nengo.Network:
    """Several single numbers between nodes, sparse weights, an online rule."""
    with nengo.Network(seed=seed) as network:
        network.config[nengo.Ensemble].neuron_type = nengo.LIFRate(amplitude=0.01)
        node = nengo.Node(np.zeros(2))
        scaled = nengo.Node(size_in=2)
        nengo.Connection(node, scaled, transform=2.0, synapse=None, label="twice")
        a = nengo.Ensemble(20, 2, label="a")
        b = nengo.Ensemble(22, 2, label="b")
        e = nengo.Ensemble(15, 2, label="e")
        error = nengo.Node(size_in=2)
        nengo.Connection(scaled, a, transform=[0.5, 0.7], label="two")
        nengo.Connection(a, b)
        nengo.Connection(b, error)
        nengo.Connection(node, error, transform=-1, label="minus")
        learned = nengo.Connection(a, e, learning_rule_type=nengo.PES(1e-9))
        nengo.Connection(error, learned.learning_rule)
        sparse = nengo.transforms.Sparse(
            (22, 20), indices=[[0, 1], [3, 4], [5, 6]], init=[0.01, 0.02, 0.03]
        )
        nengo.Connection(a.neurons, b.neurons, transform=sparse, label="sparse")
        nengo.Probe(b, synapse=0.01)
    return network


CASES = {
    "several": Case(several, rate=1e-4, epochs=2, state=False),
    "array": Case(array, rate=5e-4, epochs=4, state=True),
    "dense": Case(dense, rate=3e-2, epochs=100, state=True),
    "biases": Case(biases, rate=3e-2, epochs=100, state=True),
    "keras_layers": Case(keras_layers, rate=1e-3, epochs=20, state=False),
    "equal_tuning": Case(equal_tuning, rate=1e-3, epochs=5, state=False),
    "nodes": Case(nodes, rate=1e-4, epochs=5, state=True),
}


def write(folder: Path, name: str) -> None:
    """Train a network with NengoDL, and write its files."""
    nengo_dl, keras = import_module("nengo_dl"), import_module("tensorflow").keras
    case = CASES[name]
    network = case.build(nengo_dl, keras)
    node, probe = network.all_nodes[0], network.probes[0]
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (8, 1, node.size_out)).astype(np.float32)
    y = rng.uniform(-1, 1, (8, 1, probe.size_in)).astype(np.float32)
    with nengo_dl.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile(keras.optimizers.Adam(case.rate), loss={probe: "mse"})
        sim.fit(
            {node: np.repeat(x, 5, axis=1)},
            {probe: np.repeat(y, 5, axis=1)},
            epochs=case.epochs,
            verbose=0,
        )
        sim.save_params(str(folder / name), include_state=case.state)
        given = {node: np.repeat(x[:2], STEPS, axis=1)}
        outputs = sim.predict(given, verbose=0)
        shown = [outputs[probe][:, -SHOWN:] for probe in network.probes]
        np.savez_compressed(folder / f"{name}_outputs.npz", x[:2], *shown)


if __name__ == "__main__":
    for case_name in CASES:
        write(Path(sys.argv[1]), case_name)
