r"""Distributions for the initial values of networks that are trained.

The variance of weights is chosen by the number of connections into (fan_in, the
columns ``d`` of a weight matrix) or out of (fan_out, its rows ``n``) a layer, so that
activities keep their size from layer to layer.
"""

from __future__ import annotations

import math

import numpy as np
from nengo.dists import Distribution
from nengo.params import EnumParam, NumberParam
from scipy.special import ndtr, ndtri

_LIMIT = 2  # standard deviations, where no other limit is given
_SMALLEST = np.finfo(np.float64).tiny


def _form() -> EnumParam:
    return EnumParam("distribution", values=("uniform", "normal"))


class TruncatedNormal(Distribution):
    """A normal distribution without its tails.

    Drawn by inversion: a uniform number between the probabilities of the two limits,
    through the inverse of the cumulative distribution.

    Parameters
    ----------
    mean : float
    stddev : float
        Standard deviation of the whole normal distribution; positive.
    limit : float, optional
        Largest distance from the mean; two standard deviations by default.

    Examples
    --------
    >>> from nengo_jax.dists import TruncatedNormal
    >>> values = TruncatedNormal(mean=1, stddev=0.5).sample(1000)
    >>> bool(values.min() >= 0 and values.max() <= 2)
    True
    """

    mean = NumberParam("mean")
    stddev = NumberParam("stddev", low=0, low_open=True)
    limit = NumberParam("limit", low=0, low_open=True, optional=True)

    def __init__(self, mean: float = 0, stddev: float = 1, limit: float | None = None):
        super().__init__()
        self.mean = mean
        self.stddev = stddev
        self.limit = limit

    def sample(self, n: int, d: int | None = None, rng=np.random) -> np.ndarray:
        """Draw ``n`` values, or ``n`` rows of ``d`` values."""
        limit = _LIMIT * self.stddev if self.limit is None else self.limit
        bound = limit / self.stddev
        share = rng.uniform(ndtr(-bound), ndtr(bound), size=self._sample_shape(n, d))
        deviation = self.stddev * ndtri(np.maximum(share, _SMALLEST))
        return self.mean + np.clip(deviation, -limit, limit)


class VarianceScaling(Distribution):
    """Values whose variance is ``scale`` divided by the number of connections.

    Parameters
    ----------
    scale : float
        Positive.
    mode : str
        What counts as the number of connections: "fan_in" is ``d``, "fan_out" is
        ``n``, and "fan_avg" the mean of the two. Without ``d``, it counts as 1.
    distribution : str
        "uniform" up to the limit that gives this variance; or "normal", of this
        variance before values beyond two standard deviations are left out.

    Examples
    --------
    >>> from nengo_jax.dists import VarianceScaling
    >>> weights = VarianceScaling(2, mode="fan_in").sample(50, 200)
    >>> bool(abs(weights).max() <= (3 * 2 / 200) ** 0.5)
    True
    """

    scale = NumberParam("scale", low=0, low_open=True)
    mode = EnumParam("mode", values=("fan_in", "fan_out", "fan_avg"))
    distribution = _form()

    def __init__(
        self, scale: float = 1, mode: str = "fan_avg", distribution: str = "uniform"
    ):
        super().__init__()
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def sample(self, n: int, d: int | None = None, rng=np.random) -> np.ndarray:
        """Draw ``n`` values, or a matrix of ``n`` rows and ``d`` columns."""
        fan_in, fan_out = 1 if d is None else d, n
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(fans[self.mode], 1)
        if self.distribution == "normal":
            return TruncatedNormal(stddev=math.sqrt(variance)).sample(n, d, rng)
        limit = math.sqrt(3 * variance)
        return rng.uniform(-limit, limit, size=self._sample_shape(n, d))


class Glorot(Distribution):
    """Values of variance ``2 scale / (fan_in + fan_out)`` (Glorot and Bengio, 2010).

    Parameters
    ----------
    scale : float
        Positive.
    distribution : str
        As for :class:`VarianceScaling`.
    """

    scale = NumberParam("scale", low=0, low_open=True)
    distribution = _form()

    def __init__(self, scale: float = 1, distribution: str = "uniform"):
        super().__init__()
        self.scale = scale
        self.distribution = distribution

    def sample(self, n: int, d: int | None = None, rng=np.random) -> np.ndarray:
        """Draw ``n`` values, or a matrix of ``n`` rows and ``d`` columns."""
        return VarianceScaling(self.scale, "fan_avg", self.distribution).sample(
            n, d, rng
        )


class He(Distribution):
    """Values of variance ``scale**2 / fan_in`` (He et al., 2015).

    Parameters
    ----------
    scale : float
        Positive. He et al. use the square root of 2 for rectified linear neurons.
    distribution : str
        As for :class:`VarianceScaling`.
    """

    scale = NumberParam("scale", low=0, low_open=True)
    distribution = _form()

    def __init__(self, scale: float = 1, distribution: str = "normal"):
        super().__init__()
        self.scale = scale
        self.distribution = distribution

    def sample(self, n: int, d: int | None = None, rng=np.random) -> np.ndarray:
        """Draw ``n`` values, or a matrix of ``n`` rows and ``d`` columns."""
        return VarianceScaling(self.scale**2, "fan_in", self.distribution).sample(
            n, d, rng
        )
