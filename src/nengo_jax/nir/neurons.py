"""Ensembles as nodes of NIR: one function for each neuron type, and their table.

NIR's voltages are 0 at first. Neurons of nengo that begin at a voltage u are written
with all voltages lower by u, so they do the same: threshold 1 - u, reset -u, and u less
of leak. Gains become the resistance, biases the leak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nengo
import nir
import numpy as np
from nengo.exceptions import BuildError
from nengo.neurons import NeuronType

from ..neurons.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
)
from ..neurons.soft_reset import SoftResetIntegrateAndFire

_INTEGRATE = (
    "Use nengo_jax.nir.IntegrateAndFire, and check the network with it. Of a Keras "
    "model: Converter(model, inference_only=True, swap_activations="
    '{"relu": nengo_jax.nir.IntegrateAndFire()}), and calibrate what it makes.'
)


@dataclass(frozen=True)
class Population:
    """The neurons of an ensemble.

    Attributes
    ----------
    ensemble : nengo.Ensemble
    gain, bias : ndarray
    state : dict of str to ndarray
        Initial states by name.
    order : ndarray of int
        Which neuron comes where in NIR.
    shape : tuple of int
        Shape of the node in NIR.
    """

    ensemble: nengo.Ensemble
    gain: np.ndarray
    bias: np.ndarray
    state: Mapping[str, np.ndarray]
    order: np.ndarray
    shape: tuple[int, ...]

    def arrange(self, values: Any) -> np.ndarray:
        """Return one value for each neuron, as they come in NIR."""
        each = np.broadcast_to(values, (self.ensemble.n_neurons,))
        return np.array(each[self.order].reshape(self.shape), np.float64)


@dataclass(frozen=True)
class Exported:
    """What neurons are in NIR.

    Attributes
    ----------
    node : nir.NIRNode
    bias : ndarray or None
        What is to be added to the input of the node, in its shape.
    method : str or None
        "exact", "euler", or None where there is no difference.
    """

    node: nir.NIRNode
    bias: np.ndarray | None = None
    method: str | None = None


def to_node(population: Population) -> Exported:
    """Return what an ensemble is in NIR.

    Raises
    ------
    BuildError
        If NIR cannot express it.
    """
    ensemble = population.ensemble
    neurons = ensemble.neuron_type
    if ensemble.noise is not None:
        raise BuildError(
            f"{ensemble} has noise, and NIR has none. Set noise=None, or give the "
            "noise to an input node."
        )
    if type(neurons) not in _NODES:
        raise BuildError(
            f"{ensemble} has neurons of type {type(neurons).__name__}, which NIR "
            f"cannot express. {_advice(neurons)}"
        )
    return _NODES[type(neurons)](population)


def _advice(neurons: NeuronType) -> str:
    if isinstance(neurons, nengo.SpikingRectifiedLinear):
        return (
            "NIR's IF goes back to a fixed voltage after a spike and takes negative "
            f"currents, where nengo subtracts the threshold and rectifies. {_INTEGRATE}"
        )
    if isinstance(neurons, SoftResetIntegrateAndFire):
        return (
            "NIR's IF goes back to a fixed voltage after a spike, where these subtract "
            f"the threshold. {_INTEGRATE}"
        )
    if isinstance(neurons, nengo.RectifiedLinear):
        return f"It has no neurons with rates. {_INTEGRATE}"
    if not neurons.spiking:
        return (
            "It has no neurons with rates. Use spiking neurons: "
            "nengo.LIF(tau_ref=0, min_voltage=-np.inf), or those of nengo_jax.nir."
        )
    return (
        "Use nengo.LIF(tau_ref=0, min_voltage=-np.inf), or the neurons of "
        "nengo_jax.nir."
    )


def _voltages(population: Population) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the initial voltages, and the threshold and reset that go with them."""
    start = population.arrange(population.state["voltage"])
    if np.any(start >= 1):
        raise BuildError(
            f"{population.ensemble} has initial voltages of 1 and more, which are "
            "spikes in waiting. Give it lower ones in the neuron type's initial_state."
        )
    return start, {"v_threshold": 1 - start, "v_reset": 0 - start}


def _lif(population: Population) -> Exported:
    ensemble, neurons = population.ensemble, population.ensemble.neuron_type
    if neurons.tau_ref != 0:
        raise BuildError(
            f"{ensemble} has a refractory period of {neurons.tau_ref} s, and NIR's LIF "
            "has none. Use nengo.LIF(tau_ref=0, ...). Rates become higher: 1 / (1 / "
            "rate - tau_ref)."
        )
    if neurons.min_voltage != -np.inf:
        raise BuildError(
            f"{ensemble} has voltages of at least {neurons.min_voltage}, and those of "
            "NIR's LIF have no limit. Use nengo.LIF(min_voltage=-np.inf, ...)."
        )
    return _leaky(population, neurons.tau_rc, "exact")


def _leaky_integrate_and_fire(population: Population) -> Exported:
    neurons = population.ensemble.neuron_type
    return _leaky(population, neurons.tau, neurons.method)


def _leaky(population: Population, tau: Any, method: str) -> Exported:
    start, levels = _voltages(population)
    node = nir.LIF(
        tau=population.arrange(tau),
        r=population.arrange(population.gain),
        v_leak=population.arrange(population.bias) - start,
        **levels,
    )
    return Exported(node, method=method)


def _integrate_and_fire(population: Population) -> Exported:
    _, levels = _voltages(population)
    gain = population.arrange(population.gain)
    return Exported(nir.IF(r=gain, **levels), _before_gain(population, gain))


def _current_based(population: Population) -> Exported:
    neurons = population.ensemble.neuron_type
    if np.any(population.state["current"] != 0):
        raise BuildError(
            f"{population.ensemble} has initial currents, and those of NIR are 0. "
            "Leave them out of the neuron type's initial_state."
        )
    start, levels = _voltages(population)
    gain = population.arrange(population.gain)
    node = nir.CubaLIF(
        tau_syn=population.arrange(neurons.tau_syn),
        tau_mem=population.arrange(neurons.tau),
        r=gain,
        v_leak=population.arrange(neurons.leak) - start,
        **levels,
    )
    return Exported(node, _before_gain(population, gain), neurons.method)


def _heaviside(population: Population) -> Exported:
    gain, bias = (population.arrange(v) for v in (population.gain, population.bias))
    if np.any(gain <= 0):
        raise BuildError(
            f"{population.ensemble} has gains that are not positive, and NIR's "
            "Threshold has none. Change the signs of what is connected to it."
        )
    return Exported(nir.Threshold(-bias / gain))


def _before_gain(population: Population, gain: np.ndarray) -> np.ndarray | None:
    """Return the biases as something that is added before the gains."""
    bias = population.arrange(population.bias)
    if not bias.any():
        return None
    if np.any((gain == 0) & (bias != 0)):
        raise BuildError(
            f"{population.ensemble} has neurons with a bias and a gain of 0. Give them "
            "another gain, and weights of zero."
        )
    return bias / np.where(gain == 0, 1, gain)


_NODES: dict[type[NeuronType], Callable[[Population], Exported]] = {
    nengo.LIF: _lif,
    LeakyIntegrateAndFire: _leaky_integrate_and_fire,
    IntegrateAndFire: _integrate_and_fire,
    CurrentBased: _current_based,
    Heaviside: _heaviside,
}
