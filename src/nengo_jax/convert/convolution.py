"""Convolutions in one to three dimensions, grouped or not."""

from __future__ import annotations

import nengo

from .linear import finish_layer, kernel_and_bias
from .records import Converted, LayerCall, Options, Source


def channel_axis_of(layer) -> int:
    """Axis of the channels in the shape of one example."""
    return -1 if layer.data_format == "channels_last" else 0


def convert_convolution(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Conv1D``, ``Conv2D`` and ``Conv3D``."""
    layer, (source,) = call.layer, sources
    kernel, bias = kernel_and_bias(call)
    transform = nengo.Convolution(
        layer.filters,
        source.shape,
        kernel_size=kernel.shape[:-2],
        strides=layer.strides,
        padding=layer.padding,
        channels_last=layer.data_format == "channels_last",
        init=kernel,
        groups=layer.groups,
    )
    return finish_layer(
        call, source.obj, transform, bias, channel_axis_of(layer), options
    )
