"""Convolutions and pooling of NIR as transforms of nengo.

Padding that nengo does not know becomes a sparse matrix.
"""

from __future__ import annotations

from functools import partial

import nir
import numpy as np
from nengo.transforms import Convolution, Sparse, Transform

from ..transforms import DilatedConvolution
from .kernels import Shape, matrix_of, pads_before, pairs, with_gaps


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
    kernel, groups, steps = _kernel(node, shape_in[0])
    full = with_gaps(kernel, steps)
    strides = pairs(node.stride, count)
    padding = node.padding
    if isinstance(padding, str | bytes):
        same = padding in ("same", b"same")
        pads = [(k - 1) // 2 if same else 0 for k in full.shape[:count]]
    else:
        pads = pairs(padding, count)
        same = any(pads)
    kind = Convolution
    if max(steps) > 1:
        kind = partial(DilatedConvolution, dilation=steps)
    reference = kind(
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
    if spatial == shape_out[1:] and pads_before(reference) == pads:
        return reference
    matrix = matrix_of(full, shape_in, shape_out, strides, pads, groups)
    return Sparse(matrix.shape, init=matrix)


def _kernel(node, channels: int) -> tuple[np.ndarray, int, tuple[int, ...]]:
    """Return a kernel (*spatial, channels of a group, filters), groups and dilation."""
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        sizes = pairs(node.kernel_size, 2)
        share = 1 / np.prod(sizes) if isinstance(node, nir.AvgPool2d) else 1
        return np.full((*sizes, 1, channels), share, np.float64), channels, (1, 1)
    weight = np.asarray(node.weight, np.float64)
    steps = tuple(pairs(node.dilation, weight.ndim - 2))
    return np.moveaxis(weight, (1, 0), (-2, -1)), int(node.groups), steps
