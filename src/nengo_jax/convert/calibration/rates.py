r"""Firing-rate scales that give a wanted rate to the largest activations.

A rectified linear neuron with scale s answers an activation a with the rate s a. So the
scale :math:`R / a_p` lets a percentile :math:`a_p` of the activations have the rate R
(Rueckauer et al., "Conversion of continuous-valued deep networks to efficient
event-driven networks", Frontiers in Neuroscience 11, 2017).

In T steps of dt, a rate R is known up to one spike in :math:`R T dt`. What follows gets
spikes instead of a steady value, and neurons that rectify the current in each step,
such as ``nengo.SpikingRectifiedLinear``, answer an uneven current too strongly, which
no time averages out. Both errors fall as rates rise: neurons of nengo may spike several
times in a step. For a convolutional network that reads digits, 32 steps with one, two
and four spikes in a step gave 95%, 98.7% and 99.6% of right answers, where the model
has 99.8%. Neurons that average their current need less. So by default R is one spike in
each step for :class:`~nengo_jax.neurons.SoftResetIntegrateAndFire` and four for others,
or as much more as it takes for :data:`LEVELS` spikes in the time of presentation.

Neurons that spike once in a step at most, such as LIF, saturate near their highest
rate, so R is 0.4 of that. Rates that are not proportional to the current have no scale.
LIF neurons in the place of relu get another gain, bias and amplitude instead
(:mod:`nengo_jax.convert.curves`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from nengo.neurons import NeuronType

from ...neurons import SoftResetIntegrateAndFire
from ..curves import Curve, encode_curve, fit_curve, has_curve
from ..scaling import keeps_result, limit_of
from .records import Part

LEVELS = 16
_AVERAGED, _RECTIFIED = 1.0, 4.0  # spikes in a step
_SHARE = 0.4  # of the highest rate
_EXACT = 4  # how many times as much where values count, not only their order


def default_rate(neurons: NeuronType, n_steps: int, dt: float, *, exact: bool) -> float:
    """Return the rate in Hz that a number of steps needs.

    Parameters
    ----------
    neurons : NeuronType
    n_steps : int
    dt : float
        Length of a step in seconds.
    exact : bool
        Whether values count, not only which one is the largest.
    """
    limit = limit_of(neurons, dt)
    if limit is not None:
        return _SHARE * limit
    averages = isinstance(neurons, SoftResetIntegrateAndFire)
    spikes = max(_AVERAGED if averages else _RECTIFIED, LEVELS / n_steps)
    return spikes * (_EXACT if exact else 1) / dt


class Chosen(NamedTuple):
    """How parts are scaled, by label.

    Attributes
    ----------
    scales : dict of str to float or ndarray
    curves : dict of str to ndarray, shape (5,) or (5, neurons)
        Of neurons that cannot be scaled: the numbers of a Curve.
    """

    scales: dict[str, Any]
    curves: dict[str, np.ndarray]


def choose_scales(
    parts: Sequence[Part],
    tops: Mapping[str, np.ndarray],
    rate: float | None,
    n_steps: int,
    dt: float,
    *,
    exact: bool,
) -> Chosen:
    """Return what gives the wanted rates.

    Parameters
    ----------
    parts : sequence of Part
    tops : mapping of str to ndarray, shape (channels,) or (1,)
        Large activations, of all channels or of each.
    rate : float or None
        In Hz; None: what the number of steps needs.
    n_steps, dt, exact
        As for :func:`default_rate`.

    Raises
    ------
    ValueError
        If neurons cannot have the rate.

    Warns
    -----
    UserWarning
        If there are spiking neurons whose rates cannot be chosen.
    """
    chosen, left = Chosen({}, {}), {}
    for part in parts:
        if part.neurons is None or not part.spiking:
            continue
        neurons = part.neurons.ensemble.neuron_type
        top = np.asarray(tops[part.label], np.float64)
        if part.threshold is not None:
            top = np.array([part.threshold])
        bends = part.rectifies and has_curve(neurons)
        if not bends and not keeps_result(neurons, 1.0):
            left[part.label] = neurons
            continue
        if not np.any(top > 0):  # a layer that is silent needs no scale
            continue
        wanted = rate or default_rate(neurons, n_steps, dt, exact=exact)
        if bends:
            _check_limit(part.label, neurons, wanted, dt)
            chosen.curves[part.label] = encode_curve(_curve(part, top, wanted))
            continue
        if isinstance(neurons, SoftResetIntegrateAndFire):
            wanted = min(wanted, neurons.max_spikes / dt)
        found = wanted / np.where(top > 0, top, np.max(top))
        if not keeps_result(neurons, found):  # bounds are the same for all
            found = np.min(found, keepdims=True)
        chosen.scales[part.label] = float(found[0]) if len(found) == 1 else found
    if left:
        kinds = ", ".join(dict.fromkeys(map(str, left.values())))
        warnings.warn(
            f"{', '.join(left)}: firing rates of {kinds} are not proportional to the "
            "current, and they do not stand for relu as LIF can, so they are not "
            "scaled. Of a Keras model, rectified linear neurons can be: "
            "swap_activations={'relu': nengo.SpikingRectifiedLinear()}.",
            stacklevel=4,  # the call of calibrate
        )
    return chosen


def _curve(part: Part, top: np.ndarray, rate: float) -> Curve:
    """Return the curve of a part whose channels have one top each, or one for all.

    Raises
    ------
    ValueError
        If the type of its neurons is for another number of them.
    """
    assert part.neurons is not None
    neurons, size = part.neurons.ensemble.neuron_type, part.channels.size
    gains, _ = neurons.gain_bias(np.array([rate]), np.zeros(1))
    if np.size(gains) not in (1, size):
        raise ValueError(
            f"{part.label} has {size} neurons, but {neurons} is for {np.size(gains)}. "
            "Give it one number, or as many as there are."
        )
    filled = np.where(top > 0, top, np.max(top))
    wide = float(filled[0]) if len(filled) == 1 else filled[part.channels]
    return fit_curve(neurons, wide, rate)


def _check_limit(label: str, neurons: NeuronType, rate: float, dt: float) -> None:
    limit = limit_of(neurons, dt)
    if limit is not None and rate >= limit:
        raise ValueError(
            f"{label} cannot fire at rate={rate:g} Hz: {neurons} in steps of {dt:g} s "
            f"stays below {limit:g} Hz. Leave rate out, or ask for less."
        )
