"""A spiking convolutional network built in Nengo learns real handwriting."""

import keras
import nengo
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import nengo_jax

STEPS = 24  # of 1 ms
SIDE = 8


def load():
    """Images as brightness from 0 to 1, shape (images, 64), and labels."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split(
        images / 16, labels, test_size=0.25, stratify=labels, random_state=1
    )


def moved(images):
    """Each image five times, four of them moved by a pixel."""
    wide = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    corners = [(1, 1), (1, 2), (1, 0), (2, 1), (0, 1)]
    copies = [wide[:, y : y + SIDE, x : x + SIDE] for y, x in corners]
    return np.concatenate(copies).reshape(-1, SIDE**2)


def make_network():
    with nengo.Network(seed=0) as network:
        nengo_jax.configure_settings(training="surrogate")
        network.config[nengo.Ensemble].neuron_type = nengo.LIF(amplitude=0.01)
        network.config[nengo.Ensemble].max_rates = nengo.dists.Choice([200])
        network.config[nengo.Ensemble].intercepts = nengo.dists.Choice([0])
        network.pixels = nengo.Node(np.zeros(SIDE**2))
        size, source = (SIDE, SIDE, 1), network.pixels
        for filters, strides, synapse in ((8, (1, 1), None), (48, (2, 2), 0.005)):
            filtered = nengo.Convolution(
                filters,
                size,
                strides=strides,
                padding="same",
                init=nengo_jax.dists.He(),
            )
            size = filtered.output_shape
            layer = nengo.Ensemble(size.size, 1).neurons
            nengo.Connection(source, layer, transform=filtered, synapse=synapse)
            source = layer
        digit = nengo.Node(size_in=10)
        nengo.Connection(
            source, digit, transform=nengo_jax.dists.Glorot(), synapse=None
        )
        network.answer = nengo.Probe(digit, synapse=0.02)
        network.spikes = nengo.Probe(source)
    return network


@pytest.mark.slow
def test_a_spiking_network_learns_to_read_digits():
    train_images, test_images, train_labels, test_labels = load()
    images, labels = moved(train_images), np.tile(train_labels, 5)
    targets = np.broadcast_to(labels[:, None, None], (len(labels), STEPS, 1))
    network = make_network()
    keras.utils.set_random_seed(0)
    batches = -(-len(images) // 64)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, 12 * batches)
    with nengo_jax.Simulator(network, minibatch_size=64, progress_bar=False) as sim:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        sim.compile(keras.optimizers.Adam(rate), loss={network.answer: loss})
        sim.fit(
            images[:, None],
            {network.answer: targets},
            n_steps=STEPS,
            epochs=12,
            verbose=0,
        )
        outputs = sim.predict(test_images[:, None], n_steps=50, verbose=0)
    spikes = outputs[network.spikes]
    assert len(np.unique(spikes)) == 2  # a spike, or none
    answers = outputs[network.answer][:, 30:].mean(axis=1).argmax(axis=-1)
    assert np.mean(answers == test_labels) >= 0.97
