"""Convolutions of nengo as nodes of NIR: Conv1d, Conv2d, SumPool2d or AvgPool2d.

NIR pads both sides alike. Where nengo does not, the kernel is written with rows of
zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import nir
import numpy as np
from nengo.transforms import Convolution

from ..families.convolution import dilation_of
from .kernels import every, output_size, output_sizes, pads_before, with_gaps

_MARGIN = 4  # how many rows of zeros are tried, to make a kernel square


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
    pads, sizes = pads_before(transform), transform.output_shape.spatial_shape
    steps = dilation_of(transform)
    full = with_gaps(_without_groups(kernel, transform.groups), steps)
    pool = _pooling(transform, full, pads)
    if pool is not None:
        return pool
    stretched = _stretch(transform, full.shape[:count], pads)
    if stretched is None:
        return None
    zeros, both = stretched
    if np.any(zeros):
        full = np.pad(full, [*zeros, (0, 0), (0, 0)])
        steps = (1,) * count
    full = full[every(steps)]
    weight = np.moveaxis(full, (-1, -2), (0, 1))
    spatial = transform.input_shape.spatial_shape
    bias = np.zeros(transform.n_filters)
    if count == 1:
        stride = int(transform.strides[0])
        node = nir.Conv1d(spatial[0], weight, stride, both[0], steps[0], 1, bias)
    else:
        strides = tuple(int(s) for s in transform.strides)
        node = nir.Conv2d(spatial, weight, strides, tuple(both), steps, 1, bias)
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
    if max(dilation_of(transform)) > 1:
        return None
    value = kernel.flat[0]
    size = np.prod(transform.kernel_size)
    kind = {1.0: nir.SumPool2d, 1.0 / size: nir.AvgPool2d}.get(value)
    if kind is None or not np.array_equal(
        kernel, np.broadcast_to(value * np.eye(channels), kernel.shape)
    ):
        return None
    spatial, strides = transform.input_shape.spatial_shape, transform.strides
    sizes = output_sizes(spatial, transform.kernel_size, strides, pads, 1)
    if sizes != tuple(transform.output_shape.spatial_shape):
        return None
    return kind(
        np.array(transform.kernel_size), np.array(transform.strides), np.array(pads)
    )


def _stretch(transform: Convolution, extent: Sequence[int], pads: Sequence[int]):
    """Find rows of zeros before and after a kernel, and a padding for both sides.

    The kernel becomes square, because nir takes it to be square where it works out
    shapes. ``extent`` is its size now, with its gaps.
    """
    largest = max(extent)
    sizes = transform.output_shape.spatial_shape
    for size in range(largest, largest + _MARGIN):
        choices = []
        for axis, kernel in enumerate(extent):
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
