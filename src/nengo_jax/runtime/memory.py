"""Reading operands from blocks and writing them back, as pure functions.

A block is a flat array. An :class:`~nengo_jax.core.Access` says which of its
elements make up an operand; all index arrays are known while compiling, so XLA
sees static slices, row gathers or element gathers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..core import Access, Mode


def read(block: Array, access: Access) -> Array:
    """Return the operand that ``access`` describes.

    Parameters
    ----------
    block : Array, shape (size,)
    access : Access

    Returns
    -------
    Array, shape ``access.shape``
    """
    if access.rows is not None:
        rows = _as_rows(block, access.width).at[_index(access.rows)]
        return rows.get(mode="promise_in_bounds").reshape(access.shape)
    flat = block
    if access.start != 0 or access.size != block.shape[0]:
        flat = lax.slice(block, (access.start,), (access.start + access.size,))
    if access.order is None:
        return flat.reshape(access.shape)
    stored = tuple(access.shape[axis] for axis in access.order)
    return flat.reshape(stored).transpose(tuple(np.argsort(access.order)))


class Pieces(NamedTuple):
    """A block and writes to parts of it that have not been carried out yet.

    Writing to one part after the other would copy the block each time.

    Attributes
    ----------
    block : Array, shape (size,)
    parts : tuple of (start, value, mode)
        Parts that do not overlap, with their new or additional values.
    """

    block: Array
    parts: tuple[tuple[int, Array, Mode], ...]


def whole(block: Array | Pieces) -> Array:
    """Return a block with all writes carried out."""
    if not isinstance(block, Pieces):
        return block
    base, end = block.block, 0
    joined: list[Array] = []
    for start, value, mode in sorted(block.parts, key=lambda part: part[0]):
        stop = start + value.shape[0]
        joined.append(lax.slice(base, (end,), (start,)))
        old = lax.slice(base, (start,), (stop,))
        joined.append(value if mode is Mode.SET else old + value)
        end = stop
    joined.append(lax.slice(base, (end,), (base.shape[0],)))
    return jnp.concatenate([part for part in joined if part.shape[0]])


def write(
    block: Array | Pieces, access: Access, value: Array, mode: Mode
) -> Array | Pieces:
    """Return ``block`` with the operand set to, or incremented by, ``value``.

    Rows that occur more than once are incremented once for each occurrence.
    """
    size, dtype = _size_and_type(block)
    value = jnp.asarray(value, dtype)
    if value.size != access.size:
        value = jnp.broadcast_to(value, access.shape)
    if access.rows is not None:
        return _write_rows(whole(block), access, value, mode)
    if access.order is not None:
        value = value.reshape(access.shape).transpose(access.order)
    if access.start == 0 and access.size == size:
        if mode is Mode.SET:
            return value.reshape(-1)
        # Added in the shape of the operand, axes of length 1 left out: in a flat sum,
        # or one of three axes, XLA divides the number of each element to find it in
        # a value that is broadcast, which takes three times as long.
        shape = tuple(count for count in value.shape if count != 1)
        return (whole(block).reshape(shape) + value.reshape(shape)).reshape(-1)
    value = value.reshape(-1)
    if not isinstance(block, Pieces) or _overlaps(block, access):
        block = Pieces(whole(block), ())
    return Pieces(block.block, (*block.parts, (access.start, value, mode)))


def _write_rows(block: Array, access: Access, value: Array, mode: Mode) -> Array:
    assert access.rows is not None
    rows = _as_rows(block, access.width)
    value = value.reshape(len(access.rows), access.width)
    unique = len(np.unique(access.rows)) == len(access.rows)
    target = rows.at[_index(access.rows)]
    update = target.set if mode is Mode.SET else target.add
    rows = update(value, unique_indices=unique, mode="promise_in_bounds")
    if rows.size == block.shape[0]:
        return rows.reshape(-1)
    return lax.dynamic_update_slice(block, rows.reshape(-1), (0,))


def _size_and_type(block: Array | Pieces) -> tuple[int, np.dtype]:
    base = block.block if isinstance(block, Pieces) else block
    return base.shape[0], base.dtype


def _overlaps(block: Pieces, access: Access) -> bool:
    return any(
        start < access.start + access.size and access.start < start + value.shape[0]
        for start, value, _ in block.parts
    )


def _as_rows(block: Array, width: int) -> Array:
    count = block.shape[0] // width
    return lax.slice(block, (0,), (count * width,)).reshape(count, width)


def _index(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.int32)
