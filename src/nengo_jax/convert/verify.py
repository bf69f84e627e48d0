"""Compares a converted network with its Keras model, before and after training both.

Neither is changed: the training of the model is done on copies of its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np

from ..families.keras_layer import usual_promotion
from ..simulator import Simulator
from .graph import functional_of
from .training import (
    Arrays,
    Values,
    arguments_of,
    check_trainable,
    train_model,
    train_network,
    values_of,
)

_BATCH, _STEPS, _SEED = 2, 10, 0
_RTOL, _ROUNDINGS = 1e-5, 16


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
    rtol: float | None,
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
    atol : float
    rtol : float or None
    """
    functional = functional_of(model)
    precision = _precision(model)
    if rtol is None:
        rtol = max(_RTOL, _ROUNDINGS * float(jnp.finfo(precision).eps))
    arrays = _check_inputs(inputs, functional.inputs, temporal)
    steps = next(a.shape[1] for a in arrays) if temporal else 1
    count = len(arrays[0])
    data = {
        node: array.reshape(count, steps, -1)
        for node, array in zip(nodes, arrays, strict=True)
    }
    with Simulator(net, minibatch_size=count, progress_bar=False) as sim:

        def compare(values: Values, after: str) -> None:
            expected = _outputs(functional, values, arrays)
            found = sim.predict(data, n_steps=steps, verbose=0)
            for probe, wanted in zip(probes, expected, strict=True):
                actual = found[probe] if temporal else found[probe][:, -1]
                actual = actual.reshape(wanted.shape)
                _compare(actual, wanted, probe, after, precision, atol, rtol)

        compare(values_of(functional), "")
        if training and check_trainable(functional, sim, arrays, temporal):
            values = train_model(functional, arrays)
            train_network(functional, sim, data, probes, steps)
            compare(values, " after training")


def _precision(model: Any) -> str:
    """Return the coarsest type of floating-point numbers that layers compute in."""
    layers = model._flatten_layers(include_self=False)
    kinds = {layer.compute_dtype for layer in layers}
    floats = [kind for kind in kinds if kind and "float" in kind]
    return max(floats, key=lambda kind: float(jnp.finfo(kind).eps), default="float32")


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


def _outputs(functional: Any, values: Values, arrays: Arrays) -> Arrays:
    """What a model gives in inference with some values of its variables."""

    def call(values: Values, arrays: Arrays) -> Any:
        given = arguments_of(functional, arrays)
        return functional.stateless_call(*values, given, training=False)[0]

    with usual_promotion():
        results = jax.jit(call)(values, arrays)
    return [np.asarray(r, np.float64) for r in keras.tree.flatten(results)]


def _compare(
    actual: np.ndarray,
    expected: np.ndarray,
    probe: nengo.Probe,
    after: str,
    precision: str,
    atol: float,
    rtol: float,
) -> None:
    difference = np.abs(actual - expected)
    allowed = atol + rtol * float(np.max(np.abs(expected), initial=0))
    if np.all(difference <= allowed):  # not if any is NaN
        return
    coarse = jnp.finfo(precision).eps > np.finfo(np.float32).eps
    hint = (
        f" Layers compute in {precision}, but the network in float32; with rtol=None "
        "as much is allowed as this makes."
        if coarse
        else ""
    )
    raise ValueError(
        f"Output {probe.label!r} of the network differs from that of the Keras model"
        f"{after}: by up to {np.max(difference):.3g}, where values reach "
        f"{np.max(np.abs(expected)):.3g} and {allowed:.3g} is allowed (atol={atol:g}, "
        f"rtol={rtol:g}).{hint}"
    )
