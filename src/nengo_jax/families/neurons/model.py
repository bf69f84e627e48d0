"""The record that describes a neuron type."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from jax import Array
from nengo.neurons import NeuronType

from ..base import Constant, Settings

Step = Callable[..., tuple[Array, ...]]
Constants = Mapping[str, Constant]


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
        ``step(current, *state) -> (output, *state)``.
    variant : callable
        ``variant(neurons) -> hashable``: what must agree within a group.
    random : bool
        Whether the type draws random numbers: its last state is then a stream of
        :mod:`~nengo_jax.families.neurons.mt19937`.
    """

    neuron_type: type[NeuronType]
    constants: tuple[str, ...]
    state: tuple[str, ...]
    make: Callable[[Constants, Settings, NeuronType], Step]
    variant: Callable[[NeuronType], Hashable] = lambda neurons: ()
    random: bool = False


def spike_height(constants: Constants, settings: Settings) -> Constant:
    """Output of one spike, amplitude / dt, rounded only once."""
    amplitude = np.asarray(constants["amplitude"], np.float64)
    return (amplitude / settings.dt).astype(settings.dtype)
