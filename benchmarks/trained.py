"""The networks whose training is measured, in Nengo, with data to train them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import nengo
import numpy as np

SEED = 0


class Trained(NamedTuple):
    """A network to train, and what one batch of its data looks like.

    Attributes
    ----------
    build : callable
        Makes the network.
    batch : int
        Number of examples.
    steps : int
    still : bool
        Whether the input stays the same in all steps.
    inputs, outputs : int
        Sizes of the input node and of the probe.
    limit : float or None
        Milliseconds that a step may take.
    """

    build: Callable[[], nengo.Network]
    batch: int
    steps: int
    still: bool
    inputs: int
    outputs: int
    limit: float | None = None

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw one batch, shape (batch, steps, size)."""
        rng = np.random.RandomState(SEED)
        steps = 1 if self.still else self.steps
        x = rng.uniform(0, 1, (self.batch, steps, self.inputs))
        if not self.still:
            x = (x < 0.03) / 0.001
        y = rng.uniform(0, 1, (self.batch, self.steps, self.outputs))
        return x.astype("float32"), y.astype("float32")


def _layer(size: int, rng: np.random.RandomState) -> nengo.Ensemble:
    return nengo.Ensemble(size, 1, gain=np.ones(size), bias=rng.uniform(0.5, 1, size))


def _weights(outputs: int, inputs: int, scale: float, rng) -> np.ndarray:
    return scale * rng.standard_normal((outputs, inputs)) / np.sqrt(inputs)


def perceptron() -> nengo.Network:
    """Connect 784 inputs with two layers of 512 neurons and 10 outputs."""
    rng = np.random.RandomState(SEED)
    with _network() as network:
        image = nengo.Node(np.zeros(784))
        one, two = _layer(512, rng), _layer(512, rng)
        output = nengo.Node(size_in=10)
        nengo.Connection(image, one.neurons, transform=_weights(512, 784, 1, rng))
        nengo.Connection(
            one.neurons, two.neurons, transform=_weights(512, 512, 0.01, rng)
        )
        nengo.Connection(two.neurons, output, transform=_weights(10, 512, 0.01, rng))
        nengo.Probe(output)
    return network


def recurrent() -> nengo.Network:
    """Feed 700 spike trains to 256 neurons that are connected with each other."""
    rng = np.random.RandomState(SEED)
    with _network() as network:
        spikes = nengo.Node(np.zeros(700))
        layer = _layer(256, rng)
        output = nengo.Node(size_in=20)
        nengo.Connection(spikes, layer.neurons, transform=_weights(256, 700, 0.01, rng))
        nengo.Connection(
            layer.neurons,
            layer.neurons,
            transform=_weights(256, 256, 0.01, rng),
            synapse=0,
        )
        nengo.Connection(layer.neurons, output, transform=_weights(20, 256, 0.01, rng))
        nengo.Probe(output)
    return network


def convolution() -> nengo.Network:
    """Two convolutions (32 and 64 filters, 3 x 3, two apart) and 10 outputs."""
    rng = np.random.RandomState(SEED)
    first = nengo.Convolution(32, (28, 28, 1), strides=(2, 2))
    second = nengo.Convolution(
        64,
        first.output_shape,
        strides=(2, 2),
        init=nengo.dists.Uniform(-0.0005, 0.0005),
    )
    with _network() as network:
        image = nengo.Node(np.zeros(784))
        one = _layer(first.output_shape.size, rng)
        two = _layer(second.output_shape.size, rng)
        output = nengo.Node(size_in=10)
        nengo.Connection(image, one.neurons, transform=first)
        nengo.Connection(one.neurons, two.neurons, transform=second)
        nengo.Connection(
            two.neurons,
            output,
            transform=_weights(10, second.output_shape.size, 0.01, rng),
        )
        nengo.Probe(output)
    return network


def _network() -> nengo.Network:
    network = nengo.Network(seed=SEED)
    network.config[nengo.Connection].synapse = None
    return network


TRAINED: dict[str, Trained] = {
    "perceptron": Trained(perceptron, 128, 25, True, 784, 10),
    "convolution": Trained(convolution, 32, 16, True, 784, 10, 60),
    "recurrent": Trained(recurrent, 64, 250, False, 700, 20),
}
