"""Linear filters: the synapses of nengo as nodes of NIR, and back.

=============================== ====================================================
1 / s                           I
1 / (tau s + 1)                 LI
1 / ((tau_1 s + 1)(tau_2 s + 1)) CubaLI; an Alpha has two equal time constants
z^-n                            Delay
=============================== ====================================================

A synapse of nengo shows its output one step later, which is what makes it a value
before the step. So Delay is a filter of n steps, one of which nengo adds by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np
from nengo.exceptions import BuildError
from nengo.synapses import Alpha, LinearFilter, Lowpass, Synapse

_NENGO_METHOD = {"exact": "zoh", "euler": "euler"}
_METHOD = {nengo: ours for ours, nengo in _NENGO_METHOD.items()}

_ROUNDING = 1e-12  # two equal time constants, up to what rounding makes of them


@dataclass(frozen=True)
class FilterKind:
    """What a synapse is in NIR.

    Attributes
    ----------
    taus : tuple of float
        Time constants in seconds: none for an integrator.
    factor : float
        What the output is multiplied by.
    steps : int
        For a delay: how many steps; 0 for the other kinds.
    method : str or None
        "exact", "euler", or None where there is no difference.
    """

    taus: tuple[float, ...] = ()
    factor: float = 1.0
    steps: int = 0
    method: str | None = None

    def node(self, shape: tuple[int, ...], dt: float) -> nir.NIRNode:
        """Return a node of NIR for values of a shape."""

        def full(value: float) -> np.ndarray:
            return np.full(shape, value, np.float64)

        if self.steps:
            return nir.Delay(full(self.steps * dt))
        if not self.taus:
            return nir.I(full(self.factor))
        if len(self.taus) == 1:
            return nir.LI(full(self.taus[0]), full(self.factor), full(0))
        first, second = (full(tau) for tau in self.taus)
        return nir.CubaLI(first, second, full(self.factor), full(0), full(1))


def kind_of(synapse: Synapse, owner: object) -> FilterKind:
    """Return what a synapse is in NIR.

    Parameters
    ----------
    synapse : nengo.synapses.Synapse
    owner : object
        The connection or probe, for the message.

    Raises
    ------
    BuildError
        If NIR cannot express it.
    """
    if not isinstance(synapse, LinearFilter):
        raise _refusal(synapse, owner)
    num, den = np.trim_zeros(synapse.num, "f"), np.trim_zeros(synapse.den, "f")
    if len(den) == 1 and np.array_equal(num, den):
        return FilterKind(steps=1)
    if not synapse.analog:
        if np.array_equal(num, [1]) and den[0] == 1 and not den[1:].any():
            return FilterKind(steps=len(den) - 1)
        raise _refusal(synapse, owner)
    method = _METHOD.get(synapse.method)
    if method is None or len(num) != 1 or not 2 <= len(den) <= 3:
        raise _refusal(synapse, owner)
    if len(den) == 2 and den[1] == 0:
        return FilterKind((), num[0] / den[0], method=method)
    if type(synapse) in (Lowpass, Alpha):  # as given, not worked out from the filter
        taus = (synapse.tau,) * (len(den) - 1)
        return FilterKind(taus, method=method)
    if den[-1] == 0:
        raise _refusal(synapse, owner)
    taus = _time_constants(den / den[-1])
    if not all(tau > 0 for tau in taus):
        raise _refusal(synapse, owner)
    return FilterKind(taus, num[0] / den[-1], method=method)


def _time_constants(den: np.ndarray) -> tuple[float, ...]:
    """Return the time constants of a denominator; NaN if they are complex.

    Those of a s^2 + b s + 1 are the solutions of tau^2 - b tau + a = 0.
    """
    if len(den) == 2:
        return (float(den[0]),)
    product, total, _ = den
    discriminant = total**2 - 4 * product
    if discriminant < -_ROUNDING * total**2:
        return (np.nan, np.nan)
    root = np.sqrt(max(discriminant, 0))
    return (float(total - root) / 2, float(total + root) / 2)


def _refusal(synapse: Synapse, owner: object) -> BuildError:
    return BuildError(
        f"{owner} has the synapse {synapse}, which NIR cannot express. It knows "
        "Lowpass, Alpha, LinearFilter with one or two real negative poles (or one at "
        "zero) and no zeros, discretised with 'zoh' or 'euler', and LinearFilter([1], "
        "[1, 0, ...], analog=False) as a delay."
    )


def lowpass(tau: float, method: str) -> LinearFilter:
    """Return the filter of a leaky integrator."""
    if method == "exact":
        return Lowpass(tau)
    return LinearFilter([1], [tau, 1], method=_NENGO_METHOD[method])


def double_lowpass(tau_syn: float, tau: float, method: str) -> LinearFilter:
    """Return the filter of two leaky integrators in a row."""
    if method == "exact" and tau_syn == tau:
        return Alpha(tau)
    den = np.polymul([tau_syn, 1], [tau, 1])
    return LinearFilter([1], den, method=_NENGO_METHOD[method])


def integrator(method: str) -> LinearFilter:
    """Return the filter of an integrator."""
    return LinearFilter([1], [1, 0], method=_NENGO_METHOD[method])


def delay(seconds: float, dt: float, name: str) -> Synapse | None:
    """Return a synapse that delays by a number of steps; None for no delay.

    Raises
    ------
    BuildError
        If the delay is no multiple of ``dt``.
    """
    steps = round(seconds / dt)
    if steps < 0 or not np.isclose(steps * dt, seconds, rtol=1e-6, atol=1e-6 * dt):
        raise BuildError(
            f"Node {name!r} delays by {seconds} s, which is not a number of steps of "
            f"{dt} s. Load the graph with a dt that divides it."
        )
    if steps == 0:
        return None
    if steps == 1:
        return Lowpass(0)
    return LinearFilter([1], [1, *[0] * steps], analog=False)
