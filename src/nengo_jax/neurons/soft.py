"""LIF rates with a smooth threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.neurons import LIFRate
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
