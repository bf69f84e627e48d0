"""snnTorch: ``Leaky`` layers in a loop over the steps, ``RLeaky`` for recurrence.

The current from a still input is computed once, and the readout once for all steps,
which its tutorials do inside the loop. Resetting by subtraction is the default of the
package; resetting to zero takes ``RLeaky`` through its recurrent product twice. The
layers that work on all steps at once (``LeakyParallel``) never reset, so they are other
neurons.
"""

from __future__ import annotations

import math
from typing import Any

import snntorch
import torch
from torch import nn

from peers.problem import DT, SLOPE, TAU, Problem
from peers.torch_training import Run, maps
from peers.torch_training import forms as torch_forms

PACKAGES = ("snntorch", "torch")
_DECAY = math.exp(-DT / TAU)


def forms(problem: Problem) -> dict[str, Run]:
    """Return the ways to train the network."""
    make = Recurrent if problem.network == "recurrent" else FeedForward
    return torch_forms(make(problem), problem)


def _options() -> dict[str, Any]:
    return {"beta": _DECAY, "spike_grad": snntorch.surrogate.fast_sigmoid(SLOPE)}


class FeedForward(nn.Module):
    """Two layers of neurons behind a still input."""

    def __init__(self, problem: Problem):
        super().__init__()
        self.steps = problem.steps
        self.maps = maps(problem, gain=1 - _DECAY)
        self.one = snntorch.Leaky(**_options())
        self.two = snntorch.Leaky(**_options())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the readout of all steps."""
        first, second, readout = self.maps
        current = first(x)
        one = torch.zeros_like(current)
        two = torch.zeros_like(second(one))
        outputs = []
        for _ in range(self.steps):
            spikes, one = self.one(current, one)
            spikes, two = self.two(second(spikes), two)
            outputs.append(spikes.flatten(1))
        return readout(torch.stack(outputs))


class Recurrent(nn.Module):
    """One layer that is connected with itself."""

    def __init__(self, problem: Problem):
        super().__init__()
        self.maps = maps(problem, gain=1 - _DECAY)
        _, within, _ = self.maps
        size = within.out_features
        self.layer = snntorch.RLeaky(linear_features=size, **_options())
        self.layer.recurrent = within

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the readout of all steps."""
        first, _, readout = self.maps
        currents = first(x)
        spikes = voltage = torch.zeros_like(currents[0])
        outputs = []
        for current in currents:
            spikes, voltage = self.layer(current, spikes, voltage)
            outputs.append(spikes)
        return readout(torch.stack(outputs))
