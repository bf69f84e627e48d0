"""Layers that join several inputs by sums: each input is a connection."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras.src.ops import numpy

from .fallback import convert_exact
from .objects import connect, passthrough, pick
from .records import Converted, LayerCall, Options, Source


def convert_sum(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Add``, ``Average`` and ``Subtract``, and x + y, x - y."""
    if len(sources) == 1:  # the other one is a constant, as in x + 1
        return convert_exact(call, sources, options)
    shape, layer = call.shape_out, call.layer
    node = passthrough(call.label, shape)
    made = []
    for number, source in enumerate(sources):
        made.append(
            connect(
                broadcast(source, shape),
                node,
                f"{call.label}.input{number}",
                options,
                transform=_factor(layer, number, len(sources)),
            )
        )
    axes = {source.channel_axis for source in sources if source.shape == shape}
    axis = axes.pop() if len(axes) == 1 else -1
    return Converted(call, (Source(node, shape, axis),), incoming=tuple(made))


def _factor(layer: Any, number: int, count: int) -> float | None:
    if isinstance(layer, keras.layers.Average):
        return 1 / count
    subtracts = isinstance(layer, (keras.layers.Subtract, numpy.Subtract))
    if subtracts and number == 1:
        return -1
    return None


def broadcast(source: Source, shape: tuple[int, ...]) -> Any:
    """Return the object, or its elements repeated as Keras broadcasts them."""
    if source.shape == shape:
        return source.obj
    numbers = np.arange(np.prod(source.shape)).reshape(source.shape)
    return source.obj[np.broadcast_to(numbers, shape).reshape(-1)]


def convert_concatenate(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Concatenate``: each input has its place in a node."""
    shape = call.shape_out
    axis = call.layer.axis % (len(shape) + call.leading) - call.leading
    node = passthrough(call.label, shape)
    numbers = np.arange(np.prod(shape)).reshape(shape)
    made, start = [], 0
    for number, source in enumerate(sources):
        stop = start + source.shape[axis]
        place = np.take(numbers, range(start, stop), axis).reshape(-1)
        where = pick(node, place)
        label = f"{call.label}.input{number}"
        made.append(connect(source.obj, where, label, options))
        start = stop
    output = Source(node, shape, sources[0].channel_axis)
    return Converted(call, (output,), incoming=tuple(made))


def refuse_axis(call: LayerCall, options: Options) -> str | None:
    """Say why a concatenation has to fall back, if it has to."""
    if call.layer.axis % (len(call.shape_out) + call.leading) < call.leading:
        return "it joins the examples of a batch, or time steps"
    return None
