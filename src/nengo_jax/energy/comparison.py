r"""A spiking network against the same network without spikes, both with their memory.

Both networks have the same connections and neurons and live in one technology. The one
without spikes runs once; the spiking one takes T steps:

.. math::
    E_{values} &= (C_0 + C + C_1) e_{value} + N e_{activation} \\
    E_{spikes} &= C_0 e_{value} + T (s C e_{synapse} + C_1 e_{value}
                  + (N + F) e_{update})

========= ===========================================================================
C         connections that spikes travel along
s         spikes per neuron and step, averaged over these connections
C_0       connections from the input of the network. It is held while it is presented,
          so what follows from it is computed once, in both networks.
C_1       connections that carry values in each step, such as encoders
N, F      neurons; state variables of synapses
========= ===========================================================================

The order turns where both are equal. As the energy is linear in s, this is

.. math::
    s^* = \frac{E_{values} - E_{spikes}(s = 0)}{T C e_{synapse}}

and with many connections per neuron nearly
:math:`e_{value} / (T e_{synapse})`, whatever the network: with the default technology
0.42 / T, so 8% at 5 steps and 4% at 10. An analytic study with a much finer model of
hardware (Yan et al., 2024, arXiv:2409.08290) finds 5.7 to 6.4% for 5 to 10 steps. That
the two are close says that the order of magnitude does not depend on details; it does
not say that the second digit means anything. What favours spikes here: sending them is
free, and the network without spikes skips no zeros. What is against them: no step keeps
its sums in registers.

Memory decides: with ``Technology(memory=0)``, which is what a count of synaptic
operations amounts to, the same network should fire 1.5 spikes in each of 5 steps before
spikes cost more.
"""

from __future__ import annotations

from dataclasses import dataclass

from .technology import INT8, Technology


@dataclass(frozen=True)
class Workload:
    """What a network does in one inference, before any prices.

    Attributes
    ----------
    n_steps : int
        Time steps of one inference, T.
    dt : float
        Length of a step in seconds.
    spiking_connections : float
        Connections that spikes travel along, C.
    spikes_per_step : float or None
        Mean number of spikes per step along one of them, s; None if it is not known.
    held_connections : float
        Connections from the input of the network, computed once, C_0.
    value_connections : float
        Connections that carry values in each step, C_1.
    neurons : float
        N.
    synapse_states : float
        State variables of synapses, F.
    """

    n_steps: int
    dt: float
    spiking_connections: float
    spikes_per_step: float | None
    held_connections: float = 0
    value_connections: float = 0
    neurons: float = 0
    synapse_states: float = 0


@dataclass(frozen=True)
class Comparison:
    """Energy of a spiking network and of the same network without spikes.

    Attributes
    ----------
    workload : Workload
    technology : Technology
        For both.
    """

    workload: Workload
    technology: Technology = INT8

    def spiking_at(self, spikes_per_step: float) -> float:
        """Energy in J of an inference with spikes, for a mean number of spikes."""
        work, prices = self.workload, self.technology
        step = (
            spikes_per_step * work.spiking_connections * prices.synaptic_operation
            + work.value_connections * prices.value_operation
            + (work.neurons + work.synapse_states) * prices.neuron_update
        )
        return work.held_connections * prices.value_operation + work.n_steps * step

    @property
    def spiking(self) -> float | None:
        """Energy in J of an inference with spikes; None if the rates are not known."""
        rate = self.workload.spikes_per_step
        return None if rate is None else self.spiking_at(rate)

    @property
    def quantised(self) -> float:
        """Energy in J of an inference of the same network without spikes."""
        work, prices = self.workload, self.technology
        connections = (
            work.held_connections + work.spiking_connections + work.value_connections
        )
        return connections * prices.value_operation + work.neurons * prices.activation

    @property
    def crossover(self) -> float | None:
        """Spikes per step below which spikes cost less.

        Zero or less if they never do, as the neurons alone cost more; None if no spikes
        travel in the network.
        """
        work = self.workload
        full = work.n_steps * work.spiking_connections
        if full == 0:
            return None
        left = self.quantised - self.spiking_at(0)
        return left / (full * self.technology.synaptic_operation)

    @property
    def crossover_hz(self) -> float | None:
        """The same as a firing rate in Hz."""
        crossover = self.crossover
        return None if crossover is None else crossover / self.workload.dt

    @property
    def verdict(self) -> str:
        """One sentence: which of the two costs less, and from which rate on."""
        crossover, rate = self.crossover, self.workload.spikes_per_step
        if crossover is None:
            return (
                "Spikes travel along none of the connections (those from the input "
                "carry values), so there is no firing rate to compare."
            )
        if crossover <= 0:
            return (
                "Spikes cost more at any firing rate: the updates of the neurons alone "
                "take more energy than the network without spikes."
            )
        text = (
            f"Spikes cost less below {crossover:.3g} spikes per neuron and step "
            f"({crossover / self.workload.dt:.3g} Hz)"
        )
        if rate is None:
            return text + "; the rate of this network is not known."
        side = "less" if rate < crossover else "more"
        return (
            f"{text}; this network has {rate:.3g} ({rate / self.workload.dt:.3g} Hz), "
            f"so they cost {side}."
        )
