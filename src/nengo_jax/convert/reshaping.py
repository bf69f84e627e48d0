"""Layers that move elements, drop some or repeat some: a connection with indices.

What is done to the values is done to their numbers, and the output takes its elements
from where the numbers say. A number of -1 stands for zero.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from .fallback import convert_exact
from .objects import take
from .records import Converted, LayerCall, Options, Source


def convert_same(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert layers that keep all elements in their order."""
    (source,) = sources
    axis = source.channel_axis if call.shape_out == source.shape else -1
    return Converted(call, (Source(source.obj, call.shape_out, axis),))


def convert_flatten(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Flatten``; it puts channels that come first last."""
    layer, (source,) = call.layer, sources
    if layer.data_format == "channels_last" or len(source.shape) < 2:
        return convert_same(call, sources, options)
    return move(call, source, np.moveaxis(_numbers(source.shape), 0, -1), options)


def convert_moved(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert permutations, repetitions, crops, zero padding and upsampling."""
    (source,) = sources
    if getattr(call.layer, "interpolation", "nearest") != "nearest":
        return convert_exact(call, sources, options)
    rule = next(MOVES[kind] for kind in type(call.layer).__mro__ if kind in MOVES)
    return move(call, source, rule(call.layer, _numbers(source.shape)), options)


def move(
    call: LayerCall, source: Source, numbers: np.ndarray, options: Options
) -> Converted:
    """Make a node that takes its elements from where ``numbers`` say."""
    shape = call.shape_out
    node, made = take(source.obj, numbers.reshape(shape), call.label, options)
    axis = source.channel_axis if len(shape) == len(source.shape) else -1
    return Converted(call, (Source(node, shape, axis),), incoming=(made,))


def _numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)


def _permute(layer: Any, numbers: np.ndarray) -> np.ndarray:
    return numbers.transpose([axis - 1 for axis in layer.dims])


def _repeat(layer: Any, numbers: np.ndarray) -> np.ndarray:
    return np.repeat(numbers[None], layer.n, axis=0)


def _space(layer: Any, numbers: np.ndarray) -> slice:
    """Which axes are space. One-dimensional layers have no data format."""
    last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return slice(0, numbers.ndim - 1) if last else slice(1, numbers.ndim)


def _pairs(amounts: Any) -> list[tuple[int, int]]:
    """Amounts before and after each dimension of space."""
    if isinstance(amounts[0], (tuple, list)):
        return [tuple(pair) for pair in amounts]
    return [tuple(amounts)]


def _pad(layer: Any, numbers: np.ndarray) -> np.ndarray:
    widths = [(0, 0)] * numbers.ndim
    widths[_space(layer, numbers)] = _pairs(layer.padding)
    return np.pad(numbers, widths, constant_values=-1)


def _crop(layer: Any, numbers: np.ndarray) -> np.ndarray:
    where = [slice(None)] * numbers.ndim
    space = _space(layer, numbers)
    sizes = numbers.shape[space]
    where[space] = [
        slice(before, size - after)
        for size, (before, after) in zip(sizes, _pairs(layer.cropping), strict=True)
    ]
    return numbers[tuple(where)]


def _enlarge(layer: Any, numbers: np.ndarray) -> np.ndarray:
    axes = range(numbers.ndim)[_space(layer, numbers)]
    factors = layer.size if isinstance(layer.size, (tuple, list)) else (layer.size,)
    for axis, factor in zip(axes, factors, strict=True):
        numbers = np.repeat(numbers, factor, axis=axis)
    return numbers


Move = Callable[[Any, np.ndarray], np.ndarray]
MOVES: MappingProxyType[type, Move] = MappingProxyType(
    {
        keras.layers.Permute: _permute,
        keras.layers.RepeatVector: _repeat,
        keras.layers.ZeroPadding1D: _pad,
        keras.layers.ZeroPadding2D: _pad,
        keras.layers.ZeroPadding3D: _pad,
        keras.layers.Cropping1D: _crop,
        keras.layers.Cropping2D: _crop,
        keras.layers.Cropping3D: _crop,
        keras.layers.UpSampling1D: _enlarge,
        keras.layers.UpSampling2D: _enlarge,
        keras.layers.UpSampling3D: _enlarge,
    }
)
