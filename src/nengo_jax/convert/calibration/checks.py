"""Checks of what a user hands to the calibration, before anything is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .assemble import has_voltage
from .records import Part

_VOLTAGES = ("half", "zero", "random")


def check_positive(**values: Any) -> None:
    """Raise ValueError unless all are positive finite numbers."""
    for name, value in values.items():
        if not _is_number(value) or not 0 < value < np.inf:
            raise ValueError(f"{name} must be a positive number (got {value!r})")


def check_counts(least: int, **values: Any) -> None:
    """Raise ValueError unless all are whole numbers of some size."""
    for name, value in values.items():
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(
                f"{name} must be a whole number, at least {least} (got {value!r})"
            )


def check_percentile(percentile: Any) -> None:
    """Raise ValueError unless it is in (0, 100]."""
    if not _is_number(percentile) or not 0 < percentile <= 100:
        raise ValueError(
            "percentile must be larger than 0 and at most 100, such as 99.9 (got "
            f"{percentile!r})"
        )


def check_spiking(parts: Sequence[Part]) -> None:
    """Raise ValueError unless there are neurons that spike."""
    if any(part.spiking for part in parts):
        return
    kinds = {
        str(part.neurons.ensemble.neuron_type)
        for part in parts
        if part.neurons is not None
    }
    found = f"neurons are {', '.join(sorted(kinds))}" if kinds else "it has no neurons"
    raise ValueError(
        f"Nothing in the network spikes ({found}), so there is nothing to scale. "
        "Convert the model with swap_activations="
        '{"relu": nengo.SpikingRectifiedLinear()}.'
    )


def choose_voltages(
    voltage: Any, parts: Sequence[Part], seed: int
) -> dict[str, float | np.ndarray]:
    """Return initial voltages by label, as a share of the threshold.

    Raises
    ------
    ValueError
        If there is no such choice.
    """
    if voltage is None:
        return {}
    if not isinstance(voltage, str) or voltage not in _VOLTAGES:
        raise ValueError(
            f"voltage must be one of {', '.join(_VOLTAGES)}, or None for the voltages "
            f"that the network has (got {voltage!r})"
        )
    rng = np.random.RandomState(seed)
    starting = [part for part in parts if has_voltage(part)]
    if voltage == "random":
        return {part.label: rng.uniform(size=part.channels.size) for part in starting}
    return {part.label: 0.5 if voltage == "half" else 0.0 for part in starting}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
