r"""What convolutions compute: geometry, and the matrix.

Images are flattened with the channels first, as in NIR. Along each axis, output o
reads the inputs :math:`s o + d j - p` for the offsets j of the kernel, with stride s,
dilation d and padding p; inputs outside are zero. What nengo's padding amounts to, and
its dilation, is known to :mod:`nengo_jax.families.convolution`.

Kernels have nengo's shape here: (*spatial, channels of a group, filters).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import scipy.sparse
from nengo.exceptions import BuildError
from nengo.transforms import ChannelShape, Convolution

from ..families.convolution import dilation_of, geometry_of

Shape = tuple[int, ...]
Each = int | Sequence[int] | np.ndarray  # for all axes, or for each


def pairs(value: Each, count: int) -> list[int]:
    """Return one number for each axis."""
    return np.broadcast_to(np.asarray(value, int).reshape(-1), count).tolist()


def output_size(
    size: int, kernel: int, stride: int, padding: int | str | bytes, dilation: int
) -> int:
    """Return the size of the output along an axis."""
    if isinstance(padding, str | bytes):
        if padding in ("same", b"same"):
            if stride != 1:
                raise BuildError(
                    "A convolution with padding 'same' has a stride of "
                    f"{stride}, which NIR does not define. Give its padding in numbers."
                )
            return size
        padding = 0
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def output_sizes(
    spatial: Shape,
    kernel: Shape,
    stride: Each,
    padding: Each | str | bytes,
    dilation: Each,
) -> Shape:
    """Return the size of the output along each axis."""
    count = len(spatial)
    named = isinstance(padding, str | bytes)
    pads = [padding] * count if named else pairs(padding, count)
    axes = zip(
        spatial, kernel, pairs(stride, count), pads, pairs(dilation, count), strict=True
    )
    return tuple(output_size(*axis) for axis in axes)


def channels_first(shape: ChannelShape) -> Shape:
    """Return a shape of nengo with the channels first."""
    return (shape.n_channels, *shape.spatial_shape)


def order_of(shape: ChannelShape) -> np.ndarray:
    """Return where the elements of a flat image with channels first are in nengo's."""
    numbers = np.arange(shape.size).reshape(shape.shape)
    return (np.moveaxis(numbers, -1, 0) if shape.channels_last else numbers).ravel()


def as_matrix(transform: Convolution, kernel: np.ndarray) -> np.ndarray:
    """Return the matrix of a convolution, rows and columns as in nengo."""
    matrix = matrix_of(
        with_gaps(kernel, dilation_of(transform)),
        channels_first(transform.input_shape),
        channels_first(transform.output_shape),
        transform.strides,
        pads_before(transform),
        transform.groups,
    ).toarray()
    result = np.empty_like(matrix)
    rows, columns = order_of(transform.output_shape), order_of(transform.input_shape)
    result[np.ix_(rows, columns)] = matrix
    return result


def pads_before(transform: Convolution) -> list[int]:
    """Return how many zeros nengo adds before each axis."""
    return [before for before, _ in geometry_of(transform).padding]


def with_gaps(kernel: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Return a kernel with zeros where a dilated one has gaps."""
    sizes = [(k - 1) * d + 1 for k, d in zip(kernel.shape, steps, strict=False)]
    full = np.zeros((*sizes, *kernel.shape[len(steps) :]))
    full[every(steps)] = kernel
    return full


def every(steps: Sequence[int]) -> tuple[slice, ...]:
    """Return where the weights of a dilated kernel are."""
    return tuple(slice(None, None, step) for step in steps)


def matrix_of(
    kernel: np.ndarray,
    shape_in: Shape,
    shape_out: Shape,
    strides: Sequence[int],
    pads: Sequence[int],
    groups: int,
) -> scipy.sparse.csr_matrix:
    """Return the matrix of a convolution of flat images with the channels first."""
    *offsets, inner, filters = kernel.shape
    each = filters // groups
    n_in, n_out = int(np.prod(shape_in[1:])), int(np.prod(shape_out[1:]))
    places = np.indices(shape_out[1:]).reshape(len(offsets), -1)
    limits = np.array(shape_in[1:])[:, None]
    rows, columns, values = [], [], []
    for offset in product(*(range(k) for k in offsets)):
        shift = np.array(offset) - np.array(pads)
        read = places * np.array(strides)[:, None] + shift[:, None]
        inside = np.all((read >= 0) & (read < limits), axis=0)
        target = np.flatnonzero(inside)
        source = np.ravel_multi_index(tuple(read[:, inside]), shape_in[1:])
        for channel, out in product(range(inner), range(filters)):
            entry = (out // each) * inner + channel
            rows.append(out * n_out + target)
            columns.append(entry * n_in + source)
            values.append(np.full(len(target), kernel[(*offset, channel, out)]))
    shape = (shape_out[0] * n_out, shape_in[0] * n_in)
    indices = (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.csr_matrix((np.concatenate(values), indices), shape=shape)
