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

Where neurons of an ensemble differ, as in their time constants or because each channel
has its own :math:`a_p`, each neuron has its own curve.
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
    top, gain, bias, amplitude : float, or ndarray, shape (neurons,)
    error : float, or ndarray, shape (neurons,)
        Root of the mean squared difference from a, as a share of the largest a.
    """

    top: Any
    gain: Any
    bias: Any
    amplitude: Any
    error: Any

    @property
    def differs(self) -> bool:
        """Whether neurons have an amplitude or a top of their own."""
        return bool(np.ndim(self.amplitude))


def has_curve(neurons: NeuronType) -> bool:
    """Whether there are curves for a type of neurons."""
    return type(neurons) in _KINDS


def fit_curve(neurons: Any, top: Any, rate: float) -> Curve:
    """Find the curve that is nearest to a rectified linear one.

    Parameters
    ----------
    neurons : NeuronType
        For which :func:`has_curve` is true. If it has one time constant for each
        neuron, the curve has one gain, bias and error for each.
    top : float, or ndarray, shape (neurons,)
        Activation that gets the rate.
    rate : float
        In Hz, below the highest rate of the type.
    """
    activations = np.linspace(0, 1, _POINTS)[:, None]
    tried = [_try(neurons, rate, c, activations) for c in _INTERCEPTS]
    gains, biases, factors, errors = (np.array(x) for x in zip(*tried, strict=True))
    best = np.argmin(errors, axis=0), np.arange(errors.shape[1])
    amplitude = factors[best] * neurons.amplitude * top  # rates contain the old one
    curve = Curve(top, gains[best], biases[best], amplitude, errors[best])
    if np.size(amplitude) > 1:
        return curve
    return Curve(*(float(np.ravel(value)[0]) for value in curve))


def _try(
    neurons: Any, rate: float, intercept: float, activations: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return gain, bias, best factor on rates, and error, for an intercept."""
    found = neurons.gain_bias(np.array([rate]), np.array([intercept]))
    gain, bias = np.broadcast_arrays(*found)
    rates = neurons.rates(activations.repeat(gain.size, axis=1), gain, bias)
    factor = np.sum(rates * activations, axis=0) / np.sum(rates**2, axis=0)
    error = np.sqrt(np.mean((factor * rates - activations) ** 2, axis=0))
    return gain, bias, factor, error


def encode_curve(curve: Curve) -> np.ndarray:
    """Return a curve as one array, shape (5,), or (5, neurons) if neurons differ."""
    return np.array(np.broadcast_arrays(*curve), np.float64)


def decode_curve(array: np.ndarray) -> Curve:
    """Undo :func:`encode_curve`."""
    rows = np.asarray(array, np.float64)
    return Curve(*(rows.tolist() if rows.ndim == 1 else rows))


def join_curves(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the curve of a layer that is called twice: that with the larger tops.

    Both are of the same neurons at the same rate, so they differ in what is
    proportional to their tops only.
    """
    return np.maximum(*np.broadcast_arrays(first.T, second.T)).T
