"""Presents examples to a network, in batches and pieces of a limited size.

An example has one or more frames: one, or one for each time step of a temporal model.
Each frame is held for a number of steps, and the state goes on from frame to frame.
"""

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

    def places(self, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return frame and step of the frame, for each step, shape (steps,).

        Parameters
        ----------
        n_steps : int
            Of a frame.
        """
        return np.divmod(np.arange(self.first_step, self.stop), n_steps)


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
    """Present each frame for a number of steps; examples begin in the initial state.

    Parameters
    ----------
    sim : Simulator
        With a ``minibatch_size``.
    nodes : sequence of Node
    arrays : sequence of ndarray, shape (examples, frames, size)
        Values of the nodes.
    probes : sequence of Probe
    n_steps : int
        Of each frame.
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
    total = n_steps * arrays[0].shape[1]
    if steps is None:
        sizes = [node.size_out for node in (*nodes, *held)]
        sizes += [probe.size_in for probe in probes]
        steps = _piece(batch * sum(sizes), total)
    for first in range(0, len(arrays[0]), batch):
        sim.reset(include_trainable=False)
        assert sim.signals is not None
        for neurons, value in (voltages or {}).items():
            sim.signals[sim.model.sig[neurons]["voltage"]] = value
        parts = [_full(array[first : first + batch], batch) for array in arrays]
        count = min(batch, len(arrays[0]) - first)
        for start in range(0, total, steps):
            length = min(steps, total - start)
            frames = np.arange(start, start + length) // n_steps
            data = {
                node: _hold(part, frames)
                for node, part in zip(nodes, parts, strict=True)
            }
            for node, value in held.items():
                data[node] = np.broadcast_to(value, (batch, length, node.size_out))
            sim.run_steps(length, data, progress_bar=False)
            rows = [sim.data[probe][:count] for probe in probes]
            sim.clear_probes()
            yield Piece(first, start, rows)


def last_rows(pieces: Iterable[Piece], n_steps: int) -> list[np.ndarray]:
    """Return what was recorded in the last step of each frame, for each probe.

    Parameters
    ----------
    pieces : iterable of Piece
    n_steps : int
        Of a frame.

    Returns
    -------
    list of ndarray, shape (examples, frames, ...)
    """
    kept: list[list[list[np.ndarray]]] = []  # by batch, piece and probe
    for piece in pieces:
        if piece.first_step == 0:
            kept.append([])
        _, steps = piece.places(n_steps)
        # indices copy, as a view would hold all steps
        kept[-1].append([rows[:, steps == n_steps - 1] for rows in piece.rows])
    joined = [
        [np.concatenate(parts, axis=1) for parts in zip(*batch, strict=True)]
        for batch in kept
    ]
    return [np.concatenate(parts) for parts in zip(*joined, strict=True)]


def _hold(part: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return the frames of a batch for some steps, as a view if they are the same."""
    if frames[0] != frames[-1]:
        return part[:, frames]
    first = part[:, frames[0], None]
    return np.broadcast_to(first, (len(part), len(frames), part.shape[2]))


def _piece(size: int, n_steps: int) -> int:
    """Return the number of steps of a piece, given the numbers in one step."""
    return max(1, min(n_steps, _MOST_STEPS, _NUMBERS // max(size, 1)))


def _full(array: np.ndarray, batch: int) -> np.ndarray:
    """Fill a batch by repeating its last example."""
    missing = batch - len(array)
    edges = ((0, missing), (0, 0), (0, 0))
    return np.pad(array, edges, "edge") if missing else array
