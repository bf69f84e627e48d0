"""A spiking network that reads digits with decoders that are solved, not trained.

The network is one ensemble of the Neural Engineering Framework (Eliasmith and Anderson,
2003): each neuron looks at a small random patch of the image, as cells of the early
visual system do, and fires the more, the better the patch fits. The decoders, from
spikes to ten numbers, are the least-squares solution on the training images.
"""

from __future__ import annotations

import nengo
import numpy as np

from .digits import KINDS, SIDE, Digits
from .show import Reader

_PATCH = 5
_N_NEURONS = 3000
_N_RECORDED = 500
_RADIUS = 2.0  # maximum rates are reached at about half the length of an image
_REGULARIZATION = 0.03
_SYNAPSE = 0.02  # s


def make_reader(data: Digits, seed: int) -> Reader:
    """Make the network that reads digits.

    Parameters
    ----------
    data : Digits
        The decoders are solved on the training images.
    seed : int
        For the neurons.
    """
    images = data.train_images
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
            function=np.eye(KINDS)[data.train_labels],
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
