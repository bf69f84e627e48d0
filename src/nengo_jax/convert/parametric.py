r"""PReLU: a rectified linear unit whose slope below zero is trained.

.. math:: f(x) = \max(x, 0) - \alpha \max(-x, 0)

is computed by two populations; the weights of the second one's connection are
:math:`-\alpha`, so they are trained like all weights, and both may spike.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import keras
import nengo
import numpy as np

from .activations import choose_activation
from .fallback import convert_exact
from .linear import is_trained, weights
from .objects import connect, make_population, passthrough
from .records import Converted, LayerCall, Options, Source


def convert_parametric(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.PReLU``."""
    (source,) = sources
    slopes = -weights(call.layer.alpha)
    if call.leading == 2 and len(slopes) == 1:  # shared by all time steps
        slopes = slopes[0]
    transform = _slopes(slopes, source)
    activation = choose_activation(keras.activations.relu, options)
    if transform is None or activation.neurons is None:
        return convert_exact(call, sources, options)
    node, label = passthrough(f"{call.label}.sum", source.shape), call.label
    above, below = (
        make_population(
            replace(call, label=name),
            activation,
            source.shape,
            source.channel_axis,
            options,
        )
        for name in (label, f"{label}.negative")
    )
    trainable = call.layer.trainable
    made = (
        connect(source.obj, above.target, f"{label}.input", options),
        connect(
            source.obj, below.target, f"{label}.negative.input", options, transform=-1
        ),
        *above.rescale,
        *below.rescale,
        connect(above.output.obj, node, f"{label}.output", options),
        connect(
            below.output.obj,
            node,
            f"{label}.alpha",
            options,
            transform=transform,
            trainable=trainable,
        ),
    )
    return Converted(
        call,
        (Source(node, source.shape, source.channel_axis),),
        above.neurons,
        made,
        scale=above.scale,
        swaps=activation.swaps,
        opposite=below.neurons,
    )


def refuse_parametric(call: LayerCall, options: Options) -> str | None:
    """Say why a PReLU layer has to fall back, if it has to."""
    layer = call.layer
    extras = layer.alpha_regularizer or layer.alpha_constraint
    if extras is not None and is_trained(call, options):
        return (
            "its alpha_regularizer or alpha_constraint acts on training, which "
            "connections of nengo cannot express; inference_only=True leaves it away"
        )
    return None


def _slopes(slopes: np.ndarray, source: Source) -> Any:
    """The transform that multiplies elements, or None if slopes are shared oddly."""
    shape, size = source.shape, math.prod(source.shape)
    if slopes.shape == shape:
        return nengo.Dense((size, size), init=slopes.reshape(-1))
    if slopes.size == 1:
        return nengo.Dense((size, size), init=slopes.reshape(()))
    channels = shape[source.channel_axis]
    shared = [1] * len(shape)
    shared[source.channel_axis] = channels
    if slopes.shape != tuple(shared):
        return None
    last, positions = source.channel_axis == -1, size // channels
    return nengo.Convolution(
        channels,
        (positions, channels) if last else (channels, positions),
        kernel_size=(1,),
        strides=(1,),
        channels_last=last,
        init=slopes.reshape(1, 1, channels),
        groups=channels,
    )
