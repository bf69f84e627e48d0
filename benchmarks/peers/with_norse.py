"""Norse: ``lif_box_feed_forward_step``, its LIF neuron without a synaptic current.

``LIFCell`` filters its input with a second state, which the other packages' neurons do
not have. Calling the step of ``LIFBoxCell`` directly, in a loop of one's own, lets the
current from a still input be computed once, and saves what ``SequentialState`` does to
carry states along; ``LIFRecurrentCell`` would multiply the input in each step.
"""

from __future__ import annotations

import torch
from norse.torch.functional.lif_box import (
    LIFBoxFeedForwardState,
    LIFBoxParameters,
    lif_box_feed_forward_step,
)
from torch import nn

from peers.problem import DT, TAU, Problem
from peers.torch_training import Run, maps
from peers.torch_training import forms as torch_forms

PACKAGES = ("norse", "torch")
_NEURON = LIFBoxParameters(tau_mem_inv=torch.tensor(1 / TAU), method="super")


def forms(problem: Problem) -> dict[str, Run]:
    """Return the ways to train the network."""
    make = Recurrent if problem.network == "recurrent" else FeedForward
    return torch_forms(make(problem), problem)


def _step(current: torch.Tensor, state: LIFBoxFeedForwardState):
    return lif_box_feed_forward_step(current, state, _NEURON, DT)


class FeedForward(nn.Module):
    """Two layers of neurons behind a still input."""

    def __init__(self, problem: Problem):
        super().__init__()
        self.steps = problem.steps
        self.maps = maps(problem)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the readout of all steps."""
        first, second, readout = self.maps
        current = first(x)
        zero = torch.zeros_like(current)
        one = LIFBoxFeedForwardState(zero)
        two = LIFBoxFeedForwardState(torch.zeros_like(second(zero)))
        outputs = []
        for _ in range(self.steps):
            spikes, one = _step(current, one)
            spikes, two = _step(second(spikes), two)
            outputs.append(spikes.flatten(1))
        return readout(torch.stack(outputs))


class Recurrent(nn.Module):
    """One layer that is connected with itself."""

    def __init__(self, problem: Problem):
        super().__init__()
        self.maps = maps(problem)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the readout of all steps."""
        first, within, readout = self.maps
        currents = first(x)
        spikes = torch.zeros_like(currents[0])
        state = LIFBoxFeedForwardState(spikes)
        outputs = []
        for current in currents:
            spikes, state = _step(current + within(spikes), state)
            outputs.append(spikes)
        return readout(torch.stack(outputs))
