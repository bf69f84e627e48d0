"""Dense layers: a product with the kernel, biases, and an activation.

For an input of more than one axis the kernel is applied to the last one, as a
convolution with a kernel of size 1.
"""

from __future__ import annotations

import math
from typing import Any

import nengo
import numpy as np

from .linear import finish_layer, fold_affine, weights
from .records import Converted, LayerCall, Options, Source


def convert_dense(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``keras.layers.Dense``."""
    (source,) = sources
    kernel, bias = fold_affine(call, weights(call.layer.kernel))
    return finish_layer(
        call,
        source.obj,
        dense_transform(kernel, source.shape),
        bias,
        -1,
        options,
    )


def dense_transform(kernel: np.ndarray, shape: tuple[int, ...]) -> Any:
    """Return the transform that applies a kernel to the last axis of a shape."""
    size, units = kernel.shape
    positions = math.prod(shape) // size
    if positions == 1:
        return nengo.Dense((units, size), init=kernel.T)
    return nengo.Convolution(
        units, (positions, size), kernel_size=(1,), strides=(1,), init=kernel[None]
    )
