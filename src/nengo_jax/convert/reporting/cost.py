"""What an inference costs, with spikes and without: on devices, and with memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import nengo

from ...energy import ModelEnergy, estimate
from ..converter import Converter
from .records import Energy

_SPIKING = ("loihi", "spinnaker2")
_OTHERS = ("cpu", "gpu", "arm")


def estimate_cost(
    converter: Converter,
    net: nengo.Network,
    rates: Mapping[nengo.Ensemble, float],
    dt: float,
    n_steps: int,
) -> Energy | None:
    """Estimate the energy of one inference.

    Parameters
    ----------
    converter : Converter
    net : nengo.Network
    rates : dict of Ensemble to float
        Mean firing rates in Hz.
    dt : float
        Length of a step in s.
    n_steps : int

    Returns
    -------
    Energy or None
        None if no neuron spikes, or if some have rates that are not known, as those
        inside layers of a table of the user's own.
    """
    spiking = {e for e in net.all_ensembles if e.neuron_type.spiking}
    if not rates or not spiking <= set(rates):
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = {
            device: estimate(net, rates, device, dt, n_steps) for device in _SPIKING
        }
        model = ModelEnergy(converter.model)
        devices = {device: value.energy for device, value in found.items()}
        devices |= {device: model.total_energy(device, 1, dt) for device in _OTHERS}
    comparison = found[_SPIKING[0]].comparison
    return Energy(
        devices=devices,
        spiking=comparison.spiking,
        quantised=comparison.quantised,
        crossover=comparison.crossover_hz,
        verdict=comparison.verdict,
        notes=tuple(dict.fromkeys(str(warning.message) for warning in caught)),
    )
