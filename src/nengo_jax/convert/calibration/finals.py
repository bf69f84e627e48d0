"""Activations at the end of a model, which want the result instead of single spikes.

The mean of softmax(x) over noisy x is not softmax of the mean. So where softmax,
sigmoid or another function that does not spike is the last that a model computes, the
network ends before it, and it is applied to what has been read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras

from ..activations import LINEAR
from ..converter import Converter
from ..graph import functional_of
from ..records import Converted
from ..reshaping import convert_same
from ..table import Rule
from .reference import key_of


@dataclass(frozen=True)
class Finals:
    """Functions that are applied to results.

    Attributes
    ----------
    functions : mapping of str to callable
        By label of the layer.
    swaps : mapping
        Changes of activations that leave them away.
    rules : mapping of type to Rule
        Of layers that are left away.
    """

    functions: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    swaps: Mapping[Any, Any] = field(default_factory=dict)
    rules: Mapping[Any, Rule] = field(default_factory=dict)


def find_finals(converter: Converter) -> Finals:
    """Find the functions at the end of a model that is converted without them."""
    ends = {
        converter.outputs[tensor].target
        for tensor in functional_of(converter.model).outputs
    }
    last, inner = {}, set()
    for converted in converter.calls:
        function = _function(converted)
        if function is None or function in converter.options.swaps:
            continue
        if converted.native and converted.obj in ends:
            last[key_of(converted)] = function
        else:
            inner.add(_identity(function))
    functions = {n: f for n, f in last.items() if _identity(f) not in inner}
    found = set(map(_identity, functions.values()))
    swaps = {f: LINEAR for f in found if f is not keras.layers.Softmax}
    rules = {keras.layers.Softmax: Rule(convert_same)}
    return Finals(functions, swaps, rules if keras.layers.Softmax in found else {})


def _function(converted: Converted) -> Callable[[Any], Any] | None:
    """Return the function of a layer, if it has one and it does not spike."""
    layer, neurons = converted.layer, converted.neurons
    if isinstance(layer, keras.layers.Softmax):
        return partial(keras.activations.softmax, axis=_axes(converted))
    function = vars(layer).get("activation", LINEAR)
    spiking = neurons is not None and neurons.ensemble.neuron_type.spiking
    return None if function is LINEAR or spiking else function


def _axes(converted: Converted) -> Any:
    """Return the axes of a softmax for results whose frames are those of examples."""
    axes, extra = converted.layer.axis, converted.call.leading - 1
    if isinstance(axes, int):
        return axes if axes < 0 else axes - extra
    return tuple(axis if axis < 0 else axis - extra for axis in axes)


def _identity(function: Any) -> Any:
    """What all layers have in common that compute a function."""
    return keras.layers.Softmax if isinstance(function, partial) else function
