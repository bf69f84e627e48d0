"""Matrix times a vector that is mostly zero, as the output of spiking neurons is.

A large mat-vec is bound by the memory that its weights take. In a millisecond about
3% of the neurons spike, so adding up only their columns reads 3% of the weights. The
result is exact for any number of non-zeros; from a quarter on, the dense product is
as fast and is used instead. The examples of a batch share the weights, so they use the
dense product too.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

SPARSE_SIZE = 1_000_000  # weights from which looking for zeros costs less than it saves
_AT_ONCE = 8  # columns added per iteration: enough to hide the loop, few to waste
_DENSE_SHARE = 4  # dense when more than one in so many elements is not zero


def dense_matvec(columns: Array, x: Array) -> Array:
    """Return ``columns.T @ x``."""
    return x @ columns


def spike_matvec(columns: Array, x: Array) -> Array:
    """Return ``columns.T @ x``, reading only the rows of ``columns`` where x is not 0.

    Parameters
    ----------
    columns : Array, shape (n, m)
        The matrix, stored column by column.
    x : Array, shape (n,)

    Returns
    -------
    Array, shape (m,)
    """
    spiking = x != 0
    count = jnp.sum(spiking, dtype=jnp.int32)
    return lax.cond(
        count * _DENSE_SHARE > x.shape[0],
        lambda: dense_matvec(columns, x),
        lambda: _add_columns(columns, x, spiking, count),
    )


def _add_columns(columns: Array, x: Array, spiking: Array, count: Array) -> Array:
    size = x.shape[0]
    numbers = jnp.arange(size, dtype=jnp.int32)
    position = jnp.cumsum(spiking, dtype=jnp.int32) - 1
    # numbers of the spiking elements come first; the rest stays at row 0, value 0
    place = jnp.where(spiking, position, size + _AT_ONCE)
    chosen = jnp.zeros(size + _AT_ONCE, jnp.int32)
    chosen = chosen.at[place].set(numbers, mode="drop", unique_indices=True)

    def body(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        done, total = carry
        rows = lax.dynamic_slice(chosen, (done,), (_AT_ONCE,))
        live = done + jnp.arange(_AT_ONCE, dtype=jnp.int32) < count
        values = jnp.where(live, x[rows], 0)
        for k in range(_AT_ONCE):
            row = lax.dynamic_index_in_dim(columns, rows[k], keepdims=False)
            total = total + values[k] * row
        return done + _AT_ONCE, total

    start = (jnp.int32(0), jnp.zeros(columns.shape[1], x.dtype))
    return lax.while_loop(lambda carry: carry[0] < count, body, start)[1]
