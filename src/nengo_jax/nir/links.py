"""Connections and probes of a network as links: what flows where, and how.

A link multiplies all outputs of an object by weights, filters them and adds them to
what goes into another object. What NIR has nothing for is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import nengo
import numpy as np
import scipy.sparse
from nengo.connection import LearningRule
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError
from nengo.neurons import Direct
from nengo.synapses import Synapse
from nengo.transforms import (
    Convolution,
    Dense,
    NoTransform,
    Sparse,
    SparseMatrix,
)

from ..params.assign import has_full_weights
from ..params.names import probe_connections
from ..transforms import DilatedConvolution
from .kernels import as_matrix

Source: TypeAlias = nengo.Node | Neurons
Target: TypeAlias = nengo.Node | nengo.Ensemble | Neurons | nengo.Probe


@dataclass(frozen=True)
class Kernel:
    """A convolution and its present weights."""

    transform: Convolution
    weights: np.ndarray


@dataclass(frozen=True)
class Link:
    """What flows from one object to another.

    Attributes
    ----------
    owner : Connection or Probe
    source : Node or Neurons
    target : Node, Ensemble, Neurons or Probe
        An ensemble is what it represents, Neurons are their currents before the gains.
    weights : ndarray or Kernel
        A matrix, (target size, source size), one factor for each element, or a
        convolution.
    synapse : Synapse or None
    """

    owner: nengo.Connection | nengo.Probe
    source: Source
    target: Target
    weights: np.ndarray | Kernel
    synapse: Synapse | None

    @property
    def size_out(self) -> int:
        """Number of values that arrive."""
        if isinstance(self.weights, Kernel):
            return self.weights.transform.size_out
        return len(self.weights)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the values that arrive if the source shows these."""
        if isinstance(self.weights, np.ndarray) and self.weights.ndim == 1:
            return self.weights * values
        return self.as_matrix() @ values

    def as_matrix(self) -> np.ndarray:
        """Return the weights as a matrix."""
        return _full(self.weights)


def links_of(
    network: nengo.Network,
    model: nengo.builder.Model,
    data: Mapping[Any, Any],
    gains: Mapping[nengo.Ensemble, np.ndarray],
    probes: list[nengo.Probe],
) -> list[Link]:
    """Return the links of a network: its connections, and the probes.

    Parameters
    ----------
    network : nengo.Network
    model : nengo.builder.Model
    data : mapping of nengo objects to what was built for them
    gains : mapping of Ensemble to ndarray
    probes : list of Probe
        Those that are exported.

    Raises
    ------
    BuildError
        If NIR cannot express one of them.
    """
    built = probe_connections(model)
    links = [_link(conn, data, gains) for conn in network.all_connections]
    for probe in probes:
        if probe in built:
            links.append(replace(_link(built[probe], data, gains), owner=probe))
        else:
            links.append(_neuron_probe(probe))
    return links


def _neuron_probe(probe: nengo.Probe) -> Link:
    obj = probe.obj
    known = {Neurons: ("output", "spikes", "rates"), nengo.Node: ("output",)}
    if probe.attr not in known.get(type(obj), ()):
        raise BuildError(
            f"{probe} shows {probe.attr!r} of {obj}, which NIR has no output for. "
            "Outputs are values of nodes, decoded values of ensembles and spikes. "
            "Leave it out: outputs=[the other probes]."
        )
    weights = _selection(obj.size_out, probe.slice)
    return Link(probe, obj, probe, weights, probe.synapse)


def _selection(size: int, chosen: Any) -> np.ndarray:
    if chosen is None or np.array_equal(np.arange(size)[chosen], np.arange(size)):
        return np.ones(size)
    return np.eye(size)[chosen]


def _link(
    conn: nengo.Connection,
    data: Mapping[Any, Any],
    gains: Mapping[nengo.Ensemble, np.ndarray],
) -> Link:
    _refuse(conn)
    pre, post = conn.pre_obj, conn.post_obj
    decoded = isinstance(pre, nengo.Ensemble)
    source = pre.neurons if decoded else pre
    if has_full_weights(conn):
        ensemble = post.ensemble if isinstance(post, Neurons) else post
        gain, full = gains[ensemble], np.asarray(data[conn].weights, np.float64)
        if np.any(gain == 0):
            raise BuildError(
                f"{conn} has weights for neurons of {ensemble} whose gains are 0, "
                "which cannot be told apart from them. Give them other gains."
            )
        return Link(conn, source, ensemble.neurons, full / gain[:, None], conn.synapse)
    size_in = source.size_out
    weights = _weights(conn, data)
    weights = _place(
        weights,
        np.arange(size_in)[slice(None) if decoded else conn.pre_slice],
        np.arange(post.size_in)[conn.post_slice],
        (post.size_in, size_in),
    )
    return Link(conn, source, post, weights, conn.synapse)


def _weights(conn: nengo.Connection, data: Mapping[Any, Any]) -> np.ndarray | Kernel:
    weights = data[conn].weights
    if isinstance(conn.transform, Convolution) and weights is not None:
        return Kernel(conn.transform, np.asarray(weights, np.float64))
    if weights is None:
        return np.ones(conn.size_out)
    if isinstance(weights, SparseMatrix) or scipy.sparse.issparse(weights):
        return np.asarray(weights.toarray(), np.float64)
    weights = np.asarray(weights, np.float64)
    return np.full(conn.size_out, weights) if weights.ndim == 0 else weights


def _place(
    weights: np.ndarray | Kernel,
    columns: np.ndarray,
    rows: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray | Kernel:
    """Return weights between all elements of both ends."""
    whole = np.array_equal(columns, np.arange(shape[1])) and np.array_equal(
        rows, np.arange(shape[0])
    )
    if whole:
        return weights
    placed = np.zeros(shape)
    np.add.at(placed, np.ix_(rows, columns), _full(weights))
    return placed


def _full(weights: np.ndarray | Kernel) -> np.ndarray:
    if isinstance(weights, Kernel):
        return as_matrix(weights.transform, weights.weights)
    return np.diag(weights) if weights.ndim == 1 else weights


def _refuse(conn: nengo.Connection) -> None:
    if conn.learning_rule is not None:
        raise BuildError(
            f"{conn} learns with {conn.learning_rule_type}, and NIR has no learning "
            "rules. Export the weights as they are: freeze them with "
            "sim.freeze_params(network), and set the connection's learning_rule_type "
            "to None."
        )
    if isinstance(conn.post_obj, LearningRule):
        raise BuildError(
            f"{conn} leads to a learning rule, and NIR has none. Remove it."
        )
    for obj in (conn.pre_obj, conn.post_obj):
        ensemble = obj.ensemble if isinstance(obj, Neurons) else obj
        is_ensemble = isinstance(ensemble, nengo.Ensemble)
        if is_ensemble and isinstance(ensemble.neuron_type, Direct):
            raise BuildError(
                f"{ensemble} is in direct mode, so it has no neurons. Give it neurons, "
                "or put a nengo.Node(size_in=...) in its place."
            )
    if isinstance(conn.pre_obj, nengo.Node) and conn.function is not None:
        raise BuildError(
            f"{conn} computes a function of a node, and NIR has no functions. Compute "
            "it in an ensemble, or give its values to an input."
        )
    known = (NoTransform, Dense, Sparse, Convolution, DilatedConvolution)
    if type(conn.transform) not in known:
        raise BuildError(
            f"{conn} has a {type(conn.transform).__name__} transform, which NIR has "
            "nothing for. Write it as a nengo.Dense or nengo.Sparse transform."
        )
