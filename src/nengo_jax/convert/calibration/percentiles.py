"""Percentiles of values that come in batches, from histograms of a fixed size.

The largest value is known beforehand, and is the upper edge of the last bin, so the
percentile 100 is exact and all others are off by at most the width of a bin.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

BINS = 2048


def count_values(values: Array, limits: Array, counted: Array) -> Array:
    """Count values in bins.

    Parameters
    ----------
    values : Array, shape (n, channels)
        What is negative counts as zero.
    limits : Array, shape (channels,) or (1,)
        Upper edges: one for each channel, or one for all of them together.
    counted : Array of bool, shape (n,)
        False for values that do not count.

    Returns
    -------
    Array of int, shape (channels, BINS) or (1, BINS)
    """
    groups = limits.shape[0]
    edges = jnp.where(limits > 0, limits, 1)
    share = values / jnp.broadcast_to(edges, values.shape)
    places = jnp.clip(jnp.ceil(share * BINS) - 1, 0, BINS - 1).astype(jnp.int32)
    rows = jnp.arange(values.shape[1], dtype=jnp.int32) % groups
    places = places + jnp.broadcast_to(rows * BINS, places.shape)
    ones = jnp.broadcast_to(counted[:, None].astype(jnp.int32), places.shape)
    counts = jnp.zeros(groups * BINS, jnp.int32).at[places].add(ones)
    return counts.reshape(groups, BINS)


def find_percentiles(
    counts: np.ndarray, limits: np.ndarray, percentile: float
) -> np.ndarray:
    """Return the upper edge of the bin in which a percentile lies.

    Parameters
    ----------
    counts : ndarray of int, shape (batches, groups, BINS)
    limits : ndarray, shape (groups,)
    percentile : float

    Returns
    -------
    ndarray, shape (groups,)
    """
    below = np.cumsum(np.sum(counts, axis=0, dtype=np.int64), axis=-1)
    wanted = below[:, -1:] * percentile / 100
    places = np.argmax(below >= wanted, axis=1)
    return np.asarray(limits * (places + 1) / BINS)
