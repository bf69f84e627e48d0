"""Distributions: moments, limits, seeds, and errors."""

from __future__ import annotations

import pickle

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from scipy import stats

from nengo_jax.dists import Glorot, He, TruncatedNormal, VarianceScaling

N, D = 120, 400
# variance of a normal distribution without what is beyond two standard deviations
SHARE = stats.truncnorm(-2, 2).var()

VARIANCES = {
    VarianceScaling(): 2 / (N + D),
    VarianceScaling(3, "fan_in"): 3 / D,
    VarianceScaling(3, "fan_out"): 3 / N,
    VarianceScaling(3, "FAN_AVG", "normal"): SHARE * 6 / (N + D),
    Glorot(): 2 / (N + D),
    Glorot(scale=2, distribution="normal"): SHARE * 4 / (N + D),
    He(): SHARE / D,
    He(scale=2, distribution="uniform"): 4 / D,
    TruncatedNormal(): SHARE,
    TruncatedNormal(stddev=0.1): 0.01 * SHARE,
}


@pytest.mark.parametrize(("dist", "variance"), VARIANCES.items(), ids=repr)
def test_moments(dist, variance):
    values = dist.sample(N, D, rng=np.random.RandomState(1))
    assert values.shape == (N, D)
    assert abs(np.mean(values)) < 5 * np.sqrt(variance / values.size)
    assert abs(np.var(values) / variance - 1) < 0.02


@pytest.mark.parametrize(
    ("mean", "stddev", "limit"), [(0, 1, 2), (3, 0.5, 0.2), (-1, 2, 9)]
)
def test_shape_of_truncated_normal(mean, stddev, limit):
    """As scipy's, by the test of Kolmogorov and Smirnov."""
    rng = np.random.RandomState(2)
    values = TruncatedNormal(mean, stddev, limit).sample(20000, rng=rng)
    bound = limit / stddev
    expected = stats.truncnorm(-bound, bound, mean, stddev)
    assert stats.kstest(values, expected.cdf).pvalue > 0.01
    assert np.all(np.abs(values - mean) <= limit)


@pytest.mark.parametrize("limit", [1e-9, 1e-3, 50, np.inf])
def test_extreme_limits(limit):
    values = TruncatedNormal(5, 1, limit).sample(5000, rng=np.random.RandomState(3))
    assert np.all(np.isfinite(values))
    assert np.all(np.abs(values - 5) <= limit * (1 + 1e-6))
    assert np.unique(values).size > 1000


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("d", [None, 1, 5])
@pytest.mark.parametrize("dist", VARIANCES, ids=repr)
def test_shapes_and_seeds(dist, n, d):
    first, again = (dist.sample(n, d, np.random.RandomState(9)) for _ in range(2))
    other = dist.sample(n, d, np.random.RandomState(10))
    assert first.shape == ((n,) if d is None else (n, d))
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


def test_uniform_limit():
    values = VarianceScaling(1, "fan_in").sample(N, D, np.random.RandomState(4))
    limit = np.sqrt(3 / D)
    assert 0.999 * limit < np.max(np.abs(values)) <= limit


def test_without_generator():
    """NumPy's global one is used, as by nengo's own distributions."""
    assert TruncatedNormal().sample(3).shape == (3,)
    assert Glorot().sample(3, 2).shape == (3, 2)


@pytest.mark.parametrize("dist", VARIANCES, ids=repr)
def test_they_are_values(dist):
    """Copies are equal, and the representation tells what differs from the default."""
    copy = pickle.loads(pickle.dumps(dist))
    assert copy == dist
    assert hash(copy) == hash(dist)
    assert eval(repr(dist)) == dist


def test_in_a_network():
    with nengo.Network(seed=1) as network:
        a, b = nengo.Ensemble(30, 1), nengo.Ensemble(20, 1)
        connection = nengo.Connection(a.neurons, b.neurons, transform=Glorot())
    with nengo.Simulator(network, progress_bar=False) as sim:
        weights = sim.data[connection].weights
    assert weights.shape == (20, 30)
    assert np.max(np.abs(weights)) <= np.sqrt(3 * 2 / 50)


@pytest.mark.parametrize(
    ("make", "attribute"),
    [
        (lambda: TruncatedNormal(stddev=0), "stddev"),
        (lambda: TruncatedNormal(limit=-1), "limit"),
        (lambda: TruncatedNormal(mean="zero"), "mean"),
        (lambda: VarianceScaling(scale=-1), "scale"),
        (lambda: VarianceScaling(mode="fan"), "mode"),
        (lambda: VarianceScaling(distribution="gamma"), "distribution"),
        (lambda: Glorot(scale=0), "scale"),
        (lambda: Glorot(distribution=1), "distribution"),
        (lambda: He(scale=None), "scale"),
        (lambda: He(distribution="truncated"), "distribution"),
    ],
)
def test_wrong_parameters(make, attribute):
    with pytest.raises(ValidationError, match=attribute):
        make()
