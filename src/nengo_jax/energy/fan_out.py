"""Which outputs each input of a transform reaches: exact, without the full matrix.

A pattern is a Kronecker product of small matrices (outputs, inputs), one for each axis
of the data: for a convolution, one for each dimension of space, with a one where the
kernel lies over an element that is no padding, and one for the channels. So the pattern
of a large convolution takes a few hundred numbers.

Weights that are given and are zero are no connections in Dense and Sparse transforms; a
kernel counts as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from nengo.dists import Distribution
from nengo.exceptions import ValidationError
from nengo.transforms import (
    Convolution,
    ConvolutionTranspose,
    Dense,
    NoTransform,
    Sparse,
    Transform,
)
from scipy import sparse

from ..families.convolution import geometry_of


class Pattern(NamedTuple):
    """Pairs of an input and an output that are connected.

    Attributes
    ----------
    factors : sequence of matrix, shape (outputs, inputs)
        Ones where an input reaches an output; one for each axis, dense or sparse.
    """

    factors: Sequence[Any]

    def fan_out(self) -> np.ndarray:
        """Return the number of outputs that each input reaches, shape (inputs,)."""
        columns = [
            np.asarray(factor.sum(axis=0), float).ravel() for factor in self.factors
        ]
        return reduce(np.multiply.outer, columns).ravel()

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of the values that arrive at each output, shape (outputs,)."""
        result = np.reshape(values, [factor.shape[1] for factor in self.factors])
        for axis, factor in enumerate(self.factors):
            moved = np.moveaxis(result, axis, 0)
            product = factor @ moved.reshape(len(moved), -1)
            result = np.moveaxis(product.reshape(-1, *moved.shape[1:]), 0, axis)
        return result.ravel()


def pattern_of(transform: Transform) -> Pattern:
    """Return which outputs each input of a transform reaches.

    Raises
    ------
    ValidationError
        If the type of the transform is not known.
    """
    if isinstance(transform, Convolution | ConvolutionTranspose):
        return _convolution(transform)
    if isinstance(transform, NoTransform):
        return Pattern([sparse.identity(transform.size_in, format="csr")])
    if isinstance(transform, Dense):
        return Pattern([_dense(transform)])
    if isinstance(transform, Sparse):
        return Pattern([_sparse(transform)])
    raise ValidationError(
        f"The connections of a {type(transform).__name__} cannot be counted; known are "
        "Dense, Sparse, Convolution, ConvolutionTranspose and NoTransform.",
        attr="transform",
    )


def _dense(transform: Dense) -> Any:
    if isinstance(transform.init, Distribution):
        return np.ones(transform.shape)
    weights = np.asarray(transform.init)
    if weights.ndim == 2:
        return (weights != 0).astype(float)
    diagonal = np.broadcast_to(weights != 0, transform.size_in)
    return sparse.diags(diagonal.astype(float), format="csr")


def _sparse(transform: Sparse) -> Any:
    init = transform.init
    if sparse.issparse(init):
        return (init != 0).astype(float).tocsr()
    data = init.data
    given = not isinstance(data, Distribution)
    ones = np.broadcast_to(data != 0 if given else True, len(init.indices))
    rows, columns = np.transpose(init.indices)
    pattern = sparse.csr_matrix((ones.astype(float), (rows, columns)), init.shape)
    return (pattern != 0).astype(float)  # an element that is given twice is one


def _convolution(transform: Convolution | ConvolutionTranspose) -> Pattern:
    geometry = geometry_of(transform)
    space = [
        _axis(size, out, kernel, stride, spread, dilation, before)
        for size, out, kernel, stride, spread, dilation, (before, _) in zip(
            transform.input_shape.spatial_shape,
            transform.output_shape.spatial_shape,
            transform.kernel_size,
            geometry.strides,
            geometry.spread,
            geometry.dilation,
            geometry.padding,
            strict=True,
        )
    ]
    inputs, groups = transform.input_shape.n_channels, geometry.groups
    block = np.ones((transform.n_filters // groups, inputs // groups))
    channels = np.kron(np.eye(groups), block)
    return Pattern([*space, channels] if geometry.channels_last else [channels, *space])


def _axis(
    size: int,
    outputs: int,
    kernel: int,
    stride: int,
    spread: int,
    dilation: int,
    before: int,
) -> np.ndarray:
    """Return which outputs each element of one axis reaches.

    An output begins at ``stride`` times its index, ``before`` elements before the data,
    whose elements lie ``spread`` apart; those of the kernel lie ``dilation`` apart.
    """
    first = stride * np.arange(outputs)[:, None] - before
    offset = spread * np.arange(size)[None, :] - first
    reached = (offset >= 0) & (offset < kernel * dilation) & (offset % dilation == 0)
    return reached.astype(float)
