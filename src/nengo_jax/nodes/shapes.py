"""Shapes of what functions and Keras layers return, found out without computing."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import keras
from nengo.exceptions import ValidationError
from nengo.utils.functions import function_name

from ..families.keras_layer import (
    initial_states,
    is_cell,
    is_layer,
    own_precision,
    usual_promotion,
)

Shape = tuple[int, ...]

ONE_STEP = (
    "A node sees one step of the simulation at a time, not a window of steps. To "
    "remember earlier steps, use an RNN cell such as keras.layers.LSTMCell, which "
    "keeps its state from step to step, or make the window with a node of its own."
)


def describe(function: Any) -> str:
    """Name a function or layer, for messages."""
    if is_layer(function):
        return f"{type(function).__name__} {function.name!r}"
    return function_name(function)


def output_shape(
    function: Any, shape_in: Shape | None, pass_time: bool, label: str | None
) -> Shape:
    """Find out the shape of the output for one example. A layer is built by this.

    Parameters
    ----------
    function : callable or keras.Layer
    shape_in : tuple of int or None
    pass_time : bool
    label : str or None
        Name of the node, for messages.

    Raises
    ------
    ValidationError
        If the function fails, or returns something else than one array of real numbers
        with a batch axis.
    """
    title = f"TensorNode {label or describe(function)!r}"
    called = _call_symbolic if is_layer(function) else _call_abstract
    result = called(function, shape_in, pass_time, title)
    kind = type(result).__name__
    if not isinstance(result, (jax.ShapeDtypeStruct, keras.KerasTensor)):
        raise ValidationError(
            f"{title} returns a {kind}, but should return one array. Join several with "
            "jax.numpy.concatenate or keras.ops.concatenate.",
            attr="tensor_func",
        )
    if jnp.issubdtype(result.dtype, jnp.complexfloating):
        raise ValidationError(
            f"{title} returns complex numbers. Return real and imaginary part one "
            "beside the other.",
            attr="tensor_func",
        )
    shape = tuple(result.shape)
    if not shape or shape[0] not in (None, 1):
        raise ValidationError(
            f"{title} returns an array of shape {shape} for a batch of 1. The first "
            "axis must be the batch: what it gets has shape (batch, *shape_in), and "
            "what it returns (batch, *shape_out).",
            attr="tensor_func",
        )
    if None in shape[1:] or 0 in shape[1:]:
        raise ValidationError(
            f"{title} returns an array of shape {shape}, but all axes after the batch "
            "must have a known length of 1 or more.",
            attr="tensor_func",
        )
    return shape[1:]


def _call_abstract(
    function: Any, shape_in: Shape | None, pass_time: bool, title: str
) -> Any:
    """Trace a function with a batch of 1."""
    arguments = [jax.ShapeDtypeStruct((), jnp.float32)] if pass_time else []
    if shape_in is not None:
        arguments.append(jax.ShapeDtypeStruct((1, *shape_in), jnp.float32))
    given = ", ".join(f"{name}{a.shape}" for name, a in _named(arguments, pass_time))
    try:
        with keras.StatelessScope():  # outside: layers in the function are built after
            return jax.eval_shape(function, *arguments)
    except Exception as error:
        raise ValidationError(
            f"{title} cannot be called with {given}: {type(error).__name__}: {error}\n"
            "The function must work on JAX arrays with a batch axis in front"
            f"{'' if pass_time else ' and gets no time, as pass_time=False'}. If it "
            "does when the network runs, set shape_out to say what it returns.",
            attr="tensor_func",
        ) from error


def _named(arguments: list, pass_time: bool) -> list[tuple[str, Any]]:
    names = (["t"] if pass_time else []) + ["x"]
    return list(zip(names, arguments, strict=False))


def _call_symbolic(
    layer: Any, shape_in: Shape | None, pass_time: bool, title: str
) -> Any:
    """Call a layer with a symbol, which builds it if it has not been built yet."""
    parts = list(layer._flatten_layers())
    if any(part.activity_regularizer is not None for part in parts):
        raise ValidationError(
            f"{title} has an activity_regularizer, which would be ignored inside a "
            "network. Probe the node, and give the probe a loss such as "
            "nengo_jax.losses.Regularize.",
            attr="tensor_func",
        )
    if any(getattr(part, "stateful", False) for part in parts):
        raise ValidationError(
            f"{title} has stateful=True, which ties it to a batch size. Use the cell "
            "of the layer, such as keras.layers.LSTMCell: it keeps its state from step "
            "to step, for each example.",
            attr="tensor_func",
        )
    try:
        with own_precision(layer), usual_promotion():
            arguments: list[Any] = [keras.KerasTensor(())] if pass_time else []
            if shape_in is not None:
                arguments.append(keras.KerasTensor((None, *shape_in)))
            if not is_cell(layer):
                return layer(*arguments)
            states = initial_states(layer)
            result, _ = layer(*arguments, keras.tree.map_structure(_symbol, states))
            return result
    except Exception as error:
        raise ValidationError(
            f"{title} ({describe(layer)}) cannot be called with "
            f"{'the time and ' if pass_time else ''}{_shape_words(shape_in)}: "
            f"{error}\n{_advice(layer, shape_in, pass_time)}",
            attr="shape_in",
        ) from error


def _symbol(value: Any) -> Any:
    return keras.KerasTensor((None, *value.shape[1:]), dtype=value.dtype.name)


def _shape_words(shape_in: Shape | None) -> str:
    if shape_in is None:
        return "no input"
    return f"an input of shape {('batch', *shape_in)}".replace("'", "")


def _advice(layer: Any, shape_in: Shape | None, pass_time: bool) -> str:
    if pass_time:
        return "Most layers take no time: set pass_time=False."
    if shape_in is None:
        return "Set shape_in to the shape of the input, without the batch axis."
    advice = (
        f"Set shape_in to the shape that the layer wants, without the batch axis; now "
        f"it is {shape_in}, that is, {math.prod(shape_in)} values."
    )
    spec = getattr(layer, "input_spec", None)
    wanted = getattr(spec, "ndim", None) or getattr(spec, "min_ndim", None) or 0
    recurrent = isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional))
    if wanted > len(shape_in) + 1 or recurrent:
        advice += f" {ONE_STEP}"
    return advice
