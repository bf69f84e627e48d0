"""Ticks of wall-clock time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import count
from numbers import Real
from typing import Any

from nengo.exceptions import ValidationError

_SPIN = 2e-4  # s; the system wakes a sleeping process up to about this much too late


class Pace:
    """Says when to begin the next step, and counts the ticks that came late.

    The schedule stays as it was when a tick is late: those that follow begin at once
    until the clock is reached again, so that simulated time and the clock agree.

    Parameters
    ----------
    period : float or None
        Seconds from tick to tick. None: as fast as possible.

    Attributes
    ----------
    missed : int
        Number of ticks that began late, as the work of the one before took too long.
    late : float
        The longest time by which a tick began late, in seconds.
    """

    def __init__(self, period: float | None):
        self._period = _check_period(period)
        self.missed = 0
        self.late = 0.0

    def ticks(self, steps: int | None = None) -> Iterator[int]:
        """Yield 0, 1, ..., each at its time.

        The first tick is at once. The last one has a deadline, too.

        Parameters
        ----------
        steps : int or None
            Number of ticks. None: without end.
        """
        started = time.perf_counter()
        for tick in count() if steps is None else range(steps):
            if tick:
                self._wait(started, tick)
            yield tick
        if steps:
            self._count(started, steps)

    def _wait(self, started: float, tick: int) -> None:
        if self._period is None or self._count(started, tick):
            return
        due = started + tick * self._period
        rest = due - time.perf_counter()
        if rest > _SPIN:
            time.sleep(rest - _SPIN)
        while time.perf_counter() < due:
            pass

    def _count(self, started: float, tick: int) -> bool:
        """Count a tick that should have begun already."""
        if self._period is None:
            return False
        late = time.perf_counter() - started - tick * self._period
        if late <= 0:
            return False
        self.missed += 1
        self.late = max(self.late, late)
        return True


def _check_period(period: Any) -> float | None:
    """Return the period, or raise ValidationError unless one can keep to it."""
    if period is None:
        return None
    if not isinstance(period, Real) or not math.isfinite(period) or period <= 0:
        raise ValidationError(
            f"Must be a positive number of seconds, or None (got {period!r})",
            attr="period",
        )
    return float(period)
