"""Keras layers as pure functions of the values of their variables.

Nothing here changes a layer: it is called with other values in the place of its
variables, and what it would write into them is returned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array

_WORDS = np.dtype(np.uint32)  # in which all but floating-point numbers are kept


class Called(NamedTuple):
    """What a call of a layer gives.

    Attributes
    ----------
    result : Any
    values : list of Array
        Values of all variables after the call.
    changed : list of bool
        Which of them the layer has changed.
    """

    result: Any
    values: list[Array]
    changed: list[bool]


def is_layer(function: Any) -> bool:
    """Whether something is a Keras layer or model."""
    return isinstance(function, keras.Layer)


def is_cell(function: Any) -> bool:
    """Whether something is an RNN cell, which maps (input, states) to the same."""
    known = is_layer(function) and not isinstance(function, keras.layers.RNN)
    return known and {"state_size", "get_initial_state"} <= set(dir(function))


@contextmanager
def usual_promotion() -> Iterator[None]:
    """Keras is written for the usual promotion of types and ranks."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@contextmanager
def own_precision(layer: Any) -> Iterator[None]:
    """Let JAX handle float64 if a layer does."""
    with jax.enable_x64(True) if needs_double(layer) else nullcontext():
        yield


def call_layer(
    layer: Any, values: Sequence[Array], arguments: Sequence[Any], training: bool
) -> Called:
    """Call a layer.

    Parameters
    ----------
    layer : keras.Layer
        Has been built.
    values : sequence of Array
        One for each of its variables.
    arguments : sequence
        For an RNN cell the last one is its state.
    training : bool
    """
    variables = layer.variables
    with usual_promotion():
        pairs = list(zip(variables, values, strict=True))
        scope = keras.StatelessScope(state_mapping=pairs)
        before = [scope.get_current_value(variable) for variable in variables]
        _forget_masks(layer)
        with scope:
            result = layer(*arguments, training=training)
        _forget_masks(layer)
    after = [scope.get_current_value(variable) for variable in variables]
    changed = [new is not old for new, old in zip(after, before, strict=True)]
    return Called(result, after, changed)


def call_function(function: Any, arguments: Sequence[Any]) -> Any:
    """Call a function on arrays; what it does to Keras variables is forgotten."""
    with keras.StatelessScope():
        return function(*arguments)


def changed_variables(layer: Any, arguments: Sequence[Any]) -> list[bool]:
    """Find out which of its variables a layer changes, in training or otherwise.

    Random states are among them, whether or not anything is drawn.

    Parameters
    ----------
    layer : keras.Layer
    arguments : sequence of ShapeDtypeStruct
    """
    chance = random_states(layer)
    changed = [id(variable) in chance for variable in layer.variables]
    for training in (False, True):

        def call(*given: Any, training: bool = training) -> Any:
            values = [variable.value for variable in layer.variables]
            called = call_layer(layer, values, given, training)
            changed[:] = [a or b for a, b in zip(changed, called.changed, strict=True)]
            return called.result

        jax.eval_shape(call, *arguments)
    return changed


def initial_states(cell: Any) -> Any:
    """Return the state of an RNN cell at the beginning, for a batch of one."""
    with own_precision(cell), usual_promotion():
        return cell.get_initial_state(batch_size=1)


def pack_states(cell: Any, states: Sequence[Array]) -> Any:
    """Give flat states, shape (batch, size), the structure that a cell wants."""
    template = initial_states(cell)
    shaped = [
        value.reshape(-1, *like.shape[1:]).astype(like.dtype)
        for value, like in zip(states, keras.tree.flatten(template), strict=True)
    ]
    return keras.tree.pack_sequence_as(template, shaped)


def flat_states(states: Any) -> list[Array]:
    """Undo :func:`pack_states`."""
    flat = keras.tree.flatten(states)
    return [value.reshape(value.shape[0], -1) for value in flat]


def _forget_masks(layer: Any) -> None:
    """Let RNN cells draw a new dropout mask: they keep the one of the last call."""
    for part in layer._flatten_layers():
        if "reset_dropout_mask" in dir(part):
            part.reset_dropout_mask()
            part.reset_recurrent_dropout_mask()


# -- variables


def variable_names(layer: Any) -> list[str]:
    """Return a name for each variable of a layer, as in ``"model/dense_1/kernel"``.

    They are the paths of the variables, but numbers that tell equal names apart are
    counted anew in each layer, so names do not depend on what else has been built.
    """
    taken: dict[tuple[str, ...], list] = defaultdict(list)
    names = []
    for variable in layer.variables:
        *parents, last = variable.path.split("/")
        parts: list[str] = []
        for part, identity in [*((p, p) for p in parents), (last, id(variable))]:
            stem = part.rstrip("0123456789").removesuffix("_") or part
            known = taken[*parts, stem]
            if identity not in known:
                known.append(identity)
            number = known.index(identity)
            parts.append(f"{stem}_{number}" if number else stem)
        names.append("/".join(parts))
    return names


def random_states(layer: Any) -> dict[int, bool]:
    """Find the variables that hold the state of random numbers.

    Returns
    -------
    dict of int to bool
        By the ``id`` of the variable: whether its seed has been chosen by chance.
    """
    generators = [
        value
        for part in layer._flatten_layers()
        for value in vars(part).values()
        if isinstance(value, keras.random.SeedGenerator)
    ]
    return {id(g.state): g.get_config()["seed"] is None for g in generators}


def needs_double(layer: Any) -> bool:
    """Whether a layer has float64 variables or operations."""
    parts = layer._flatten_layers()
    return any("float64" in (p.compute_dtype, p.variable_dtype) for p in parts)


def signal_value(variable: Any) -> np.ndarray:
    """Return the value of a variable in the form in which a signal keeps it."""
    value = np.asarray(variable.value)
    exact = not jnp.issubdtype(value.dtype, jnp.floating)
    return value.astype(_WORDS if exact else np.float64)


def from_signal(value: Array, variable: Any) -> Array:
    """Give what a signal keeps the shape and type of a variable."""
    return keras.ops.cast(value.reshape(variable.shape), variable.dtype)


def to_signal(value: Array) -> Array:
    """Undo :func:`from_signal`."""
    exact = not jnp.issubdtype(value.dtype, jnp.floating)
    return (value.astype(_WORDS) if exact else value).reshape(-1)
