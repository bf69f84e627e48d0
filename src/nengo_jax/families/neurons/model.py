"""The record that describes a neuron type, and what the equations of several share.

The equations of a spiking type are written once. They serve to run a network and, with
a surrogate in place of the derivative of a spike, to train it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.neurons import NeuronType

from ...surrogates import RateDerivative, with_surrogate
from ..base import Constant, Settings

Step = Callable[..., tuple[Array, ...]]
Constants = Mapping[str, Constant]
Maker = Callable[[Constants, Settings, NeuronType], Step]


@dataclass(frozen=True)
class NeuronModel:
    """All that nengo_jax knows about one neuron type.

    Attributes
    ----------
    neuron_type : type
        The nengo class.
    constants : tuple of str
        Attributes of the neuron type that are constants of its equations.
    state : tuple of str
        Names of its state variables, in the order in which ``step`` takes them.
    make : callable
        ``make(constants, settings, neurons) -> step``;
        ``step(current, *state) -> (output, *state)``. If ``settings`` has a surrogate,
        the outputs stay the same and get its derivative.
    rate : callable or None
        Makes the step of the rate form, with the same states. None for a spiking type
        that has none, and for a rate type that is trained as it runs.
    variant : callable
        ``variant(neurons) -> hashable``: what must agree within a group.
    random : bool
        Whether the type draws random numbers: its last state is then a stream of
        :mod:`~nengo_jax.families.neurons.mt19937`.
    """

    neuron_type: type[NeuronType]
    constants: tuple[str, ...]
    state: tuple[str, ...]
    make: Maker
    rate: Maker | None = None
    variant: Callable[[NeuronType], Hashable] = lambda neurons: ()
    random: bool = False


def spike_height(constants: Constants, settings: Settings) -> Constant:
    """Output of one spike, amplitude / dt, rounded only once."""
    amplitude = np.asarray(constants["amplitude"], np.float64)
    return (amplitude / settings.dt).astype(settings.dtype)


def surrogate_of(settings: Settings) -> Callable[[Array], Array] | None:
    """Return what takes the place of the derivative of a spike, if anything does."""
    surrogate = settings.training.surrogate if settings.training else None
    return None if isinstance(surrogate, RateDerivative) else surrogate


def emit(
    spiked: Array,
    distance: Array,
    height: Constant,
    surrogate: Callable[[Array], Array] | None,
) -> Array:
    """Return ``height`` where neurons spiked, else 0, with the surrogate's derivative.

    Parameters
    ----------
    spiked : Array of bool
    distance : Array
        Distance to the threshold, at which the surrogate is taken.
    height : Constant
        Output of one spike.
    surrogate : callable or None
    """
    if surrogate is None:
        return jnp.where(spiked, height, 0)
    return height * with_surrogate(spiked.astype(distance.dtype), distance, surrogate)


def frozen(make: Maker) -> Maker:
    """Make a form with states that stay what they are, of one without states."""

    def make_frozen(
        constants: Constants, settings: Settings, neurons: NeuronType
    ) -> Step:
        respond = make(constants, settings, neurons)

        def step(current: Array, *state: Array) -> tuple[Array, ...]:
            return (*respond(current), *state)

        return step

    return make_frozen
