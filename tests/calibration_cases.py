"""Data and models of the tests of the calibration."""

from functools import cache

import keras
import numpy as np
from keras import layers
from scipy.ndimage import zoom

from nengo_jax.cli import digits

SIDE = 28


def enlarge(images):
    """From 8 x 8 to 28 x 28 pixels."""
    square = images.reshape(-1, digits.SIDE, digits.SIDE)
    factor = SIDE / digits.SIDE
    return zoom(square, (1, factor, factor), order=1)[..., None].astype(np.float32)


@cache
def load():
    """Return the digits with 64 pixels."""
    return digits.load(0)


def fit(model, images, labels, epochs, rate=4e-3, logits=False):
    """Train a model; with softmax at its end unless it gives logits."""
    steps = epochs * (len(images) // 64)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=logits),
    )
    model.fit(images, labels, epochs=epochs, batch_size=64, verbose=0)
    return model


@cache
def dense_model():
    """Return a trained model with three hidden layers, on 64 pixels."""
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(32, activation="relu", name=f"hidden{i}") for i in range(3)]
    model = keras.Sequential(
        [keras.Input((64,)), *hidden, layers.Dense(10, activation="softmax")]
    )
    data = load()
    return fit(model, data.train_images, data.train_labels, 25)


def accuracy_of(model, images, labels):
    """Return the share of right answers of a Keras model."""
    return np.mean(np.argmax(model.predict(images, verbose=0), axis=-1) == labels)
