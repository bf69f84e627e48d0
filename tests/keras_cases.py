"""Keras models to convert; many small ones in one, so that they compile at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

Case = tuple[tuple[int, ...] | list, Any]


def joined(cases: Mapping[str, Case], *, trained: bool = False) -> keras.Model:
    """Make one model of independent ones.

    Parameters
    ----------
    cases : mapping of str to (shape or list of shapes, layer or list of layers)
        A chain of layers for each case; the first one takes all inputs.
    trained : bool
        Whether to put something that can be trained before the chain.
    """
    inputs, outputs = [], []
    for name, (shapes, chain) in cases.items():
        several = isinstance(shapes, list)
        given = [keras.Input(shape) for shape in (shapes if several else [shapes])]
        inputs.extend(given)
        if trained:
            given = [keras.layers.Dense(value.shape[-1])(value) for value in given]
        value = given if several else given[0]
        for layer in chain if isinstance(chain, Sequence) else [chain]:
            value = layer(value)
        outputs.append(keras.layers.Identity(name=f"{name}_output")(value))
    model = keras.Model(inputs, outputs)
    randomize(model)
    return model


def randomize(model: keras.Model) -> None:
    """Give all weights values that no initializer would choose."""
    rng = np.random.RandomState(0)
    for layer in model._flatten_layers(include_self=False):
        if layer.__class__.__name__ == "SeedGenerator":
            continue
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            if not variable.dtype.startswith("float"):
                continue
            values = rng.uniform(-0.5, 0.5, size=variable.shape)
            positive = "variance" in variable.path
            variable.assign(1.5 + values if positive else values)


def image_model(last="softmax") -> keras.Model:
    """Make a small convolutional network with a sum in it."""
    image = keras.Input((6, 6, 2), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(image)
    y = keras.layers.Conv2D(4, 1, name="second")(x)
    z = keras.layers.AveragePooling2D(2, name="pool")(
        keras.layers.Add(name="add")([x, y])
    )
    z = keras.layers.Flatten(name="flat")(z)
    model = keras.Model(image, keras.layers.Dense(3, activation=last, name="third")(z))
    randomize(model)
    return model


def small_model(activation="relu") -> keras.Sequential:
    """Make a network of two dense layers."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation=activation, name="hidden"),
            keras.layers.Dense(2, name="out"),
        ]
    )
    randomize(model)
    return model
