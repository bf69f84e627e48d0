"""A histogram that grows batch by batch, with bins of equal ratio.

Rates span five orders of magnitude, so bins are 5% wide: a quantile is exact to that,
whatever the number of values, and the memory does not grow.
"""

from __future__ import annotations

import numpy as np

from .records import Distribution

_LOWEST, _HIGHEST, _RATIO = 1e-4, 1e8, 1.05
_BINS = int(np.ceil(np.log(_HIGHEST / _LOWEST) / np.log(_RATIO)))
_DRAWN = 16  # bins that are drawn
_HIGH = 0.999


class Histogram:
    """Counts absolute values.

    What is below 1e-4 counts as zero, what is above 1e8 as 1e8.

    Parameters
    ----------
    unit : float
        The rate of one spike in the whole presentation, in Hz. Drawn bins are as wide
        as one or several of them, so that none lies between what can occur.
    """

    def __init__(self, unit: float) -> None:
        self._unit = unit
        self._counts = np.zeros(_BINS, np.int64)
        self._zeros = 0
        self._total = 0.0
        self._largest = 0.0

    def add(self, values: np.ndarray) -> None:
        """Count all elements of an array."""
        values = np.abs(values, dtype=np.float64).reshape(-1)
        real = values[values >= _LOWEST]
        self._zeros += values.size - real.size
        if real.size == 0:
            return
        index = (np.log(real / _LOWEST) / np.log(_RATIO)).astype(int)
        self._counts += np.bincount(np.minimum(index, _BINS - 1), minlength=_BINS)
        self._total += float(real.sum())
        self._largest = max(self._largest, float(real.max()))

    def result(self) -> Distribution:
        """Return what was counted."""
        real = int(self._counts.sum())
        size = real + self._zeros
        if real == 0:
            return Distribution(0.0, 0.0, 0.0, 0.0, 1.0 if size else 0.0)
        return Distribution(
            self._total / size,
            self._quantile(0.5),
            self._quantile(_HIGH),
            self._largest,
            self._zeros / size,
            *self._drawn(size),
        )

    def _quantile(self, share: float) -> float:
        """Return a quantile of the values that are not zero."""
        reached = np.cumsum(self._counts)
        bin_ = int(np.searchsorted(reached, share * reached[-1]))
        return min(_LOWEST * _RATIO ** (bin_ + 0.5), self._largest)

    def _drawn(self, size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return edges and shares of a few wide bins."""
        spikes = max(int(np.ceil(self._largest / self._unit)), 1)
        width = -(-spikes // _DRAWN)
        upper = 0.5 + width * np.arange(-(-spikes // width) + 1)
        edges = self._unit * np.append(0.0, upper)
        centres = _LOWEST * _RATIO ** (np.arange(_BINS) + 0.5)
        bins = np.searchsorted(edges, np.minimum(centres, edges[-1])) - 1
        counts = np.bincount(bins, self._counts, minlength=len(edges) - 1)
        return tuple(map(float, edges)), tuple(map(float, counts / size))
