"""A spiking convolutional network that learns to read digits.

Two layers of spiking LIF neurons look at the image, the first through 8 filters of
3 x 3 pixels, the second through 48 filters of 3 x 3 on what the first sees. All is
trained by backpropagation through the spikes, with surrogate gradients (Neftci et al.,
2019), so that the answer is right as early as possible after the image has appeared.
"""

from __future__ import annotations

import sys

import nengo
import numpy as np

from ..dists import Glorot, He
from ..options import configure_settings
from ..simulator import Simulator
from .digits import KINDS, SIDE, Digits, moved
from .show import Reader

_FILTERS = (8, 48)
_KERNEL = (3, 3)
_AMPLITUDE = 0.01  # of a spike; then a neuron that fires at 100 Hz counts for 1
_SYNAPSES = (0.005, 0.02)  # s, between the layers and of the answer
_STEPS = 24  # of 1 ms
_BATCH = 64
_LEARNING_RATE = 5e-3


def make_reader(seed: int) -> Reader:
    """Make the network, not yet trained."""
    with nengo.Network("digits", seed=seed) as network:
        configure_settings(training="surrogate")
        network.config[nengo.Ensemble].neuron_type = nengo.LIF(amplitude=_AMPLITUDE)
        network.config[nengo.Ensemble].max_rates = nengo.dists.Choice([200])
        network.config[nengo.Ensemble].intercepts = nengo.dists.Choice([0])
        pixels = nengo.Node(np.zeros(SIDE**2), label="pixels")
        first = nengo.Convolution(
            _FILTERS[0], (SIDE, SIDE, 1), kernel_size=_KERNEL, padding="same", init=He()
        )
        second = nengo.Convolution(
            _FILTERS[1],
            first.output_shape,
            kernel_size=_KERNEL,
            strides=(2, 2),
            init=He(),
        )
        layers = [nengo.Ensemble(c.output_shape.size, 1) for c in (first, second)]
        below, above = (layer.neurons for layer in layers)
        digit = nengo.Node(size_in=KINDS, label="digit")
        nengo.Connection(pixels, below, transform=first, synapse=None)
        nengo.Connection(below, above, transform=second, synapse=_SYNAPSES[0])
        nengo.Connection(above, digit, transform=Glorot(), synapse=None)
        answer = nengo.Probe(digit, synapse=_SYNAPSES[1], label="answer")
        spikes = nengo.Probe(above)
    return Reader(
        network, pixels, answer, spikes, sum(layer.n_neurons for layer in layers)
    )


def train(reader: Reader, data: Digits, epochs: int, seed: int) -> list[float]:
    """Train the network with Keras, and write what it learned into the network.

    Parameters
    ----------
    reader : Reader
        As made by :func:`make_reader`.
    data : Digits
        The network learns from the training images.
    epochs : int
    seed : int
        For the order of the images.

    Returns
    -------
    list of float
        Share of right answers in each epoch, over all training images and all steps.
    """
    import keras  # takes longer to import than all the rest

    images, labels = moved(data.train_images, data.train_labels)
    targets = np.broadcast_to(labels[:, None, None], (len(labels), _STEPS, 1))
    batches = -(-len(images) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, epochs * batches)
    keras.utils.set_random_seed(seed)
    with Simulator(reader.network, minibatch_size=_BATCH, progress_bar=False) as sim:
        sim.compile(
            keras.optimizers.Adam(rate),
            loss={
                reader.answer: keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True
                )
            },
            metrics={reader.answer: "accuracy"},
        )
        history = sim.fit(
            {reader.pixels: images[:, None]},
            {reader.answer: targets},
            n_steps=_STEPS,
            epochs=epochs,
            verbose=1 if sys.stdout.isatty() else 2,
        ).history
        sim.freeze_params(reader.network)
    return history["answer_accuracy"]
