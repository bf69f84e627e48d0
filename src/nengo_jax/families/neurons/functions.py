"""Rate neurons that compute the usual activation functions of deep networks.

Their equations stand in :mod:`nengo_jax.neurons`; all are multiplied by an amplitude.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ...neurons import (
    ELU,
    GELU,
    BoundedReLU,
    Exponential,
    HardSigmoid,
    HardSiLU,
    Mish,
    SiLU,
    Softplus,
    Softsign,
)
from .model import Maker, NeuronModel


def _function(respond: Callable[[Array], Array]) -> Maker:
    """Make the step of a type without constants other than its amplitude."""

    def make(constants, settings, neurons):
        amplitude = constants["amplitude"]

        def step(current: Array) -> tuple[Array]:
            return (amplitude * respond(current),)

        return step

    return make


def _elu(constants, settings, neurons):
    amplitude, alpha = constants["amplitude"], constants["alpha"]

    def step(current: Array) -> tuple[Array]:
        below = alpha * jnp.expm1(jnp.minimum(current, 0))
        return (amplitude * jnp.where(current < 0, below, current),)

    return step


def _gelu(constants, settings, neurons):
    respond = partial(jax.nn.gelu, approximate=neurons.approximate)
    return _function(respond)(constants, settings, neurons)


def _bounded(constants, settings, neurons):
    amplitude, threshold = constants["amplitude"], constants["threshold"]
    slope = constants["negative_slope"]
    limit = np.inf if neurons.max_value is None else neurons.max_value
    limit = settings.dtype.type(limit)

    def step(current: Array) -> tuple[Array]:
        bounded = jnp.minimum(current, limit)
        below = slope * (current - threshold)
        return (amplitude * jnp.where(current > threshold, bounded, below),)

    return step


def _simple(kind: type, respond: Callable[[Array], Array]) -> NeuronModel:
    return NeuronModel(kind, ("amplitude",), (), _function(respond))


FUNCTIONS = (
    NeuronModel(ELU, ("amplitude", "alpha"), (), _elu),
    NeuronModel(
        GELU, ("amplitude",), (), _gelu, variant=lambda neurons: neurons.approximate
    ),
    NeuronModel(
        BoundedReLU,
        ("amplitude", "negative_slope", "threshold"),
        (),
        _bounded,
        variant=lambda neurons: neurons.max_value,
    ),
    _simple(SiLU, jax.nn.silu),
    _simple(Mish, jax.nn.mish),
    _simple(Softplus, jax.nn.softplus),
    _simple(Softsign, jax.nn.soft_sign),
    _simple(HardSigmoid, jax.nn.hard_sigmoid),
    _simple(HardSiLU, jax.nn.hard_silu),
    _simple(Exponential, jnp.exp),
)
