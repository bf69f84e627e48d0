"""ElementwiseInc and the sparse products: ``Y += A * X`` and ``Y += A @ X``."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder.operator import BsrDotInc, ElementwiseInc, SparseDotInc
from nengo.exceptions import BuildError

from ..core import Mode, Run
from .base import Family, Operand, Settings, Target
from .copying import element_numbers


def _broadcast(signal, shape: tuple[int, ...], op: ElementwiseInc) -> Operand:
    if signal.shape == shape:
        return Operand(signal)
    try:
        numbers = np.broadcast_to(element_numbers(signal), shape)
    except ValueError as error:
        raise BuildError(
            f"{op}: shapes {op.A.shape} and {op.X.shape} do not multiply to {shape}."
        ) from error
    return Operand(signal, numbers, shape)


def _build_elementwise(ops: Sequence[ElementwiseInc], settings: Settings) -> Run:
    def run(a: Array, x: Array) -> tuple[Array]:
        return (a * x,)

    return run


ELEMENTWISE = Family(
    name="elementwise",
    key=lambda op: (),
    reads=lambda op: (
        _broadcast(op.A, op.Y.shape, op),
        _broadcast(op.X, op.Y.shape, op),
    ),
    writes=lambda op: (Target(Operand(op.Y), Mode.INC),),
    build=_build_elementwise,
    flat=True,
)


def _build_sparse(ops: Sequence[SparseDotInc], settings: Settings) -> Run:
    """Products with sparse matrices that are laid out as one block diagonal."""
    rows, columns = [], []
    row_offset = column_offset = 0
    for op in ops:
        row, column = sparse_coordinates(op.A)
        rows.append(row + row_offset)
        columns.append(column + column_offset)
        row_offset += op.Y.size
        column_offset += op.X.size
    row, column = (np.concatenate(part).astype(np.int32) for part in (rows, columns))
    ascending = bool(np.all(np.diff(row) >= 0))
    total = row_offset

    def run(data: Array, x: Array) -> tuple[Array]:
        products = data * x.at[column].get(mode="promise_in_bounds")
        return (
            jax.ops.segment_sum(products, row, total, indices_are_sorted=ascending),
        )

    return run


def sparse_coordinates(signal) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each stored element of a sparse signal, in storage order."""
    value = signal.initial_value
    if hasattr(value, "tocoo"):
        value = value.tocoo()
        return value.row.astype(np.int64), value.col.astype(np.int64)
    return value.indices[:, 0], value.indices[:, 1]


def sparse_data(signal) -> np.ndarray:
    """Stored elements of a sparse signal, in storage order."""
    value = signal.initial_value
    data = value.tocoo().data if hasattr(value, "tocoo") else value.data
    return np.broadcast_to(data, (len(sparse_coordinates(signal)[0]),))


SPARSE_DOT = Family(
    name="sparse dot",
    key=lambda op: (),
    reads=lambda op: (Operand(op.A), Operand(op.X)),
    writes=lambda op: (Target(Operand(op.Y), Mode.INC),),
    build=_build_sparse,
    flat=True,
)


def _build_block(ops: Sequence[BsrDotInc], settings: Settings) -> Run:
    """A product with a matrix of dense blocks, as the optimizer of nengo makes it."""
    op = ops[0]
    columns = np.asarray(op.indices, np.int32)
    counts = np.diff(op.indptr)
    rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    width = op.A.shape[2]

    def run(a: Array, x: Array) -> tuple[Array]:
        pieces = x[0].reshape(-1, width).at[columns].get(mode="promise_in_bounds")
        products = jnp.einsum("krc,kc->kr", a[0], pieces)
        total = jax.ops.segment_sum(
            products, rows, len(counts), indices_are_sorted=True
        )
        return (total.reshape(1, *op.Y.shape),)

    return run


BLOCK_DOT = Family(
    name="block dot",
    key=id,
    reads=lambda op: (Operand(op.A), Operand(op.X)),
    writes=lambda op: (Target(Operand(op.Y), Mode.INC),),
    build=_build_block,
)
