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
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nengo.neurons import NeuronType

from ...neurons import SoftResetIntegrateAndFire
from ..scaling import keeps_result
from .records import Part

LEVELS = 16
_AVERAGED, _RECTIFIED = 1.0, 4.0  # spikes in a step
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
    averages = isinstance(neurons, SoftResetIntegrateAndFire)
    spikes = max(_AVERAGED if averages else _RECTIFIED, LEVELS / n_steps)
    return spikes * (_EXACT if exact else 1) / dt


def choose_scales(
    parts: Sequence[Part],
    tops: Mapping[str, np.ndarray],
    rate: float | None,
    n_steps: int,
    dt: float,
    *,
    exact: bool,
) -> dict[str, Any]:
    """Return scales by label.

    Parameters
    ----------
    parts : sequence of Part
    tops : mapping of str to ndarray, shape (channels,) or (1,)
        Large activations, of all channels or of each.
    rate : float or None
        In Hz; None: what the number of steps needs.
    n_steps, dt, exact
        As for :func:`default_rate`.

    Warns
    -----
    UserWarning
        If there are spiking neurons whose rates are not proportional to the current.
    """
    scales, left = {}, {}
    for part in parts:
        if part.neurons is None or not part.spiking:
            continue
        neurons = part.neurons.ensemble.neuron_type
        top = np.asarray(tops[part.label], np.float64)
        if part.threshold is not None:
            top = np.array([part.threshold])
        if not keeps_result(neurons, 1.0):
            left[part.label] = neurons
        elif np.any(top > 0):  # a layer that is silent needs no scale
            wanted = rate or default_rate(neurons, n_steps, dt, exact=exact)
            if isinstance(neurons, SoftResetIntegrateAndFire):
                wanted = min(wanted, neurons.max_spikes / dt)
            found = wanted / np.where(top > 0, top, np.max(top))
            if not keeps_result(neurons, found):  # bounds are the same for all
                found = np.min(found, keepdims=True)
            scales[part.label] = float(found[0]) if len(found) == 1 else found
    if left:
        kinds = ", ".join(dict.fromkeys(map(str, left.values())))
        warnings.warn(
            f"{', '.join(left)}: firing rates of {kinds} are not proportional to the "
            "current, so they are not scaled. Rectified linear neurons can be: "
            "swap_activations={'relu': nengo.SpikingRectifiedLinear()}.",
            stacklevel=4,  # the call of calibrate
        )
    return scales
