"""Reading operands from blocks and writing them back, as pure functions.

A block is a flat array. An :class:`~nengo_jax.core.Access` says which of its
elements make up an operand; all index arrays are known while compiling, so XLA
sees static slices, row gathers or element gathers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..core import Access, Mode

_FEW = 2  # parts of an operand that are read and written apart; more cost more


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
        runs = contiguous_runs(access)
        if runs is not None:
            return _join([lax.slice(block, (a,), (b,)) for a, b in runs], access)
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


def read_pieces(pieces: Pieces, access: Access) -> Array | None:
    """Return an operand without carrying out all writes, if that is possible.

    It is if the operand is untouched by them, or lies within one of them; or if that
    is so for each of a few parts that it consists of.
    """
    if access.rows is not None:
        runs = contiguous_runs(access)
        if runs is None:
            return None
        parts = [
            read_pieces(pieces, Access(access.block, (b - a,), a)) for a, b in runs
        ]
        known = [part for part in parts if part is not None]
        return _join(known, access) if len(known) == len(parts) else None
    start, stop = access.start, access.start + access.size
    near = [
        (first, value, mode)
        for first, value, mode in pieces.parts
        if first < stop and start < first + value.shape[0]
    ]
    if not near:
        return read(pieces.block, access)
    (first, value, mode), *others = near
    if others or start < first or stop > first + value.shape[0]:
        return None
    part = lax.slice(value, (start - first,), (stop - first,))
    if mode is Mode.INC:
        part = lax.slice(pieces.block, (start,), (stop,)) + part
    return read(part, replace(access, start=0))


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
        runs = contiguous_runs(access)
        if runs is None:
            return _write_rows(whole(block), access, value, mode)
        flat, done = value.reshape(-1), 0
        for start, stop in runs:
            part = lax.slice(flat, (done,), (done + stop - start,))
            block = _write_part(block, start, part, mode)
            done += stop - start
        return block
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
    return _write_part(block, access.start, value.reshape(-1), mode)


def _write_part(block: Array | Pieces, start: int, value: Array, mode: Mode) -> Pieces:
    """Keep a write to one part of a block for later."""
    if not isinstance(block, Pieces) or _overlaps(block, start, value.shape[0]):
        block = Pieces(whole(block), ())
    return Pieces(block.block, (*block.parts, (start, value, mode)))


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


def _overlaps(block: Pieces, start: int, size: int) -> bool:
    return any(
        first < start + size and start < first + value.shape[0]
        for first, value, _ in block.parts
    )


def contiguous_runs(access: Access) -> list[tuple[int, int]] | None:
    """Return the few contiguous parts that rows consist of, or None if they are many.

    Slices are faster than gathers, and writing to them does not copy the block.
    """
    assert access.rows is not None
    cuts = np.flatnonzero(np.diff(access.rows) != 1) + 1
    if len(cuts) >= _FEW or len(access.rows) == 0:
        return None
    pieces = np.split(access.rows * access.width, cuts)
    return [(int(rows[0]), int(rows[-1]) + access.width) for rows in pieces]


def _join(parts: list[Array], access: Access) -> Array:
    joined = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
    return joined.reshape(access.shape)


def _as_rows(block: Array, width: int) -> Array:
    count = block.shape[0] // width
    return lax.slice(block, (0,), (count * width,)).reshape(count, width)


def _index(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.int32)
