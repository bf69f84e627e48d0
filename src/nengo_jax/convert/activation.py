"""Layers that are an activation function, and nothing else."""

from __future__ import annotations

from typing import Any

import keras

from ..neurons import ELU, BoundedReLU, LeakyReLU
from .activations import choose_activation, refuse_activation
from .objects import connect, make_population
from .records import Converted, LayerCall, Options, Source


def activation_of(layer: Any) -> Any:
    """Return the Keras function, or the neuron type, that a layer computes."""
    if isinstance(layer, keras.layers.ReLU):
        return _rectifier(layer)
    if isinstance(layer, keras.layers.LeakyReLU):
        return LeakyReLU(float(layer.negative_slope))
    if isinstance(layer, keras.layers.ELU):
        alpha = float(layer.alpha)
        return keras.activations.elu if alpha == 1 else ELU(alpha)
    return layer.activation


def _rectifier(layer: Any) -> Any:
    """Return a Keras function where there is one, so that it can be swapped."""
    limit, slope = layer.max_value, float(layer.negative_slope or 0)
    threshold = float(layer.threshold or 0)
    if not threshold and limit is None:
        return LeakyReLU(slope) if slope else keras.activations.relu
    if not threshold and not slope and limit == 6:
        return keras.activations.relu6
    return BoundedReLU(None if limit is None else float(limit), slope, threshold)


def convert_activation(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Activation``, ``ReLU``, ``LeakyReLU`` and ``ELU``."""
    (source,) = sources
    activation = choose_activation(activation_of(call.layer), options)
    if activation.neurons is None and activation.function is None:
        return Converted(call, (source,), swaps=activation.swaps)
    population = make_population(
        call, activation, source.shape, source.channel_axis, options
    )
    incoming = connect(source.obj, population.target, f"{call.label}.input", options)
    made = (incoming, population.rescale)
    return Converted(
        call,
        (population.output,),
        population.neurons,
        tuple(connection for connection in made if connection is not None),
        scale=population.scale,
        swaps=activation.swaps,
    )


def refuse_function(call: LayerCall, options: Options) -> str | None:
    """Say why an activation has to fall back, if it has to."""
    return refuse_activation(activation_of(call.layer), options)
