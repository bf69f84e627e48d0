"""Convolution and ConvolutionTranspose in 1, 2 and 3 dimensions, grouped or not.

Kernels are stored as nengo stores them: space, input channels, output channels. The
padding "same" puts the odd element after the data. A transposed convolution is the
gradient of a convolution with respect to its input: the input is spread out by the
strides and convolved with the kernel, flipped in space.

On a CPU there are several forms of a convolution (``convolution_forms.py``), and the
fastest is chosen here for training and for running a network.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder.transforms import GeneralConvInc
from nengo.transforms import Convolution, ConvolutionTranspose

from ..core import Mode, Run
from ..transforms import DilatedConvolution
from .base import Family, Operand, Settings, Target
from .convolution_forms import (
    FEW_CHANNELS,
    Geometry,
    Padding,
    convolve,
    convolve_channels,
    convolve_patches,
    pool_channels,
)


def _key(op: GeneralConvInc) -> Hashable:
    conv = op.conv
    return (
        type(op),
        op.W.shape,
        conv.input_shape.shape,
        conv.output_shape.shape,
        conv.channels_last,
        conv.strides,
        dilation_of(conv),
        conv.padding,
        op.X.shape,
        op.Y.shape,
    )


def dilation_of(conv: Convolution | ConvolutionTranspose) -> tuple[int, ...]:
    """Distance between elements that the kernel takes, in each dimension of space."""
    dilated = isinstance(conv, DilatedConvolution)
    return tuple(conv.dilation) if dilated else (1,) * conv.dimensions


def forward_padding(
    sizes: Sequence[int], outputs: Sequence[int], conv: Convolution
) -> Padding:
    """Elements added before and after the data in each dimension of space."""
    if conv.padding == "valid":
        return [(0, 0)] * len(sizes)
    kernel = zip(conv.kernel_size, dilation_of(conv), strict=True)
    extents = [(size - 1) * dilation + 1 for size, dilation in kernel]
    steps = zip(sizes, outputs, extents, conv.strides, strict=True)
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


def geometry_of(conv: Convolution | ConvolutionTranspose) -> Geometry:
    """Describe a convolution of nengo, or a transposed one."""
    sizes = conv.input_shape.spatial_shape
    outputs = conv.output_shape.spatial_shape
    ones = (1,) * conv.dimensions
    if isinstance(conv, ConvolutionTranspose):
        padding = backward_padding(sizes, outputs, conv)
        return Geometry(ones, tuple(conv.strides), ones, padding, 1, conv.channels_last)
    padding = forward_padding(sizes, outputs, conv)
    return Geometry(
        tuple(conv.strides),
        ones,
        dilation_of(conv),
        padding,
        conv.groups,
        conv.channels_last,
    )


_SMALL_KERNEL = 25  # elements up to which patches are faster then


def _choose_form(
    conv: Convolution | ConvolutionTranspose, settings: Settings
) -> Callable[[Array, Array, Geometry], Array]:
    if jax.default_backend() != "cpu":
        return convolve
    channels, training = conv.input_shape.n_channels, settings.training is not None
    if 1 < conv.groups == channels:
        pools = _can_pool(conv) and not training
        return pool_channels if pools else convolve_channels
    small = np.prod(conv.kernel_size) <= _SMALL_KERNEL
    if training or (channels <= FEW_CHANNELS and small):
        return convolve_patches
    return convolve


def _can_pool(conv: Convolution | ConvolutionTranspose) -> bool:
    """Whether windows lie side by side, and each channel has one filter."""
    if isinstance(conv, ConvolutionTranspose) or set(dilation_of(conv)) != {1}:
        return False
    single = conv.n_filters == conv.input_shape.n_channels
    return single and tuple(conv.strides) == tuple(conv.kernel_size)


def _build(ops: Sequence[GeneralConvInc], settings: Settings) -> Run:
    conv = ops[0].conv
    shape_in, shape_out = conv.input_shape.shape, conv.output_shape.shape
    size_in, size_out = ops[0].X.shape, ops[0].Y.shape
    space = tuple(range(conv.dimensions))
    flip = isinstance(conv, ConvolutionTranspose)
    geometry = geometry_of(conv)
    form = _choose_form(conv, settings)

    def one(kernel: Array, x: Array) -> Array:
        kernel = jnp.flip(kernel, space) if flip else kernel
        y = form(x.reshape(shape_in), kernel, geometry)
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
