r"""The neuron types of the Neuromorphic Intermediate Representation (NIR).

===================== =============================================================
IntegrateAndFire      v' = J
LeakyIntegrateAndFire tau v' = J - v
CurrentBased          tau_syn i' = J - i,  tau v' = i + leak - v
Heaviside             no state; 1 where J > 0
===================== =============================================================

A voltage above 1 is a spike and goes back to 0. That differs from nengo's own types:
``SpikingRectifiedLinear`` subtracts the threshold and knows no negative current, and
``LIF`` has one time constant for the whole ensemble. With
``tau_ref=0, min_voltage=-inf``, ``LIF`` is the same as ``LeakyIntegrateAndFire``.

The equations are those of Pedersen et al., "Neuromorphic intermediate representation"
(Nature Communications 15, 2024), in units in which the voltage is 0 after a spike and
1 at the threshold. NIR leaves the time step to the simulator, so there is a choice:

========= ================================================================
"exact"   the solution of the equations for a current that does not change
          within a step, as in nengo
"euler"   forward Euler, v + dt v', with the values before the step on the
          right, as in snnTorch and in the tests of NIR
========= ================================================================

They run in every nengo simulator; nengo_jax compiles them like nengo's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nengo.dists import Choice
from nengo.exceptions import ValidationError
from nengo.neurons import NeuronType, RectifiedLinear
from nengo.params import EnumParam, NdarrayParam, NumberParam
from numpy.typing import ArrayLike
from scipy.special import exprel

METHODS = ("exact", "euler")


def relaxation(tau: ArrayLike, dt: float, method: str) -> np.ndarray:
    """Return the share of the way to its goal that a leaky variable goes in a step.

    Parameters
    ----------
    tau : array_like
        Time constant in seconds.
    dt : float
        Length of a step in seconds.
    method : str
        "exact" or "euler".
    """
    steps = dt / np.asarray(tau)
    return -np.expm1(-steps) if method == "exact" else steps


def coupling(
    tau_syn: ArrayLike, tau: ArrayLike, dt: float, method: str
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the shares of an old current and its drive in the voltage after a step.

    In the exact solution that of the current is

    .. math::
       \frac{1}{\tau} \int_0^{dt} e^{-(dt - t) / \tau} e^{-t / \tau_{syn}} dt
       = \frac{dt}{\tau} e^{-dt / \tau} \frac{e^x - 1}{x}, \qquad
       x = \frac{dt}{\tau} - \frac{dt}{\tau_{syn}},

    and that of its drive is what is left of :func:`relaxation`. In Euler's method it
    is nothing: the voltage takes the current as it was before the step.

    Parameters
    ----------
    tau_syn, tau : array_like
        Time constants of the current and of the voltage in seconds.
    dt : float
        Length of a step in seconds.
    method : str
        "exact" or "euler".
    """
    share, steps = relaxation(tau, dt, method), dt / np.asarray(tau)
    if method == "euler":
        before = share + 0 * np.asarray(tau_syn)  # in the shape of both
    else:
        before = steps * np.exp(-steps) * exprel(steps - dt / np.asarray(tau_syn))
    return before, share - before


class IntegrateAndFire(RectifiedLinear):
    """An integrate-and-fire neuron without a leak that goes back to 0 after a spike.

    The voltage grows by ``J dt`` in a step. Above 1 it is a spike of height
    ``amplitude / dt`` and becomes 0: there is at most one spike in a step, and what is
    above the threshold is lost.

    Parameters
    ----------
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        Initial values or distribution of ``voltage``; 0 by default.
    """

    state = {"voltage": Choice([0])}  # noqa: RUF012
    spiking = True

    def max_rates_intercepts(self, gain, bias):
        """Return the rates in Hz at 1, and the intercepts."""
        return self.rates(1, gain, bias).squeeze(axis=0), _inputs_at(0, gain, bias)

    def rates(self, x, gain, bias):
        """Return the rates in Hz, as if nothing above the threshold were lost."""
        return RectifiedLinear(self.amplitude).rates(x, gain, bias)

    def step(self, dt, J, output, voltage):  # noqa: N803
        """Advance ``voltage`` by a step of ``dt`` seconds and write the spikes."""
        voltage += J * dt
        _fire(self.amplitude / dt, output, voltage)


