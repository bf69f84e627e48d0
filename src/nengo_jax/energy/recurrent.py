"""What recurrent layers take, in each step: a table of cells.

A cell with n units sees its inputs and its own n outputs. Gates multiply element by
element, and each of their non-linear functions counts as a neuron.

=========== ===================== ============= =============
cell        products, times       element-wise  neurons
            n (inputs + n)
=========== ===================== ============= =============
SimpleRNN   1                                   n
LSTM        4                     3 n           5 n
GRU         3                     3 n           3 n
=========== ===================== ============= =============

A ConvLSTM is an LSTM whose products are convolutions: with n numbers in its state, f
filters and kernels of k places, 4 n k (input channels + f) in place of
4 n (inputs + n).

Hidden states are values and no spikes, so all this happens in every step, on a spiking
device too. If the number of steps is known from the shape, an inference takes them all;
if it is None, ``timesteps_per_inference`` tells. The cells of :mod:`nengo_jax.layers`
are in :mod:`.spiking`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from .spiking import SPIKING_CELLS
from .stats import LayerCall, LayerStats, Shape, added, find_rule, scaled, steps_in
from .weighted import is_nonlinear


def _simple(cell: Any, inputs: int) -> LayerStats:
    n = cell.units
    neurons = n * is_nonlinear(cell.activation)
    return LayerStats(n * (inputs + n), neurons, every_step=True)


def _lstm(cell: Any, inputs: int) -> LayerStats:
    return _gated(cell, cell.units, inputs + cell.units)


def _gated(cell: Any, n: int, seen: int) -> LayerStats:
    """An LSTM with n numbers in its state, each with four gates that see so many."""
    gates = is_nonlinear(cell.recurrent_activation)
    values = is_nonlinear(cell.activation)
    neurons = n * (3 * gates + 2 * values)
    return LayerStats(4 * n * seen + 3 * n, neurons, every_step=True)


def _gru(cell: Any, inputs: int) -> LayerStats:
    n = cell.units
    gates = is_nonlinear(cell.recurrent_activation)
    values = is_nonlinear(cell.activation)
    neurons = n * (2 * gates + values)
    return LayerStats(3 * n * (inputs + n) + 3 * n, neurons, every_step=True)


def _stacked(cell: Any, inputs: int) -> LayerStats | None:
    total = LayerStats()
    for inner in cell.cells:
        stats = count_cell(inner, inputs)
        if stats is None:
            return None
        total = added(total, stats)
        inputs = inner.output_size
    return total


# Cell and size of its input -> what one step takes.
CELLS: dict[type, Callable[[Any, int], LayerStats | None]] = {
    keras.layers.SimpleRNNCell: _simple,
    keras.layers.LSTMCell: _lstm,
    keras.layers.GRUCell: _gru,
    keras.layers.StackedRNNCells: _stacked,
    **SPIKING_CELLS,
}


_CONVOLUTIONS = (
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)


def count_cell(cell: Any, inputs: int) -> LayerStats | None:
    """Count one step of a cell; None if it is not in the table."""
    rule = find_rule(cell, CELLS)
    return None if rule is None else rule(cell, inputs)


def recurrent(layer: Any, call: LayerCall) -> LayerStats | None:
    """All steps that the shape tells of, or one."""
    shape = call.inputs[0]
    inputs = math.prod(size for size in shape[2:] if size is not None)
    return scaled(count_cell(layer.cell, inputs), steps_in(shape))


def convolutional(layer: Any, call: LayerCall) -> LayerStats | None:
    """All steps that the shape tells of, of a ConvLSTM, or one.

    Kernels count as if they met data everywhere, as those of convolutions do.
    """
    cell, shape = layer.cell, call.outputs[0]
    state = shape[-1 - len(cell.kernel_size) :]
    if None in state:
        raise ValueError(
            f"The layer {layer.name!r} gives the shape {shape}, so its operations "
            "cannot be counted. Give keras.Input a fixed shape; only the first axis "
            "after the batch (time) may be None."
        )
    n = math.prod(size for size in state if size is not None)
    # both kernels have the shape (*space, channels, filters of all gates)
    seen = math.prod(cell.kernel.shape[:-1])
    seen += math.prod(cell.recurrent_kernel.shape[:-1])
    return scaled(_gated(cell, n, seen), steps_in(call.inputs[0]))


def _direction(layer: Any, inputs: tuple[Shape, ...]) -> LayerStats | None:
    """One direction, whose output is not yet merged with that of the other one."""
    if not isinstance(layer, _CONVOLUTIONS):
        return recurrent(layer, LayerCall(layer, inputs, ()))
    output, *_ = keras.tree.flatten(
        layer.compute_output_spec(keras.KerasTensor(inputs[0]))
    )
    return convolutional(layer, LayerCall(layer, inputs, (tuple(output.shape),)))


def bidirectional(
    layer: keras.layers.Bidirectional, call: LayerCall
) -> LayerStats | None:
    """Both directions."""
    forward, backward = (
        _direction(one, call.inputs)
        for one in (layer.forward_layer, layer.backward_layer)
    )
    return None if forward is None or backward is None else added(forward, backward)
