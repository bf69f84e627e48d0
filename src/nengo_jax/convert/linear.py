"""What layers with a kernel share: reading it, the bias, and the activation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .activations import choose_activation, refuse_activation
from .objects import add_bias, connect, make_population
from .records import Converted, LayerCall, Options

_EXTRAS = (
    "kernel_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "depthwise_regularizer",
    "depthwise_constraint",
    "pointwise_regularizer",
    "pointwise_constraint",
)


def refuse_kernel(call: LayerCall, options: Options) -> str | None:
    """Say why a layer with a kernel has to fall back, if it has to."""
    layer = call.layer
    used = [name for name in _EXTRAS if getattr(layer, name, None) is not None]
    if used and is_trained(call, options):
        return (
            f"its {used[0]} acts on training, which connections of nengo cannot "
            "express; inference_only=True leaves it away"
        )
    if getattr(layer, "quantization_mode", None) is not None:
        return "its weights are quantized"
    if getattr(layer, "lora_enabled", False) and is_trained(call, options):
        return "it is trained by LoRA; inference_only=True merges its weights"
    return refuse_activation(layer.activation, options)


def is_trained(call: LayerCall, options: Options) -> bool:
    """Whether the weights of a layer may change."""
    return call.layer.trainable and not options.inference_only


def weights(variable: Any) -> np.ndarray:
    """Return the value of a Keras variable in double precision."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def fold_affine(
    call: LayerCall, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return kernel and bias of a layer, with what is folded into them.

    Parameters
    ----------
    call : LayerCall
    kernel : ndarray
        Its last axis is that of output channels.
    """
    bias = weights(call.layer.bias) if call.layer.use_bias else None
    if call.affine is None:
        return kernel, bias
    factor, offset = call.affine
    return kernel * factor, offset if bias is None else bias * factor + offset


def finish_layer(
    call: LayerCall,
    source: Any,
    transform: Any,
    bias: np.ndarray | None,
    channel_axis: int,
    options: Options,
    before: tuple[Any, ...] = (),
) -> Converted:
    """Make the activation of a layer, and connect its input and its biases to it.

    Parameters
    ----------
    call : LayerCall
    source : Node or Neurons
    transform : nengo Transform
        Its weights are the kernel.
    bias : ndarray, shape (channels,), or None
    channel_axis : int
    options : Options
    before : tuple of Connection
        Connections of the layer that have been made already.
    """
    layer, shape = call.layer, call.shape_out
    activation = choose_activation(layer.activation, options)
    population = make_population(call, activation, shape, channel_axis, options)
    trainable = layer.trainable
    biases = None
    if bias is not None:
        biases = add_bias(
            population.target,
            bias,
            shape,
            channel_axis,
            call.label,
            options,
            trainable=trainable,
        )
        before = (*before, biases)
    kernel = connect(
        source,
        population.target,
        f"{call.label}.kernel",
        options,
        transform=transform,
        trainable=trainable,
    )
    return Converted(
        call,
        (population.output,),
        population.neurons,
        (*before, kernel, *population.rescale),
        kernel,
        biases,
        population.scale,
        swaps=activation.swaps,
    )
