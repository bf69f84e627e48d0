"""Compares a converted network with its Keras model, before and after training both.

Neither is changed: the training of the model is done on copies of its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import keras
import nengo
import numpy as np

from ..families.keras_layer import usual_promotion
from ..simulator import Simulator
from .graph import functional_of

_BATCH, _STEPS, _EPOCHS, _RATE, _SEED = 2, 10, 3, 0.1, 0

Arrays = list[np.ndarray]


def make_inputs(tensors: Sequence[Any], temporal: bool) -> Arrays:
    """Make random inputs for a batch of two; whole numbers are ones."""
    rng = np.random.RandomState(_SEED)
    arrays = []
    for tensor in tensors:
        sizes = [_STEPS if temporal and size is None else size for size in tensor.shape]
        shape = (_BATCH, *sizes[1:])
        number = tensor.dtype.startswith("float")
        array = rng.uniform(-1, 1, size=shape) if number else np.ones(shape)
        arrays.append(array.astype(tensor.dtype))
    return arrays


def verify(
    model: Any,
    net: nengo.Network,
    nodes: Sequence[nengo.Node],
    probes: Sequence[nengo.Probe],
    *,
    training: bool,
    inputs: Any,
    temporal: bool,
    atol: float,
    rtol: float,
) -> None:
    """Raise an error unless model and network give the same; see ``Converter.verify``.

    Parameters
    ----------
    model : keras.Model
    net : Network
    nodes, probes : sequence of Node and Probe
        In the order of the inputs and outputs of the model.
    training : bool
    inputs : array, structure of arrays or None
    temporal : bool
    atol, rtol : float
    """
    functional = functional_of(model)
    arrays = _check_inputs(inputs, functional.inputs, temporal)
    steps = next(a.shape[1] for a in arrays) if temporal else 1
    count = len(arrays[0])
    data = {
        node: array.reshape(count, steps, -1)
        for node, array in zip(nodes, arrays, strict=True)
    }
    variables = [variable.value for variable in functional.variables]
    with Simulator(net, minibatch_size=count, progress_bar=False) as sim:

        def compare(variables: list[Any], after: str) -> None:
            expected = _outputs(functional, variables, arrays)
            found = sim.predict(data, n_steps=steps, verbose=0)
            for probe, wanted in zip(probes, expected, strict=True):
                actual = found[probe] if temporal else found[probe][:, -1]
                _compare(actual.reshape(wanted.shape), wanted, probe, after, atol, rtol)

        compare(variables, "")
        if training and _check_counts(functional, sim):
            variables = _train_model(functional, arrays)
            _train_network(sim, data, probes, steps)
            compare(variables, " after training")


def _check_inputs(inputs: Any, tensors: Sequence[Any], temporal: bool) -> Arrays:
    if inputs is None:
        return make_inputs(tensors, temporal)
    arrays = [np.asarray(array) for array in keras.tree.flatten(inputs)]
    shapes = [tuple(tensor.shape) for tensor in tensors]
    fitting = len(arrays) == len(shapes) and all(
        array.ndim == len(shape)
        and all(
            wanted in (None, size)
            for size, wanted in zip(array.shape[1:], shape[1:], strict=True)
        )
        for array, shape in zip(arrays, shapes, strict=True)
    )
    if not fitting or len({len(array) for array in arrays}) != 1:
        raise ValueError(
            f"The inputs have shapes {[array.shape for array in arrays]}, but the "
            f"model takes {shapes}"
        )
    return arrays


def _arguments(functional: Any, arrays: Arrays) -> Any:
    return keras.tree.pack_sequence_as(functional.input, arrays)


def _outputs(functional: Any, values: list[Any], arrays: Arrays) -> Arrays:
    """What a model gives in inference with some values of its variables."""
    known = dict(zip(map(id, functional.variables), values, strict=True))
    weights, others = (
        [known[id(variable)] for variable in variables]
        for variables in (
            functional.trainable_variables,
            functional.non_trainable_variables,
        )
    )

    def call(weights: Any, others: Any, arrays: Arrays) -> Any:
        given = _arguments(functional, arrays)
        return functional.stateless_call(weights, others, given, training=False)[0]

    with usual_promotion():
        results = jax.jit(call)(weights, others, arrays)
    return [np.asarray(result) for result in keras.tree.flatten(results)]


def _check_counts(functional: Any, sim: Simulator) -> int:
    """Return how many numbers are trained; raise ValueError unless equal in both."""
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
    return counts[0]


def _train_model(functional: Any, arrays: Arrays) -> list[Any]:
    """Train copies of the weights of a model for three epochs of one batch."""
    optimizer = keras.optimizers.SGD(_RATE)
    optimizer.build(functional.trainable_variables)
    weights = [variable.value for variable in functional.trainable_variables]
    others = [variable.value for variable in functional.non_trainable_variables]
    state = [variable.value for variable in optimizer.variables]

    def loss(weights: Any, others: Any) -> tuple[Any, Any]:
        results, others, losses = functional.stateless_call(
            weights,
            others,
            _arguments(functional, arrays),
            training=True,
            return_losses=True,
        )
        errors = [((r - 1) ** 2).mean() for r in keras.tree.flatten(results)]
        return sum(errors) + sum(losses), others

    with usual_promotion():
        differentiate = jax.jit(jax.grad(loss, has_aux=True))
        for _ in range(_EPOCHS):
            gradients, others = differentiate(weights, others)
            weights, state = optimizer.stateless_apply(state, gradients, weights)
    known = {
        id(variable): value
        for variable, value in (
            *zip(functional.trainable_variables, weights, strict=True),
            *zip(functional.non_trainable_variables, others, strict=True),
        )
    }
    return [known[id(variable)] for variable in functional.variables]


def _train_network(
    sim: Simulator, data: dict, probes: Sequence[nengo.Probe], steps: int
) -> None:
    """Train a network as :func:`_train_model` trains the model."""
    count = len(next(iter(data.values())))
    targets = {probe: np.ones((count, steps, probe.size_in)) for probe in probes}
    sim.compile(keras.optimizers.SGD(_RATE), loss=keras.losses.MeanSquaredError())
    sim.fit(data, targets, n_steps=steps, epochs=_EPOCHS, shuffle=False, verbose=0)


def _compare(
    actual: np.ndarray,
    expected: np.ndarray,
    probe: nengo.Probe,
    after: str,
    atol: float,
    rtol: float,
) -> None:
    difference = np.abs(actual - expected)
    allowed = atol + rtol * float(np.max(np.abs(expected), initial=0))
    if np.all(difference <= allowed):  # not if any is NaN
        return
    raise ValueError(
        f"Output {probe.label!r} of the network differs from that of the Keras model"
        f"{after}: by up to {np.max(difference):.3g}, where values reach "
        f"{np.max(np.abs(expected)):.3g} and {allowed:.3g} is allowed (atol={atol:g}, "
        f"rtol={rtol:g})."
    )
