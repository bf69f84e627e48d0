"""What the Keras model computes on the data: outputs, and statistics of activations.

All layers are computed in one compiled function, batch by batch, twice: first for
largest values and means, then for percentiles. No activations are kept. Those in the
time steps of a temporal model are as many samples as those of other examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array

from ...families.keras_layer import usual_promotion
from ..graph import functional_of
from ..records import Converted
from .percentiles import count_values, find_percentiles

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Reference:
    """What a network should compute.

    Attributes
    ----------
    outputs : list of ndarray, shape (examples, ...)
        Of a temporal model (examples, time steps, ...).
    means : mapping of str to ndarray, shape (channels,)
        Of activations, by label.
    tops : mapping of str to ndarray, shape (channels,) or (1,)
        Percentiles of activations, of each channel or of all together.
    """

    outputs: list[np.ndarray]
    means: Mapping[str, np.ndarray]
    tops: Mapping[str, np.ndarray]


def measure_model(
    model: Any,
    calls: Sequence[Converted],
    labels: Sequence[str],
    linear: Sequence[str],
    arrays: Sequence[np.ndarray],
    percentile: float,
    *,
    per_channel: bool,
    mean_examples: int,
    temporal: bool = False,
) -> Reference:
    """Measure activations of a Keras model.

    Parameters
    ----------
    model : keras.Model
    calls : sequence of Converted
    labels : sequence of str
        The calls to measure.
    linear : sequence of str
        Those among them whose activation functions are left away.
    arrays : sequence of ndarray, shape (examples, ...)
        For each input of the model.
    percentile : float
    per_channel : bool
    mean_examples : int
        How many examples means are taken over.
    temporal : bool
        Whether the second axis of the arrays is time.
    """
    functional = functional_of(model)
    respond = _responder(functional, calls, set(labels), set(linear), temporal)
    variables = [variable.value for variable in functional.variables]
    batches = list(_batches(arrays, mean_examples))
    with usual_promotion():
        first = jax.jit(
            lambda variables, arrays, *counts: _moments(
                *respond(variables, arrays), *counts
            )
        )
        moments = [first(variables, *batch) for batch in batches]
        largest = {n: np.max([m[1][n] for m in moments], axis=0) for n in labels}
        limits = {
            name: np.maximum(value if per_channel else value.max(keepdims=True), 0)
            for name, value in largest.items()
        }
        second = jax.jit(
            lambda limits, variables, arrays, count, _: {
                name: count_values(
                    value, limits[name], _belong(value, len(arrays[0]), count)
                )
                for name, value in respond(variables, arrays)[1].items()
            }
        )
        counts = [second(limits, variables, *batch) for batch in batches]
    number = len(arrays[0])
    outputs = [
        np.concatenate([np.asarray(m[0][place]) for m in moments])[:number]
        for place in range(len(functional.outputs))
    ]
    sizes = {n: sum(float(m[3][n]) for m in moments) for n in labels}
    return Reference(
        outputs,
        {n: np.sum([m[2][n] for m in moments], axis=0) / sizes[n] for n in labels},
        {
            n: find_percentiles(
                np.array([c[n] for c in counts]),
                limits[n],
                percentile,
            )
            for n in labels
        },
    )


def _batches(arrays: Sequence[np.ndarray], mean_examples: int) -> Any:
    """Yield batches of one size, and how many examples count, at all and for means."""
    number = len(arrays[0])
    size = min(_BATCH, number)
    for first in range(0, number, size):
        count = min(size, number - first)
        parts = [array[first : first + count] for array in arrays]
        pads = [[(0, size - count)] + [(0, 0)] * (a.ndim - 1) for a in arrays]
        yield (
            [np.pad(part, pad, "edge") for part, pad in zip(parts, pads, strict=True)],
            np.int32(count),
            np.int32(np.clip(mean_examples - first, 0, count)),
        )


def _belong(values: Array, size: int, count: Array) -> Array:
    """Whether rows are those of the first examples of a batch, whose size is given."""
    return jnp.repeat(jnp.arange(size) < count, len(values) // size)


def _moments(
    outputs: Any, values: dict[str, Array], count: Array, averaged: Array
) -> tuple:
    """Outputs; and largest values, sums and numbers of values, by channel."""
    size = outputs[0].shape[0]

    def chosen(value: Array, number: Array) -> Array:
        return _belong(value, size, number)[:, None]

    return (
        outputs,
        {
            name: jnp.max(jnp.where(chosen(value, count), value, -jnp.inf), axis=0)
            for name, value in values.items()
        },
        {
            name: jnp.sum(jnp.where(chosen(value, averaged), value, 0), axis=0)
            for name, value in values.items()
        },
        {name: jnp.sum(chosen(value, averaged)) for name, value in values.items()},
    )


def _responder(
    functional: Any,
    calls: Sequence[Converted],
    labels: set[str],
    linear: set[str],
    temporal: bool,
) -> Callable[..., Any]:
    """Return a function of variables and inputs: outputs, and activations by label.

    Activations have shape (examples and positions, channels).
    """
    # TimeDistributed is compiled once for each step, so steps become examples of one
    # step, if the model takes that
    alone = temporal and all(t.shape[1] is None for t in functional.inputs)

    def respond(variables: list[Any], arrays: list[Any]) -> Any:
        mapping = list(zip(functional.variables, variables, strict=True))
        frames = arrays[0].shape[1] if temporal else None
        if alone:
            arrays = [_join(array)[:, None] for array in arrays]
        with keras.StatelessScope(state_mapping=mapping):
            given = keras.tree.pack_sequence_as(functional.input, arrays)
            outputs = keras.tree.flatten(functional(given, training=False))
            known = {
                id(tensor): jnp.asarray(array, tensor.dtype)
                for tensor, array in zip(functional.inputs, arrays, strict=True)
            }
            values = _walk(calls, known, labels, linear, 1 if alone else frames)
        if alone and frames is not None:
            outputs = [_split(_join(output), frames) for output in outputs]
        return outputs, values

    return respond


def _walk(
    calls: Sequence[Converted],
    first: dict[int, Any],
    labels: set[str],
    linear: set[str],
    frames: int | None,
) -> dict[str, Array]:
    """Compute call after call; XLA sees that the outputs need the same.

    With a number of frames values are kept with examples and frames in one axis, as
    layers inside TimeDistributed take them, and others get two axes.
    """
    known, found = {}, {}
    if frames is not None:
        first = {key: _join(array) for key, array in first.items()}
    for converted in calls:
        call = converted.call
        inputs = [
            known[value] if value in known else first[id(value.tensor)]
            for value in call.inputs
        ]
        steps = frames if call.leading == 2 else None
        if steps is not None:
            inputs = [_split(array, steps) for array in inputs]
        tensors = (id(tensor) for tensor in call.arguments.keras_tensors)
        arguments, keywords = call.arguments.fill_in(
            dict(zip(tensors, inputs, strict=True))
        )
        layer = call.layer
        if key_of(converted) in linear:
            layer = without_activation(layer)
        results = keras.tree.flatten(layer(*arguments, **keywords))
        if steps is not None:
            results = [_join(result) for result in results]
        for follower in call.folded:
            results = [_normalise(follower, results[0], frames)]
        known.update(zip(call.outputs, results, strict=True))
        if key_of(converted) in labels:
            value = results[0].reshape(len(results[0]), *converted.shape)
            axis = -1 if converted.channel_axis == -1 else 1
            value = jnp.moveaxis(value, axis, -1)
            found[key_of(converted)] = value.reshape(-1, value.shape[-1]).astype(
                jnp.float32
            )
    return found


def _join(array: Array) -> Array:
    """Make one axis of those of examples and frames."""
    return array.reshape(-1, *array.shape[2:])


def _split(array: Array, frames: int) -> Array:
    """Undo :func:`_join`."""
    return array.reshape(-1, frames, *array.shape[1:])


def _normalise(layer: Any, value: Array, frames: int | None) -> Array:
    """Apply BatchNormalization, which knows whether it was built with frames."""
    if frames is None or layer.input_spec.ndim == value.ndim:
        return layer(value)
    return _join(layer(_split(value, frames)))


def key_of(converted: Converted) -> str:
    """Name a call as no other call: models inside the model may have equal layers."""
    return "/".join((*converted.call.networks, converted.label))


def without_activation(layer: Any) -> Any:
    """Return a layer that shares all with another one but its activation function."""
    twin = object.__new__(type(layer))  # copy.copy would write and read a file
    vars(twin).update(vars(layer), activation=keras.activations.linear)
    return twin
