"""A NIR graph becomes a nengo.Network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nengo
import nir
from nengo.ensemble import Neurons
from nengo.exceptions import ValidationError
from nengo.synapses import Lowpass

from ..neurons.nir import METHODS
from .cycles import back_edges
from .graph import FlatGraph, read
from .kernels import Shape
from .parameters import step_of
from .parts import Part, Place, Wire
from .primitives import make_part
from .shapes import infer_shapes


@dataclass(frozen=True)
class Loaded:
    """A network that was loaded, and where its inputs and outputs are.

    Attributes
    ----------
    network : nengo.Network
    inputs : dict of str to Node
        By name of the NIR node. They are zero: give ``data`` to a Simulator, or set
        their ``output``.
    outputs : dict of str to Probe
        By name of the NIR node.
    objects : dict of str to Node or Neurons
        All nodes of the graph. Nodes of graphs in it have names like "outer.inner".
    shapes : dict of str to tuple of int
        Shapes of the outputs of all nodes. In nengo values are flat, in this order.
    dt : float
        Step in seconds that the network is to be simulated with.
    method : str
        "exact" or "euler".
    """

    network: nengo.Network
    inputs: Mapping[str, nengo.Node]
    outputs: Mapping[str, nengo.Probe]
    objects: Mapping[str, nengo.Node | Neurons]
    shapes: Mapping[str, Shape]
    dt: float
    method: str


def load(
    source: nir.NIRGraph | str | Path,
    *,
    dt: float | None = None,
    method: str | None = None,
) -> Loaded:
    """Make a nengo.Network of a NIR graph or file.

    Every primitive of NIR can be loaded. Neurons become the types of
    :mod:`nengo_jax.neurons.nir`, in units in which voltages are 0 after a spike and 1
    at the threshold; integrators and delays become synapses.

    Parameters
    ----------
    source : nir.NIRGraph, str or Path
    dt : float, optional
        Step in seconds that the network will be simulated with. A spike has the height
        1 only in a step of this length. By default what the graph's metadata say, or
        0.001.
    method : str, optional
        "exact" solves the equations for inputs that do not change within a step.
        "euler" is the discretisation of snnTorch, whose graphs mean dt=1e-4. By default
        what the metadata say, or "exact".

    Returns
    -------
    Loaded

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file contains no NIR graph.
    TypeError
        If ``source`` is neither a graph nor a path.
    ValidationError
        If ``dt`` or ``method`` is not valid.
    BuildError
        If the graph is not complete, its shapes do not match, or nengo cannot express
        one of its nodes.

    Examples
    --------
    >>> import nengo_jax.nir, nir, numpy as np
    >>> graph = nir.NIRGraph.from_list(
    ...     nir.Linear(np.array([[2.0, 1.0]])),
    ...     nir.LIF(*np.array([[0.02], [1.0], [0.0], [1.0]])),
    ... )
    >>> loaded = nengo_jax.nir.load(graph)
    >>> with nengo_jax.Simulator(loaded.network, progress_bar=False) as sim:
    ...     sim.run(0.1, data={loaded.inputs["input"]: np.ones((1, 100, 2))})
    >>> int(sim.data[loaded.outputs["output"]].sum())
    11
    """
    graph = read(source)
    dt = step_of(graph.metadata.get("dt") if dt is None else dt)
    method = _checked_method(graph, method)
    shapes = infer_shapes(graph)
    with nengo.Network() as network:
        parts = {
            name: make_part(Place(name, node, *shapes[name], dt, method))
            for name, node in sorted(graph.nodes.items())
        }
        _connect(graph, parts)
        outputs = {
            name: nengo.Probe(parts[name].target, label=name)
            for name in graph.of_type(nir.Output)
        }
    return Loaded(
        network=network,
        inputs={name: parts[name].target for name in graph.of_type(nir.Input)},
        outputs=outputs,
        objects={name: part.target for name, part in parts.items()},
        shapes={name: shape for name, (_, shape) in shapes.items()},
        dt=dt,
        method=method,
    )


def _connect(graph: FlatGraph, parts: Mapping[str, Part]) -> None:
    holds = {name for name, part in parts.items() if part.holds}
    late = back_edges(graph.nodes, graph.edges, holds)  # arrive one step later
    heads = {name: _head(graph, name, part) for name, part in parts.items()}
    for edge in graph.edges:
        source, target = edge
        head = heads[target]
        step = Lowpass(0) if edge in late else None
        if head is not parts[target].target:
            nengo.Connection(parts[source].target, head, synapse=step)
            continue
        _wire(parts[source].target, parts[target], step)
    for name, part in parts.items():
        if heads[name] is not part.target:
            _wire(heads[name], part, None)


def _head(graph: FlatGraph, name: str, part: Part) -> nengo.Node | Neurons:
    """Return what gets the values of a node: a sum of several, if it has weights.

    So there is one set of weights, however many edges lead to the node.
    """
    several = len(graph.sources[name]) > 1
    if not several or all(wire.transform is None for wire in part.wires):
        return part.target
    size = sum(_size_in(wire) for wire in part.wires)
    return nengo.Node(size_in=size, label=f"sum of {name}")


def _size_in(wire: Wire) -> int:
    if wire.transform is not None:
        return wire.transform.size_in
    assert wire.elements is not None
    return len(wire.elements)


def _wire(source: Any, part: Part, step: Lowpass | None) -> None:
    for wire in part.wires:
        chosen = slice(None) if wire.elements is None else wire.elements.tolist()
        whole = wire.elements is None
        nengo.Connection(
            source if whole else source[chosen],
            part.target if whole else part.target[chosen],
            transform=wire.transform,
            synapse=step if wire.synapse is None else wire.synapse,
        )


def _checked_method(graph: FlatGraph, method: str | None) -> str:
    chosen = graph.metadata.get("method", "exact") if method is None else method
    if chosen not in METHODS:
        raise ValidationError(
            f"must be one of {', '.join(map(repr, METHODS))} (got {chosen!r})",
            attr="method",
        )
    return str(chosen)
