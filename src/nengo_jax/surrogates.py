r"""Surrogate gradients: what takes the place of the derivative of a spike.

A neuron spikes when its distance x to the threshold (in units of the threshold) becomes
positive: the output is the step function of x, whose derivative is 0 or infinite. In
training the step stays in the forward pass, and one of these functions is used as its
derivative in the backward pass (Neftci, Mostafa and Zenke, 2019).

=================== ====================================== =========================
FastSigmoid         1 / (1 + slope abs(x))^2               Zenke and Ganguli (2018)
SuperSpike          1 / (beta abs(x) + 1)^2, beta = 100    the same, its own constant
Arctan              1 / (1 + (pi/2 slope x)^2) slope / 2   Fang et al. (2021)
Triangle            max(0, 1 - abs(x) / width) / width     Esser et al. (2016)
RateDerivative      that of the neuron's firing rate       KerasSpiking
=================== ====================================== =========================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike


@dataclass(frozen=True)
class FastSigmoid:
    """Derivative of a fast sigmoid, 1 / (1 + slope abs(x))^2."""

    slope: float = 10.0

    def __call__(self, x: Array) -> Array:
        """Return the derivative at distance ``x`` from the threshold."""
        return 1 / jnp.square(1 + self.slope * jnp.abs(x))


@dataclass(frozen=True)
class SuperSpike:
    """Derivative used by SuperSpike, 1 / (beta abs(x) + 1)^2."""

    beta: float = 100.0

    def __call__(self, x: Array) -> Array:
        """Return the derivative at distance ``x`` from the threshold."""
        return 1 / jnp.square(1 + self.beta * jnp.abs(x))


@dataclass(frozen=True)
class Arctan:
    """Derivative of an arctangent, slope / 2 / (1 + (pi/2 slope x)^2)."""

    slope: float = 2.0

    def __call__(self, x: Array) -> Array:
        """Return the derivative at distance ``x`` from the threshold."""
        return self.slope / 2 / (1 + jnp.square(np.pi / 2 * self.slope * x))


@dataclass(frozen=True)
class Triangle:
    """A triangle of area 1 around the threshold, max(0, 1 - abs(x) / width) / width."""

    width: float = 1.0

    def __call__(self, x: Array) -> Array:
        """Return the derivative at distance ``x`` from the threshold."""
        return jnp.maximum(1 - jnp.abs(x) / self.width, 0) / self.width


@dataclass(frozen=True)
class RateDerivative:
    """Spikes forward, the derivative of the firing rate backward, none through state.

    It is no function of the distance to the threshold: neurons treat it apart.
    """


Surrogate = Callable[[Array], Array] | RateDerivative


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def with_surrogate(
    spikes: Array, distance: Array, surrogate: Callable[[Array], Array]
) -> Array:
    """Return ``spikes``, with the derivative of a surrogate.

    Parameters
    ----------
    spikes : Array
        What neurons emit. Its own derivative is not used.
    distance : Array
        Distance to the threshold, positive beyond it.
    surrogate : callable
        ``surrogate(distance)`` is the derivative of spikes by distance.
    """
    return spikes


@with_surrogate.defjvp
def _with_surrogate_jvp(surrogate: Callable, primals: tuple, tangents: tuple):
    spikes, distance = primals
    _, change = tangents
    return with_surrogate(spikes, distance, surrogate), surrogate(distance) * change


def straight_through(value: Array, path: Array) -> Array:
    """Return ``value``, with the derivative of ``path`` (Bengio et al., 2013)."""
    return with_surrogate(value, path, jnp.ones_like)


def spike(x: Array, surrogate: Callable[[Array], Array]) -> Array:
    """Return 1 where ``x`` is positive, else 0, with the derivative of a surrogate.

    Parameters
    ----------
    x : Array
        Distance to the threshold, in units of the threshold.
    surrogate : callable
        ``surrogate(x) -> derivative``.
    """
    return with_surrogate((x > 0).astype(x.dtype), x, surrogate)


def count_spikes(
    x: Array, surrogate: Callable[[Array], Array], lowest: ArrayLike = 1
) -> Array:
    """Return floor(x), the number of spikes of a neuron that may spike several times.

    Its derivative is that of the surrogate at the distance to the nearest threshold;
    thresholds are the whole numbers from ``lowest`` on.

    Parameters
    ----------
    x : Array
        Voltage in units of the threshold.
    surrogate : callable
        ``surrogate(distance) -> derivative``.
    lowest : float or Array
        The lowest threshold: 1 for a neuron that is at 0 after it spiked and cannot
        spike downwards, minus infinity for one that can.
    """
    nearest = jnp.maximum(jnp.round(x), lowest)
    return with_surrogate(jnp.floor(x), x - nearest, surrogate)
