"""What the cells of :mod:`nengo_jax.layers` take, in each step.

=================== ============================== ==========================
cell, size n        operations                     neurons
=================== ============================== ==========================
SpikingActivation                                  n, spiking
LIF                                                n, spiking
Lowpass             2 n                            ..
Alpha               6 n                            ..
LMU                 encoders, kernels, memory      n
=================== ============================== ==========================

A filter of order k multiplies k states and the input with a (k, k + 1) matrix, for
each element, whatever goes in; so does a memory of an LMU with ``order`` states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..layers import AlphaCell, LIFCell, LMUCell, LowpassCell, SpikingActivationCell
from ..layers.cell import KerasSpikingCell
from .stats import LayerStats
from .weighted import is_nonlinear


def _neurons(cell: KerasSpikingCell, inputs: int) -> LayerStats:
    return LayerStats(neurons=math.prod(cell.size), spiking=True)


def _filter(cell: Any, inputs: int) -> LayerStats:
    order = len(cell.state_size)
    return LayerStats(math.prod(cell.size) * order * (order + 1), every_step=True)


def _lmu(cell: LMUCell, inputs: int) -> LayerStats:
    units, memory = math.prod(cell.size), cell.memory_d * cell.order
    encoded = inputs + units * cell.hidden_to_memory + memory * cell.memory_to_memory
    driving = inputs * cell.input_to_hidden + units + memory
    connections = encoded * cell.memory_d + memory * (cell.order + 1) + driving * units
    spiking = isinstance(cell.activation, KerasSpikingCell)
    neurons = units * is_nonlinear(cell.activation)
    return LayerStats(connections, neurons, spiking, every_step=True)


SPIKING_CELLS: Mapping[type, Callable[[Any, int], LayerStats]] = {
    SpikingActivationCell: _neurons,
    LIFCell: _neurons,
    LowpassCell: _filter,
    AlphaCell: _filter,
    LMUCell: _lmu,
}
