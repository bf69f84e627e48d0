"""Forms of a convolution for one example, which differ in speed.

On a CPU, XLA takes far longer for the gradient with respect to a kernel than for the
same arithmetic in a matrix product: thirty times as long in a loop. So while a network
is trained there, the patches that the kernel meets are laid side by side and multiplied
with it. If each channel is convolved alone, as in pooling and depthwise convolutions, a
sum of shifted inputs is ten times as fast as XLA's own form, in running as well.
Patches are slices; with strides and more than a few channels, gathering them is faster:
9.5 instead of 11.4 ms for 128 images of 13 x 13 x 32 and 64 kernels of 3 x 3, two
apart, gradients included. With respect to an input that is convolved with strides, the
gradient spreads out what comes in. XLA's own form does so with zeros; in another form
neighbours within a stride are channels, so there is nothing to spread out, but a kernel
that is no multiple of the stride is filled up with zeros.

To run a network, there are two more choices. A sum over windows that do not overlap is
not joined with the equations of the neurons before it; joined, these are worked out
one neuron at a time: pooling 3200 spiking neurons takes 4 us instead of 1.6. And XLA is
slow with few input channels: 48 us for 32 kernels of 3 x 3 on one channel of 28 x 28,
11 us as patches; 69 us for three channels of 32 x 32, 33 us as patches. Larger kernels
make more patches than that is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..runtime.whole_batch import call_with_batch

FEW_CHANNELS = 3  # of the input: XLA's own form and gathering are slow for so few
_SPACE = "XYZ"

# A strided convolution is folded if its kernel grows by no more than this factor as it
# is filled up with zeros: the second one for a large batch with few channels.
_FILLED, _FILLED_IF_LARGE = 1.5, 1.8
_LARGE_BATCH = 2**20  # elements
_FOLDED_CHANNELS = 32

Padding = list[tuple[int, int]]


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


def convolve_folded(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Do the same by a convolution without strides; dilation and groups are ignored.

    Neighbours within a stride become channels of one element, as in a sub-pixel
    convolution (Shi et al., 2016), and the kernel is filled up with zeros.
    """
    x, strides = _padded(x, geometry), geometry.strides
    sizes = zip(x.shape[:-1], kernel.shape[:-2], strides, strict=True)
    blocks = [(-(-k // step), (size - k) // step) for size, k, step in sizes]
    ones = (1,) * len(strides)
    y = convolve(
        _fold(x, [block + rest for block, rest in blocks], strides),
        _fold(kernel, [block for block, _ in blocks], strides),
        Geometry(ones, ones, ones, [(0, 0)] * len(strides), 1, True),
    )
    return y if geometry.channels_last else jnp.moveaxis(y, -1, 0)


def _fold(value: Array, counts: Sequence[int], steps: Sequence[int]) -> Array:
    """Turn elements within a step into channels, which come after space."""
    dimensions, rest = len(steps), value.shape[len(steps) :]
    sizes = zip(value.shape[:dimensions], counts, steps, strict=True)
    missing = [(0, count * step - size, 0) for size, count, step in sizes]
    zero = np.zeros((), value.dtype)
    value = lax.pad(value, zero, [*missing, *[(0, 0, 0)] * len(rest)])
    split = [n for pair in zip(counts, steps, strict=True) for n in pair]
    inner = range(dimensions, 2 * dimensions)
    value = value.reshape(*split, *rest)
    value = jnp.moveaxis(value, range(1, 2 * dimensions, 2), inner)
    return value.reshape(*counts, -1, *rest[1:])


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def convolve_patches(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Do the same as :func:`convolve` with one matrix product.

    The derivative with respect to the input is XLA's own or folded: adding up patches
    that overlap takes longer.
    """
    return _multiply_windows(_windows(x, kernel, geometry), kernel, geometry)


@convolve_patches.defjvp
def _convolve_patches_jvp(
    geometry: Geometry, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (x, kernel), (x_change, kernel_change) = primals, tangents
    windows = _windows(x, kernel, geometry)
    if geometry.groups == 1:
        change = _convolve_for_gradient(x_change, kernel, geometry)
    else:  # in groups, XLA's own is slow
        changes = _windows(x_change, kernel, geometry)
        change = _multiply_windows(changes, kernel, geometry)
    return (
        _multiply_windows(windows, kernel, geometry),
        change + _multiply_windows(windows, kernel_change, geometry),
    )


def _convolve_for_gradient(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Convolve in the form whose gradient with respect to ``x`` is faster.

    That depends on the number of images, so the whole batch is looked at.
    """

    def whole(kernels: Sequence[Array], _: Any, own: Sequence[Array]) -> list[Array]:
        (kernel,), (batch,) = kernels, own
        form = convolve
        if _is_faster_folded(batch, kernel, geometry):
            form = convolve_folded
        return [jax.vmap(lambda x: form(x, kernel, geometry))(batch)]

    (y,) = call_with_batch(whole, [kernel], [], [x], 0)
    return y


def _is_faster_folded(batch: Array, kernel: Array, geometry: Geometry) -> bool:
    """Whether the gradient with respect to the input is faster in folded form.

    On two cores, in parts of the time of XLA's own gradient: 0.1 to 0.7 for kernels of
    4 x 4, 6 x 6 and 7 x 7 with strides of 2, 3 and 2, and for those of 3 in one
    dimension; between 0.4 and 1.1 for 5 x 5 and strides of 2, between 0.7 and 1.1 for
    3 x 3 and strides of 2 in one of two dimensions. A kernel of 3 x 3 with strides of 2
    is almost half zeros when it is filled up: 0.5 to 0.85 for few channels and more
    images than the cache holds, else more than 1.
    """
    sizes = zip(kernel.shape[:-2], geometry.strides, strict=True)
    strided = [(k, step) for k, step in sizes if step > 1]
    overlap = all(k > step for k, step in strided)
    if not strided or not overlap or set(geometry.dilation) != {1}:
        return False
    filled = math.prod(-(-k // step) * step / k for k, step in strided)
    large = kernel.shape[-2] <= _FOLDED_CHANNELS and batch.size >= _LARGE_BATCH
    return filled <= (_FILLED_IF_LARGE if large else _FILLED)


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
    if strided and groups == 1 and channels > FEW_CHANNELS:
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
        y = _multiply_rows(windows, kernel.reshape(-1, filters))
    else:
        weights = kernel.reshape(-1, groups, filters // groups)
        y = jnp.einsum("...gi,igf->...gf", windows, weights)
        y = y.reshape(*y.shape[:-2], filters)
    return y if geometry.channels_last else jnp.moveaxis(y, -1, 0)


def _multiply_rows(rows: Array, weights: Array) -> Array:
    """Multiply rows of all examples with weights, in a product of two matrices.

    If rows lay along several axes, XLA would transpose the gradient of the result
    before it multiplies it for the weights: 16 instead of 11 ms for 512 images of
    13 x 13 x 32 and 64 kernels of 3 x 3, two apart.
    """

    def product(weights: Sequence[Array], _: Any, own: Sequence[Array]) -> list[Array]:
        (rows,), (matrix,) = own, weights
        y = rows.reshape(-1, rows.shape[-1]) @ matrix
        return [y.reshape(*rows.shape[:-1], matrix.shape[-1])]

    (y,) = call_with_batch(product, [weights], [], [rows], 0)
    return y
