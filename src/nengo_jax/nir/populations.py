"""The nodes of NIR that spike, in nengo: ensembles.

With the threshold at 1 and the reset at 0, the voltage v of NIR is
:math:`u = (v - v_{reset}) / (v_{threshold} - v_{reset})`, so resistances become gains,
leaks become biases, and v = 0 becomes the initial voltage.
"""

from __future__ import annotations

from typing import Any

import nengo
import numpy as np
from nengo.dists import Choice
from nengo.exceptions import BuildError
from nengo.neurons import NeuronType

from ..neurons.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
)
from .parts import Part, Place, check_positive


def _neurons(
    place: Place, kind: NeuronType, gain: np.ndarray, bias: np.ndarray
) -> Part:
    ensemble = nengo.Ensemble(
        place.size,
        dimensions=1,
        neuron_type=kind,
        encoders=np.ones((place.size, 1)),
        gain=gain,
        bias=bias,
        label=place.name,
    )
    return Part(ensemble.neurons)


def _spiking(place: Place) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return reset, unit of the voltage, and the state in which NIR's voltage is 0."""
    reset, threshold = place.values("v_reset"), place.values("v_threshold")
    unit = threshold - reset
    wrong = np.flatnonzero(~(unit > 0))
    if len(wrong):
        at = wrong[0]
        raise BuildError(
            f"Neuron {at} of {place.name!r} has the threshold {threshold[at]} and goes "
            f"back to {reset[at]} after a spike, so it would spike in every step. The "
            "threshold has to be above v_reset."
        )
    if not reset.any():
        return reset, unit, {"voltage": Choice([0])}
    voltage = -reset / unit
    if np.any(voltage > 1):
        raise BuildError(
            f"{place.name!r} has negative thresholds. NIR's voltages are 0 at first, "
            "so its neurons would spike at once. Shift v_threshold, v_reset and v_leak "
            "so that 0 is where they begin."
        )
    return reset, unit, {"voltage": voltage}


def integrate_and_fire(place: Place) -> Part:
    """IF: v' = r I."""
    _, unit, state = _spiking(place)
    kind = IntegrateAndFire(amplitude=place.dt, initial_state=state)
    return _neurons(place, kind, place.values("r") / unit, np.zeros(place.size))


def leaky_integrate_and_fire(place: Place) -> Part:
    """LIF: tau v' = v_leak - v + r I."""
    check_positive(place, "tau")
    reset, unit, state = _spiking(place)
    kind = LeakyIntegrateAndFire(
        _uniform(place.values("tau")), place.method, place.dt, state
    )
    bias = (place.values("v_leak") - reset) / unit
    return _neurons(place, kind, place.values("r") / unit, bias)


def current_based(place: Place) -> Part:
    """CubaLIF: tau_syn i' = w_in I - i, tau_mem v' = v_leak - v + r i."""
    check_positive(place, "tau_syn", "tau_mem")
    reset, unit, state = _spiking(place)
    kind = CurrentBased(
        _uniform(place.values("tau_syn")),
        _uniform(place.values("tau_mem")),
        _uniform((place.values("v_leak") - reset) / unit),
        place.method,
        place.dt,
        state,
    )
    gain = place.values("r") * place.values("w_in") / unit
    return _neurons(place, kind, gain, np.zeros(place.size))


def threshold(place: Place) -> Part:
    """Threshold: 1 where I > threshold."""
    kind = Heaviside()
    return _neurons(place, kind, np.ones(place.size), -place.values("threshold"))


def _uniform(values: np.ndarray) -> np.ndarray:
    return values[0] if np.all(values == values[0]) else values
