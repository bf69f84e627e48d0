"""Trains a Keras model and the network that was made of it alike, to compare them.

The model is not changed: copies of its weights are trained. Layers that draw random
numbers, as Dropout does, draw the same in both, because the network gets their random
states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

import jax
import keras
import nengo
import numpy as np
from nengo.builder.signal import Signal

from ..families.keras_layer import (
    call_layer,
    is_layer,
    random_states,
    usual_promotion,
    variable_names,
)
from ..nodes import TensorNode
from ..simulator import Simulator

_EPOCHS, _RATE = 3, 0.1

Arrays = list[np.ndarray]


class Values(NamedTuple):
    """Values of the variables of a model, as its ``stateless_call`` takes them."""

    trainable: list[Any]
    others: list[Any]


def values_of(functional: Any) -> Values:
    """Return the values that a model has now."""
    return Values(
        [variable.value for variable in functional.trainable_variables],
        [variable.value for variable in functional.non_trainable_variables],
    )


def arguments_of(functional: Any, arrays: Arrays) -> Any:
    """Give inputs the structure that a model takes."""
    return keras.tree.pack_sequence_as(functional.input, arrays)


def check_trainable(
    functional: Any, sim: Simulator, arrays: Arrays, temporal: bool
) -> int:
    """Return how many numbers are trained.

    Raises
    ------
    ValueError
        Unless they are as many in both, and random numbers can be the same.
    """
    counts = [
        sum(int(np.prod(variable.shape)) for variable in part.trainable_variables)
        for part in (functional, sim.keras_model)
    ]
    if counts[0] != counts[1]:
        raise ValueError(
            f"The Keras model has {counts[0]} trainable parameters, but the network "
            f"has {counts[1]}. inference_only=True, split_shared_weights=True and "
            "frozen layers make a difference; verify(training=False) does not train."
        )
    _check_random(functional, sim, arrays, temporal)
    return counts[0]


def _check_random(
    functional: Any, sim: Simulator, arrays: Arrays, temporal: bool
) -> None:
    """Raise ValueError if random numbers in training differ from those of the model."""
    drawn = _states_in_use(functional, arrays)
    same = drawn <= set(_random_signals(sim)) <= set(random_states(functional))
    if not drawn or (same and not temporal):
        return
    names = [x.name for x in functional.layers if drawn.intersection(random_states(x))]
    reason = (
        "the model draws them for all steps at once, the network for each step"
        if temporal
        else "the network has copies of layers that the model calls several times"
    )
    raise ValueError(
        f"In training {', '.join(names)} of the Keras model and of the network draw "
        f"different random numbers, as {reason}, so results cannot be compared. "
        "verify(training=False) compares them in inference."
    )


def _states_in_use(functional: Any, arrays: Arrays) -> set[int]:
    """Return the ``id`` of the random states that a call in training moves on.

    Recurrent layers have one even if they drop nothing.
    """
    random = random_states(functional)
    if not random:
        return set()
    values = [variable.value for variable in functional.variables]
    arguments = [arguments_of(functional, arrays)]
    called = call_layer(functional, values, arguments, training=True)
    moved = compress(functional.variables, called.changed)
    return {id(variable) for variable in moved if id(variable) in random}


def _random_signals(sim: Simulator) -> dict[int, Signal]:
    """Return the signals of random states, by the ``id`` of the Keras variable."""
    found, network = {}, sim.model.toplevel
    for node in network.all_nodes:
        if isinstance(node, TensorNode) and is_layer(node.tensor_func):
            layer = node.tensor_func
            random = random_states(layer)
            for variable, name in zip(
                layer.variables, variable_names(layer), strict=True
            ):
                if id(variable) in random:
                    found[id(variable)] = sim.model.sig[node][name]
    return found


def train_model(functional: Any, arrays: Arrays) -> Values:
    """Train copies of the weights of a model for three epochs of one batch."""
    optimizer = keras.optimizers.SGD(_RATE)
    optimizer.build(functional.trainable_variables)
    weights, others = values_of(functional)
    state = [variable.value for variable in optimizer.variables]

    def loss(weights: Any, others: Any) -> tuple[Any, Any]:
        results, others, losses = functional.stateless_call(
            weights,
            others,
            arguments_of(functional, arrays),
            training=True,
            return_losses=True,
        )
        flat = [r.astype("float32") for r in keras.tree.flatten(results)]
        errors = [((result - 1) ** 2).mean() for result in flat]
        return sum(errors) + sum(losses), others

    with usual_promotion():
        differentiate = jax.jit(jax.grad(loss, has_aux=True))
        for _ in range(_EPOCHS):
            gradients, others = differentiate(weights, others)
            weights, state = optimizer.stateless_apply(state, gradients, weights)
    return Values(weights, others)


def train_network(
    functional: Any,
    sim: Simulator,
    data: dict,
    probes: Sequence[nengo.Probe],
    steps: int,
) -> None:
    """Train a network as :func:`train_model` trains the model.

    An output of the model that is there several times has one probe, whose loss counts
    as often.
    """
    assert sim.signals is not None
    signals = _random_signals(sim)
    for variable in functional.non_trainable_variables:
        if id(variable) in signals:
            sim.signals[signals[id(variable)]] = np.asarray(variable.value)
    count = len(next(iter(data.values())))
    targets = {probe: np.ones((count, steps, probe.size_in)) for probe in probes}
    sim.compile(
        keras.optimizers.SGD(_RATE),
        loss=dict.fromkeys(targets, keras.losses.MeanSquaredError()),
        loss_weights=Counter(probes),
    )
    sim.fit(data, targets, n_steps=steps, epochs=_EPOCHS, shuffle=False, verbose=0)
