r"""Gains, biases and amplitudes that let a curved rate stand for rectified linear ones.

Neurons such as LIF answer a current J with a rate r(J) that is not proportional to it.
So that they give an activation a >= 0, as relu does, they get a current that grows with
it, :math:`J = g a / a_p + b`, and an amplitude :math:`A`:

- a large activation :math:`a_p` has the wanted rate R, by the inverse of r,
- an activation of :math:`c a_p` is where they begin to fire,
- :math:`A r(g a / a_p + b)` is as near as it can be to a, in least squares for all a
  up to :math:`a_p`. This gives A, and c by trying.

With c = 0 and A = a_p / R the steep beginning of r makes small activations too large:
by 13% of the range (root mean square) for LIF at 200 Hz, instead of 4%.

Maximum rates and intercepts are those of the neural engineering framework (Eliasmith
and Anderson, 2003), and each type of nengo has ``gain_bias`` for them. They are for
inputs up to 1, so activations are divided by :math:`a_p` first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import nengo
import numpy as np
from nengo.neurons import NeuronType

from ..neurons.nir import CurrentBased, LeakyIntegrateAndFire

_KINDS = (nengo.LIF, LeakyIntegrateAndFire, CurrentBased)
_POINTS = 101
_INTERCEPTS = np.linspace(0, 0.4, 41)


class Curve(NamedTuple):
    """How neurons answer an activation a: amplitude times r(gain a / top + bias).

    Attributes
    ----------
    top, gain, bias, amplitude : float
    error : float
        Root of the mean squared difference from a, as a share of the largest a.
    """

    top: float
    gain: float
    bias: float
    amplitude: float
    error: float


def has_curve(neurons: NeuronType) -> bool:
    """Whether there are curves for a type of neurons."""
    return type(neurons) in _KINDS


def fit_curve(neurons: Any, top: float, rate: float) -> Curve:
    """Find the curve that is nearest to a rectified linear one.

    Parameters
    ----------
    neurons : NeuronType
        For which :func:`has_curve` is true.
    top : float
        Activation that gets the rate.
    rate : float
        In Hz, below the highest rate of the type.
    """
    activations = np.linspace(0, 1, _POINTS)
    best: Curve | None = None
    for intercept in _INTERCEPTS:
        gain, bias = neurons.gain_bias(np.array([rate]), np.array([intercept]))
        rates = neurons.rates(activations[:, None], gain, bias)[:, 0]
        factor = float(rates @ activations) / float(rates @ rates)
        error = float(np.sqrt(np.mean((factor * rates - activations) ** 2)))
        if best is None or error < best.error:
            amplitude = factor * neurons.amplitude * top  # rates contain the old one
            best = Curve(top, float(gain[0]), float(bias[0]), amplitude, error)
    assert best is not None
    return best
