"""Host groups: the parts of a step that call Python for every example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jax import Array

from ..core import Group

Call = Callable[..., tuple[np.ndarray, ...]]


def call_group(
    host: Group,
    reads: Sequence[np.ndarray],
    calls: Sequence[Mapping[int, Call]],
    batched: bool,
    step: int,
    dt: float,
) -> np.ndarray:
    """Call the functions of a host group for every example of a batch.

    Parameters
    ----------
    host : Group
    reads : sequence of ndarray
        Operands of the group.
    calls : sequence of mapping of int to callable
        The functions of each example, by number.
    batched : bool
    step : int
        Number of the step; its time is ``step * dt``.
    dt : float

    Returns
    -------
    ndarray, shape ([batch,] size)
        What the group writes, joined end to end: one array is passed on faster.
    """
    rows = []
    for example, own in enumerate(calls):
        operands = [v[example] for v in reads] if batched else reads
        row: list[np.ndarray] = []
        for call in host.calls:
            row += own[call.number](step, step * dt, *operands[call.reads])
        rows.append(_join(row))
    return np.stack(rows) if batched else rows[0]


def _join(values: Sequence[np.ndarray]) -> np.ndarray:
    if len(values) == 1:
        return values[0].reshape(-1)
    return np.concatenate([value.reshape(-1) for value in [*values, np.zeros(0)]])


def split_results(host: Group, results: Array) -> list[Array]:
    """Undo the joining of what a host group writes."""
    sizes = [write.access.size for write in host.writes]
    stops = np.cumsum(sizes)
    return [
        results[stop - size : stop].reshape(write.access.shape)
        for size, stop, write in zip(sizes, stops, host.writes, strict=True)
    ]
