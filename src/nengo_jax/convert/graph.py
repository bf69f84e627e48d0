"""A Keras model as a plain list of layer calls.

Sequential and functional models, nested to any depth, become calls in an order in which
each one comes after those whose outputs it takes. A call of a nested model is replaced
by the calls inside it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import keras
from keras.src.backend import get_keras_mask
from keras.src.models.functional import Functional
from keras.src.ops.symbolic_arguments import SymbolicArguments

from .records import LayerCall, Shape, Value


@dataclass(eq=False)
class Graph:
    """The calls of a model.

    Attributes
    ----------
    inputs, outputs : list of Value
        In the order of ``model.inputs`` and ``model.outputs``.
    calls : list of LayerCall
    values : dict of int to list of Value
        By the ``id`` of a Keras tensor: several if a nested model is called more than
        once.
    layers : dict of Layer to list of tuple of Value
        The outputs of each call of a layer, an input layer or a nested model.
    """

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    calls: list[LayerCall] = field(default_factory=list)
    values: dict[int, list[Value]] = field(default_factory=dict)
    layers: dict[Any, list[tuple[Value, ...]]] = field(default_factory=dict)


def read_graph(model: Any, *, temporal: bool = False) -> Graph:
    """List the calls of a model.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional.
    temporal : bool
        Whether the first axis after the batch is time, which the simulation unrolls.

    Raises
    ------
    TypeError
        If it is no Keras model, or a model without a graph.
    ValueError
        If it has not been built, or a shape is not known.
    """
    check_model(model)
    graph, reader = Graph(), _Reader()
    functional, leading = functional_of(model), 2 if temporal else 1
    graph.inputs = [reader.value(t, graph, leading) for t in functional.inputs]
    for value in graph.inputs:
        operation = value.tensor._keras_history.operation
        if isinstance(operation, keras.layers.InputLayer):
            graph.layers.setdefault(operation, []).append((value,))
    graph.outputs = reader.read(functional, graph.inputs, graph, leading)
    return graph


def check_model(model: Any) -> None:
    """Raise TypeError or ValueError unless a model has a graph of layers."""
    if not isinstance(model, keras.Model):
        advice = (
            " Load it first: keras.models.load_model(path)."
            if isinstance(model, (str, os.PathLike))
            else ""
        )
        raise TypeError(
            f"The Converter takes a Keras model (got {type(model).__name__} "
            f"{model!r}).{advice}"
        )
    if isinstance(model, keras.Sequential) and functional_of(model) is None:
        raise ValueError(
            f"The Sequential model {model.name!r} has not been built, so the shapes of "
            "its layers are not known. Begin it with keras.Input(shape), or call "
            "model.build((None, *shape))."
        )
    if not is_graph(model):
        raise TypeError(
            f"{type(model).__name__} {model.name!r} computes with a call method of its "
            "own, so its layers cannot be seen. Make it of layers, as "
            "keras.Model(inputs, outputs) or keras.Sequential(...)."
        )


def is_graph(operation: Any) -> bool:
    """Whether an operation is a model whose layers are known."""
    kind = type(operation)
    if isinstance(operation, keras.Sequential):
        return kind.call is keras.Sequential.call
    return isinstance(operation, Functional) and kind.call is Functional.call


def functional_of(model: Any) -> Any:
    """Return the functional form of a model; None for an unbuilt Sequential one."""
    return model._functional if isinstance(model, keras.Sequential) else model


class _Reader:
    """Reads models; counts calls of layers, whose labels depend on it."""

    def __init__(self) -> None:
        self._count: Counter[Any] = Counter()

    def value(self, tensor: Any, graph: Graph, leading: int) -> Value:
        value = Value(tensor, shape_of(tensor, leading))
        graph.values.setdefault(id(tensor), []).append(value)
        return value

    def label(self, layer: Any) -> str:
        number = self._count[layer]
        self._count[layer] += 1
        return f"{layer.name}.{number}" if number else layer.name

    def read(
        self,
        model: Any,
        inputs: Sequence[Value],
        graph: Graph,
        leading: int,
        networks: tuple[str, ...] = (),
    ) -> list[Value]:
        """Add the calls inside a model; return the values of its outputs."""
        model = functional_of(model)
        known = {
            id(tensor): value
            for tensor, value in zip(model.inputs, inputs, strict=True)
        }
        for node in _nodes(model):
            if all(id(tensor) in known for tensor in node.outputs):
                continue  # an input
            layer, wrapper, axes = node.operation, None, leading
            label, arguments = self.label(layer), node.arguments
            if leading == 2 and isinstance(layer, keras.layers.TimeDistributed):
                layer, wrapper, axes = layer.layer, layer, 1
                # the wrapper was called with a mask, which the layer may not take
                arguments = SymbolicArguments(*arguments.keras_tensors)
            given = _inputs(node, known)
            if is_graph(layer):
                inner = (*networks, label)
                outputs = tuple(self.read(layer, given, graph, axes, inner))
                for tensor, value in zip(node.outputs, outputs, strict=True):
                    graph.values.setdefault(id(tensor), []).append(value)
            else:
                outputs = tuple(self.value(t, graph, leading) for t in node.outputs)
                graph.calls.append(
                    LayerCall(
                        layer,
                        label,
                        given,
                        outputs,
                        arguments,
                        networks,
                        axes,
                    )
                )
            for owner in (layer, wrapper):
                if owner is not None:
                    graph.layers.setdefault(owner, []).append(outputs)
            known.update(
                (id(tensor), value)
                for tensor, value in zip(node.outputs, outputs, strict=True)
            )
        return [known[id(tensor)] for tensor in model.outputs]


def shape_of(tensor: Any, leading: int) -> Shape:
    """Return the shape of a tensor for one example in one step.

    Parameters
    ----------
    tensor : keras.KerasTensor
    leading : int
        1 for an axis of the batch, 2 if one of time follows.

    Raises
    ------
    ValueError
        If it is not known.
    """
    full, temporal = tuple(tensor.shape), leading == 2
    if len(full) < leading:
        raise ValueError(
            f"With temporal_model=True every tensor has an axis of time after that of "
            f"the batch, but {tensor.name!r} has shape {full}."
        )
    if None in full[leading:]:
        advice = (
            "Give all axes after that of time a length."
            if temporal
            else "Give all axes after that of the batch a length, in keras.Input. If "
            "the unknown axis is time, use temporal_model=True."
        )
        raise ValueError(
            f"The size of {tensor.name!r} is not known: its shape is {full}. {advice}"
        )
    return full[leading:] or (1,)


def _inputs(node: Any, known: dict[int, Value]) -> tuple[Value, ...]:
    """The inputs of a call.

    Raises
    ------
    TypeError
        If the layer takes a mask, which Keras hands on beside the values.
    """
    tensors, operation = node.arguments.keras_tensors, node.operation
    masked = any(get_keras_mask(tensor) is not None for tensor in tensors)
    if (masked and "mask" in signature(operation.call).parameters) or any(
        id(tensor) not in known for tensor in tensors
    ):
        raise TypeError(
            f"{operation.name} ({type(operation).__name__}) takes a mask, which a "
            "network cannot pass on. Leave away what makes it, such as mask_zero=True "
            "or a Masking layer."
        )
    return tuple(known[id(tensor)] for tensor in tensors)


def _nodes(model: Any) -> Iterable[Any]:
    """The calls in a functional model, each after those that it depends on."""
    depths = model._nodes_by_depth
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
