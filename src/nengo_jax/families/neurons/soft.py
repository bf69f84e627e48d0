r"""LIF rates with a soft threshold.

The rate of a LIF neuron has an infinite slope where it starts to fire. Hunsberger and
Eliasmith (2015, arXiv:1510.08829) put a softplus of width sigma in the place of
J - 1, so that there is a gradient everywhere:

.. math::
   r = a / (\tau_{ref} + \tau_{rc} \log(1 + 1 / z)), \qquad
   z = \sigma \log(1 + e^x), \quad x = (J - 1) / \sigma.

Far below the threshold 1 / z overflows. There z is :math:`\sigma e^x` up to rounding,
so it is worked out at a larger :math:`x_0`, and the logarithm grows by :math:`x_0 - x`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ...neurons import SoftLIFRate
from .model import NeuronModel, Step


def soft_rate_step(constants, settings, neurons) -> Step:
    """Make the step of SoftLIFRate."""
    tau_rc, tau_ref = constants["tau_rc"], constants["tau_ref"]
    amplitude, sigma = constants["amplitude"], constants["sigma"]
    lowest = np.log(np.finfo(settings.dtype).eps)  # log(1 + e^x) is e^x from here down

    def step(current: Array) -> tuple[Array]:
        x = (current - 1) / sigma
        z = sigma * jax.nn.softplus(jnp.maximum(x, lowest))
        logarithm = jnp.log1p(1 / z) + jax.nn.relu(lowest - x)
        return (amplitude / (tau_ref + tau_rc * logarithm),)

    return step


SOFT_LIF_RATE = NeuronModel(
    SoftLIFRate, ("tau_rc", "tau_ref", "amplitude", "sigma"), (), soft_rate_step
)
