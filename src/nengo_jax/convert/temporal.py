"""Layers that have a state: recurrent ones, spiking activations and filters.

In a temporal model the simulation gives a layer one step after the other. So a
recurrent layer becomes the cell that it runs, in a TensorNode that keeps the state; a
spiking activation becomes spiking neurons, and a filter the synapse of a connection,
whose output comes one step later than that of the layer. States begin as they are in
the layer; where a layer would train how they begin, the network does not.

Without temporal_model a recurrent layer sees its whole sequence in each step.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import nengo
import numpy as np
from nengo import Connection

from ..layers import Alpha
from ..nodes import TensorNode
from .activation import finish_activation
from .activations import choose_activation, describe
from .fallback import convert_exact
from .linear import is_trained, weights
from .objects import connect, passthrough
from .records import Converted, LayerCall, Options, Source

_DT = 0.001  # of a Simulator that is given none


def refuse_recurrent(call: LayerCall, options: Options) -> str | None:
    """Say why a recurrent layer has to fall back: it always has to."""
    return "no connections or neurons compute what a recurrent layer does"


def convert_recurrent(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Put the cell of a layer into a node, or the whole layer without an axis of time.

    Raises
    ------
    TypeError
        If the layer does more with a sequence than to run its cell over it.
    """
    if call.leading == 1:
        return convert_exact(call, sources, options)
    _check_sequence(call)
    (source,) = sources
    cell = call.layer.cell
    node = TensorNode(cell, shape_in=source.shape, pass_time=False, label=call.label)
    made = connect(source.obj, node, f"{call.label}.input", options)
    return Converted(call, (Source(node, call.shape_out),), incoming=(made,))


def convert_spiking(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``SpikingActivation``: neurons that spike regularly at its rates."""
    (source,) = sources
    _check_sequence(call)
    _warn_of_step(call)
    found = choose_activation(call.layer.activation, options)
    assert found.neurons is not None
    kind: Any = found.neurons
    if not kind.spiking:
        kind = nengo.RegularSpiking(kind)
    return finish_activation(call, source, found._replace(neurons=kind), options)


def refuse_spiking(call: LayerCall, options: Options) -> str | None:
    """Say why a spiking activation has to stay a cell, if it has to."""
    if call.leading == 1:
        return "temporal_model=True gives it one step at a time"
    layer = call.layer
    found = choose_activation(layer.activation, options)
    if found.neurons is None:
        return (
            f"there is no neuron type for its activation {describe(layer.activation)}"
        )
    if layer.spiking_aware_training and not options.inference_only:
        return (
            "it spikes in training as well, while neurons are trained by their rates; "
            "inference_only=True makes neurons of it"
        )
    return None


def convert_filter(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert ``Lowpass`` and ``Alpha``: a connection with a synapse."""
    (source,) = sources
    _check_sequence(call)
    _warn_of_step(call)
    tau = float(weights(call.layer.cell.tau).flat[0])
    kind = nengo.Alpha if isinstance(call.layer, Alpha) else nengo.Lowpass
    node = passthrough(call.label, source.shape)
    made = Connection(source.obj, node, synapse=kind(tau), label=f"{call.label}.input")
    output = Source(node, source.shape, source.channel_axis)
    return Converted(call, (output,), incoming=(made,))


def refuse_filter(call: LayerCall, options: Options) -> str | None:
    """Say why a filter has to stay a cell, if it has to."""
    if call.leading == 1:
        return "temporal_model=True gives it one step at a time"
    layer = call.layer
    if layer.apply_during_training and is_trained(call, options):
        return "its time constants are trained; inference_only=True makes a synapse"
    if np.any(weights(layer.cell.initial_level)):
        return "its initial level is not zero, while that of a synapse is"
    tau = weights(layer.cell.tau)
    if not np.allclose(tau, tau.flat[0], rtol=1e-6):
        return "its units have different time constants, while a synapse has one"
    return None


def _check_sequence(call: LayerCall) -> None:
    """Raise TypeError unless a layer gives one output for each step."""
    layer = call.layer
    wrong = {
        "return_sequences=False": not layer.return_sequences,
        "return_state=True": layer.return_state,
        "go_backwards=True": getattr(layer, "go_backwards", False),
        "time_major=True": getattr(layer, "time_major", False),
        "an initial state": len(call.inputs) > 1,
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if found:
        raise TypeError(
            f"{call.label} ({type(layer).__name__}) has {' and '.join(found)}, but in "
            "a temporal model it gets one step after the other and gives one output "
            "for each. Use return_sequences=True and look at the step you want."
        )


def _warn_of_step(call: LayerCall) -> None:
    layer = call.layer
    dt = float(keras.ops.convert_to_numpy(layer.dt))
    if not math.isclose(dt, _DT):
        warnings.warn(
            f"{call.label} has dt={dt:g} s, but neurons and synapses take the step of "
            f"the simulation. Simulate with Simulator(net, dt={dt:g}).",
            stacklevel=2,
        )
    if layer.stateful:
        warnings.warn(
            f"{call.label} is stateful; a simulation keeps its states from run to run "
            "anyway.",
            stacklevel=2,
        )
