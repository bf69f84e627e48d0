"""The run function of a function or Keras layer in a node.

A layer computes in the precision of its own ``dtype``, as in Keras, whatever the
precision of the simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

from ..core import Run
from ..runtime.whole_batch import call_with_batch
from .base import Settings
from .keras_layer import (
    call_function,
    call_layer,
    flat_states,
    from_signal,
    is_layer,
    needs_double,
    pack_states,
    random_states,
    to_signal,
    variable_names,
)
from .layer import SimTensorNode, Weight


def weights_of(op: SimTensorNode) -> list[Weight]:
    """List the variables of a node but for its random states."""
    layer = op.node.tensor_func
    if not is_layer(layer):
        return []
    trainable = {id(v) for v in layer.trainable_variables}
    chance = random_states(layer)
    return [
        Weight(name, variable, signal, id(variable) in trainable)
        for name, variable, signal in zip(
            variable_names(layer), layer.variables, op.variables, strict=True
        )
        if id(variable) not in chance
    ]


def seeds_of(op: SimTensorNode) -> list[Signal]:
    """List the random states of a node that were given no seed."""
    layer = op.node.tensor_func
    if not is_layer(layer):
        return []
    free = {key for key, by_chance in random_states(layer).items() if by_chance}
    pairs = zip(layer.variables, op.variables, strict=True)
    return [signal for variable, signal in pairs if id(variable) in free]


def build(ops: Sequence[SimTensorNode], settings: Settings) -> Run:
    """Build the run function; the group has one member."""
    (op,) = ops
    _check_precision(op.node, settings)
    keeps = op.variables or op.states
    whole = _layer_call(op, settings) if keeps else _plain_call(op, settings)
    first, second = len(op.inputs), len(op.inputs) + len(op.fixed)
    third, kept = second + len(op.changed), len(op.changed)

    def run(*reads: Array) -> tuple[Array, ...]:
        own = (*reads[:first], *reads[third:])
        fixed, changed = reads[first:second], reads[second:third]
        results = call_with_batch(whole, fixed, changed, own, kept)
        return results[kept], *results[:kept], *results[kept + 1 :]

    return run


def _plain_call(op: SimTensorNode, settings: Settings) -> Callable:
    """Call a function, or a layer that has no variables, with the whole batch."""
    function = op.node.tensor_func

    def whole(fixed: Any, changed: Any, own: Sequence[Array]) -> list[Array]:
        arguments = _arguments(op, own)
        if is_layer(function):
            training = settings.training is not None
            result = call_layer(function, (), arguments, training).result
        else:
            result = call_function(function, arguments)
        return [_output(op.node, result, own[0].shape[0], settings)]

    return whole


def _layer_call(op: SimTensorNode, settings: Settings) -> Callable:
    """Call a layer with the whole batch."""
    layer, training = op.node.tensor_func, settings.training is not None

    def whole(
        fixed: Sequence[Array], changed: Sequence[Array], own: Sequence[Array]
    ) -> list[Array]:
        known = dict(zip((*op.fixed, *op.changed), (*fixed, *changed), strict=True))
        values = [
            from_signal(known[signal], variable)
            for signal, variable in zip(op.variables, layer.variables, strict=True)
        ]
        arguments: list[Any] = _arguments(op, own)
        if op.states:
            arguments.append(pack_states(layer, own[len(op.inputs) :]))
        called = call_layer(layer, values, arguments, training)
        result, states = called.result if op.states else (called.result, ())
        after = dict(zip(op.variables, called.values, strict=True))
        return [
            *(to_signal(after[signal]) for signal in op.changed),
            _output(op.node, result, own[0].shape[0], settings),
            *flat_states(states),
        ]

    return whole


def _arguments(op: SimTensorNode, own: Sequence[Array]) -> list[Array]:
    """Time and input as the function sees them."""
    arguments = list(own[: len(op.inputs)])
    if op.node.pass_time:
        arguments[0] = arguments[0].reshape(-1)[0]  # the same for all examples
    if op.node.shape_in is not None:
        arguments[-1] = arguments[-1].reshape(-1, *op.node.shape_in)
    return arguments


def _output(node: Any, value: Any, count: int, settings: Settings) -> Array:
    """Return the output for all examples, shape (count, size).

    Raises
    ------
    ValidationError
        If the function does not return what the shape of the node promises.
    """
    once = node.shape_in is None and value.shape[:1] == (1,)
    expected = (1 if once else count, *node.shape_out)
    if value.shape != expected:
        raise ValidationError(
            f"The function of {node} returned an array of shape {value.shape} for "
            f"{count} examples, but should return {expected}: the batch, and "
            f"shape_out={node.shape_out}. It gets the whole batch and must keep the "
            "batch axis in front.",
            attr="tensor_func",
        )
    wide = jnp.broadcast_to(value, (count, *node.shape_out))
    return wide.reshape(count, -1).astype(settings.dtype)


def _check_precision(node: Any, settings: Settings) -> None:
    layer = node.tensor_func
    if is_layer(layer) and settings.dtype.itemsize < 8 and needs_double(layer):
        raise ValidationError(
            f"{node} holds the layer {layer.name!r}, which computes in float64, but "
            f"the simulation runs in {np.dtype(settings.dtype)}. Make the layer with "
            'dtype="float32", or simulate with dtype="float64".',
            attr="tensor_func",
        )
