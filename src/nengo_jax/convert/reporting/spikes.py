"""Chooses the neurons that a raster shows."""

from __future__ import annotations

import numpy as np

from .records import Raster

_ROWS = 24
_MOST = 2000  # spikes of one layer


def choose_raster(label: str, spikes: np.ndarray) -> Raster:
    """Choose some of the neurons that spike, spread evenly over the layer.

    Parameters
    ----------
    label : str
        Of the layer.
    spikes : ndarray of bool, shape (steps, neurons)
        Of one example.
    """
    active = np.flatnonzero(spikes.any(0))
    count = min(_ROWS, len(active))
    chosen = active[np.linspace(0, len(active) - 1, count).round().astype(int)]
    # sorted by step, so a limit on their number cuts off the end
    steps, rows = np.nonzero(spikes[:, chosen])
    return Raster(
        label,
        tuple(map(int, chosen)),
        tuple(map(int, rows[:_MOST])),
        tuple(map(int, steps[:_MOST] + 1)),
    )