class LeakyIntegrateAndFire(NeuronType):
    """A leaky integrate-and-fire neuron that goes back to 0 after a spike.

    Parameters
    ----------
    tau : array_like
        Time constant in seconds: one number, or one for each neuron.
    method : str
        "exact" or "euler": how a step is computed.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        Initial values or distribution of ``voltage``; 0 by default.

    Raises
    ------
    ValidationError
        If a time constant is not positive.

    Examples
    --------
    >>> from nengo_jax.neurons.nir import LeakyIntegrateAndFire
    >>> neurons = LeakyIntegrateAndFire(tau=[0.02, 0.01])
    >>> neurons.rates(2, gain=[1, 1], bias=[0, 0]).round(1)
    array([[ 72.1, 144.3]])
    """

    state = {"voltage": Choice([0])}  # noqa: RUF012
    negative = False
    spiking = True

    tau = NdarrayParam("tau")
    method = EnumParam("method", values=METHODS)
    amplitude = NumberParam("amplitude", low=0, low_open=True)

    def __init__(
        self,
        tau: ArrayLike = 0.02,
        method: str = "exact",
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(initial_state)
        self.tau = _positive(tau, "tau", self)
        self.method = method
        self.amplitude = amplitude

    def gain_bias(self, max_rates, intercepts):
        """Return the gains and biases of rates in Hz at 1, and of intercepts."""
        max_rates, intercepts = np.atleast_1d(max_rates), np.atleast_1d(intercepts)
        excess = 1 / np.expm1(1 / (np.asarray(max_rates, float) * self.tau))
        gain = excess / (1 - np.asarray(intercepts, float))
        return gain, 1 - gain * intercepts

    def max_rates_intercepts(self, gain, bias):
        """Return the rates in Hz at 1, and the intercepts."""
        return self.rates(1, gain, bias).squeeze(axis=0), _inputs_at(1, gain, bias)

    def rates(self, x, gain, bias):
        """Return the rates in Hz at constant inputs ``x``, without discretisation."""
        return self._rate(self.current(x, gain, bias))

    def _rate(self, current):
        excess = current - 1
        active = excess > 0
        interval = self.tau * np.log1p(1 / np.where(active, excess, 1))
        return np.where(active, self.amplitude / interval, 0)

    def step(self, dt, J, output, voltage):  # noqa: N803
        """Advance ``voltage`` by a step of ``dt`` seconds and write the spikes."""
        voltage += (J - voltage) * relaxation(self.tau, dt, self.method)
        _fire(self.amplitude / dt, output, voltage)


class CurrentBased(LeakyIntegrateAndFire):
    """A leaky integrate-and-fire neuron with a leaky current in front.

    Parameters
    ----------
    tau_syn : array_like
        Time constant of the current in seconds: one number, or one for each neuron.
    tau : array_like
        Time constant of the voltage in seconds: one number, or one for each neuron.
    leak : array_like
        What is added to the current: one number, or one for each neuron. Biases of the
        ensemble come before the current instead, like all that is connected to it.
    method : str
        "exact" or "euler": how a step is computed.
    amplitude : float
        Factor on the output.
    initial_state : dict, optional
        Initial values or distributions of ``voltage`` and ``current``; 0 by default.

    Raises
    ------
    ValidationError
        If a time constant is not positive.
    """

    state = {"voltage": Choice([0]), "current": Choice([0])}  # noqa: RUF012

    tau_syn = NdarrayParam("tau_syn")
    leak = NdarrayParam("leak")

    def __init__(
        self,
        tau_syn: ArrayLike = 0.005,
        tau: ArrayLike = 0.02,
        leak: ArrayLike = 0,
        method: str = "exact",
        amplitude: float = 1,
        initial_state: Mapping[str, Any] | None = None,
    ):
        super().__init__(tau, method, amplitude, initial_state)
        self.tau_syn = _positive(tau_syn, "tau_syn", self)
        self.leak = np.asarray(leak, float)

    def gain_bias(self, max_rates, intercepts):
        """Return the gains and biases of rates in Hz at 1, and of intercepts."""
        gain, bias = super().gain_bias(max_rates, intercepts)
        return gain, bias - self.leak

    def max_rates_intercepts(self, gain, bias):
        """Return the rates in Hz at 1, and the intercepts."""
        _, intercepts = super().max_rates_intercepts(gain, bias + self.leak)
        return self.rates(1, gain, bias).squeeze(axis=0), intercepts

    def rates(self, x, gain, bias):
        """Return the rates in Hz at constant inputs ``x``, without discretisation."""
        return self._rate(self.current(x, gain, bias) + self.leak)

    def step(self, dt, J, output, voltage, current):  # noqa: N803
        """Advance ``voltage`` and ``current`` by ``dt`` seconds; write the spikes."""
        share = relaxation(self.tau, dt, self.method)
        old, new = coupling(self.tau_syn, self.tau, dt, self.method)
        voltage += share * (np.asarray(self.leak) - voltage) + old * current + new * J
        current += (J - current) * relaxation(self.tau_syn, dt, self.method)
        _fire(self.amplitude / dt, output, voltage)


class Heaviside(NeuronType):
    """A neuron without state whose output is ``amplitude`` where its current is > 0.

    Parameters
    ----------
    amplitude : float
        Height of the output.
    initial_state : dict, optional
        As for all neuron types; there is no state.
    """

    negative = False

    amplitude = NumberParam("amplitude", low=0, low_open=True)

    def __init__(
        self, amplitude: float = 1, initial_state: Mapping[str, Any] | None = None
    ):
        super().__init__(initial_state)
        self.amplitude = amplitude

    def gain_bias(self, max_rates, intercepts):
        """Return gains of 1, and the biases of intercepts."""
        intercepts = np.atleast_1d(np.asarray(intercepts, float))
        return np.ones_like(intercepts), -intercepts

    def max_rates_intercepts(self, gain, bias):
        """Return the outputs at 1, and the intercepts."""
        return self.rates(1, gain, bias).squeeze(axis=0), _inputs_at(0, gain, bias)

    def step(self, dt, J, output):  # noqa: N803
        """Write the output at current ``J`` to ``output``."""
        output[...] = self.amplitude * (J > 0)


def _inputs_at(current: float, gain: ArrayLike, bias: ArrayLike) -> np.ndarray:
    """Return the inputs that give a current; infinite where the gain is 0."""
    gain, bias = np.asarray(gain, float), np.asarray(bias, float)
    silent = gain == 0
    return np.where(silent, np.inf, (current - bias) / np.where(silent, 1, gain))


def _fire(height: float, output: np.ndarray, voltage: np.ndarray) -> None:
    spiked = voltage > 1
    output[...] = height * spiked
    voltage[spiked] = 0


def _positive(tau: ArrayLike, name: str, neurons: NeuronType) -> np.ndarray:
    values = np.array(tau, float)
    if not np.all((values > 0) & (values < np.inf)):
        raise ValidationError(
            f"time constants must be positive numbers (got {tau!r})",
            attr=name,
            obj=neurons,
        )
    return values
