"""Layers that are an activation function, and nothing else; and calls of functions.

A function that is called on tensors of a model, as in ``keras.activations.relu(x)``, is
an operation of Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
from keras.src.activations.activations import ReLU
from keras.src.ops import nn, numpy

from ..neurons import ELU, GELU, BoundedReLU, LeakyReLU
from .activations import Activation, choose_activation, refuse_activation
from .objects import connect, make_population
from .records import Converted, LayerCall, Options, Source

_FUNCTIONS = keras.activations

# Where Keras has a function it is returned, so that it can be swapped by its name.


def _leaky(layer: Any) -> Any:
    slope = float(layer.negative_slope)
    return _FUNCTIONS.leaky_relu if slope == 0.2 else LeakyReLU(slope)


def _gaussian(operation: Any) -> Any:
    return GELU(approximate=True) if operation.approximate else _FUNCTIONS.gelu


def _exponential(layer: Any) -> Any:
    alpha = float(layer.alpha)
    return _FUNCTIONS.elu if alpha == 1 else ELU(alpha)


def _rectifier(layer: Any) -> Any:
    limit, slope = layer.max_value, float(layer.negative_slope or 0)
    threshold = float(layer.threshold or 0)
    if not threshold and limit is None:
        return _leaky(layer) if slope else _FUNCTIONS.relu
    if not threshold and not slope and limit == 6:
        return _FUNCTIONS.relu6
    return BoundedReLU(None if limit is None else float(limit), slope, threshold)


OPERATIONS: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {
        ReLU: _rectifier,
        nn.Relu: lambda _: _FUNCTIONS.relu,
        nn.Relu6: lambda _: _FUNCTIONS.relu6,
        nn.LeakyRelu: _leaky,
        nn.Sigmoid: lambda _: _FUNCTIONS.sigmoid,
        nn.Elu: _exponential,
        nn.Selu: lambda _: _FUNCTIONS.selu,
        nn.Gelu: _gaussian,
        nn.Silu: lambda _: _FUNCTIONS.silu,
        nn.Softplus: lambda _: _FUNCTIONS.softplus,
        nn.Softsign: lambda _: _FUNCTIONS.softsign,
        nn.HardSigmoid: lambda _: _FUNCTIONS.hard_sigmoid,
        numpy.Tanh: lambda _: _FUNCTIONS.tanh,
        numpy.Exp: lambda _: _FUNCTIONS.exponential,
    }
)


def activation_of(layer: Any) -> Any:
    """Return the Keras function, or the neuron type, that a layer computes."""
    if type(layer) in OPERATIONS:
        return OPERATIONS[type(layer)](layer)
    if isinstance(layer, keras.layers.ReLU):
        return _rectifier(layer)
    if isinstance(layer, keras.layers.LeakyReLU):
        return _leaky(layer)
    if isinstance(layer, keras.layers.ELU):
        return _exponential(layer)
    return layer.activation


def convert_activation(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Activation``, ``ReLU``, ``LeakyReLU`` and ``ELU``."""
    (source,) = sources
    activation = choose_activation(activation_of(call.layer), options)
    if activation.neurons is None and activation.function is None:
        return Converted(call, (source,), swaps=activation.swaps)
    return finish_activation(call, source, activation, options)


def finish_activation(
    call: LayerCall, source: Source, activation: Activation, options: Options
) -> Converted:
    """Make what computes an activation, and connect its input to it."""
    population = make_population(
        call, activation, source.shape, source.channel_axis, options
    )
    incoming = connect(source.obj, population.target, f"{call.label}.input", options)
    return Converted(
        call,
        (population.output,),
        population.neurons,
        (incoming, *population.rescale),
        scale=population.scale,
        swaps=activation.swaps,
    )


def refuse_function(call: LayerCall, options: Options) -> str | None:
    """Say why an activation has to fall back, if it has to."""
    return refuse_activation(activation_of(call.layer), options)
