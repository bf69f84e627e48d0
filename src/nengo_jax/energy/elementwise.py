"""What layers without weights take, and those with one weight per element.

Operations on single elements count as connections, one for each element that goes in;
layers that only move elements take nothing. KerasSpiking leaves ``Add`` and global
average pooling out; here they count like other sums.
"""

from __future__ import annotations

import math
from typing import Any

from .stats import LayerCall, LayerStats
from .weighted import neurons_of

# Neighbours that an output of UpSampling2D is interpolated from, for each axis.
_NEIGHBOURS = {"nearest": 1, "bilinear": 2, "bicubic": 4, "lanczos3": 6, "lanczos5": 10}


def nothing(layer: Any, call: LayerCall) -> LayerStats:
    """Moves elements, or does something in training only."""
    return LayerStats()


def per_input(layer: Any, call: LayerCall) -> LayerStats:
    """One operation for each element that goes in."""
    return LayerStats(call.input_size)


def per_operand(layer: Any, call: LayerCall) -> LayerStats:
    """One operation for each tensor that an element which comes out is made of.

    So an input that is smaller than the result, and repeated along some axes, counts
    for each of its copies, as each of them is added or multiplied.
    """
    return LayerStats(call.output_size * len(call.inputs))


def per_output(layer: Any, call: LayerCall) -> LayerStats:
    """One operation for each element that comes out."""
    return LayerStats(call.output_size)


def activation(layer: Any, call: LayerCall) -> LayerStats:
    """One neuron for each element, none if the activation is linear."""
    return LayerStats(neurons=neurons_of(layer, call))


def neurons(layer: Any, call: LayerCall) -> LayerStats:
    """One neuron for each element."""
    return LayerStats(neurons=call.output_size)


def pooling(layer: Any, call: LayerCall) -> LayerStats:
    """Each output sees its window."""
    return LayerStats(call.output_size * math.prod(layer.pool_size))


def up_sampling(layer: Any, call: LayerCall) -> LayerStats:
    """Each output sees the elements that it is copied or interpolated from."""
    # only the layer for images interpolates
    method = getattr(layer, "interpolation", "nearest")
    return LayerStats(call.output_size * _NEIGHBOURS[method] ** 2)


def statistics_and_scale(layer: Any, call: LayerCall) -> LayerStats:
    """Mean, mean square, and one multiplication of each element."""
    return LayerStats(3 * call.input_size)


def norm_and_scale(layer: Any, call: LayerCall) -> LayerStats:
    """Mean square, and one multiplication of each element."""
    return LayerStats(2 * call.input_size)


def dot(layer: Any, call: LayerCall) -> LayerStats:
    """Each output is a product over one axis of both inputs."""
    axes = layer.axes
    axis = axes if isinstance(axes, int) else axes[0]
    length = call.inputs[0][axis]
    if length is None:
        raise ValueError(
            f"The length of the axis that {layer.name!r} sums over is not known: its "
            f"inputs have the shapes {call.inputs}. Give keras.Input a fixed shape."
        )
    return LayerStats(call.output_size * length)
