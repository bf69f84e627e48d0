"""Convolutions: plain, depthwise, separable and transposed ones."""

from __future__ import annotations

import math
from typing import Any

import nengo
import numpy as np

from ..transforms import DilatedConvolution
from .linear import (
    finish_layer,
    fold_affine,
    refuse_kernel,
    weights,
)
from .objects import connect, passthrough, take
from .records import Converted, LayerCall, Options, Shape, Source


def channel_axis_of(layer: Any) -> int:
    """Axis of the channels in the shape of one example."""
    return -1 if layer.data_format == "channels_last" else 0


def convert_convolution(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Conv1D``, ``Conv2D`` and ``Conv3D``."""
    layer, (source,) = call.layer, sources
    kernel, bias = fold_affine(call, weights(layer.kernel))
    source, before = _pad_past(call, source, kernel.shape[0], options)
    transform = _convolution(layer, source.shape, kernel, layer.groups)
    return finish_layer(
        call, source.obj, transform, bias, channel_axis_of(layer), options, before
    )


def convert_depthwise(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.DepthwiseConv1D`` and ``DepthwiseConv2D``."""
    layer, (source,) = call.layer, sources
    kernel, bias = fold_affine(call, _grouped(weights(layer.kernel)))
    channels = source.shape[channel_axis_of(layer)]
    transform = _convolution(layer, source.shape, kernel, channels)
    return finish_layer(
        call, source.obj, transform, bias, channel_axis_of(layer), options
    )


def convert_separable(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``SeparableConv1D`` and ``2D``: a depthwise one, then one of size 1."""
    layer, (source,) = call.layer, sources
    axis = channel_axis_of(layer)
    first = _grouped(weights(layer.depthwise_kernel))
    depthwise = _convolution(layer, source.shape, first, source.shape[axis])
    shape = depthwise.output_shape.shape
    node = passthrough(f"{call.label}.depthwise", shape)
    made = connect(
        source.obj,
        node,
        f"{call.label}.depthwise_kernel",
        options,
        transform=depthwise,
        trainable=layer.trainable,
    )
    kernel, bias = fold_affine(call, weights(layer.pointwise_kernel))
    dimensions = len(shape) - 1
    pointwise = nengo.Convolution(
        layer.filters,
        shape,
        kernel_size=(1,) * dimensions,
        strides=(1,) * dimensions,
        channels_last=axis == -1,
        init=kernel,
    )
    return finish_layer(call, node, pointwise, bias, axis, options, (made,))


def convert_transposed(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Conv1DTranspose`` to ``Conv3DTranspose``."""
    layer, (source,) = call.layer, sources
    kernel = np.swapaxes(weights(layer.kernel), -1, -2)  # output channels last
    kernel, bias = fold_affine(call, kernel)
    transform = nengo.ConvolutionTranspose(
        layer.filters,
        source.shape,
        output_shape=call.shape_out,
        kernel_size=kernel.shape[:-2],
        strides=layer.strides,
        padding=layer.padding,
        channels_last=layer.data_format == "channels_last",
        init=kernel,
    )
    return finish_layer(
        call, source.obj, transform, bias, channel_axis_of(layer), options
    )


def refuse_transposed(call: LayerCall, options: Options) -> str | None:
    """Say why a transposed convolution has to fall back, if it has to."""
    layer = call.layer
    if layer.output_padding is not None:
        return "it sets output_padding"
    if max(layer.dilation_rate) > 1:
        return "its kernel is dilated"
    return refuse_kernel(call, options)


def _convolution(
    layer: Any, shape: Shape, kernel: np.ndarray, groups: int
) -> nengo.Convolution:
    keywords = {
        "kernel_size": kernel.shape[:-2],
        "strides": layer.strides,
        "padding": "same" if layer.padding == "same" else "valid",
        "channels_last": layer.data_format == "channels_last",
        "init": kernel,
        "groups": groups,
    }
    filters = kernel.shape[-1]
    if max(layer.dilation_rate) == 1:
        return nengo.Convolution(filters, shape, **keywords)
    return DilatedConvolution(filters, shape, dilation=layer.dilation_rate, **keywords)


def _grouped(kernel: np.ndarray) -> np.ndarray:
    """From (..., channels, multiplier) to (..., 1, filters), in groups."""
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def _pad_past(
    call: LayerCall, source: Source, size: int, options: Options
) -> tuple[Source, tuple[Any, ...]]:
    """Put zeros before a sequence if padding is "causal"."""
    layer = call.layer
    if layer.padding != "causal":
        return source, ()
    axis = 0 if layer.data_format == "channels_last" else 1
    widths = [(0, 0), (0, 0)]
    widths[axis] = ((size - 1) * layer.dilation_rate[0], 0)
    numbers = np.arange(math.prod(source.shape)).reshape(source.shape)
    numbers = np.pad(numbers, widths, constant_values=-1)
    node, made = take(source.obj, numbers, f"{call.label}.padded", options)
    return Source(node, numbers.shape, source.channel_axis), (made,)
