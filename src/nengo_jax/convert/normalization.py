r"""Layers that multiply and shift: BatchNormalization, Normalization and Rescaling.

.. math::
   y = a x + b, \qquad a = \gamma / \sqrt{v + \epsilon}, \quad b = \beta - a m

for BatchNormalization with mean m and variance v of the training data. While it is
trained, these are statistics of the batch, so it stays a Keras layer.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import nengo
import numpy as np
from nengo import Node

from .fallback import joined_steps
from .linear import is_trained, weights
from .objects import connect, passthrough
from .records import Converted, LayerCall, Options, Source

Affine = tuple[np.ndarray, np.ndarray]


def convert_affine(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert a layer whose factors and offsets are constants."""
    (source,) = sources
    shape, size = source.shape, math.prod(source.shape)
    factor, offset = (np.broadcast_to(a, shape).reshape(-1) for a in _affine(call))
    node = passthrough(call.label, shape)
    shift = Node(offset, label=f"{call.label}.constant")
    made = (
        connect(shift, node, f"{call.label}.offset", options),
        connect(
            source.obj,
            node,
            f"{call.label}.factor",
            options,
            transform=nengo.Dense((size, size), init=factor),
        ),
    )
    return Converted(call, (Source(node, shape, source.channel_axis),), incoming=made)


def refuse_training(call: LayerCall, options: Options) -> str | None:
    """Say why BatchNormalization has to stay a Keras layer, if it has to."""
    if not is_trained(call, options):
        return None
    return (
        "its statistics change while it is trained; with inference_only=True, or if "
        "the layer is frozen, it becomes part of the layer before it"
    )


def channel_affine(call: LayerCall) -> Affine:
    """Return factor and offset of BatchNormalization for each channel."""
    layer = call.layer
    factor = 1 / np.sqrt(weights(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        factor = factor * weights(layer.gamma)
    offset = -factor * weights(layer.moving_mean)
    if layer.center:
        offset = offset + weights(layer.beta)
    return factor, offset


def channel_axis_of_norm(call: LayerCall) -> int:
    """Axis of the channels of BatchNormalization in the shape of one example.

    Raises
    ------
    TypeError
        If it is the axis of time.
    """
    rank = len(call.shape_in)
    axis = call.layer.axis % (rank + call.leading) - call.leading
    if axis < 0:
        raise joined_steps(call)
    return -1 if axis == rank - 1 else axis


def _affine(call: LayerCall) -> Affine:
    layer = call.layer
    if isinstance(layer, keras.layers.BatchNormalization):
        axis = channel_axis_of_norm(call)
        wide = np.ones(len(call.shape_in), int)
        wide[axis] = call.shape_in[axis]
        factor, offset = channel_affine(call)
        return factor.reshape(wide), offset.reshape(wide)
    if isinstance(layer, keras.layers.Rescaling):
        return _rescaling(layer)
    return _normalization(call)


def _rescaling(layer: Any) -> Affine:
    scale, offset = (np.asarray(v, np.float64) for v in (layer.scale, layer.offset))
    if scale.ndim and keras.config.image_data_format() == "channels_first":
        scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
    return scale, offset


def _normalization(call: LayerCall) -> Affine:
    layer, leading = call.layer, call.leading
    mean, variance = weights(layer.mean), weights(layer.variance)
    if math.prod(mean.shape[:leading]) > 1:
        raise joined_steps(call)
    mean, variance = (a.reshape(a.shape[leading:]) for a in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    if layer.invert:
        return deviation, mean
    return 1 / deviation, -mean / deviation
