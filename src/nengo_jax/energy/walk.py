"""The graph of a model, walked through layer by layer, nested models included."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import keras
from keras.src.models.functional import Functional

Visit = Callable[[tuple[Any, ...], tuple[Any, ...], dict[str, Any]], Any]


def check_model(model: Any) -> keras.Model:
    """Check that a model has a graph that can be walked through.

    Raises
    ------
    TypeError
        If it is no Keras model, or a subclass of one whose layers are called by code.
    ValueError
        If it is a Sequential model that has not been built.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"ModelEnergy needs a keras.Model, not {type(model).__name__}. Wrap a "
            "layer in keras.Sequential."
        )
    if not _is_graph(model):
        raise TypeError(
            f"The model {model.name!r} is a subclass of keras.Model, so its layers are "
            "called by code and their shapes are not known. Make it from "
            "keras.Model(inputs, outputs) or keras.Sequential."
        )
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} has not been built, so the shapes of its layers "
            "are not known. Begin it with keras.Input, or call "
            "model.build(input_shape)."
        )
    return model


def walk(model: Any, inputs: Any, visit: Visit, path: tuple[Any, ...] = ()) -> Any:
    """Run the graph of a model, with a function in the place of each of its layers.

    Parameters
    ----------
    model : keras.Model
        A functional or Sequential model.
    inputs : tensor, or list or dictionary of tensors
        Anything that the function takes.
    visit : callable
        ``visit(path, args, kwargs) -> outputs``; the path ends with the layer.
    path : tuple of Layer
        The models around this one.

    Returns
    -------
    outputs
        What the function returned for the outputs of the model.
    """

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_graph(operation):
            return walk(operation, args[0], visit, (*path, operation))
        return visit((*path, operation), args, kwargs)

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            inputs = call(layer, inputs)
        return inputs
    return model._run_through_graph(inputs, operation_fn=lambda op: partial(call, op))


def inner_model(layer: Any) -> Any | None:
    """Return the model that a layer runs in each step, if it is TimeDistributed."""
    if isinstance(layer, keras.layers.TimeDistributed) and _is_graph(layer.layer):
        return layer.layer
    return None


def tensors_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Return the tensors among the arguments of a layer."""
    values = keras.tree.flatten((args, kwargs))
    kinds = (keras.KerasTensor, jax.Array)
    return [value for value in values if isinstance(value, kinds)]


def _is_graph(layer: Any) -> bool:
    return isinstance(layer, keras.Sequential | Functional)
