"""Reading operands from blocks and writing them back, as pure functions.

A block is a flat array. An :class:`~nengo_jax.core.Access` says which of its
elements make up an operand; all index arrays are known while compiling, so XLA
sees static slices, row gathers or element gathers.
"""

from __future__ import annotations

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


def write(block: Array, access: Access, value: Array, mode: Mode) -> Array:
    """Return ``block`` with the operand set to, or incremented by, ``value``.

    Rows that occur more than once are incremented once for each occurrence.
    """
    value = jnp.broadcast_to(value, access.shape).astype(block.dtype)
    if access.rows is not None:
        rows = _as_rows(block, access.width)
        value = value.reshape(len(access.rows), access.width)
        unique = len(np.unique(access.rows)) == len(access.rows)
        target = rows.at[_index(access.rows)]
        update = target.set if mode is Mode.SET else target.add
        rows = update(value, unique_indices=unique, mode="promise_in_bounds")
        return lax.dynamic_update_slice(block, rows.reshape(-1), (0,))
    if access.order is not None:
        value = value.transpose(access.order)
    value = value.reshape(-1)
    if access.start == 0 and access.size == block.shape[0]:
        return value if mode is Mode.SET else block + value
    if mode is Mode.INC:
        value += lax.slice(block, (access.start,), (access.start + access.size,))
    return lax.dynamic_update_slice(block, value, (access.start,))


def _as_rows(block: Array, width: int) -> Array:
    count = block.shape[0] // width
    return lax.slice(block, (0,), (count * width,)).reshape(count, width)


def _index(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.int32)
