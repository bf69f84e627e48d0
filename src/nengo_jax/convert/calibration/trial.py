"""A network on trial: one simulator in which voltages and shifts can be changed.

Both are values that a simulation starts from, so trying others compiles nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import nengo
import numpy as np
from nengo import Probe

from ...simulator import Simulator
from .assemble import add_mean, has_voltage
from .presentation import Piece, last_rows, present
from .readout import LAST, Readout
from .records import ACCURACY, ERROR, Assembled, Settings
from .results import read_results
from .scores import hits, normalised_error


@dataclass(frozen=True, eq=False)
class Target:
    """What results are compared with.

    Attributes
    ----------
    arrays : sequence of ndarray, shape (examples, frames, size)
        The inputs.
    outputs : list of ndarray, shape (examples, frames, ...)
        Of the model.
    labels : ndarray of int, shape (examples, frames), or None
    n_steps : int
        Of each frame.
    """

    arrays: Sequence[np.ndarray]
    outputs: list[np.ndarray]
    labels: np.ndarray | None
    n_steps: int

    @property
    def metric(self) -> str:
        """Name of what is measured."""
        return ERROR if self.labels is None else ACCURACY

    def first(self, count: int) -> Target:
        """Return the same with no more than a number of examples."""
        return replace(
            self,
            arrays=[array[:count] for array in self.arrays],
            outputs=[array[:count] for array in self.outputs],
            labels=None if self.labels is None else self.labels[:count],
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """A network in a simulator.

    Attributes
    ----------
    sim : Simulator
    assembled : Assembled
    raw : list of Probe
        Outputs without a synapse.
    means : dict of str to Probe
        Mean activations of the parts.
    """

    sim: Simulator
    assembled: Assembled
    raw: list[Probe]
    means: dict[str, Probe]

    def _present(
        self, target: Target, probes: Sequence[Probe], settings: Settings
    ) -> Iterator[Piece]:
        held = {
            node: np.asarray(settings.shifts[label])
            for label, node in self.assembled.shifts.items()
            if label in settings.shifts
        }
        voltages = {
            neurons: settings.voltages[part.label]
            for part in self.assembled.parts
            if part.label in settings.voltages and has_voltage(part)
            for neurons in part.populations
        }
        return present(
            self.sim,
            self.assembled.nodes,
            target.arrays,
            probes,
            target.n_steps,
            held=held,
            voltages=voltages,
        )

    def mean_activations(
        self, target: Target, settings: Settings
    ) -> dict[str, np.ndarray]:
        """Return the mean of each channel of each part, over examples and steps.

        Parameters
        ----------
        target : Target
        settings : Settings
            Voltages and shifts that replace those of the network.
        """
        totals = dict.fromkeys(self.means, 0.0)
        for piece in self._present(target, list(self.means.values()), settings):
            for label, rows in zip(self.means, piece.rows, strict=True):
                totals[label] = totals[label] + rows.sum(axis=(0, 1))
        examples, frames = target.arrays[0].shape[:2]
        count = examples * frames * target.n_steps
        return {label: np.asarray(total) / count for label, total in totals.items()}

    def score(self, target: Target, settings: Settings) -> tuple[float, float]:
        """Return scores after the last steps, read in two ways: last and as wanted.

        Parameters
        ----------
        target : Target
        settings : Settings
            The readout; voltages and shifts that replace those of the network.
        """
        probes, count = self.assembled.probes, len(self.assembled.probes)
        pieces = read_results(
            self._present(target, [*self.raw, *probes], settings),
            [Readout(LAST)] * count + [settings.readout] * count,
            self.assembled.finals * 2,
            self.assembled.shapes * 2,
            target.n_steps,
        )
        results = last_rows(pieces, target.n_steps)
        return _score(results[:count], target), _score(results[count:], target)


def _score(results: list[np.ndarray], target: Target) -> float:
    """Return accuracy or error of results."""
    if target.labels is not None:
        return float(np.mean(hits(results[0], target.labels)))
    errors = [
        normalised_error(*pair) for pair in zip(results, target.outputs, strict=True)
    ]
    return float(np.mean(errors))


@contextmanager
def open_trial(
    assembled: Assembled, dt: float, minibatch_size: int, *, means: bool = False
) -> Iterator[Trial]:
    """Add probes to a network that was made for this, and simulate it.

    Parameters
    ----------
    assembled : Assembled
    dt : float
        Length of a step in seconds.
    minibatch_size : int
    means : bool
        Whether mean activations are probed.
    """
    net = assembled.net
    added = {p.label: add_mean(net, p) for p in assembled.parts} if means else {}
    with net:
        raw = [nengo.Probe(probe.target) for probe in assembled.probes]
    with Simulator(net, dt, minibatch_size=minibatch_size, progress_bar=False) as sim:
        yield Trial(sim, assembled, raw, added)
