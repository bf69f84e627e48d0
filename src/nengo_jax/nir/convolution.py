r"""Convolutions and pooling, from NIR to nengo and back.

Images are flattened with the channels first, as in NIR. Along each axis, output o
reads the inputs :math:`s o + d j - p` for the offsets j of the kernel, with stride s,
dilation d and padding p; inputs outside are zero. nengo has no dilation and, as
padding, only "valid" (p = 0) and "same", which pads half of what is missing, rounded
down:

.. math:: p = \lfloor \max((n_{out} - 1) s + k - n_{in}, 0) / 2 \rfloor

Kernels with dilation become larger ones with zeros. Any other padding becomes a sparse
matrix. The other way round, NIR pads both sides alike; where nengo does not, the kernel
is exported with rows of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import nengo
import nir
import numpy as np
import scipy.sparse
from nengo.exceptions import BuildError
from nengo.transforms import ChannelShape, Convolution, Sparse, Transform

Shape = tuple[int, ...]
PadLike = int | str | bytes | Sequence[int] | np.ndarray

_MARGIN = 4  # how many rows of zeros are tried, to make a kernel square


def pairs(value: int | Sequence[int] | np.ndarray, count: int) -> list[int]:
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


def to_transform(
    node: nir.Conv1d | nir.Conv2d | nir.SumPool2d | nir.AvgPool2d,
    shape_in: Shape,
    shape_out: Shape,
) -> Transform:
    """Return the transform that computes what a node of NIR does.

    Parameters
    ----------
    node : nir.NIRNode
    shape_in, shape_out : tuple of int
        Channels first.
    """
    count = len(shape_in) - 1
    kernel, groups = _kernel(node, shape_in[0])
    strides = pairs(node.stride, count)
    padding = node.padding
    if isinstance(padding, str | bytes):
        same = padding in ("same", b"same")
        pads = [(k - 1) // 2 if same else 0 for k in kernel.shape[:count]]
    else:
        pads = pairs(padding, count)
        same = any(pads)
    reference = Convolution(
        shape_out[0],
        shape_in,
        kernel.shape[:count],
        tuple(strides),
        "same" if same else "valid",
        channels_last=False,
        init=kernel,
        groups=groups,
    )
    spatial = reference.output_shape.spatial_shape
    if spatial == shape_out[1:] and _pads_before(reference) == pads:
        return reference
    matrix = _matrix(kernel, shape_in, shape_out, strides, pads, groups)
    return Sparse(matrix.shape, init=matrix)


def _kernel(node, channels: int) -> tuple[np.ndarray, int]:
    """Return a kernel of shape (*spatial, channels of a group, filters), and groups."""
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        sizes = pairs(node.kernel_size, 2)
        share = 1 / np.prod(sizes) if isinstance(node, nir.AvgPool2d) else 1
        return np.full((*sizes, 1, channels), share, np.float64), channels
    weight = np.asarray(node.weight, np.float64)
    count = weight.ndim - 2
    steps = pairs(node.dilation, count)
    sizes = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], steps, strict=True)]
    kernel = np.zeros((*weight.shape[:2], *sizes))
    kernel[(..., *(slice(None, None, step) for step in steps))] = weight
    return np.moveaxis(kernel, (1, 0), (-2, -1)), int(node.groups)


def _pads_before(transform: Convolution) -> list[int]:
    if transform.padding == "valid":
        return [0] * transform.dimensions
    return [
        max((n_out - 1) * stride + kernel - n_in, 0) // 2
        for n_in, n_out, stride, kernel in zip(
            transform.input_shape.spatial_shape,
            transform.output_shape.spatial_shape,
            transform.strides,
            transform.kernel_size,
            strict=True,
        )
    ]


def channels_first(shape: ChannelShape) -> Shape:
    """Return a shape of nengo with the channels first."""
    return (shape.n_channels, *shape.spatial_shape)


def order_of(shape: ChannelShape) -> np.ndarray:
    """Return where the elements of a flat image with channels first are in nengo's."""
    numbers = np.arange(shape.size).reshape(shape.shape)
    return (np.moveaxis(numbers, -1, 0) if shape.channels_last else numbers).ravel()


