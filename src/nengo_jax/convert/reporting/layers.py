"""Statistics of one layer over all examples, against the Keras model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from nengo import Dense, Node
from nengo.ensemble import Neurons

from ..records import Converted
from ..scaling import keeps_result, limit_of
from .activity import Activity
from .histogram import Histogram
from .records import Population

_NEARLY = 0.95  # of the limit: saturated
_TINY = 1e-300
_SMALL = 1e-6  # of the largest activation: zero, but for rounding


class LayerStatistics:
    """Adds up what a layer does and what it should do.

    Parameters
    ----------
    converted : Converted
    dt : float
    n_steps : int
    compared : bool
        Whether the Keras model has something to compare with.
    """

    def __init__(self, converted: Converted, dt: float, n_steps: int, compared: bool):
        self.converted = converted
        self.compared = compared
        self.squares = np.zeros(2)
        self.examples = 0
        self.opposite = 0.0  # sum of mean rates of the opposite population in Hz
        neurons = converted.neurons
        self._neurons = (
            None
            if neurons is None
            else _NeuronStatistics(converted, neurons, dt, n_steps)
        )

    @property
    def target(self) -> Node | Neurons:
        """What has to be watched: the population, or the node that gives the output."""
        neurons = self.converted.neurons
        return self.converted.obj if neurons is None else neurons

    @property
    def targets(self) -> tuple[Node | Neurons, ...]:
        """All that has to be watched: where there are two populations, their sum."""
        opposite = self.converted.opposite
        if opposite is None:
            return (self.target,)
        return self.target, opposite, self.converted.obj

    def add(
        self,
        activities: Mapping[Node | Neurons, Activity],
        wanted: np.ndarray | None,
    ) -> None:
        """Take in a batch.

        Parameters
        ----------
        activities : mapping of Node or Neurons to Activity
            Of all ``targets``.
        wanted : ndarray, shape (examples, elements), or None
            Activations of the Keras model.
        """
        activity = activities[self.target]
        mean = activity.mean
        if self._neurons is not None:
            self._neurons.add(activity, wanted)
            mean = mean * self._neurons.factors
        opposite = self.converted.opposite
        if opposite is not None and self._neurons is not None:
            mean = activities[self.converted.obj].mean
            size = activities[opposite].size / activity.steps / self._neurons.amplitude
            self.opposite += float(size.mean()) * len(size)
            self.examples += len(size)
        if wanted is not None:
            self.squares += ((mean - wanted) ** 2).sum(), (wanted**2).sum()

    def opposite_rate(self) -> float:
        """Return the mean rate of the opposite population in Hz."""
        return self.opposite / max(self.examples, 1)

    @property
    def error(self) -> float | None:
        """Relative error, see :class:`~.records.LayerReport`."""
        difference, size = self.squares
        if not self.compared or not size > 0:
            return None
        return float(np.sqrt(difference / size))

    def population(self, start: np.ndarray | None) -> Population | None:
        """Return what was found about the neurons.

        Parameters
        ----------
        start : ndarray or None
            Initial voltages.
        """
        return None if self._neurons is None else self._neurons.result(start)


def _factors(converted: Converted, neurons: Neurons) -> np.ndarray | float:
    """Return what the output of each neuron is multiplied by in a node of its own."""
    factors = [
        connection.transform.init
        for connection in converted.incoming
        if connection.pre_obj is neurons and isinstance(connection.transform, Dense)
    ]
    return np.asarray(factors[0]) if factors else 1.0


class _NeuronStatistics:
    """The same for the neurons of a layer."""

    def __init__(self, converted: Converted, neurons: Neurons, dt: float, n_steps: int):
        self.kind = neurons.ensemble.neuron_type
        self.size = neurons.size_out
        self.scale = np.atleast_1d(converted.scale)
        self.factors = _factors(converted, neurons)
        # the output of a rate of 1 Hz; types without amplitude have one of 1
        self.amplitude = float(getattr(self.kind, "amplitude", 1.0))
        self.limit = limit_of(self.kind, dt)
        self.dt, self.n_steps = dt, n_steps
        unit = 1 / (n_steps * dt)
        self.rates, self.wanted = Histogram(unit), Histogram(unit)
        self.first = np.zeros(n_steps + 1, int)
        self.spiked = np.zeros(self.size, bool)
        self.alive = np.zeros(self.size, bool)
        self.counts = dict.fromkeys(
            ("pairs", "active", "silent", "missed", "near", "clipped"), 0
        )
        self.spikes = np.zeros(2)  # all, and those of neurons that are not active
        self.shift, self.shifted = 0.0, 0

    def add(self, activity: Activity, wanted: np.ndarray | None) -> None:
        rates = activity.size / activity.steps / self.amplitude
        spiked = activity.first > 0
        self.rates.add(rates)
        self.first += np.bincount(activity.first.ravel(), minlength=len(self.first))
        self.spiked |= spiked.any(0)
        counts = self.counts
        counts["pairs"] += spiked.size
        counts["silent"] += int((~spiked).sum())
        if self.limit is not None:
            counts["near"] += int((rates >= _NEARLY * self.limit).sum())
        if wanted is None:
            return
        needed = wanted / self.factors / self.amplitude
        largest = np.abs(wanted).max(initial=0.0)
        active = wanted > _SMALL * largest
        over = np.zeros_like(active) if self.limit is None else needed > self.limit
        self.alive |= active.any(0)
        self.wanted.add(np.where(active, needed, 0))
        counts["active"] += int(active.sum())
        counts["missed"] += int((active & ~spiked).sum())
        self.spikes += rates.sum(), rates[~active].sum()
        counts["clipped"] += int((active & over).sum())
        fair = active & ~over
        difference = activity.mean / self.amplitude - needed
        self.shift += float(difference[fair].sum()) * self.n_steps * self.dt
        self.shifted += int(fair.sum())

    def result(self, start: np.ndarray | None) -> Population:
        counts = self.counts
        pairs, active = max(counts["pairs"], 1), max(counts["active"], 1)
        return Population(
            neurons=type(self.kind).__name__,
            size=self.size,
            spiking=bool(self.kind.spiking),
            homogeneous=keeps_result(self.kind, 1.0),
            scale=(float(self.scale.min()), float(self.scale.max())),
            start=None if start is None else (float(start.min()), float(start.max())),
            limit=self.limit,
            rates=self.rates.result(),
            wanted=self.wanted.result(),
            silent=counts["silent"] / pairs,
            missed=counts["missed"] / active,
            never=float(1 - self.spiked.mean()),
            dead=float(1 - self.alive.mean()),
            saturated=counts["near"] / pairs,
            clipped=counts["clipped"] / active,
            spurious=float(self.spikes[1] / max(self.spikes[0], _TINY)),
            shift=self.shift / max(self.shifted, 1),
            first=self._first(),
        )

    def _first(self) -> tuple[float, float] | None:
        reached = np.cumsum(self.first[1:])
        if not reached[-1]:
            return None
        steps = [int(np.searchsorted(reached, q * reached[-1])) + 1 for q in (0.5, 0.9)]
        return steps[0] * self.dt, steps[1] * self.dt
