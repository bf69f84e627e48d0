"""KerasSpiking: ``SpikingActivation`` around relu, with spikes forward.

The package has no LIF neurons: its neurons spike in proportion to the activation, and
the gradient is that of the activation alone, which needs no way back through time. Its
examples repeat an image over all steps and apply the first layer to each; *held*
applies it once and repeats the current. A recurrent connection between neurons cannot
be written.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# isort: split
from collections.abc import Callable

import keras_spiking
import numpy as np
import tensorflow as tf

from peers import THREADS
from peers.problem import LEARNING_RATE, Problem, UnsupportedError

PACKAGES = ("keras-spiking", "tensorflow")
Run = Callable[[int], None]
layers = tf.keras.layers


def forms(problem: Problem) -> dict[str, Run]:
    """Return the ways to train the network."""
    if problem.network == "recurrent":
        raise UnsupportedError("no recurrence between spiking neurons")
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    return {
        name: _training(_model(problem, held, unroll), problem)
        for name, held, unroll in (
            ("repeated", False, False),
            ("held", True, False),
            ("held, unrolled", True, True),
        )
    }


def _model(problem: Problem, held: bool, unroll: bool) -> tf.keras.Model:
    """Connect the layers; values between them have shape (batch, steps, size)."""
    steps = problem.steps

    def spikes(values):
        activation = keras_spiking.SpikingActivation("relu", unroll=unroll)
        return activation(layers.Reshape((steps, -1))(values))

    def repeat(values):
        return layers.Reshape((steps, *values.shape[1:]))(
            layers.RepeatVector(steps)(layers.Flatten()(values))
        )

    first, second, readout = _maps(problem.network)
    shape = (28, 28, 1) if problem.network == "convolution" else (784,)
    image = layers.Input(shape)
    current = repeat(first(image)) if held else first(repeat(image))
    hidden = layers.Reshape((steps, *current.shape[2:]))(spikes(current))
    model = tf.keras.Model(image, readout(spikes(second(hidden))))
    _set_weights((first, second, readout), problem)
    return model


def _maps(network: str) -> tuple:
    if network == "convolution":
        first, second = (layers.Conv2D(size, 3, strides=2) for size in (32, 64))
    else:
        first, second = layers.Dense(512), layers.Dense(512)
    return first, second, layers.Dense(10, use_bias=False)


def _set_weights(maps: tuple, problem: Problem) -> None:
    for k, layer in enumerate(maps, start=1):
        kernel, *bias = layer.get_weights()
        values = [problem.parameters[f"w{k}"].reshape(kernel.shape)]
        if bias:
            neurons = problem.parameters[f"b{k}"].reshape(-1, len(bias[0]))
            values.append(neurons.mean(axis=0))
        layer.set_weights(values)


def _training(model: tf.keras.Model, problem: Problem) -> Run:
    """Call the compiled step of Keras in a loop, without the callbacks of ``fit``."""
    model.compile(tf.keras.optimizers.Adam(LEARNING_RATE), "mse")
    x = problem.x.reshape(-1, *model.input_shape[1:]).astype(np.float32)
    data = iter(tf.data.Dataset.from_tensors((x, problem.y)).cache().repeat())
    train = model.make_train_function()

    def run(steps: int) -> None:
        for _ in range(steps):
            logs = train(data)
        float(logs["loss"])

    return run
