"""Convolution and ConvolutionTranspose in 1, 2 and 3 dimensions, grouped or not.

Kernels are stored as nengo stores them: space, input channels, output channels. The
padding "same" puts the odd element after the data. A transposed convolution is the
gradient of a convolution with respect to its input: the input is spread out by the
strides and convolved with the kernel, flipped in space.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from nengo.builder.transforms import GeneralConvInc
from nengo.transforms import Convolution, ConvolutionTranspose

from ..core import Mode, Run
from .base import Family, Operand, Settings, Target

_SPACE = "XYZ"
Padding = list[tuple[int, int]]


def _key(op: GeneralConvInc) -> Hashable:
    conv = op.conv
    return (
        type(op),
        op.W.shape,
        conv.input_shape.shape,
        conv.output_shape.shape,
        conv.channels_last,
        conv.strides,
        conv.padding,
        op.X.shape,
        op.Y.shape,
    )


def forward_padding(
    sizes: Sequence[int], outputs: Sequence[int], conv: Convolution
) -> Padding:
    """Elements added before and after the data in each dimension of space."""
    if conv.padding == "valid":
        return [(0, 0)] * len(sizes)
    steps = zip(sizes, outputs, conv.kernel_size, conv.strides, strict=True)
    totals = [max((out - 1) * s + k - size, 0) for size, out, k, s in steps]
    return [(total // 2, total - total // 2) for total in totals]


def backward_padding(
    sizes: Sequence[int], outputs: Sequence[int], conv: ConvolutionTranspose
) -> Padding:
    """Elements added around the spread-out data of a transposed convolution."""
    forward = forward_padding(outputs, sizes, conv)
    padding = []
    for size, out, k, s, (before, _) in zip(
        sizes, outputs, conv.kernel_size, conv.strides, forward, strict=True
    ):
        low = k - 1 - before
        spread = (size - 1) * s + 1
        padding.append((low, out + k - 1 - spread - low))
    return padding


def _build(ops: Sequence[GeneralConvInc], settings: Settings) -> Run:
    conv = ops[0].conv
    shape_in, shape_out = conv.input_shape.shape, conv.output_shape.shape
    size_in, size_out = ops[0].X.shape, ops[0].Y.shape
    space = tuple(range(conv.dimensions))
    sizes = conv.input_shape.spatial_shape
    outputs = conv.output_shape.spatial_shape
    letters = _SPACE[: conv.dimensions]
    data = f"N{letters}C" if conv.channels_last else f"NC{letters}"
    if isinstance(conv, ConvolutionTranspose):
        settings_of = {
            "window_strides": (1,) * conv.dimensions,
            "padding": backward_padding(sizes, outputs, conv),
            "lhs_dilation": conv.strides,
        }
    else:
        settings_of = {
            "window_strides": conv.strides,
            "padding": forward_padding(sizes, outputs, conv),
            "feature_group_count": conv.groups,
        }
    flip = isinstance(conv, ConvolutionTranspose)

    def one(kernel: Array, x: Array) -> Array:
        kernel = jnp.flip(kernel, space) if flip else kernel
        y = lax.conv_general_dilated(
            x.reshape(1, *shape_in),
            kernel,
            dimension_numbers=(data, f"{letters}IO", data),
            **settings_of,
        )
        return y.reshape(shape_out).reshape(size_out)

    def run(kernel: Array, x: Array) -> tuple[Array]:
        if len(ops) == 1:
            return (one(kernel[0], x[0].reshape(size_in))[None],)
        return (jax.vmap(one)(kernel, x),)

    return run


CONVOLUTION = Family(
    name="convolution",
    key=_key,
    reads=lambda op: (Operand(op.W), Operand(op.X)),
    writes=lambda op: (Target(Operand(op.Y), Mode.INC),),
    build=_build,
)
