"""A NIR graph or file, read and made flat: one dictionary of nodes, one list of edges.

Graphs within the graph are dissolved: node b of the graph in node a is called "a.b".
NIR's own check of types is not used, as it takes kernels to be square and without
groups (nir 1.0.8); :mod:`~nengo_jax.nir.shapes` works out the shapes instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nir
import numpy as np
from nengo.exceptions import BuildError

Edge = tuple[str, str]


@dataclass(frozen=True)
class FlatGraph:
    """A graph without graphs in it.

    Attributes
    ----------
    nodes : dict of str to nir.NIRNode
    edges : tuple of (str, str)
    metadata : dict
    """

    nodes: Mapping[str, nir.NIRNode]
    edges: tuple[Edge, ...]
    metadata: Mapping[str, Any]

    @cached_property
    def sources(self) -> Mapping[str, list[str]]:
        """The nodes with an edge to each node."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in self.edges:
            found[target].append(source)
        return found

    def of_type(self, kind: type[nir.NIRNode]) -> list[str]:
        """Return the names of the nodes of a type, sorted.

        Files do not keep the order of nodes.
        """
        return sorted(name for name, node in self.nodes.items() if type(node) is kind)


def read(source: nir.NIRGraph | str | Path) -> FlatGraph:
    """Return a graph or the graph of a file, flat and checked.

    Parameters
    ----------
    source : nir.NIRGraph, str or Path

    Returns
    -------
    FlatGraph

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file contains no NIR graph.
    TypeError
        If ``source`` is something else.
    BuildError
        If the graph has no inputs or outputs, edges that lead nowhere or are there
        twice, or nodes that nothing is connected to.
    """
    graph = _read_file(Path(source)) if isinstance(source, str | Path) else source
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(
            f"Expected a nir.NIRGraph or the path of a file, got {graph!r}. A list of "
            "nodes becomes a graph with nir.NIRGraph.from_list(...)."
        )
    nodes, edges = _flatten(graph, "")
    flat = FlatGraph(nodes, tuple(edges), graph.metadata or {})
    _check(flat)
    return flat


def _read_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        return nir.read(path, type_check=False)
    except (OSError, KeyError, AssertionError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} contains no NIR graph: {error}. Files of graphs are written by "
            "nengo_jax.nir.export or nir.write."
        ) from error


def _flatten(
    graph: nir.NIRGraph, prefix: str
) -> tuple[dict[str, nir.NIRNode], list[Edge]]:
    nodes: dict[str, nir.NIRNode] = {}
    inner_edges: list[Edge] = []
    outer: list[Edge] = []
    entries: dict[str, str] = {}
    exits: dict[str, str] = {}
    for name, node in graph.nodes.items():
        full = prefix + name
        if not isinstance(node, nir.NIRGraph):
            nodes[full] = node
            continue
        inner, edges = _flatten(node, f"{full}.")
        inner_edges += edges
        entries[full] = _only(node, nir.Input, full)
        exits[full] = _only(node, nir.Output, full)
        for end in (entries[full], exits[full]):
            shape = inner[end].input_type["input"]
            size = () if shape is None else np.asarray(shape, int)
            inner[end] = nir.Scale(np.ones(size))
        nodes |= inner
    for a, b in graph.edges:
        source, target = f"{prefix}{a}", f"{prefix}{b}"
        outer.append((exits.get(source, source), entries.get(target, target)))
    return nodes, [*outer, *inner_edges]


def _only(graph: nir.NIRGraph, kind: type[nir.NIRNode], name: str) -> str:
    found = [inner for inner, node in graph.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        raise BuildError(
            f"The graph in node {name!r} has {len(found)} nodes of type "
            f"{kind.__name__}. An edge of NIR does not say which of them it means, so "
            "a graph in a graph needs exactly one."
        )
    return f"{name}.{found[0]}"


def _check(graph: FlatGraph) -> None:
    for edge in graph.edges:
        for name in edge:
            if name not in graph.nodes:
                raise BuildError(
                    f"Edge {edge} names {name!r}, but there is no such node. Nodes: "
                    f"{', '.join(sorted(graph.nodes))}"
                )
    twice = [edge for edge, count in Counter(graph.edges).items() if count > 1]
    if twice:
        raise BuildError(f"Edge {twice[0]} is there twice. Scale its source instead.")
    for kind in (nir.Input, nir.Output):
        if not graph.of_type(kind):
            raise BuildError(
                f"The graph has no node of type {kind.__name__}. Add one for each "
                f"{kind.__name__.lower()}."
            )
    reached = {b for _, b in graph.edges}
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        if name not in reached and type(node) is not nir.Input:
            raise BuildError(
                f"Nothing is connected to {name!r} ({type(node).__name__}). Add an "
                "edge to it, or remove it."
            )
