"""Checks of what a user hands to the calibration, before anything is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from nengo.neurons import NeuronType

from ...layers import KerasSpikingLayer
from ...neurons import SoftResetIntegrateAndFire
from ...neurons.nir import IntegrateAndFire
from ..converter import Converter
from .assemble import has_voltage
from .records import Part

# Their voltage may fall without a bound.
_UNBOUNDED = (SoftResetIntegrateAndFire, IntegrateAndFire)
# States that lower the answer to later currents, as in AdaptiveLIF and Izhikevich.
_ADAPTING = ("adaptation", "recovery")
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


def check_memory(converter: Converter) -> None:
    """Raise ValueError if something in a temporal model remembers earlier time steps.

    What a recurrent layer gives depends on how long a time step is presented, so it has
    no fixed activation that firing rates could be compared with. (Recurrent layers
    inside TimeDistributed see a whole sequence in each step, and remember nothing.)
    Neurons whose voltage falls without a bound while their current is negative make up
    for that later, when they should answer another time step; those that adapt answer
    less the more they have fired before. (A current or voltage that decays within
    milliseconds is like a synapse.)
    """
    if not converter.options.temporal:
        return
    calls, kinds = converter.calls, (keras.layers.RNN, KerasSpikingLayer)
    found = [
        f"{converted.label} ({type(converted.layer).__name__})"
        for converted in calls
        if converted.call.leading == 2 and isinstance(converted.layer, kinds)
    ]
    if found:
        raise ValueError(
            f"{', '.join(found)} of this temporal model cannot be calibrated: what "
            "such a layer gives depends on earlier time steps, and on how long each is "
            "presented. Calibrate the layers before and after it as models of their "
            "own, or scale them by hand, with scale_firing_rates."
        )
    kinds_by_label = {
        converted.label: converted.neurons.ensemble.neuron_type
        for converted in calls
        if converted.neurons is not None
    }
    _refuse_kinds(
        kinds_by_label,
        lambda kind: isinstance(kind, _UNBOUNDED),
        "a negative current of earlier time steps lowers their voltage without a "
        "bound, and keeps them silent later",
    )
    _refuse_kinds(
        kinds_by_label,
        lambda kind: any(name in kind.state for name in _ADAPTING),
        "they adapt, so what they fired in earlier time steps lowers their rates later",
    )


def _refuse_kinds(
    kinds: Mapping[str, NeuronType], refused: Callable[[NeuronType], bool], why: str
) -> None:
    """Raise ValueError, with the reason, if types of neurons by label are refused."""
    kept = {
        type(kind).__name__: label for label, kind in kinds.items() if refused(kind)
    }
    if kept:
        raise ValueError(
            f"{' and '.join(kept)} neurons, as in {', '.join(kept.values())}, are not "
            f"for temporal models: {why}. Convert with "
            'swap_activations={"relu": nengo.SpikingRectifiedLinear()}, and a synapse, '
            "such as synapse=0.005, to make currents even."
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
