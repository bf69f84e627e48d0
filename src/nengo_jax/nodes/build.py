"""How nengo's builder makes an operator and signals of a TensorNode."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from nengo.builder import Builder, Model
from nengo.builder.operator import Reset
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from ..families.keras_layer import (
    changed_variables,
    initial_states,
    is_cell,
    is_layer,
    own_precision,
    signal_value,
    variable_names,
)
from ..families.layer import SimTensorNode
from .shapes import describe, output_shape
from .tensor_node import TensorNode, check_promise


@Builder.register(TensorNode)
def build_tensor_node(model: Model, node: TensorNode) -> None:
    """Add the operator of a node to a model, and the signals of its variables.

    Raises
    ------
    ValidationError
        If the function does not return what ``shape_out`` promises.
    BuildError
        If a layer whose state changes is in two nodes.
    """
    inputs, sig_in = [], None
    if node.pass_time:
        inputs.append(model.time)
    if node.size_in > 0:
        sig_in = Signal(shape=node.size_in, name=f"{node}.in")
        model.add_op(Reset(sig_in))
        inputs.append(sig_in)
    output = Signal(shape=node.size_out, name=f"{node}.out")
    model.sig[node]["in"], model.sig[node]["out"] = sig_in, output
    model.params[node] = None
    make = _layer_operator if is_layer(node.tensor_func) else _function_operator
    model.add_op(make(model, node, inputs, output))


def _function_operator(
    model: Model, node: TensorNode, inputs: list[Signal], output: Signal
) -> SimTensorNode:
    function = node.tensor_func
    found = output_shape(function, node.shape_in, node.pass_time, node.label)
    check_promise(found, node.shape_out, node.label or describe(function))
    return SimTensorNode(node, inputs, output)


def _layer_operator(
    model: Model, node: TensorNode, inputs: list[Signal], output: Signal
) -> SimTensorNode:
    layer = node.tensor_func
    variables = _variable_signals(model, layer)
    states = _state_signals(layer) if is_cell(layer) else []
    names = variable_names(layer)
    model.sig[node].update(zip(names, variables, strict=True))
    model.sig[node].update((signal.name, signal) for signal in states)
    with own_precision(layer):
        changed = changed_variables(layer, _arguments(node))
    op = SimTensorNode(node, inputs, output, variables, changed, states)
    _check_alone(model, op)
    return op


def _arguments(node: TensorNode) -> list[Any]:
    """What the layer of a node is called with, for a batch of 1."""
    shapes: list[Any] = [()] if node.pass_time else []
    shapes += [(1, *node.shape_in)] if node.shape_in is not None else []
    arguments: list[Any] = [jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes]
    return arguments + (
        [initial_states(node.tensor_func)] if is_cell(node.tensor_func) else []
    )


def _variable_signals(model: Model, layer: Any) -> list[Signal]:
    """One signal for each variable; layers that share a variable share its signal."""
    known = {
        id(variable): signal
        for op in model.operators
        if isinstance(op, SimTensorNode) and is_layer(op.node.tensor_func)
        for variable, signal in zip(
            op.node.tensor_func.variables, op.variables, strict=True
        )
    }
    return [
        known[id(variable)]
        if id(variable) in known
        else Signal(signal_value(variable), name=variable.path)
        for variable in layer.variables
    ]


def _state_signals(cell: Any) -> list[Signal]:
    values = [np.asarray(v) for v in keras.tree.flatten(initial_states(cell))]
    return [
        Signal(value.reshape(-1).astype(np.float64), name=f"cell.state{number}")
        for number, value in enumerate(values)
    ]


def _check_alone(model: Model, op: SimTensorNode) -> None:
    for other in model.operators:
        if isinstance(other, SimTensorNode) and set(op.changed) & set(other.changed):
            raise BuildError(
                f"{op.node} and {other.node} hold the same layer, "
                f"{describe(op.node.tensor_func)}, which changes a state of its own "
                "(of random numbers or statistics). Only one of them can: make a layer "
                "for each node."
            )
