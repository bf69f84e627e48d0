"""DotInc: ``Y += A @ X`` for many small matrices at once, or for a single large one.

Encoders are tall (neurons, dimensions), decoders are wide (dimensions, neurons).
Matrices that agree in their small size run as one group, even if every ensemble has
another number of neurons: they are sorted into buckets of similar size, the matrices
are padded with zeros once, before the loop over time, and each bucket is one product.

A single example multiplies a tall matrix as a sum of its few columns, each times one
number: that joins the equations of the neurons that follow, in one pass over them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from nengo.builder.operator import DotInc

from ..core import Mode, Prepare, Run
from .base import Family, Operand, Settings, Target, signal_shapes
from .spikes import SPARSE_SIZE, dense_matvec, spike_matvec


def is_matvec(op: DotInc) -> bool:
    """Whether the operator multiplies a matrix with a vector."""
    return op.A.ndim == 2 and op.X.shape == (op.A.shape[1],)


def is_large(op: DotInc) -> bool:
    """Whether it pays to look for the zeros of X before multiplying."""
    return is_matvec(op) and op.A.size >= SPARSE_SIZE


def is_tall(op: DotInc) -> bool:
    """Whether the matrix has at least as many rows as columns."""
    return op.A.shape[0] >= op.A.shape[1]


def _key(op: DotInc) -> Hashable:
    tall = is_tall(op)
    return tall, op.A.shape[1] if tall else op.A.shape[0]


_FEW_COLUMNS = 16  # up to which a sum of columns is faster than a product


def _as_columns(ops: Sequence[DotInc], settings: Settings) -> bool:
    """Whether to multiply as a sum of columns."""
    few = is_tall(ops[0]) and ops[0].A.shape[1] <= _FEW_COLUMNS
    return few and not settings.batched


def _vectors_first(ops: Sequence[DotInc], settings: Settings) -> bool:
    """Whether to multiply as ``x @ A.T``, which leaves the axis of a batch in front."""
    return len(ops) == 1 and settings.batched


def _sum_columns(columns: Array, x: Array) -> Array:
    """Multiply matrices, stored as (column, matrix, row), with vectors (matrix, n)."""
    total = columns[0] * x[:, 0, None]
    for k in range(1, columns.shape[0]):
        total = total + columns[k] * x[:, k, None]
    return total


def _multiply(matrices: Array, x: Array) -> Array:
    """Multiply matrices, stored as (matrix, row, column), with vectors (matrix, n)."""
    return jnp.einsum("gmn,gn->gm", matrices, x)


class Bucket(NamedTuple):
    """Matrices of similar size, padded to the same.

    Attributes
    ----------
    members : ndarray of int, shape (g,)
    width : int
        The larger size of the padded matrices.
    elements : ndarray of int, shape (g, rows, columns)
        Where each element of the padded matrices comes from; past the end: zero.
    """

    members: np.ndarray
    width: int
    elements: np.ndarray


def _padded_width(size: int) -> int:
    """Round up to one of four sizes per power of two: 12% of zeros on average."""
    unit = max(4, 2 ** (size.bit_length() - 1) // 4)
    return -(-size // unit) * unit


def _buckets(ops: Sequence[DotInc]) -> list[Bucket]:
    tall = is_tall(ops[0])
    long = np.array([op.A.shape[0 if tall else 1] for op in ops])
    short = ops[0].A.shape[1 if tall else 0]
    starts = np.concatenate([[0], np.cumsum(long)[:-1]]) * short
    total = int(long.sum()) * short
    widths = np.array([_padded_width(int(size)) for size in long])
    buckets = []
    for width in np.unique(widths):
        members = np.flatnonzero(widths == width)
        first, size = starts[members, None, None], long[members, None, None]
        along, across = np.arange(width), np.arange(short)
        if tall:
            row, column, stride = along[:, None], across[None, :], short
        else:
            row, column, stride = across[:, None], along[None, :], size
        elements = first + row * stride + column
        inside = (row if tall else column) < size
        buckets.append(Bucket(members, int(width), np.where(inside, elements, total)))
    return buckets


def _is_uniform(ops: Sequence[DotInc]) -> bool:
    return all(op.A.shape == ops[0].A.shape for op in ops)


def _prepare(ops: Sequence[DotInc], settings: Settings) -> Mapping[int, Prepare]:
    if _vectors_first(ops, settings):
        return {0: lambda a: a.reshape(ops[0].A.shape).T}
    shape = (len(ops), *ops[0].A.shape)
    axes = (2, 0, 1) if _as_columns(ops, settings) else (0, 1, 2)
    if _is_uniform(ops):
        return {0: lambda a: a.reshape(shape).transpose(axes)}
    sources = [
        bucket.elements.transpose(axes).astype(np.int32) for bucket in _buckets(ops)
    ]

    def pad(a: Array) -> list[Array]:
        return [a.at[source].get(mode="fill", fill_value=0) for source in sources]

    return {0: pad}


def _build(ops: Sequence[DotInc], settings: Settings) -> Run:
    multiply = _sum_columns if _as_columns(ops, settings) else _multiply
    if _vectors_first(ops, settings):
        # the vector as it is read: backpropagation then need not keep a copy of it
        return lambda a, x: (jnp.dot(x, a),)
    if not _is_uniform(ops):
        return _build_tall(ops, multiply) if is_tall(ops[0]) else _build_wide(ops)

    def run(a: Array, x: Array) -> tuple[Array]:
        return (multiply(a, x.reshape(len(ops), -1)),)

    return run


def _build_tall(ops: Sequence[DotInc], multiply: Callable) -> Run:
    """Multiply bucket by bucket, then leave out the rows that were padded."""
    buckets = _buckets(ops)
    sizes = np.array([op.A.shape[0] for op in ops])
    firsts = np.zeros(len(ops), np.int64)
    offset = 0
    for bucket in buckets:
        count = len(bucket.members)
        firsts[bucket.members] = offset + np.arange(count) * bucket.width
        offset += count * bucket.width
    rows = [first + np.arange(n) for first, n in zip(firsts, sizes, strict=True)]
    kept = np.concatenate(rows).astype(np.int32)

    def run(a: list[Array], x: Array) -> tuple[Array]:
        x = x.reshape(len(ops), -1)
        products = [
            multiply(matrices, x[bucket.members]).reshape(-1)
            for matrices, bucket in zip(a, buckets, strict=True)
        ]
        return (jnp.concatenate(products).at[kept].get(mode="promise_in_bounds"),)

    return run


def _build_wide(ops: Sequence[DotInc]) -> Run:
    """Multiply with windows of X; what a window holds too much meets zeros."""
    buckets = _buckets(ops)
    sizes = np.array([op.X.size for op in ops])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    order = np.argsort(np.concatenate([bucket.members for bucket in buckets]))
    longest = buckets[-1].width

    def run(a: list[Array], x: Array) -> tuple[Array]:
        x = jnp.append(x, jnp.zeros(longest, x.dtype))
        products = []
        for matrices, bucket in zip(a, buckets, strict=True):
            windows = jax.vmap(
                lambda k, w=bucket.width: lax.dynamic_slice(x, (k,), (w,))
            )
            products.append(_multiply(matrices, windows(starts[bucket.members])))
        return (jnp.concatenate(products)[order].reshape(-1),)

    return run


def _build_large(ops: Sequence[DotInc], settings: Settings) -> Run:
    multiply = dense_matvec if settings.batched else spike_matvec

    def run(a: Array, x: Array) -> tuple[Array]:
        return (multiply(a, x[0])[None],)

    return run


def _as_stored(a: Array) -> Array:
    """Undo the transposition of reading, so that no copy is made in the loop."""
    return a.transpose(0, 2, 1)[0]


def _build_general(ops: Sequence[DotInc], settings: Settings) -> Run:
    shape = ops[0].Y.shape

    def run(a: Array, x: Array) -> tuple[Array]:
        return (jax.vmap(lambda a, x: jnp.dot(a, x).reshape(shape))(a, x),)

    return run


def _writes(op: DotInc) -> tuple[Target]:
    return (Target(Operand(op.Y), Mode.INC),)


DOT = Family(
    name="dot",
    key=_key,
    reads=lambda op: (Operand(op.A), Operand(op.X)),
    writes=_writes,
    build=_build,
    prepare=_prepare,
    flat=True,
)
LARGE_DOT = Family(
    name="large dot",
    key=id,  # a group of its own, so that zeros can be skipped
    reads=lambda op: (Operand(op.A, by_column=True), Operand(op.X)),
    writes=_writes,
    build=_build_large,
    prepare=lambda ops, settings: {0: _as_stored},
)
GENERAL_DOT = Family(
    name="general dot",
    key=lambda op: signal_shapes(op.A, op.X, op.Y),
    reads=lambda op: (Operand(op.A), Operand(op.X)),
    writes=_writes,
    build=_build_general,
)
