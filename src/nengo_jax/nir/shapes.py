"""The shapes of what goes into each node of a graph and of what comes out.

Parameters of neurons that have a single value take the shape of what comes in: some
simulators write one time constant for a whole layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
from nengo.exceptions import BuildError

from .graph import FlatGraph
from .kernels import Shape, output_sizes, pairs

Rule = Callable[[Any, Shape | None], tuple[Shape | None, Shape | None]]


def infer_shapes(graph: FlatGraph) -> dict[str, tuple[Shape, Shape]]:
    """Return the shapes of input and output of each node.

    Raises
    ------
    BuildError
        If the shapes at the ends of an edge differ, or if a shape is unknown.
    """
    known: dict[str, tuple[Shape | None, Shape | None]] = dict.fromkeys(
        graph.nodes, (None, None)
    )
    for _ in range(len(graph.nodes) + 1):
        before = dict(known)
        for name, node in graph.nodes.items():
            known[name] = _rule(node, name)(node, _incoming(graph, known, name))
        if known == before:
            break
    for a, b in graph.edges:
        given, taken = known[a][1], known[b][0]
        if given is not None and taken is not None and given != taken:
            raise BuildError(
                f"Edge {(a, b)}: {a!r} ({type(graph.nodes[a]).__name__}) gives the "
                f"shape {given}, but {b!r} ({type(graph.nodes[b]).__name__}) takes "
                f"{taken}."
            )
    shapes = {}
    for name, (shape_in, shape_out) in known.items():
        if shape_in is None or shape_out is None:
            raise BuildError(
                f"The shape of {name!r} ({type(graph.nodes[name]).__name__}) is not "
                "known: neither its parameters nor what is connected to it give it."
            )
        shapes[name] = shape_in, shape_out
    return shapes


def _incoming(graph: FlatGraph, known, name: str) -> Shape | None:
    for source in graph.sources[name]:
        if known[source][1] is not None:
            return known[source][1]
    return None


def _rule(node: nir.NIRNode, name: str) -> Rule:
    if type(node) not in _RULES:
        raise BuildError(
            f"Node {name!r} is of type {type(node).__name__}, which nengo_jax does not "
            f"know. It knows {', '.join(kind.__name__ for kind in _RULES)}."
        )
    return _RULES[type(node)]


def _end(node: nir.Input | nir.Output, incoming: Shape | None):
    given = node.input_type["input"]
    if given is None:
        return incoming, incoming
    shape = tuple(int(n) for n in np.atleast_1d(given))
    return shape, shape


def _elementwise(parameter: str) -> Rule:
    def rule(node: Any, incoming: Shape | None):
        own = np.shape(getattr(node, parameter))
        if np.prod(own) == 1 and incoming is not None:
            own = incoming
        shape = own or None
        return shape, shape

    return rule


def _matrix(node: nir.Linear | nir.Affine, incoming: Shape | None):
    *batch, rows, columns = np.shape(node.weight)
    return (*batch, columns), (*batch, rows)


def _convolution(node: nir.Conv1d | nir.Conv2d, incoming: Shape | None):
    kernel = np.shape(node.weight)
    given = node.input_shape
    channels = kernel[1] * int(node.groups)
    taken = incoming if given is None else (channels, *np.atleast_1d(given).tolist())
    if taken is None or len(taken) != len(kernel) - 1:
        return taken, None
    geometry = node.stride, node.padding, node.dilation
    sizes = output_sizes(taken[1:], kernel[2:], *geometry)
    return (channels, *taken[1:]), (kernel[0], *sizes)


def _pooling(node: nir.SumPool2d | nir.AvgPool2d, incoming: Shape | None):
    if incoming is None or len(incoming) != 3:
        return incoming, None
    kernel = tuple(pairs(node.kernel_size, 2))
    sizes = output_sizes(incoming[1:], kernel, node.stride, node.padding, 1)
    return incoming, (incoming[0], *sizes)


def _flatten(node: nir.Flatten, incoming: Shape | None):
    given = node.input_type["input"]
    shape = incoming if given is None else tuple(int(n) for n in np.atleast_1d(given))
    if shape is None:
        return None, None
    start = int(node.start_dim) % len(shape)
    end = int(node.end_dim) % len(shape)
    middle = int(np.prod(shape[start : end + 1]))
    return shape, (*shape[:start], middle, *shape[end + 1 :])


_RULES: dict[type[nir.NIRNode], Rule] = {
    nir.Input: _end,
    nir.Output: _end,
    nir.Linear: _matrix,
    nir.Affine: _matrix,
    nir.Scale: _elementwise("scale"),
    nir.Conv1d: _convolution,
    nir.Conv2d: _convolution,
    nir.SumPool2d: _pooling,
    nir.AvgPool2d: _pooling,
    nir.Flatten: _flatten,
    nir.I: _elementwise("r"),
    nir.LI: _elementwise("tau"),
    nir.CubaLI: _elementwise("tau_mem"),
    nir.IF: _elementwise("v_threshold"),
    nir.LIF: _elementwise("tau"),
    nir.CubaLIF: _elementwise("tau_mem"),
    nir.Threshold: _elementwise("threshold"),
    nir.Delay: _elementwise("delay"),
}
