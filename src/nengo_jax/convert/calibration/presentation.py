"""Presents examples to a network, in batches and pieces of a limited size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from nengo import Node, Probe
from nengo.ensemble import Neurons

from ...simulator import Simulator

Arrays = Sequence[np.ndarray]

_NUMBERS = 2**22  # of inputs and outputs that are held at a time
_MOST_STEPS = 64


class Piece(NamedTuple):
    """What was recorded in a few steps.

    Attributes
    ----------
    first_example, first_step : int
    rows : list of ndarray, shape (examples, steps, size)
        For each probe.
    """

    first_example: int
    first_step: int
    rows: list[np.ndarray]

    @property
    def stop(self) -> int:
        """Number of the step that follows."""
        return self.first_step + self.rows[0].shape[1]


def present(
    sim: Simulator,
    nodes: Sequence[Node],
    arrays: Arrays,
    probes: Sequence[Probe],
    n_steps: int,
    *,
    held: Mapping[Node, np.ndarray] | None = None,
    voltages: Mapping[Neurons, Any] | None = None,
    steps: int | None = None,
) -> Iterator[Piece]:
    """Present each example for a number of steps, from the initial state on.

    Parameters
    ----------
    sim : Simulator
        With a ``minibatch_size``.
    nodes : sequence of Node
    arrays : sequence of ndarray, shape (examples, size)
        Values of the nodes.
    probes : sequence of Probe
    n_steps : int
    held : mapping of Node to ndarray, shape (size,), or None
        Values of other nodes, for all examples.
    voltages : mapping of Neurons to float or ndarray, or None
        Initial voltages in place of those of the network.
    steps : int or None
        Of a piece; None: as many as can well be held.

    Yields
    ------
    Piece
    """
    batch = sim.minibatch_size or 1
    held = {} if held is None else held
    if steps is None:
        sizes = [node.size_out for node in (*nodes, *held)]
        sizes += [probe.size_in for probe in probes]
        steps = _piece(batch * sum(sizes), n_steps)
    for first in range(0, len(arrays[0]), batch):
        sim.reset(include_trainable=False)
        assert sim.signals is not None
        for neurons, value in (voltages or {}).items():
            sim.signals[sim.model.sig[neurons]["voltage"]] = value
        parts = [_full(array[first : first + batch], batch) for array in arrays]
        count = min(batch, len(arrays[0]) - first)
        for start in range(0, n_steps, steps):
            length = min(steps, n_steps - start)
            data = {
                node: np.broadcast_to(part[:, None], (batch, length, part.shape[1]))
                for node, part in zip(nodes, parts, strict=True)
            }
            for node, value in held.items():
                data[node] = np.broadcast_to(value, (batch, length, node.size_out))
            sim.run_steps(length, data, progress_bar=False)
            rows = [sim.data[probe][:count] for probe in probes]
            sim.clear_probes()
            yield Piece(first, start, rows)


def last_rows(pieces: Iterable[Piece], n_steps: int) -> list[np.ndarray]:
    """Return what was recorded in the last step, for each probe and all examples."""
    kept = [
        [rows[:, -1].copy() for rows in piece.rows]  # a view would hold all steps
        for piece in pieces
        if piece.stop == n_steps
    ]
    return [np.concatenate(parts) for parts in zip(*kept, strict=True)]


def _piece(size: int, n_steps: int) -> int:
    """Return the number of steps of a piece, given the numbers in one step."""
    return max(1, min(n_steps, _MOST_STEPS, _NUMBERS // max(size, 1)))


def _full(array: np.ndarray, batch: int) -> np.ndarray:
    """Fill a batch by repeating its last example."""
    missing = batch - len(array)
    return np.pad(array, ((0, missing), (0, 0)), "edge") if missing else array
