"""What layers with weights take: products, convolutions, tables of rows.

A convolution is counted as if its kernel met data everywhere: at the borders of padding
"same" the weights that meet zeros count too, as in KerasSpiking. For a Nengo network,
:mod:`.network` counts exactly.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from .stats import LayerCall, LayerStats


def is_nonlinear(activation: Any) -> bool:
    """Whether an activation function has to be computed."""
    return activation not in (None, keras.activations.linear)


def neurons_of(layer: Any, call: LayerCall) -> int:
    """Return the number of outputs with an activation; none if it is linear."""
    return call.output_size * is_nonlinear(layer.activation)


def dense(layer: keras.layers.Dense, call: LayerCall) -> LayerStats:
    """Each output sees all elements of the last axis."""
    inputs = call.inputs[0][-1]
    assert inputs is not None  # Keras cannot build the layer otherwise
    return LayerStats(call.output_size * inputs, neurons_of(layer, call))


def convolution(layer: Any, call: LayerCall) -> LayerStats:
    """Each output sees a kernel of (*space, input channels / groups)."""
    window = math.prod(layer.kernel.shape[:-1])
    return LayerStats(call.output_size * window, neurons_of(layer, call))


def depthwise_convolution(layer: Any, call: LayerCall) -> LayerStats:
    """Each output sees one channel."""
    connections = call.output_size * math.prod(layer.kernel_size)
    return LayerStats(connections, neurons_of(layer, call))


def separable_convolution(layer: Any, call: LayerCall) -> LayerStats:
    """A depthwise convolution and a product over the channels of each place."""
    places = call.output_size // layer.filters
    *space, channels, multiplier = layer.depthwise_kernel.shape
    depthwise = places * channels * multiplier * math.prod(space)
    pointwise = call.output_size * channels * multiplier
    return LayerStats(depthwise + pointwise, neurons_of(layer, call))


def transposed_convolution(layer: Any, call: LayerCall) -> LayerStats:
    """Each input is seen by a kernel of (*space, filters)."""
    connections = call.input_size * math.prod(layer.kernel_size) * layer.filters
    return LayerStats(connections, neurons_of(layer, call))


def embedding(layer: keras.layers.Embedding, call: LayerCall) -> LayerStats:
    """A row is read for each input: one operation per output, in every step."""
    return LayerStats(call.output_size, every_step=True)
