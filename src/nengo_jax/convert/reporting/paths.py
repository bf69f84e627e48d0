"""What happens on the way from the input to each layer: delays, spikes and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from nengo.ensemble import Neurons
from nengo.synapses import LinearFilter

from ..calibration.reference import key_of
from ..records import Converted, Value

_JUMP = 1.5  # times what the inputs have
_LARGE = 0.1  # a relative error worth naming
_PART = 0.25  # of the largest error


class Path(NamedTuple):
    """What a value has gone through.

    Attributes
    ----------
    delay : float
        Sum of the mean delays of synapses, in s.
    spikes : bool
        Whether it consists of spikes.
    error : float
        The largest relative error on the way that was not reduced again.
    """

    delay: float = 0.0
    spikes: bool = False
    error: float = 0.0


def follow(
    calls: list[Converted], errors: Mapping[str, float | None]
) -> dict[str, Path]:
    """Return what arrives at each layer.

    Parameters
    ----------
    calls : list of Converted
        Each after those that it depends on.
    errors : dict of str to float or None
        Relative errors of the outputs, by key of the call.
    """
    known: dict[Value, Path] = {}
    arriving = {}
    for call in calls:
        inputs = [known.get(value, Path()) for value in call.call.inputs]
        own = [c for c in call.incoming if c.pre_obj is call.neurons]
        others = [c for c in call.incoming if c.pre_obj is not call.neurons]
        filtered = _slowest(others)
        arrives = Path(
            max((path.delay for path in inputs), default=0.0) + filtered,
            any(path.spikes for path in inputs) and not filtered,
            max((path.error for path in inputs), default=0.0),
        )
        arriving[key_of(call)] = arrives
        error = errors.get(key_of(call))
        gives = Path(
            arrives.delay + _slowest(own),
            arrives.spikes
            if call.neurons is None
            else bool(call.neurons.ensemble.neuron_type.spiking) and not _slowest(own),
            arrives.error if error is None else error,
        )
        known.update((value, gives) for value in call.call.outputs)
    return arriving


def find_origin(errors: list[tuple[str, float | None, float]]) -> str | None:
    """Return the first layer where the error jumps to what it is in the end.

    Errors above 1 are all alike: what follows is wrong whatever it does.

    Parameters
    ----------
    errors : list of (label, error, inherited error)
    """
    largest = max((error for _, error, _ in errors if error is not None), default=0.0)
    least = max(_LARGE, _PART * min(largest, 1.0))
    for label, error, inherited in errors:
        if error is not None and error > max(least, _JUMP * inherited):
            return label
    return None


def _slowest(connections: list[Any]) -> float:
    delays = [
        mean_delay(connection.synapse)
        for connection in connections
        if isinstance(connection.pre_obj, Neurons)
    ]
    return max(delays, default=0.0)


def mean_delay(synapse: Any) -> float:
    """Return the mean delay of a filter in s: the mean time of its impulse response.

    For a transfer function H it is -H'(0) / H(0).
    """
    if not isinstance(synapse, LinearFilter):  # None, or no linear one
        return 0.0
    numerator, denominator = np.atleast_1d(synapse.num), np.atleast_1d(synapse.den)
    delay = 0.0
    for sign, polynomial in ((1, denominator), (-1, numerator)):
        if len(polynomial) > 1:
            delay += sign * float(polynomial[-2] / polynomial[-1])
    return delay
