"""Convolution and ConvolutionTranspose in 1, 2 and 3 dimensions, grouped or not.

Kernels are stored as nengo stores them: space, input channels, output channels. The
padding "same" puts the odd element after the data. A transposed convolution is the
gradient of a convolution with respect to its input: the input is spread out by the
strides and convolved with the kernel, flipped in space.

On a CPU, XLA takes far longer for the gradient with respect to a kernel than for the
same arithmetic in a matrix product: thirty times as long in a loop. So while a network
is trained there, the patches that the kernel meets are laid side by side and multiplied
with it. If each channel is convolved alone, as in pooling and depthwise convolutions, a
sum of shifted inputs is ten times as fast as XLA's own form, in running as well.
Patches are slices; with strides and more than a few channels, gathering them is faster:
9.5 instead of 11.4 ms for 128 images of 13 x 13 x 32 and 64 kernels of 3 x 3, two
apart, gradients included.

To run a network, there are two more choices. A sum over windows that do not overlap is
not joined with the equations of the neurons before it; joined, these are worked out
one neuron at a time: pooling 3200 spiking neurons takes 4 us instead of 1.6. And XLA is
slow with few input channels: 48 us for 32 kernels of 3 x 3 on one channel of 28 x 28,
11 us as patches; 69 us for three channels of 32 x 32, 33 us as patches. Larger kernels
make more patches than that is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from nengo.builder.transforms import GeneralConvInc
from nengo.transforms import Convolution, ConvolutionTranspose

from ..core import Mode, Run
from ..transforms import DilatedConvolution
from .base import Family, Operand, Settings, Target

_SPACE = "XYZ"
_FEW_CHANNELS = 3  # of the input: XLA's own form and gathering are slow for as many
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


class Geometry(NamedTuple):
    """Shapes of a convolution, as ``lax.conv_general_dilated`` takes them.

    Attributes
    ----------
    strides, spread, dilation : tuple of int
        Steps of the kernel; distance to which the elements of the input are spread out;
        distance between elements that the kernel takes.
    padding : list of (int, int)
        Elements added before and after each dimension of space.
    groups : int
    channels_last : bool
    """

    strides: tuple[int, ...]
    spread: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Padding
    groups: int
    channels_last: bool


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


def convolve(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Convolve one example by XLA's own operation.

    Parameters
    ----------
    x : Array, shape (*space, channels), or (channels, *space)
    kernel : Array, shape (*space, channels / groups, filters)
    geometry : Geometry
    """
    letters = _SPACE[: x.ndim - 1]
    data = f"N{letters}C" if geometry.channels_last else f"NC{letters}"
    return lax.conv_general_dilated(
        x[None],
        kernel,
        window_strides=geometry.strides,
        padding=geometry.padding,
        lhs_dilation=geometry.spread,
        rhs_dilation=geometry.dilation,
        feature_group_count=geometry.groups,
        dimension_numbers=(data, f"{letters}IO", data),
    )[0]


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def convolve_patches(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Do the same as :func:`convolve` with one matrix product.

    The derivative with respect to the input is XLA's own: adding up patches that
    overlap takes longer.
    """
    return _multiply_windows(_windows(x, kernel, geometry), kernel, geometry)


@convolve_patches.defjvp
def _convolve_patches_jvp(
    geometry: Geometry, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (x, kernel), (x_change, kernel_change) = primals, tangents
    windows = _windows(x, kernel, geometry)
    if geometry.groups == 1:
        change = convolve(x_change, kernel, geometry)
    else:  # in groups, XLA's own is slow
        changes = _windows(x_change, kernel, geometry)
        change = _multiply_windows(changes, kernel, geometry)
    return (
        _multiply_windows(windows, kernel, geometry),
        change + _multiply_windows(windows, kernel_change, geometry),
    )


def _padded(x: Array, geometry: Geometry) -> Array:
    """Channels last, spread out, and with the elements added around."""
    x = x if geometry.channels_last else jnp.moveaxis(x, 0, -1)
    padding = zip(geometry.padding, geometry.spread, strict=True)
    config = [(low, high, spread - 1) for (low, high), spread in padding]
    return lax.pad(x, jnp.zeros((), x.dtype), [*config, (0, 0, 0)])


def _places(
    sizes: Sequence[int], kernel: Array, geometry: Geometry
) -> list[tuple[slice, ...]]:
    """Where each element of a kernel meets an input of these sizes, in space."""
    space = kernel.shape[:-2]
    counts = [
        (size - (k - 1) * dilation - 1) // step + 1
        for size, k, dilation, step in zip(
            sizes, space, geometry.dilation, geometry.strides, strict=True
        )
    ]
    places = []
    for offset in np.ndindex(*space):
        first = np.multiply(offset, geometry.dilation)
        spans = zip(first, counts, geometry.strides, strict=True)
        places.append(
            tuple(slice(o, o + (n - 1) * step + 1, step) for o, n, step in spans)
        )
    return places


def _patches(x: Array, kernel: Array, geometry: Geometry) -> list[Array]:
    """What each element of a kernel is multiplied with, channels last."""
    x = _padded(x, geometry)
    return [x[place] for place in _places(x.shape[:-1], kernel, geometry)]


def _windows(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """What a whole kernel is multiplied with: in space, elements with their channels.

    In groups the channels of each group come after each other, with an axis for the
    groups before them.
    """
    groups, channels = geometry.groups, kernel.shape[-2]  # of a group
    strided = geometry.channels_last and set(geometry.strides) != {1}
    if strided and groups == 1 and channels > _FEW_CHANNELS:
        return _gathered_windows(x, kernel, geometry)
    patches = _patches(x, kernel, geometry)
    if groups > 1:
        patches = [patch.reshape(*patch.shape[:-1], groups, -1) for patch in patches]
    return jnp.concatenate(patches, axis=-1)


def _gathered_windows(x: Array, kernel: Array, geometry: Geometry) -> Array:
    x = _padded(x, geometry)
    *sizes, channels = x.shape
    numbers = np.arange(np.prod(sizes)).reshape(sizes)
    places = _places(sizes, kernel, geometry)
    taken = np.stack([numbers[place] for place in places], axis=-1)
    rows = x.reshape(-1, channels).at[taken].get(mode="promise_in_bounds")
    return rows.reshape(*taken.shape[:-1], -1)


def convolve_channels(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Do the same, channel by channel, as a sum of shifted inputs."""
    filters = kernel.shape[-1]
    total: Any = 0
    for patch, weights in zip(
        _patches(x, kernel, geometry), kernel.reshape(-1, filters), strict=True
    ):
        shape = (1,) * (patch.ndim - 1) + (patch.shape[-1], -1)  # filters of a channel
        total = total + patch[..., None] * weights.reshape(shape)
    y = total.reshape(*total.shape[:-2], filters)
    return y if geometry.channels_last else jnp.moveaxis(y, -1, 0)


def pool_channels(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Do the same, channel by channel, for windows that do not overlap.

    Each element belongs to one window, so it is multiplied with its weight before the
    windows are added up.
    """
    windows, padding = kernel.shape[:-2], [(*pair, 0) for pair in geometry.padding]
    if geometry.channels_last:
        window, weights = (*windows, 1), kernel[..., 0, :]
        padding = [*padding, (0, 0, 0)]
    else:
        window, weights = (1, *windows), jnp.moveaxis(kernel[..., 0, :], -1, 0)
        padding = [(0, 0, 0), *padding]
    zero = np.zeros((), x.dtype)
    x = lax.pad(x, zero, padding)
    counts = [size // step for size, step in zip(x.shape, window, strict=True)]
    used = tuple(slice(n * step) for n, step in zip(counts, window, strict=True))
    tiles = [1 if step == 1 else n for n, step in zip(counts, window, strict=True)]
    weighted = x[used] * jnp.tile(weights, tiles)
    return lax.reduce_window(weighted, zero, lax.add, window, window, "VALID")


def _multiply_windows(windows: Array, kernel: Array, geometry: Geometry) -> Array:
    filters, groups = kernel.shape[-1], geometry.groups
    if groups == 1:
        y = windows @ kernel.reshape(-1, filters)
    else:
        weights = kernel.reshape(-1, groups, filters // groups)
        y = jnp.einsum("...gi,igf->...gf", windows, weights)
        y = y.reshape(*y.shape[:-2], filters)
    return y if geometry.channels_last else jnp.moveaxis(y, -1, 0)


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
    if training or (channels <= _FEW_CHANNELS and small):
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
