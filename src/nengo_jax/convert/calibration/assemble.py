"""Makes the network of a model with some settings."""

from __future__ import annotations

from dataclasses import replace as with_changes
from typing import Any

import nengo
import numpy as np
from nengo import Node
from nengo.dists import Choice
from nengo.ensemble import Neurons

from ..pooling import mean_of_positions
from ..scaling import replace
from .readout import FILTERED
from .records import Assembled, Part, Settings

VOLTAGE = "voltage"


def finish(assembled: Assembled, settings: Settings, *, shifted: bool) -> Assembled:
    """Give a new network its voltages, shifts and readout, in place.

    Parameters
    ----------
    assembled : Assembled
        Made for this; scales and curves are part of it already.
    settings : Settings
    shifted : bool
        Whether all parts get a node for a shift, or only those that are shifted.
    """
    shifts = {}
    for part in assembled.parts:
        if part.label in settings.voltages and has_voltage(part):
            for neurons in part.populations:
                _start(neurons, settings.voltages[part.label])
        shift = settings.shifts.get(part.label)
        if shift is not None or shifted:
            value = np.zeros(part.count) if shift is None else np.asarray(shift)
            shifts[part.label] = add_shift(assembled.net, part, value)
    if settings.readout.kind == FILTERED:
        for probe in assembled.probes:
            probe.synapse = settings.readout.synapse
    return with_changes(assembled, shifts=shifts)


def has_voltage(part: Part) -> bool:
    """Whether a part spikes when a voltage reaches a threshold."""
    if part.neurons is None or not part.spiking:
        return False
    return VOLTAGE in part.neurons.ensemble.neuron_type.state


def add_shift(net: nengo.Network, part: Part, value: np.ndarray) -> Node:
    """Add a constant for each channel to the arguments of activations.

    Gains act on it, so it is in units of the activation. A population that is scaled by
    a factor for each channel needs nothing else.

    Parameters
    ----------
    net : Network
    part : Part
    value : ndarray, shape (channels,)
    """
    with net:
        node = Node(value, label=f"{part.label}.shift")
        wide = node[part.channels.tolist()]
        label = f"{part.label}.shift"
        nengo.Connection(wide, part.target, synapse=None, label=label)
        if part.opposite is not None:
            nengo.Connection(
                wide, part.opposite, transform=-1, synapse=None, label=label
            )
    return node


def add_mean(net: nengo.Network, part: Part) -> nengo.Probe:
    """Add a probe of the mean activation of each channel."""
    channels = part.count
    positions = part.channels.size // channels
    last = positions == 1 or part.channels[1] != part.channels[0]
    transform = None
    if positions > 1:
        transform = mean_of_positions(positions, channels, last=last)
    with net:
        node = Node(size_in=channels, label=f"{part.label}.mean")
        nengo.Connection(part.source, node, transform=transform, synapse=None)
        return nengo.Probe(node, label=f"{part.label}.mean")


def _start(neurons: Neurons, voltage: Any) -> None:
    """Set the initial voltages of a population, in place."""
    ensemble = neurons.ensemble
    value = Choice([voltage]) if np.ndim(voltage) == 0 else np.asarray(voltage)
    state = {**(ensemble.neuron_type.initial_state or {}), VOLTAGE: value}
    ensemble.neuron_type = replace(ensemble.neuron_type, initial_state=state)


def set_weights(connection: nengo.Connection, weights: np.ndarray) -> None:
    """Set the weights of a connection, in place."""
    connection.transform = replace(connection.transform, init=weights)