def as_matrix(transform: Convolution, kernel: np.ndarray) -> np.ndarray:
    """Return the matrix of a convolution, rows and columns as in nengo."""
    matrix = _matrix(
        kernel,
        channels_first(transform.input_shape),
        channels_first(transform.output_shape),
        transform.strides,
        _pads_before(transform),
        transform.groups,
    ).toarray()
    result = np.empty_like(matrix)
    rows, columns = order_of(transform.output_shape), order_of(transform.input_shape)
    result[np.ix_(rows, columns)] = matrix
    return result


def to_node(transform: Convolution, kernel: np.ndarray) -> nir.NIRNode | None:
    """Return the node of NIR that computes a convolution, or None if there is none.

    Parameters
    ----------
    transform : nengo.Convolution
    kernel : ndarray, shape (*kernel_size, input channels of a group, filters)
    """
    count = transform.dimensions
    if count > 2:
        return None
    pads, sizes = _pads_before(transform), transform.output_shape.spatial_shape
    full = _without_groups(kernel, transform.groups)
    pool = _pooling(transform, full, pads)
    if pool is not None:
        return pool
    stretched = _stretch(transform, pads)
    if stretched is None:
        return None
    zeros, both = stretched
    full = np.pad(full, [*zeros, (0, 0), (0, 0)])
    weight = np.moveaxis(full, (-1, -2), (0, 1))
    spatial = transform.input_shape.spatial_shape
    bias = np.zeros(transform.n_filters)
    if count == 1:
        stride = int(transform.strides[0])
        node = nir.Conv1d(spatial[0], weight, stride, both[0], 1, 1, bias)
    else:
        strides = tuple(int(s) for s in transform.strides)
        node = nir.Conv2d(spatial, weight, strides, tuple(both), 1, 1, bias)
    assert tuple(node.output_type["output"][1:]) == tuple(sizes)
    return node


def _without_groups(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Return a kernel between all channels.

    The package nir cannot read back a convolution with groups, because it takes the
    second axis of the weights for all channels of the input.
    """
    *spatial, inner, filters = kernel.shape
    full = np.zeros((*spatial, inner * groups, filters))
    each = filters // groups
    for group in range(groups):
        rows = slice(group * inner, (group + 1) * inner)
        columns = slice(group * each, (group + 1) * each)
        full[..., rows, columns] = kernel[..., columns]
    return full


def _pooling(
    transform: Convolution, kernel: np.ndarray, pads: list[int]
) -> nir.NIRNode | None:
    channels = transform.input_shape.n_channels
    if transform.dimensions != 2 or transform.n_filters != channels:
        return None
    value = kernel.flat[0]
    size = np.prod(transform.kernel_size)
    kind = {1.0: nir.SumPool2d, 1.0 / size: nir.AvgPool2d}.get(value)
    if kind is None or not np.array_equal(
        kernel, np.broadcast_to(value * np.eye(channels), kernel.shape)
    ):
        return None
    if _sizes(transform, transform.kernel_size, pads) != list(
        transform.output_shape.spatial_shape
    ):
        return None
    return kind(
        np.array(transform.kernel_size), np.array(transform.strides), np.array(pads)
    )


def _sizes(transform: Convolution, kernel: Sequence[int], pads: Sequence[int]):
    spatial = transform.input_shape.spatial_shape
    return [
        output_size(spatial[i], kernel[i], transform.strides[i], pads[i], 1)
        for i in range(len(spatial))
    ]


def _stretch(transform: Convolution, pads: list[int]):
    """Find rows of zeros before and after a kernel, and a padding for both sides.

    The kernel becomes square, because nir takes it to be square where it works out
    shapes.
    """
    largest = max(transform.kernel_size)
    sizes = transform.output_shape.spatial_shape
    for size in range(largest, largest + _MARGIN):
        choices = []
        for axis, kernel in enumerate(transform.kernel_size):
            extra = size - kernel
            fits = [
                ((front, extra - front), pads[axis] + front)
                for front in range(extra + 1)
                if output_size(
                    transform.input_shape.spatial_shape[axis],
                    size,
                    transform.strides[axis],
                    pads[axis] + front,
                    1,
                )
                == sizes[axis]
            ]
            choices.append(fits[:1])
        if all(choices):
            return [fit[0][0] for fit in choices], [fit[0][1] for fit in choices]
    return None


def _matrix(
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


def is_convolution(transform: Transform) -> bool:
    """Whether a transform is a convolution, not a transposed one."""
    return type(transform) is nengo.Convolution
