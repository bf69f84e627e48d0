"""Numbers and lists as findings write them."""

from __future__ import annotations

import math
from collections.abc import Sequence

_FEW = 3
_BEYOND = 10  # an error that large says no more than this


def number(value: float) -> str:
    """Write a number with three digits."""
    return f"{float(f'{value:.3g}'):g}"


def hertz(rate: float) -> str:
    """Write a rate."""
    return f"{number(rate)} Hz"


def milliseconds(seconds: float) -> str:
    """Write a time given in seconds."""
    return f"{number(1000 * seconds)} ms"


def percent(share: float) -> str:
    """Write a share."""
    if share > _BEYOND:
        return f"over {100 * _BEYOND}%"
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{number(100 * share)}%"


def listed(labels: Sequence[str]) -> str:
    """Write names, the first few of them if there are many."""
    named = [*labels[:_FEW]]
    if len(labels) > _FEW:
        named.append(f"{len(labels) - _FEW} more")
    return " and ".join([", ".join(named[:-1]), named[-1]]) if named[1:] else named[0]


def also(labels: Sequence[str]) -> str:
    """Say that something goes for other layers, too, if there are any."""
    return f" The same goes for {listed(labels)}." if labels else ""


def rounded_up(value: float) -> float:
    """Round up to two digits, so that the number is easy to type."""
    if value <= 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-9) * step:.2g}")


def rounded_down(value: float) -> float:
    """Round down to two digits."""
    if value <= 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.floor(value / step + 1e-9) * step:.2g}")


def steps_of(seconds: float, dt: float) -> int:
    """Return a number of steps that is easy to type and takes at least some time."""
    return max(int(rounded_up(seconds / dt)), 1)
