"""Many small Keras models in one, so that many kinds of layers compile at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import helpers  # noqa: F401  (no cache of decoders)
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
