"""The nodes of NIR that do not spike but have a state, in nengo: synapses.

Elements with other time constants have a synapse of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from nengo.synapses import Synapse

from . import filters
from .parts import (
    Part,
    Place,
    Wire,
    add_constant,
    check_positive,
    passthrough,
    scaling,
)


def _same(*parameters: np.ndarray) -> Iterator[tuple[tuple[float, ...], Any]]:
    """Yield each combination of parameters, and the elements that have it."""
    rows = np.stack(parameters, axis=1)
    found, numbers = np.unique(rows, axis=0, return_inverse=True)
    for i, row in enumerate(found):
        alike = None if len(found) == 1 else np.flatnonzero(numbers.ravel() == i)
        yield tuple(row.tolist()), alike


def _of(values: np.ndarray, elements: np.ndarray | None) -> np.ndarray:
    return values if elements is None else values[elements]


def _filtered(place: Place, make: Callable[..., Synapse | None], *names: str, factor):
    """Make a part whose wires are filters, one for each combination of parameters."""
    wires = tuple(
        Wire(elements, scaling(_of(factor, elements)), make(*parameters))
        for parameters, elements in _same(*(place.values(name) for name in names))
    )
    holds = all(wire.synapse is not None for wire in wires)
    return Part(passthrough(place), wires, holds=holds)


def _leak(place: Place, part: Part, tau: np.ndarray) -> None:
    """Add the leak voltage, which a voltage that is 0 at first relaxes to."""
    leak = place.values("v_leak")
    for (constant,), elements in _same(tau):
        voltage = np.zeros(place.size)
        chosen = slice(None) if elements is None else elements
        voltage[chosen] = leak[chosen]
        add_constant(part, voltage, filters.lowpass(constant, place.method))


def leaky_integrator(place: Place) -> Part:
    """LI: tau v' = v_leak - v + r I."""
    check_positive(place, "tau")
    part = _filtered(
        place,
        lambda tau: filters.lowpass(tau, place.method),
        "tau",
        factor=place.values("r"),
    )
    _leak(place, part, place.values("tau"))
    return part


def current_based_integrator(place: Place) -> Part:
    """CubaLI: tau_syn i' = w_in I - i, tau_mem v' = v_leak - v + r i."""
    check_positive(place, "tau_syn", "tau_mem")
    part = _filtered(
        place,
        lambda tau_syn, tau: filters.double_lowpass(tau_syn, tau, place.method),
        "tau_syn",
        "tau_mem",
        factor=place.values("r") * place.values("w_in"),
    )
    _leak(place, part, place.values("tau_mem"))
    return part


def integrator(place: Place) -> Part:
    """I: v' = r I."""
    wire = Wire(
        transform=scaling(place.values("r")), synapse=filters.integrator(place.method)
    )
    return Part(passthrough(place), (wire,), holds=True)


def delay(place: Place) -> Part:
    """Delay: y(t) = I(t - delay)."""
    return _filtered(
        place,
        lambda seconds: filters.delay(seconds, place.dt, place.name),
        "delay",
        factor=np.ones(place.size),
    )
