"""Neuron types: one pure step function each, and the family that runs them in groups.

A step function maps ``(constants, dt, current, *state)`` to ``(output, *state)``;
the constants are numbers or arrays with one number per neuron, so neurons with
different time constants still run together. Which form of its equations a type uses in
training is chosen in :mod:`~nengo_jax.families.neurons.training`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from jax import Array
from nengo.builder.neurons import SimNeurons
from nengo.neurons import NeuronType

from ...core import Mode, Run
from ..base import Family, Operand, Settings, Target, per_element
from .adaptive import ADAPTIVE_LIF, ADAPTIVE_LIF_RATE, IZHIKEVICH
from .functions import FUNCTIONS
from .lif import LIF, LIF_RATE
from .model import NeuronModel
from .nir import (
    CURRENT_BASED,
    HEAVISIDE,
    INTEGRATE_AND_FIRE,
    LEAKY_INTEGRATE_AND_FIRE,
)
from .rate import (
    LEAKY_RELU,
    RECTIFIED_LINEAR,
    SIGMOID,
    SPIKING_LEAKY_RELU,
    SPIKING_RECTIFIED_LINEAR,
    TANH,
)
from .soft import SOFT_LIF_RATE
from .soft_reset import SOFT_RESET
from .spiking import (
    POISSON_SPIKING,
    REGULAR_SPIKING,
    STOCHASTIC_SPIKING,
)
from .training import choose_form

MODELS: dict[type[NeuronType], NeuronModel] = {
    model.neuron_type: model
    for model in (
        RECTIFIED_LINEAR,
        SPIKING_RECTIFIED_LINEAR,
        LEAKY_RELU,
        SPIKING_LEAKY_RELU,
        SOFT_RESET,
        SIGMOID,
        TANH,
        LIF_RATE,
        SOFT_LIF_RATE,
        LIF,
        ADAPTIVE_LIF_RATE,
        ADAPTIVE_LIF,
        IZHIKEVICH,
        REGULAR_SPIKING,
        STOCHASTIC_SPIKING,
        POISSON_SPIKING,
        *FUNCTIONS,
        INTEGRATE_AND_FIRE,
        LEAKY_INTEGRATE_AND_FIRE,
        CURRENT_BASED,
        HEAVISIDE,
    )
}


def model_of(neurons: NeuronType) -> NeuronModel | None:
    """Return the native model of a neuron type, or None if it must run on the host.

    A subclass is native if it inherits ``step`` from a native type.
    """
    for parent in type(neurons).__mro__:
        if parent in MODELS:
            inherits = type(neurons).step is parent.step
            return MODELS[parent] if inherits else None
    return None


def is_native(op: SimNeurons) -> bool:
    """Whether the operator's neuron type has a native model."""
    model = model_of(op.neurons)
    return model is not None and set(op.state_idxs) == set(model.state)


def _key(op: SimNeurons) -> Hashable:
    model = model_of(op.neurons)
    assert model is not None
    size = op.J.size if model.random else None  # each has a stream of its own
    return model.neuron_type, model.variant(op.neurons), size


def _states(op: SimNeurons) -> tuple[Operand, ...]:
    model = model_of(op.neurons)
    assert model is not None
    return tuple(Operand(op.state[name]) for name in model.state)


def _build(ops: Sequence[SimNeurons], settings: Settings) -> Run:
    model = model_of(ops[0].neurons)
    assert model is not None
    sizes = [op.J.size for op in ops]
    constants = {
        name: per_element(
            [getattr(op.neurons, name) for op in ops], sizes, settings.dtype
        )
        for name in model.constants
    }
    make = choose_form(model, settings, ops[0])
    step = make(constants, settings, ops[0].neurons)

    def run(current: Array, *state: Array) -> tuple[Array, ...]:
        return step(current, *state)

    return run


NEURONS = Family(
    name="neurons",
    key=_key,
    reads=lambda op: (Operand(op.J), *_states(op)),
    writes=lambda op: tuple(
        Target(operand, Mode.SET) for operand in (Operand(op.output), *_states(op))
    ),
    build=_build,
    flat=True,
)
