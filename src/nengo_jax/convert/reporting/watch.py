"""Runs a network on examples and sees what chosen objects give in each step.

Probes are built into the model of the simulation, not into the network, which stays as
it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import nengo
import numpy as np
from nengo import Node, Probe
from nengo.builder import Model

from ...simulator import Simulator
from ..calibration.presentation import present

_SAMPLES = 2**23  # numbers that may be recorded at a time
_MOST_EXAMPLES = 64
_WANTED_STEPS = 8  # in a piece, before fewer examples are run at a time


class Watch:
    """A simulation in which objects are watched.

    Parameters
    ----------
    net : nengo.Network
    targets : sequence of Node or Neurons
        What to watch.
    dt : float
        Length of a step in s.
    n_steps : int
        Steps for each example.
    n_examples : int
    seed : int
        Of the network, if it has none of its own, and of the simulation.

    Attributes
    ----------
    sim : Simulator
    batch, chunk : int
        Examples and steps that run at a time.
    """

    def __init__(
        self,
        net: nengo.Network,
        targets: Sequence[Any],
        dt: float,
        n_steps: int,
        n_examples: int,
        seed: int,
    ):
        model = Model(dt=float(dt), label=f"{net}, dt={dt:f}")
        if net.seed is None:
            model.seeds[net] = seed
        model.build(net)
        self._probes = {target: _watch(model, target, seed) for target in targets}
        self._given: list[Probe] = list(net.all_probes)
        wide = sum(t.size_out for t in targets)
        wide += sum(p.size_in for p in self._given)
        wide += sum(n.size_out for n in net.all_nodes if n.size_in == 0)
        self.batch = int(np.clip(_SAMPLES // (wide * _WANTED_STEPS), 1, _MOST_EXAMPLES))
        self.batch = min(self.batch, n_examples)
        self.chunk = int(np.clip(_SAMPLES // (wide * self.batch), 1, n_steps))
        self.n_steps = n_steps
        self.sim = Simulator(
            None,
            model=model,
            seed=seed,
            progress_bar=False,
            minibatch_size=self.batch,
        )

    def voltages(self, neurons: Any) -> np.ndarray | None:
        """Return the initial voltages of a population, if its neurons have any."""
        signals = self.sim.model.sig[neurons]
        if "voltage" not in signals:
            return None
        return np.asarray(signals["voltage"].initial_value)

    def run(self, inputs: Mapping[Node, np.ndarray]) -> Iterator[dict[Any, np.ndarray]]:
        """Run examples from the beginning, batch by batch and piece by piece.

        Parameters
        ----------
        inputs : dict of Node to ndarray, shape (examples, size)
            Held for all steps.

        Yields
        ------
        dict of Node, Neurons or Probe to ndarray, shape (examples, steps, size)
            What the watched objects and the probes of the network give.
        """
        watched = {**self._probes, **{probe: probe for probe in self._given}}
        pieces = present(
            self.sim,
            list(inputs),
            [array[:, None] for array in inputs.values()],
            list(watched.values()),
            self.n_steps,
            steps=self.chunk,
        )
        for piece in pieces:
            yield dict(zip(watched, piece.rows, strict=True))

    def close(self) -> None:
        """End the simulation."""
        self.sim.close()


def _watch(model: Model, target: Any, seed: int) -> Probe:
    probe = Probe(target, synapse=None, add_to_container=False)
    model.seeds[probe], model.seeded[probe] = seed, True
    model.build(probe)
    return probe
