"""Rate neurons that compute the usual activation functions of deep networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.neurons import NeuronType
from nengo.params import BoolParam, NumberParam
from scipy.special import expit, ndtr

_TANH_SCALE = np.sqrt(2 / np.pi)


class _Function(NeuronType):
    """Neurons whose output is a function of their current, times an amplitude."""

    amplitude = NumberParam("amplitude", low=0, low_open=True)

    def __init__(
        self,
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(initial_state)
        self.amplitude = amplitude


class ELU(_Function):
    r"""An exponential linear unit (Clevert et al., 2016, arXiv:1511.07289).

    The output at current J is ``amplitude * J`` for J >= 0 and
    ``amplitude * alpha * (exp(J) - 1)`` below. With alpha = 1.6733 and
    amplitude = 1.0507 it is known as SELU.

    Parameters
    ----------
    alpha : float
        The output far below zero is ``-amplitude * alpha``.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    alpha = NumberParam("alpha", low=0)

    def __init__(
        self,
        alpha: float = 1.0,
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.alpha = alpha

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        below = self.alpha * np.expm1(np.minimum(J, 0))
        output[...] = self.amplitude * np.where(J < 0, below, J)


class GELU(_Function):
    r"""A Gaussian error linear unit (Hendrycks and Gimpel, 2016, arXiv:1606.08415).

    The output at current J is ``amplitude`` times :math:`J \Phi(J)`, where :math:`\Phi`
    is the cumulative distribution of a standard normal variable, or its approximation
    by :math:`(1 + \tanh(\sqrt{2 / \pi} (J + 0.044715 J^3))) / 2`.

    Parameters
    ----------
    approximate : bool
        Whether to use the approximation.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    approximate = BoolParam("approximate")

    def __init__(
        self,
        approximate: bool = False,
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(amplitude, initial_state)
        self.approximate = approximate

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        if self.approximate:
            share = (1 + np.tanh(_TANH_SCALE * (J + 0.044715 * J**3))) / 2
        else:
            share = ndtr(J)
        output[...] = self.amplitude * J * share


class SiLU(_Function):
    r"""A sigmoid linear unit, or swish (Ramachandran et al., 2017, arXiv:1710.05941).

    The output at current J is ``amplitude * J / (1 + exp(-J))``.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * J * expit(J)


class Mish(_Function):
    r"""A self-regularised unit (Misra, 2019, arXiv:1908.08681).

    The output at current J is ``amplitude * J * tanh(log(1 + exp(J)))``.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * J * np.tanh(np.logaddexp(J, 0))


class Softplus(_Function):
    r"""A rectified linear neuron whose threshold is smooth.

    The output at current J is ``amplitude * log(1 + exp(J))``.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    negative = False

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * np.logaddexp(J, 0)


class Softsign(_Function):
    r"""A neuron that saturates slowly.

    The output at current J is ``amplitude * J / (1 + abs(J))``.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * J / (1 + np.abs(J))


class HardSigmoid(_Function):
    r"""A sigmoid made of straight lines.

    The output at current J is ``amplitude * clip((J + 3) / 6, 0, 1)``.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    negative = False

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * np.clip((J + 3) / 6, 0, 1)


class HardSiLU(_Function):
    r"""A sigmoid linear unit with a :class:`HardSigmoid` (Howard et al., 2019).

    The output at current J is ``amplitude * J * clip((J + 3) / 6, 0, 1)``; see
    arXiv:1905.02244.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * J * np.clip((J + 3) / 6, 0, 1)


class Exponential(_Function):
    r"""A neuron whose output grows exponentially.

    The output at current J is ``amplitude * exp(J)``.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    negative = False

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * np.exp(J)
