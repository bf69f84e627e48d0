"""Integrate-and-fire neurons that lose nothing, not even a negative current."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.dists import Choice
from nengo.neurons import RectifiedLinear
from nengo.params import NumberParam


class SoftResetIntegrateAndFire(RectifiedLinear):
    """A rectified linear neuron that spikes, and whose reset is a subtraction.

    The voltage grows by ``J dt`` in a step, and falls if J is negative. Each whole part
    above 0 is a spike, up to ``max_spikes`` in a step, and is taken away from it. Other
    than ``nengo.SpikingRectifiedLinear``, which rectifies J in each step, it averages
    an uneven current: after T steps, its mean output differs from that of a
    ``RectifiedLinear`` neuron for the mean current by no more than about a spike in
    T steps. So it suits deep networks that are presented for few steps (Rueckauer et
    al., "Conversion of continuous-valued deep networks to efficient event-driven
    networks", Frontiers in Neuroscience 11, 2017).

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    max_spikes : float
        Largest number of spikes in a step, at least 1; infinite by default. What is
        above it is kept for later steps.
    initial_state : dict, optional
        Initial values or distribution of ``voltage``; half the threshold by default.

    Examples
    --------
    >>> import numpy as np
    >>> from nengo_jax.neurons import SoftResetIntegrateAndFire
    >>> neurons, output, voltage = SoftResetIntegrateAndFire(), np.zeros(1), np.zeros(1)
    >>> for current in [600, -300, 800]:
    ...     neurons.step(0.001, np.array([current]), output, voltage)
    >>> bool(output[0] == 1000), round(float(voltage[0]), 6)
    (True, 0.1)
    """

    state = {"voltage": Choice([0.5])}  # noqa: RUF012
    spiking = True

    max_spikes = NumberParam("max_spikes", low=1)

    def __init__(
        self,
        amplitude: float = 1,
        max_spikes: float = np.inf,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.max_spikes = max_spikes

    def rates(self, x, gain, bias):
        """Return the rates in Hz, without a limit on the number of spikes in a step."""
        return RectifiedLinear(self.amplitude).rates(x, gain, bias)

    def step(self, dt, J, output, voltage):  # noqa: N803
        """Advance ``voltage`` by a step of ``dt`` seconds and write the spikes."""
        voltage += J * dt
        spikes = np.clip(np.floor(voltage), 0, self.max_spikes)
        output[...] = (self.amplitude / dt) * spikes
        voltage -= spikes
