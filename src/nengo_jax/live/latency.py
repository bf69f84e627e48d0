"""How long steps take: a histogram that does not grow with their number.

Bins have a constant ratio of 1%, as the interesting part is the tail, which is a
thousand times as long as the median; so percentiles are exact to 1%.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_SHORTEST = 1e-7  # s, the lower end of the first bin
_LONGEST = 1e3  # s, the upper end of the last one
_RATIO = math.log(1.01)
_BINS = math.ceil(math.log(_LONGEST / _SHORTEST) / _RATIO)


@dataclass(frozen=True)
class Report:
    """How long the steps of a loop took, in seconds.

    Attributes
    ----------
    steps : int
        Number of steps that were measured.
    median, percentile_99 : float
        Exact to 1%; NaN if there were no steps.
    worst : float
    missed : int
        Number of ticks that began late, since the one before had not ended.
    late : float
        The longest time by which a tick began late.
    counts : ndarray of int, shape (bins,)
        How many steps took how long; empty bins at both ends are left out.
    edges : ndarray, shape (bins + 1,)
        Ends of the bins, in a constant ratio.
    """

    steps: int
    median: float
    percentile_99: float
    worst: float
    missed: int
    late: float
    counts: np.ndarray
    edges: np.ndarray

    def __str__(self) -> str:
        if not self.steps:
            return "no steps"
        return (
            f"{self.steps:,} steps: median {_time(self.median)}, 99th percentile "
            f"{_time(self.percentile_99)}, worst {_time(self.worst)}; "
            f"{self.missed:,} deadlines missed"
            + (f", at most by {_time(self.late)}" if self.missed else "")
        )


class Latency:
    """Collects durations.

    Examples
    --------
    >>> latency = Latency()
    >>> for microseconds in (50, 60, 70, 2000):
    ...     latency.add(1e-6 * microseconds)
    >>> print(latency.report())
    4 steps: median 60 us, 99th percentile 2 ms, worst 2 ms; 0 deadlines missed
    """

    def __init__(self):
        self._counts = [0] * _BINS  # faster than an array, one element at a time
        self._worst = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        place = int(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _RATIO)
        self._counts[min(place, _BINS - 1)] += 1
        self._worst = max(self._worst, seconds)

    def report(self, missed: int = 0, late: float = 0.0) -> Report:
        """Return what was collected so far.

        Parameters
        ----------
        missed, late
            As in :class:`Report`; whoever keeps the time knows them.
        """
        counts = np.array(self._counts)
        edges = _SHORTEST * np.exp(_RATIO * np.arange(_BINS + 1))
        used = np.flatnonzero(counts)
        here = slice(used[0], used[-1] + 1) if used.size else slice(0)
        return Report(
            steps=int(counts.sum()),
            median=self._percentile(counts, edges, 0.5),
            percentile_99=self._percentile(counts, edges, 0.99),
            worst=self._worst,
            missed=missed,
            late=late,
            counts=counts[here],
            edges=edges[here.start : here.stop + 1] if used.size else edges[:1],
        )

    def _percentile(self, counts: np.ndarray, edges: np.ndarray, share: float) -> float:
        """The smallest duration that so many are at most as long as."""
        total = np.cumsum(counts)
        if total[-1] == 0:
            return math.nan
        place = int(np.searchsorted(total, share * total[-1]))
        return min(float(np.sqrt(edges[place] * edges[place + 1])), self._worst)


def _time(seconds: float) -> str:
    """Write a duration with two digits and a unit."""
    seconds = float(f"{seconds:.2g}")  # so that 'g' below has no need for powers of ten
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds / 1e-6:g} us"
