"""Which operators must run before which.

In one step each piece of memory is set, then incremented, then read, then updated.
Two signals share memory if the ranges of their elements in the common base overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

_STAGES = ("sets", "incs", "reads", "updates")
_SET, _INC, _READ, _UPDATE = range(4)
Use = tuple[int, int, int]  # operator, first byte, end


def dependents_of(operators: Sequence[Operator]) -> list[list[int]]:
    """For each operator, the numbers of the operators that must run after it.

    Raises
    ------
    BuildError
        If two operators set, or update, the same memory.
    """
    uses: dict[Signal, tuple[list[Use], ...]] = defaultdict(
        lambda: tuple([] for _ in _STAGES)
    )
    for number, op in enumerate(operators):
        for stage, name in enumerate(_STAGES):
            for signal in getattr(op, name):
                if signal.size == 0:
                    continue
                uses[signal.base][stage].append((number, *extent(signal)))
    later: list[set[int]] = [set() for _ in operators]
    for base, stages in uses.items():
        for stage in (_SET, _UPDATE):
            _check_alone(base, stages[stage], operators)
        earlier: list[Use] = []
        for first, second in ((_SET, _INC), (_INC, _READ), (_READ, _UPDATE)):
            earlier = earlier + stages[first]
            _connect(earlier, stages[second], later)
    return [sorted(numbers) for numbers in later]


def extent(signal: Signal) -> tuple[int, int]:
    """First byte of a signal within its base, and the end of its last element."""
    if signal.sparse or not signal.is_view:
        return 0, max(signal.size, 1) * signal.itemsize
    spans = [(n - 1) * s for n, s in zip(signal.shape, signal.strides, strict=True)]
    low = signal.offset + sum(span for span in spans if span < 0)
    high = signal.offset + sum(span for span in spans if span > 0)
    return low, high + signal.itemsize


def _connect(earlier: list[Use], after: list[Use], later: list[set[int]]) -> None:
    if not earlier or not after:
        return
    numbers, low, high = np.array(earlier, dtype=np.int64).T
    for number, first, end in after:
        for before in numbers[(low < end) & (high > first)]:
            later[before].add(number)


def _check_alone(base: Signal, uses: list[Use], operators: Sequence[Operator]) -> None:
    ordered = sorted(uses, key=lambda use: use[1])
    for (one, _, end), (other, first, _) in pairwise(ordered):
        if first < end:
            raise BuildError(
                f"{operators[one]} and {operators[other]} both set {base}. Within one "
                "step only one operator may set a signal; the others can increment it."
            )
