"""A spiking network that reads handwritten digits, and the digits.

The images are the 1797 of 8 x 8 pixels that ship with scikit-learn. The network is one
ensemble of the Neural Engineering Framework (Eliasmith and Anderson, 2003): each neuron
looks at a small random patch of the image, as cells of the early visual system do, and
fires the more, the better the patch fits. The decoders, from spikes to ten numbers, are
the least-squares solution on the training images; nothing is trained by gradients.
"""

from __future__ import annotations

from typing import NamedTuple

import nengo
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SIDE = 8
KINDS = 10
_BRIGHTEST = 16
_PATCH = 5
_N_NEURONS = 3000
_N_RECORDED = 500
_RADIUS = 2.0  # maximum rates are reached at about half the length of an image
_REGULARIZATION = 0.03
_SYNAPSE = 0.02


class Digits(NamedTuple):
    """Images with their labels, split into two parts.

    Attributes
    ----------
    train_images, test_images : ndarray, shape (images, 64)
        Brightness of the pixels, from 0 to 1.
    train_labels, test_labels : ndarray of int, shape (images,)
    """

    train_images: np.ndarray
    test_images: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


class Reader(NamedTuple):
    """The network, and where to feed and watch it.

    Attributes
    ----------
    network : Network
    pixels : Node
        Takes an image, 64 numbers.
    answer : Probe
        Ten numbers; the largest is the answer.
    spikes : Probe
        The first neurons of the ensemble.
    n_neurons : int
    """

    network: nengo.Network
    pixels: nengo.Node
    answer: nengo.Probe
    spikes: nengo.Probe
    n_neurons: int


def load(seed: int) -> Digits:
    """Load the digits and put a random quarter of each kind aside for the test."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        images / _BRIGHTEST, labels, test_size=0.25, stratify=labels, random_state=seed
    )
    return Digits(*parts)


def make_reader(images: np.ndarray, labels: np.ndarray, seed: int) -> Reader:
    """Make the network that reads digits.

    Parameters
    ----------
    images : ndarray, shape (images, 64)
        What the decoders are solved on.
    labels : ndarray of int, shape (images,)
    seed : int
        For the neurons.
    """
    with nengo.Network("digits", seed=seed) as network:
        pixels = nengo.Node(np.zeros(SIDE**2), label="pixels")
        ensemble = nengo.Ensemble(
            _N_NEURONS,
            SIDE**2,
            radius=_RADIUS,
            intercepts=nengo.dists.Uniform(0, 0.9),
            max_rates=nengo.dists.Uniform(100, 200),
            encoders=_patches(_N_NEURONS, np.random.RandomState(seed)),
            eval_points=images,
        )
        digit = nengo.Node(size_in=KINDS, label="digit")
        nengo.Connection(pixels, ensemble, synapse=None)
        nengo.Connection(
            ensemble,
            digit,
            function=np.eye(KINDS)[labels],
            eval_points=images,
            scale_eval_points=False,
            solver=nengo.solvers.LstsqL2(reg=_REGULARIZATION),
            synapse=_SYNAPSE,
        )
        answer = nengo.Probe(digit)
        spikes = nengo.Probe(ensemble.neurons[:_N_RECORDED])
    return Reader(network, pixels, answer, spikes, ensemble.n_neurons)


def _patches(count: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw receptive fields: zero but for a square of random weights somewhere."""
    fields = np.zeros((count, SIDE, SIDE))
    corners = rng.randint(0, SIDE - _PATCH + 1, size=(count, 2))
    for field, (row, column) in zip(fields, corners, strict=True):
        field[row : row + _PATCH, column : column + _PATCH] = rng.normal(
            size=(_PATCH, _PATCH)
        )
    return fields.reshape(count, SIDE**2)
