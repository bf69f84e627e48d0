"""A Keras model that learns to read digits, and becomes a spiking network.

The model is an ordinary convolutional network of rectified linear units. It is
converted to spiking neurons, and calibrated so that they need few time steps; a report
says how far they can be trusted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nengo
import numpy as np

from ..convert import Converter, calibrate
from ..convert import report as make_report
from .digits import KINDS, SIDE, Digits, moved
from .show import STEPS, Reader

if TYPE_CHECKING:
    import keras

    from ..convert import Calibrated

_FILTERS = (12, 24)
_UNITS = 64
_BATCH = 64
_LEARNING_RATE = 5e-3
_CALIBRATED_FOR = 32  # steps of 1 ms
_REPORTED = 200  # images
_SHOWN_NEURONS = 200


def train(data: Digits, epochs: int, seed: int) -> tuple[keras.Model, list[float]]:
    """Train the Keras model.

    Parameters
    ----------
    data : Digits
    epochs : int
    seed : int
        Of initial weights and the order of the images.

    Returns
    -------
    model : keras.Model
        From images, shape (8, 8, 1), to ten numbers.
    learned : list of float
        Share of right answers in each epoch.
    """
    import keras  # takes longer to import than all the rest

    images, labels = moved(data.train_images, data.train_labels)
    rate = keras.optimizers.schedules.CosineDecay(
        _LEARNING_RATE, epochs * -(-len(images) // _BATCH)
    )
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1), name="pixels"),
            keras.layers.Conv2D(_FILTERS[0], 3, padding="same", activation="relu"),
            keras.layers.Conv2D(_FILTERS[1], 3, activation="relu"),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(_UNITS, activation="relu"),
            keras.layers.Dense(KINDS, name="digit"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        as_images(images),
        labels,
        batch_size=_BATCH,
        epochs=epochs,
        verbose=1 if sys.stdout.isatty() else 2,
    ).history
    return model, history["accuracy"]


def as_images(pixels: np.ndarray) -> np.ndarray:
    """Return images in the shape that the model takes, (images, 8, 8, 1)."""
    return pixels.reshape(-1, SIDE, SIDE, 1)


def convert(model: keras.Model, data: Digits) -> Calibrated:
    """Convert the model to spiking neurons, and calibrate them on training images."""
    spiking = Converter(
        model,
        swap_activations={"relu": nengo.SpikingRectifiedLinear()},
        inference_only=True,
    )
    return calibrate(
        spiking,
        as_images(data.train_images),
        data.train_labels,
        n_steps=_CALIBRATED_FOR,
    )


def write_report(calibrated: Calibrated, data: Digits, path: Path) -> list[str]:
    """Measure the network on test images, write the page, and say what was found."""
    chosen = slice(_REPORTED)
    made = make_report(
        calibrated,
        as_images(data.test_images[chosen]),
        data.test_labels[chosen],
        n_steps=STEPS,
    )
    made.to_html(path)
    return [f"{found.problem} {found.remedy}" for found in made.findings]


def make_reader(calibrated: Calibrated) -> Reader:
    """Return the network, with a probe on neurons of its last hidden layer."""
    assembled = calibrated.assembled
    populations = [part.neurons for part in assembled.parts if part.neurons is not None]
    with calibrated.net:
        spikes = nengo.Probe(populations[-1][:_SHOWN_NEURONS])
    return Reader(
        calibrated.net,
        assembled.nodes[0],
        assembled.probes[0],
        spikes,
        sum(neurons.size_out for neurons in populations),
    )


def mean_so_far(outputs: np.ndarray) -> np.ndarray:
    """Return the mean output up to each step: how the network is calibrated to be read.

    Parameters
    ----------
    outputs : ndarray, shape (images, steps, 10)
    """
    return outputs.cumsum(axis=1) / np.arange(1, outputs.shape[1] + 1)[:, None]
