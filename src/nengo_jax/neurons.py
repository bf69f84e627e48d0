r"""Neuron types beyond nengo's own.

================ ===================================================================
SoftLIFRate      a LIFRate whose threshold is smooth
LeakyReLU        a RectifiedLinear with a small slope below zero
SpikingLeakyReLU its spiking form, whose spikes may be negative
================ ===================================================================

They run in every nengo simulator; nengo_jax compiles them like nengo's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.dists import Uniform
from nengo.neurons import LIFRate, RectifiedLinear
from nengo.params import NumberParam

_FAR = -30  # from here down, log(1 + e^x) is e^x up to 1e-13 of it


class SoftLIFRate(LIFRate):
    r"""A leaky integrate-and-fire rate neuron with a smooth threshold.

    The rate at current J is (Hunsberger and Eliasmith, 2015, arXiv:1510.08829)

    .. math::
       r = a / (\tau_{ref} + \tau_{rc} \log(1 + 1 / z)), \qquad
       z = \sigma \log(1 + e^{(J - 1) / \sigma}),

    which is that of ``LIFRate`` with a softplus in the place of max(J - 1, 0). Gains
    and biases are those of ``LIFRate``, so a network keeps its parameters when the
    threshold is made smooth; rates are then a little above ``max_rates``.

    Parameters
    ----------
    sigma : float
        Width of the smooth threshold, in units of the threshold.
    tau_rc : float
        Membrane time constant in seconds.
    tau_ref : float
        Refractory period in seconds.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.

    Examples
    --------
    >>> from nengo_jax.neurons import SoftLIFRate
    >>> soft = SoftLIFRate(sigma=0.2)
    >>> soft.rates([0, 1, 2], gain=[1], bias=[0]).ravel().round(1)
    array([ 7.4, 22.7, 63.1])
    """

    sigma = NumberParam("sigma", low=0, low_open=True)

    def __init__(
        self,
        sigma: float = 1.0,
        tau_rc: float = 0.02,
        tau_ref: float = 0.002,
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(tau_rc, tau_ref, amplitude, initial_state)
        self.sigma = sigma

    def rates(self, x, gain, bias):
        """Return the rates in Hz at the inputs ``x``, shape (n_samples, n_neurons)."""
        current = self.current(x, gain, bias)
        output = np.zeros_like(current)
        SoftLIFRate.step(self, dt=1, J=current, output=output)
        return output

    def step(self, dt, J, output):  # noqa: N803
        """Write the rate at current ``J`` to ``output``."""
        x = (J - 1) / self.sigma
        near = np.maximum(x, _FAR)
        z = self.sigma * np.logaddexp(near, 0)
        # below _FAR z falls as e^x, so the logarithm of 1 / z grows as -x
        logarithm = np.log1p(1 / z) + (near - x)
        output[...] = self.amplitude / (self.tau_ref + self.tau_rc * logarithm)


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
        current = self.current(x, gain, bias)
        output = np.zeros_like(current)
        LeakyReLU.step(self, dt=1, J=current, output=output)
        return output

    def step(self, dt, J, output, voltage):  # noqa: N803
        """Advance ``voltage`` by a step of ``dt`` seconds and write the spikes."""
        voltage += np.where(J < 0, self.negative_slope * J, J) * dt
        spikes = np.trunc(voltage)
        output[...] = (self.amplitude / dt) * spikes
        voltage -= spikes
