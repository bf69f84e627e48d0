"""Rectified linear neurons with a slope below zero, or with a largest rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.dists import Uniform
from nengo.neurons import NeuronType, RectifiedLinear
from nengo.params import NumberParam


class LeakyReLU(RectifiedLinear):
    """A rectified linear neuron with a small slope below zero (Maas et al., 2013).

    The output at current J is ``amplitude * J`` for J >= 0 and
    ``amplitude * negative_slope * J`` below.

    Parameters
    ----------
    negative_slope : float
        Slope below zero, as a share of that above; not negative.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.

    Examples
    --------
    >>> from nengo_jax.neurons import LeakyReLU
    >>> LeakyReLU(0.1).rates([-1, 1], gain=[10], bias=[0]).ravel()
    array([-1., 10.])
    """

    negative = True

    negative_slope = NumberParam("negative_slope", low=0)

    def __init__(
        self,
        negative_slope: float = 0.3,
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.negative_slope = negative_slope

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * np.where(J < 0, self.negative_slope * J, J)


class SpikingLeakyReLU(LeakyReLU):
    """The spiking form of a leaky rectified linear neuron.

    The voltage integrates the current, or ``negative_slope`` times the current where
    that is negative. Its whole part, rounded towards zero, is the number of spikes in a
    step, and is taken away from it. Negative spikes are as high as positive ones:
    ``amplitude / dt``.

    Parameters
    ----------
    negative_slope : float
        Slope below zero, as a share of that above; not negative.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        Initial values or distribution of ``voltage``; uniform in [0, 1) by default.
    """

    state = {"voltage": Uniform(low=0, high=1)}  # noqa: RUF012
    spiking = True

    def rates(self, x, gain, bias):
        """Return the mean output in Hz at the inputs ``x``."""
        return LeakyReLU(self.negative_slope, self.amplitude).rates(x, gain, bias)

    def step(self, dt, J, output, voltage):  # noqa: N803
        """Advance ``voltage`` by a step of ``dt`` seconds and write the spikes."""
        voltage += np.where(J < 0, self.negative_slope * J, J) * dt
        spikes = np.trunc(voltage)
        output[...] = (self.amplitude / dt) * spikes
        voltage -= spikes


class BoundedReLU(NeuronType):
    """A rectified linear neuron with a largest output, or another threshold.

    The output at current J is ``amplitude`` times

    * ``max_value`` for J >= ``max_value``,
    * J for ``threshold`` < J < ``max_value``,
    * ``negative_slope * (J - threshold)`` up to the threshold,

    as that of ``keras.layers.ReLU``. With ``max_value=6`` it is known as ReLU6.

    Parameters
    ----------
    max_value : float or None
        Largest response to a current; None for no limit.
    negative_slope : float
        Slope below the threshold; not negative.
    threshold : float
        Current above which the response equals it; not negative.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.

    Examples
    --------
    >>> from nengo_jax.neurons import BoundedReLU
    >>> BoundedReLU(6).rates([0.5, 1, 7], gain=[1], bias=[0]).ravel()
    array([0.5, 1. , 6. ])
    """

    negative = True
    spiking = False

    max_value = NumberParam("max_value", low=0, low_open=True, optional=True)
    negative_slope = NumberParam("negative_slope", low=0)
    threshold = NumberParam("threshold", low=0)
    amplitude = NumberParam("amplitude", low=0, low_open=True)

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(initial_state)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold
        self.amplitude = amplitude

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        below = self.negative_slope * (J - self.threshold)
        bounded = J if self.max_value is None else np.minimum(J, self.max_value)
        output[...] = self.amplitude * np.where(self.threshold < J, bounded, below)
