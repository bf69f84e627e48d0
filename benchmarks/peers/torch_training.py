"""What the packages on PyTorch share: linear maps with given weights, and a step.

A network is a module from the input to the readout of all steps, shape (steps, batch,
outputs): time comes first, as all three packages have it. Images lie in memory with
their channels last, which made convolutions on a CPU up to twice as fast, and Adam is
the fused one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from peers import THREADS
from peers.problem import DT, LEARNING_RATE, Problem

Run = Callable[[int], None]


def maps(problem: Problem, gain: float = 1.0) -> nn.ModuleList:
    """Make the linear maps of a network with its initial weights.

    Parameters
    ----------
    problem : Problem
    gain : float
        Factor of all currents into neurons.

    Returns
    -------
    torch.nn.ModuleList
        For the input, for spikes to neurons, and for the readout. The second has no
        bias in the recurrent network, where the input brings it; a convolution has
        one bias for each channel, as is usual in PyTorch.
    """
    values = problem.parameters
    scales = {"w1": gain, "w2": gain / DT, "w3": 1 / DT}
    make = _convolution if problem.network == "convolution" else _linear
    first = make(values["w1"] * scales["w1"], values["b1"] * gain)
    bias = values["b2"] * gain if "b2" in values else None
    second = make(values["w2"] * scales["w2"], bias)
    return nn.ModuleList([first, second, _linear(values["w3"] * scales["w3"], None)])


def inputs(problem: Problem) -> torch.Tensor:
    """Return a still input as (batch, ...), or a sequence as (steps, batch, size)."""
    if problem.network == "recurrent":
        return torch.from_numpy(problem.x.swapaxes(0, 1).copy())
    x = torch.from_numpy(problem.x[:, 0])
    if problem.network == "convolution":
        x = x.reshape(-1, 1, 28, 28).to(memory_format=torch.channels_last)
    return x


def forms(network: nn.Module, problem: Problem) -> dict[str, Run]:
    """Return training as PyTorch does it, and with ``torch.compile``.

    The 250 steps of the recurrent network make a graph that takes the compiler four
    minutes and runs no faster, nor did a compiled step, so it is only run eagerly.
    """
    torch.set_num_threads(THREADS)
    eager = {"eager": _training(network, network.parameters(), problem)}
    if problem.network == "recurrent":
        return eager
    other = copy.deepcopy(network)
    compiled = _training(torch.compile(other), other.parameters(), problem)
    return {**eager, "compiled": compiled}


def _training(network: Callable, parameters, problem: Problem) -> Run:
    x = inputs(problem)
    y = torch.from_numpy(problem.y.swapaxes(0, 1).copy())
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.mse_loss(network(x), y).backward()
            optimizer.step()

    return run


def _linear(weights: np.ndarray, bias: np.ndarray | None) -> nn.Linear:
    layer = nn.Linear(*weights.shape, bias=bias is not None)
    _set(layer, weights.T, bias)
    return layer


def _convolution(weights: np.ndarray, bias: np.ndarray | None) -> nn.Conv2d:
    kernel = weights.reshape(3, 3, -1, weights.shape[-1])
    layer = nn.Conv2d(*kernel.shape[2:], 3, stride=2)
    channels = bias.reshape(-1, kernel.shape[-1]).mean(axis=0)
    _set(layer, kernel.transpose(3, 2, 0, 1), channels)
    return layer.to(memory_format=torch.channels_last)


def _set(layer: nn.Module, weights: np.ndarray, bias: np.ndarray | None) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
