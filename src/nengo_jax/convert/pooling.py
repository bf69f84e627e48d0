"""Average pooling as a convolution of each channel with one constant kernel.

With padding "same" a window at the edge holds fewer elements, and its mean is taken
over those that are there. Maxima are replaced by averages if the user says so.
"""

from __future__ import annotations

import math

import nengo
import numpy as np

from ..families.convolution import forward_padding
from .convolution import channel_axis_of
from .objects import connect, passthrough
from .records import Converted, LayerCall, Options, Source


def convert_pooling(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``AveragePooling1D`` to ``3D``, and ``MaxPooling`` likewise."""
    layer, (source,) = call.layer, sources
    size, axis = tuple(layer.pool_size), channel_axis_of(layer)
    channels = source.shape[axis]
    count = math.prod(size)
    transform = nengo.Convolution(
        channels,
        source.shape,
        kernel_size=size,
        strides=layer.strides,
        padding=layer.padding,
        channels_last=axis == -1,
        init=np.full((*size, 1, channels), 1 / count),
        groups=channels,
    )
    shape = call.shape_out
    node = passthrough(call.label, shape)
    made = [
        connect(source.obj, node, f"{call.label}.input", options, transform=transform)
    ]
    real = _elements(transform)
    if np.all(real == count):
        return Converted(call, (Source(node, shape, axis),), incoming=tuple(made))
    wide = real[..., None] if axis == -1 else real[None]
    factor = np.broadcast_to(count / wide, shape).reshape(-1)
    means = passthrough(f"{call.label}.mean", shape)
    rescale = nengo.Dense((factor.size, factor.size), init=factor)
    made.append(connect(node, means, f"{call.label}.count", options, transform=rescale))
    return Converted(call, (Source(means, shape, axis),), incoming=tuple(made))


def _elements(transform: nengo.Convolution) -> np.ndarray:
    """Count the elements that are there in each window."""
    sizes = transform.input_shape.spatial_shape
    outputs = transform.output_shape.spatial_shape
    counts = np.ones((), int)
    for size, count, (before, _), kernel, step in zip(
        sizes,
        outputs,
        forward_padding(sizes, outputs, transform),
        transform.kernel_size,
        transform.strides,
        strict=True,
    ):
        first = np.arange(count) * step - before
        inside = np.minimum(first + kernel, size) - np.maximum(first, 0)
        counts = np.multiply.outer(counts, inside)
    return counts


def convert_global_pooling(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``GlobalAveragePooling1D`` to ``3D``, and maxima likewise."""
    (source,), axis = sources, channel_axis_of(call.layer)
    channels = source.shape[axis]
    positions = math.prod(source.shape) // channels
    transform = mean_of_positions(positions, channels, last=axis == -1)
    node = passthrough(call.label, call.shape_out)
    made = connect(
        source.obj, node, f"{call.label}.input", options, transform=transform
    )
    axis = axis if len(call.shape_out) > 1 else -1
    return Converted(call, (Source(node, call.shape_out, axis),), incoming=(made,))


def mean_of_positions(
    positions: int, channels: int, *, last: bool
) -> nengo.Convolution:
    """Return the transform that gives each channel its mean.

    Positions and channels change their roles: the mean is a convolution with a kernel
    of size 1 that has one input channel for each position.

    Parameters
    ----------
    positions, channels : int
    last : bool
        Whether the channels come last.
    """
    return nengo.Convolution(
        1,
        (positions, channels) if last else (channels, positions),
        kernel_size=(1,),
        strides=(1,),
        channels_last=not last,
        init=np.full((1, positions, 1), 1 / positions),
    )


def refuse_maximum(call: LayerCall, options: Options) -> str | None:
    """Say why a maximum has to fall back, if it has to."""
    if options.max_to_avg_pool:
        return None
    return (
        "a maximum cannot be computed by connections, and that of spikes is not the "
        "spikes of the maximum; max_to_avg_pool=True takes the average instead"
    )
