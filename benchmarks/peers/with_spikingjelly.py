"""SpikingJelly: ``LIFNode`` in multi-step mode, layer by layer over all steps.

That is the form its documentation recommends: each linear map is one product for all
steps, and each layer of neurons one call. The recurrent network needs its neurons step
by step; the products of its input are still made at once, which
``LinearRecurrentContainer`` would do in each step. Resets carry no gradient
(``detach_reset``), as is usual in the package, and faster.
"""

from __future__ import annotations

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import nn

from peers.problem import DT, TAU, Problem
from peers.torch_training import Run, maps
from peers.torch_training import forms as torch_forms

PACKAGES = ("spikingjelly", "torch")


def forms(problem: Problem) -> dict[str, Run]:
    """Return the ways to train the network."""
    make = Recurrent if problem.network == "recurrent" else FeedForward
    return torch_forms(make(problem), problem)


def _neurons(mode: str) -> neuron.LIFNode:
    return neuron.LIFNode(
        tau=TAU / DT,
        surrogate_function=surrogate.SuperSpike(),
        detach_reset=True,
        step_mode=mode,
    )


class FeedForward(nn.Module):
    """Two layers of neurons behind a still input."""

    def __init__(self, problem: Problem):
        super().__init__()
        self.steps = problem.steps
        self.maps = maps(problem)
        self.one, self.two = _neurons("m"), _neurons("m")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the readout of all steps."""
        functional.reset_net(self)
        first, second, readout = self.maps
        current = first(x)
        spikes = self.one(current.expand(self.steps, *current.shape))
        current = second(spikes.flatten(0, 1)).unflatten(0, (self.steps, -1))
        return readout(self.two(current).flatten(2))


class Recurrent(nn.Module):
    """One layer that is connected with itself."""

    def __init__(self, problem: Problem):
        super().__init__()
        self.maps = maps(problem)
        self.layer = _neurons("s")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the readout of all steps."""
        functional.reset_net(self)
        first, within, readout = self.maps
        currents = first(x)
        spikes = torch.zeros_like(currents[0])
        outputs = []
        for current in currents:
            spikes = self.layer(current + within(spikes))
            outputs.append(spikes)
        return readout(torch.stack(outputs))
