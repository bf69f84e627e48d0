"""Presents images to a converted Keras model, in the environment of either package.

``python converted.py PACKAGE MODEL`` makes a convolutional model, converts it to
spiking neurons with nengo_jax or nengo_dl. For each number of steps that it reads from
its standard input it presents all images, and answers with one line of JSON. The first
time compiles.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# isort: split
import numpy as np

IMAGES, BATCH = 512, 64
_RATE = 100  # Hz for an activation of 1
MODELS = ("digits", "example")


def make_model(keras, name: str) -> object:
    """Return a model with fixed weights.

    "digits" is that of ``tests/convert/reporting/test_story.py``; "example" has the
    layers of NengoDL's own example of a conversion.
    """
    layers = keras.layers
    hidden = {
        "digits": lambda: [
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
        ],
        "example": lambda: [
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, strides=2, activation="relu"),
            layers.Flatten(),
        ],
    }
    model = keras.Sequential(
        [layers.InputLayer((28, 28, 1)), *hidden[name](), layers.Dense(10)]
    )
    rng = np.random.RandomState(0)
    model.set_weights(
        [
            rng.standard_normal(w.shape) / np.sqrt(max(1, np.prod(w.shape[:-1])))
            for w in model.get_weights()
        ]
    )
    return model


def _images() -> np.ndarray:
    return np.random.RandomState(1).uniform(0, 1, (IMAGES, 784)).astype("float32")


def _neurons(nengo) -> object:
    """Return neurons that begin alike in both packages."""
    zero = {"voltage": nengo.dists.Choice([0])}
    return nengo.SpikingRectifiedLinear(initial_state=zero)


def with_nengo_jax(name: str) -> Callable[[int], np.ndarray]:
    """Return a function that presents all images for some steps."""
    import nengo_jax

    # isort: split
    import keras
    import nengo

    converter = nengo_jax.Converter(
        make_model(keras, name),
        swap_activations={"relu": _neurons(nengo)},
        scale_firing_rates=_RATE,
        inference_only=True,
    )
    (node,), (probe,) = converter.net.nodes[:1], converter.net.probes
    with converter.net:
        nengo_jax.configure_settings(keep_history=True)
        converter.net.config[probe].keep_history = False
    sim = nengo_jax.Simulator(converter.net, minibatch_size=BATCH, progress_bar=False)
    images = _images()[:, None]
    return lambda steps: sim.predict({node: images}, n_steps=steps, verbose=0)[probe]


def with_nengo_dl(name: str) -> Callable[[int], np.ndarray]:
    """Return the same for NengoDL."""
    import nengo
    import nengo_dl
    import tensorflow as tf

    converter = nengo_dl.Converter(
        make_model(tf.keras, name),
        swap_activations={tf.keras.activations.relu: _neurons(nengo)},
        scale_firing_rates=_RATE,
        inference_only=True,
    )
    node, probe = converter.net.nodes[0], converter.net.probes[0]
    with converter.net:
        nengo_dl.configure_settings(keep_history=True, stateful=False)
        converter.net.config[probe].keep_history = False
    sim = nengo_dl.Simulator(converter.net, minibatch_size=BATCH, progress_bar=False)
    images = _images()[:, None]
    return lambda steps: sim.predict({node: np.tile(images, (1, steps, 1))}, verbose=0)[
        probe
    ]


def main(package: str, name: str) -> None:
    """Serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print must not disturb the answers
    present = {"nengo_jax": with_nengo_jax, "nengo_dl": with_nengo_dl}[package](name)
    for line in sys.stdin:
        steps = int(line)
        started = time.perf_counter()
        outputs = present(steps)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer = {
            "images/s": IMAGES / seconds,
            "peak (MB)": peak,
            "mean": float(np.mean(outputs)),
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
