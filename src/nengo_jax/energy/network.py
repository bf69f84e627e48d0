"""Energy of a Nengo network, from the firing rates of its ensembles.

Each spike costs a synaptic operation for every weight that it meets: of a connection
from neurons, those in the column of the transform; of a decoded connection, one decoder
for each dimension. What carries values instead of spikes costs one operation per weight
in each step: encoders, and connections behind a filtered passthrough node. Connections
from inputs cost theirs once, as an input is held. A connection without a transform has
no weights: it is a wire, and costs one operation per spike where it leads from neurons
to neurons. Learning rules and functions of nodes are not counted.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from nengo import Connection, Ensemble, Network
from nengo.ensemble import Neurons
from nengo.exceptions import ValidationError
from nengo.neurons import Direct
from nengo.synapses import LinearFilter

from ..checks import check_clock, check_network
from ..nodes import TensorNode
from .activity import Route, find_routes, is_passthrough
from .comparison import Comparison, Workload
from .devices import Device, find_device
from .model_energy import ModelEnergy
from .technology import INT8, Technology


@dataclass(frozen=True)
class NetworkEnergy:
    """Energy of one inference of a nengo network.

    Attributes
    ----------
    operations : dict of Connection to float
        Synaptic operations of each connection in one inference.
    encoder_operations : float
        Multiplications by encoders.
    neuron_updates : float
    synapse_energy, neuron_energy : float
        On the device, in J.
    comparison : Comparison
        With memory traffic, and against the same network without spikes.
    """

    operations: dict[Connection, float]
    encoder_operations: float
    neuron_updates: float
    synapse_energy: float
    neuron_energy: float
    comparison: Comparison

    @property
    def synaptic_operations(self) -> float:
        """All synaptic operations of one inference, with those of encoders."""
        return sum(self.operations.values()) + self.encoder_operations

    @property
    def energy(self) -> float:
        """On the device, in J."""
        return self.synapse_energy + self.neuron_energy


def estimate(
    network: Network,
    rates: Mapping[Any, Any],
    device: str = "loihi",
    dt: float = 0.001,
    n_steps: int = 1,
    technology: Technology = INT8,
) -> NetworkEnergy:
    """Estimate the energy of one inference of a network.

    Parameters
    ----------
    network : Network
    rates : dict of Ensemble to float or ndarray, shape (n_neurons,)
        Firing rates in Hz, of each neuron or of all. Ensembles whose neurons do not
        spike may be left out: they emit values in each step. If they are given, they
        are counted as if they spiked.
    device : str
        Name of a device, see :mod:`nengo_jax.energy.devices`. On one that does not
        spike, each connection costs one operation per weight, once.
    dt : float
        Length of a step in seconds.
    n_steps : int
        Steps of one inference.
    technology : Technology
        Prices for the comparison with a network without spikes.

    Returns
    -------
    NetworkEnergy

    Raises
    ------
    ValidationError
        If a rate is missing, not finite, negative or of a wrong shape, or belongs to no
        ensemble of the network.
    ValueError
        If the device is not known.

    Warns
    -----
    UserWarning
        If the network has TensorNodes or learning rules; they are not counted.

    Examples
    --------
    >>> import nengo
    >>> import numpy as np
    >>> from nengo_jax.energy import estimate
    >>> with nengo.Network() as network:
    ...     a, b = nengo.Ensemble(10, 1), nengo.Ensemble(20, 1)
    ...     weights = np.ones((20, 10))
    ...     c = nengo.Connection(a.neurons, b.neurons, transform=weights)
    >>> energy = estimate(network, {a: 50, b: 0}, n_steps=100)
    >>> energy.synaptic_operations  # 10 neurons, 5 spikes each, 20 targets
    1000.0
    """
    check_network(network, None)
    check_clock(dt, None)
    if not isinstance(n_steps, Integral) or n_steps < 1:
        raise ValidationError(f"Must be a number of steps, not {n_steps!r}", "n_steps")
    prices = find_device(device, ModelEnergy.devices)
    _warn_not_counted(network)
    routes = find_routes(network, _check_rates(network, rates), dt)
    counts = {c: _count(c, route) for c, route in routes.items()}
    encoders = _count_encoders(network, routes)
    total = sum([*counts.values(), *encoders.values()], _Count())
    neurons = sum(e.n_neurons for e in _populations(network))
    known = total.spiking > 0
    work = Workload(
        int(n_steps),
        dt,
        total.spiking,
        total.events * dt / total.spiking if known else None,
        total.held,
        total.values,
        neurons,
        sum(_states(connection) for connection in counts),
    )
    operations = {c: n.operations(dt, n_steps) for c, n in counts.items()}
    encoding = sum(n.operations(dt, n_steps) for n in encoders.values())
    updates = neurons * n_steps
    return NetworkEnergy(
        operations,
        encoding,
        updates,
        *_price(prices, sum(operations.values()) + encoding, updates, work),
        Comparison(work, technology),
    )


class _Count(NamedTuple):
    """Weights that spikes, values and held values meet, and spikes times weights."""

    spiking: float = 0.0
    values: float = 0.0
    held: float = 0.0
    events: float = 0.0  # per second

    def __add__(self, other: Any) -> _Count:
        return _Count(*(a + b for a, b in zip(self, other, strict=True)))

    def operations(self, dt: float, n_steps: int) -> float:
        """Return the operations of one inference."""
        return (self.events * dt + self.values) * n_steps + self.held


def _count(connection: Connection, route: Route) -> _Count:
    """Count what a connection takes."""
    sent, fan_out = route.activity, route.pattern.fan_out()
    spikes = sent.spikes & ~sent.values
    if route.wire:  # spikes that have not met a weight yet meet one where they end
        spikes = spikes & ~sent.summed & (not is_passthrough(connection.post_obj))
        events = (fan_out * sent.events)[spikes].sum()
        return _Count(float(fan_out[spikes].sum()), events=float(events))
    held = sent.held & ~sent.values
    return _Count(
        float(fan_out[spikes].sum()),
        float(fan_out[sent.values].sum()),
        float(fan_out[held].sum()),
        float((fan_out * sent.events)[spikes].sum()),
    )


def _count_encoders(
    network: Network, routes: Mapping[Connection, Route]
) -> dict[Ensemble, _Count]:
    """Count the encoders of ensembles that get values of what they represent."""
    counts: dict[Ensemble, _Count] = {}
    for ensemble in _populations(network):
        arriving = [
            route.activity
            for c, route in routes.items()
            if c.post_obj is ensemble
            and not (isinstance(c.pre_obj, Ensemble) and c.solver.weights)
        ]
        if arriving:
            size = float(ensemble.n_neurons * ensemble.dimensions)
            held = not any((a.spikes | a.values).any() for a in arriving)
            counts[ensemble] = _Count(held=size) if held else _Count(values=size)
    return counts


def _states(connection: Connection) -> int:
    """Return the number of state variables of the synapse of a connection."""
    synapse = connection.synapse
    if synapse is None:
        return 0
    order = len(synapse.den) - 1 if isinstance(synapse, LinearFilter) else 1
    return connection.size_out * order


def _price(
    device: Device, operations: float, updates: float, work: Workload
) -> tuple[float, float]:
    if not device.spiking:
        operations = (
            work.spiking_connections + work.value_connections + work.held_connections
        )
        updates = work.neurons
    return device.energy_per_synop * operations, device.energy_per_neuron * updates


def _populations(network: Network) -> list[Ensemble]:
    """Return the ensembles that consist of neurons."""
    return [e for e in network.all_ensembles if not isinstance(e.neuron_type, Direct)]


def _check_rates(
    network: Network, rates: Mapping[Any, Any]
) -> dict[Ensemble, np.ndarray | None]:
    """Return the rates of each neuron; None for ensembles that emit values."""
    if not isinstance(rates, Mapping):
        raise _wrong(f"Must be a dictionary of ensembles, not {type(rates).__name__}")
    given = {
        key.ensemble if isinstance(key, Neurons) else key: value
        for key, value in rates.items()
    }
    ensembles = _populations(network)
    for key in given:
        if key not in ensembles:
            raise _wrong(f"{key} is no ensemble of the network that has neurons")
    missing = [e for e in ensembles if e not in given and e.neuron_type.spiking]
    if missing:
        raise _wrong(
            f"The firing rates of {', '.join(map(str, missing))} are missing. Give "
            "numbers in Hz, as from the mean over time of a probe of their neurons"
        )
    return {e: _check_rate(e, given.get(e)) for e in ensembles}


def _check_rate(ensemble: Ensemble, value: Any) -> np.ndarray | None:
    if value is None:
        return None
    array = np.asarray(value, float)
    if array.shape not in ((), (ensemble.n_neurons,)):
        raise _wrong(
            f"The rates of {ensemble} have shape {array.shape}; give one number, or "
            f"one for each of its {ensemble.n_neurons} neurons"
        )
    if not (np.isfinite(array) & (array >= 0)).all():
        raise _wrong(f"The rates of {ensemble} must be 0 Hz or more")
    return np.broadcast_to(array, ensemble.n_neurons)


def _wrong(problem: str) -> ValidationError:
    return ValidationError(problem, attr="rates")


def _warn_not_counted(network: Network) -> None:
    nodes = [node for node in network.all_nodes if isinstance(node, TensorNode)]
    learning = [c for c in network.all_connections if c.learning_rule is not None]
    if nodes or learning:
        warnings.warn(
            "The estimate leaves out what is computed in TensorNodes and by learning "
            f"rules: {', '.join(map(str, [*nodes, *learning]))}.",
            UserWarning,
            stacklevel=3,
        )
