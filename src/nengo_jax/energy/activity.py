"""What travels along the connections of a network: spikes, values, or held values.

====== ==============================================================================
spikes from neurons that spike, as events per second
values from neurons and functions that do not, in each step; and behind a synapse
       that ends in a passthrough node, as it turns spikes into values
held   from nodes without an input, which are inputs of the network. They are taken to
       stay the same for one inference.
====== ==============================================================================

A passthrough node adds up what it gets, so all three pass through it, element by
element. Spikes that arrive at an element in the same step are one event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from nengo import Connection, Ensemble, Network, Node
from nengo.ensemble import Neurons
from nengo.neurons import Direct
from nengo.transforms import NoTransform

from ..nodes import TensorNode
from .fan_out import Pattern, pattern_of


class Activity(NamedTuple):
    """What travels along each of several wires.

    Attributes
    ----------
    events : ndarray, shape (wires,)
        Spikes per second.
    spikes, summed, values, held : ndarray of bool, shape (wires,)
        Whether a wire carries spikes, and only such that have already been added up
        through weights; whether it carries values; or held values.
    """

    events: np.ndarray
    spikes: np.ndarray
    summed: np.ndarray
    values: np.ndarray
    held: np.ndarray

    @classmethod
    def of(cls, size: int, kind: str = "", events: Any = 0.0) -> Activity:
        """Return wires that all carry the same kind, or nothing."""
        masks = {
            name: np.full(size, name == kind)
            for name in ("spikes", "summed", "values", "held")
        }
        return cls(np.broadcast_to(np.asarray(events, float), size).copy(), **masks)

    def sliced(self, index: Any) -> Activity:
        """Return some of the wires."""
        return Activity(*(array[index] for array in self))


class Route(NamedTuple):
    """How something travels along a connection.

    Attributes
    ----------
    activity : Activity
        What goes in, behind the slice and the function of the connection.
    pattern : Pattern
    wire : bool
        Whether the connection has no weights.
    """

    activity: Activity
    pattern: Pattern
    wire: bool


def is_passthrough(obj: Any) -> bool:
    """Tell whether an object is a node that only adds up what it gets."""
    plain = isinstance(obj, Node) and not isinstance(obj, TensorNode)
    return plain and obj.output is None and obj.size_in > 0


def find_routes(
    network: Network, rates: Mapping[Ensemble, np.ndarray | None], dt: float
) -> dict[Connection, Route]:
    """Find out what travels along each connection of a network.

    Parameters
    ----------
    network : Network
    rates : mapping of Ensemble to ndarray, shape (n_neurons,), or None
        Spikes per second; None for neurons that emit values.
    dt : float
        Length of a step in seconds.
    """
    connections = network.all_connections
    known: dict[Any, Activity] = {}

    def activity_of(obj: Any) -> Activity:
        if obj not in known:
            known[obj] = gather(obj) if is_passthrough(obj) else _source(obj, rates)
        return known[obj]

    def gather(node: Node) -> Activity:
        arriving = [c for c in connections if c.post_obj is node]
        parts = [_arrive(c, _route(c, activity_of(c.pre_obj))) for c in arriving]
        return _add_up(node.size_in, parts, 1 / dt)

    return {c: _route(c, activity_of(c.pre_obj)) for c in connections}


def _source(obj: Any, rates: Mapping[Ensemble, np.ndarray | None]) -> Activity:
    """Return what an object emits that is no passthrough node."""
    if isinstance(obj, Neurons | Ensemble):
        ensemble = obj.ensemble if isinstance(obj, Neurons) else obj
        if isinstance(ensemble.neuron_type, Direct):
            return Activity.of(obj.size_out, "values")
        fired = rates[ensemble]
        if fired is None:
            return Activity.of(ensemble.n_neurons, "values")
        return Activity.of(ensemble.n_neurons, "spikes", fired)
    size = obj.size_out
    is_input = isinstance(obj, Node) and obj.size_in == 0
    return Activity.of(size, "held" if is_input else "values")


def _route(connection: Connection, activity: Activity) -> Route:
    """Return how what an object emits travels along a connection from it."""
    pre, transform = connection.pre_obj, connection.transform
    if isinstance(pre, Ensemble) and not isinstance(pre.neuron_type, Direct):
        if isinstance(connection.post_obj, Ensemble) and connection.solver.weights:
            reached = np.ones(connection.post_obj.n_neurons, bool)
        else:  # decoders are full; a row of the transform may still be empty
            reached = pattern_of(transform).spread(np.ones(connection.size_mid)) > 0
        decoders = np.repeat(reached[:, None], pre.n_neurons, axis=1)
        return Route(activity, Pattern([decoders.astype(float)]), False)
    activity = activity.sliced(connection.pre_slice)
    if connection.function is not None:
        changes = bool((activity.spikes | activity.values).any())
        kind = "values" if changes else "held"
        activity = Activity.of(connection.size_mid, kind)
    return Route(activity, pattern_of(transform), isinstance(transform, NoTransform))


def _arrive(connection: Connection, route: Route) -> Activity:
    """Return what arrives at a passthrough node, by its elements."""

    def reached(mask: np.ndarray) -> np.ndarray:
        return route.pattern.spread(mask.astype(float)) > 0

    sent = route.activity
    spikes, values = reached(sent.spikes), reached(sent.values)
    events = route.pattern.spread(sent.events)
    if connection.synapse is not None:  # as state of the target, which spikes drive
        spikes, values = np.zeros_like(spikes), spikes | values
        events = np.zeros_like(events)
    summed = sent.summed if route.wire else np.ones_like(spikes)
    arrived = Activity(events, spikes, summed & spikes, values, reached(sent.held))
    full = Activity.of(connection.post_obj.size_in)
    for target, array in zip(full, arrived, strict=True):
        target[connection.post_slice] = array
    return full


def _add_up(size: int, parts: list[Activity], most: float) -> Activity:
    """Return what a passthrough node sends on, at most one event in each step."""
    total = Activity.of(size)
    for part in parts:
        raw = (total.spikes & ~total.summed) | (part.spikes & ~part.summed)
        spikes = total.spikes | part.spikes
        total = Activity(
            total.events + part.events,
            spikes,
            spikes & ~raw,
            total.values | part.values,
            total.held | part.held,
        )
    return total._replace(events=np.minimum(total.events, most))
