"""Mean activity of what goes into each layer, measured on examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array

from .elementwise import per_operand
from .stats import Rule, find_rule
from .walk import inner_model, tensors_in, walk

BATCH = 32


def measure_rates(
    model: keras.Model, example_data: Any, rules: Mapping[type, Rule]
) -> list[float]:
    """Return the mean absolute value of the inputs of each layer, averaged over all.

    For layers after spiking ones these are firing rates in Hz. A layer that repeats
    small inputs has as many connections for them as for large ones, by the rule
    :func:`~.elementwise.per_operand`, so each of its inputs counts as much. Nothing is
    kept: the states of layers and of random generators stay as they are.

    Parameters
    ----------
    model : keras.Model
        A functional or Sequential model.
    example_data : ndarray, list of ndarray or dict of ndarray
        As for ``model.predict``: in the order of the inputs, or by their names; shape
        (batch, ...).
    rules : mapping of type to Rule
        By which layers are counted.

    Returns
    -------
    list of float
        For each use of a layer, in the order of :func:`~.uses.uses_of`.

    Raises
    ------
    ValueError
        If the data do not fit the inputs of the model.
    """
    data = check_data(model, example_data)
    measure = jax.jit(partial(_sums, model, rules))
    variables = [variable.value for variable in model.variables]
    total, size = 0.0, len(data[0])
    for start in range(0, size, BATCH):
        batch = [jnp.asarray(array[start : start + BATCH]) for array in data]
        total = total + len(batch[0]) * np.asarray(measure(variables, batch), float)
    return [float(rate) for rate in np.atleast_1d(total / size)]


def _sums(
    model: keras.Model,
    rules: Mapping[type, Rule],
    values: Sequence[Array],
    inputs: list[Array],
) -> Array:
    """Return the mean absolute inputs of all layers for one batch."""
    means: list[Array] = []

    def visit(path: Any, args: Any, kwargs: Any) -> Any:
        layer, tensors = path[-1], tensors_in(args, kwargs)
        inner = inner_model(layer)
        if inner is not None:
            x = tensors[0]
            flat = walk(inner, x.reshape(-1, *x.shape[2:]), visit, path)
            return keras.tree.map_structure(
                lambda y: y.reshape(*x.shape[:2], *y.shape[1:]), flat
            )
        means.append(_mean(tensors, apart=find_rule(layer, rules) is per_operand))
        return layer(*args, **kwargs)

    mapping = list(zip(model.variables, values, strict=True))
    with keras.StatelessScope(state_mapping=mapping):
        walk(model, inputs[0] if isinstance(model, keras.Sequential) else inputs, visit)
    return jnp.stack(means)


def _mean(tensors: Sequence[Any], *, apart: bool) -> Array:
    """Return the mean absolute value of all elements, or of the means of tensors."""
    sums = [jnp.sum(jnp.abs(x.astype(jnp.float32))) for x in tensors]
    sizes = [max(x.size, 1) for x in tensors]
    if apart:
        sums = [total / size for total, size in zip(sums, sizes, strict=True)]
        sizes = [1] * len(sums)
    return sum(sums, jnp.float32(0)) / max(sum(sizes), 1)


def check_data(
    model: keras.Model, data: Any, name: str = "example_data"
) -> list[np.ndarray]:
    """Bring examples in the order of the inputs of a model, and check their shapes.

    Parameters
    ----------
    model : keras.Model
    data : ndarray, list of ndarray or dict of ndarray
        As for ``model.predict``.
    name : str
        What messages call the data.

    Raises
    ------
    ValueError
        If an input is missing, too many are given, or a shape or type does not fit.
    """
    inputs = keras.tree.flatten(model.inputs)
    names = [x.name for x in inputs]
    if isinstance(data, Mapping):
        if set(data) != set(names):
            raise ValueError(
                f"{name} has the names {sorted(data)}, but the inputs of the model "
                f"{model.name!r} are {sorted(names)}."
            )
        given = [data[key] for key in names]
    else:
        several = isinstance(data, list | tuple)
        given = list(data) if several and len(inputs) > 1 else [data]
    if len(given) != len(inputs):
        raise ValueError(
            f"The model {model.name!r} has {len(inputs)} inputs ({', '.join(names)}), "
            f"but {name} has {len(given)}. Give a list or a dictionary of arrays."
        )
    arrays = [
        _check_array(x, value, name) for x, value in zip(inputs, given, strict=True)
    ]
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(
            f"The arrays in {name} have different numbers of examples: "
            f"{[len(array) for array in arrays]}."
        )
    return arrays


def _check_array(like: Any, value: Any, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise ValueError(
            f"{name} for the input {like.name!r} must be numbers, not "
            f"{type(value).__name__} of {array.dtype}."
        )
    fits = len(array.shape) == len(like.shape) and all(
        expected in (None, size)
        for expected, size in zip(like.shape, array.shape, strict=True)
    )
    if not fits or len(array) == 0:
        raise ValueError(
            f"{name} for the input {like.name!r} has shape {array.shape}, but "
            f"the model takes {tuple(like.shape)}, with at least one example."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} for the input {like.name!r} is not all finite.")
    return array.astype(like.dtype)
