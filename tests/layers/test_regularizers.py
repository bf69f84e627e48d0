"""Regularizers of activities and the constraint Mean: values, training, errors."""

import jax
import keras
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_jax.layers import SpikingActivation, constraints, regularizers

X = np.array([[1.0, 5.0, 12.0], [3.0, 20.0, 8.0], [2.0, 9.0, 30.0]])


def distance(x, target):
    low, high = np.broadcast_to(target, 2)
    return np.maximum(x - high, 0) - np.maximum(low - x, 0)


@pytest.mark.parametrize("target", [0, 7.0, (4, 10), [4, 10], np.array([10, 10])])
def test_values(target):
    d = distance(X, target)
    cases = {
        regularizers.L1(0.5, target=target): 0.5 * np.abs(d).sum(),
        regularizers.L2(0.5, target=target): 0.5 * (d**2).sum(),
        regularizers.L1L2(0.5, 2, target): 0.5 * np.abs(d).sum() + 2 * (d**2).sum(),
        regularizers.RangedRegularizer(target, keras.regularizers.L1(3.0)): (
            3 * np.abs(d).sum()
        ),
    }
    for regularizer, expected in cases.items():
        assert float(regularizer(X)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("percentile", [0, 10, 50, 99.9, 100])
@pytest.mark.parametrize("axis", [0, 1, (0, 1), [0, 2]])
@pytest.mark.parametrize("target", [0, (4, 10)])
def test_percentile(percentile, axis, target):
    x = np.random.RandomState(0).uniform(0, 20, (5, 7, 3))
    regularizer = regularizers.Percentile(percentile, axis, target, l1=0.5, l2=2)
    chosen = axis if isinstance(axis, int) else tuple(axis)
    d = distance(np.percentile(x, percentile, axis=chosen), target)
    expected = 0.5 * np.abs(d).sum() + 2 * (d**2).sum()
    assert float(regularizer(x)) == pytest.approx(expected, rel=1e-5)


def test_defaults():
    assert float(regularizers.L1()(X)) == pytest.approx(0.01 * X.sum())
    assert float(regularizers.L2()(X)) == pytest.approx(0.01 * (X**2).sum())
    largest = regularizers.Percentile(l1=1)
    assert float(largest(X)) == pytest.approx(X.max(axis=0).sum())
    ranged = regularizers.RangedRegularizer()
    assert float(ranged(X)) == pytest.approx(0.01 * (X**2).sum())


def test_half_precision_does_not_overflow():
    """The square of one spike, 1e6, is too large for it."""
    spikes = np.full((2, 3), 1000, np.float16)
    assert float(regularizers.L2(1.0)(spikes)) == pytest.approx(6e6)


def test_nothing_within_the_range():
    slopes = jax.grad(lambda x: regularizers.L1L2(1, 1, (0, 40))(x))(X.astype("f"))
    assert np.all(slopes == 0)
    beyond = jax.grad(lambda x: regularizers.L2(1, (10, 20))(x))(X.astype("f"))
    np.testing.assert_allclose(beyond, 2 * distance(X, (10, 20)))


@pytest.mark.parametrize(
    "regularizer",
    [
        regularizers.L1(0.3),
        regularizers.L2(0.3, target=4),
        regularizers.L1L2(0.3, 0.1, (2, 3)),
        regularizers.Percentile(90, (0, 1), (2, 3), 0.2, 0.1),
        regularizers.RangedRegularizer((1, 2), keras.regularizers.L1(0.1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_config(regularizer):
    saved = keras.regularizers.serialize(regularizer)
    again = keras.regularizers.get(saved)
    assert type(again) is type(regularizer)
    assert again.get_config() == regularizer.get_config()
    assert float(again(X)) == float(regularizer(X))


@pytest.mark.parametrize("target", [(10, 2), [5.0, 4.9]])
def test_ends_in_the_wrong_order(target):
    with pytest.raises(ValidationError, match="target: The lower end of the range"):
        regularizers.L2(0.1, target=target)


@pytest.mark.parametrize("target", [(1, 2, 3), (1,), [[1, 2], [3, 4]]])
def test_wrong_lengths(target):
    with pytest.raises(ValidationError, match="target: Must be a number, or two"):
        regularizers.RangedRegularizer(target)


@pytest.mark.parametrize("percentile", [-1, 100.5, "max", None])
def test_wrong_percentiles(percentile):
    with pytest.raises(ValidationError, match="percentile: Must be a number from 0"):
        regularizers.Percentile(percentile, l1=1)


@pytest.mark.parametrize(
    "make",
    [
        regularizers.L1L2,
        regularizers.Percentile,
        lambda: regularizers.L1(0),
        lambda: regularizers.L2(0.0),
    ],
)
def test_weights_of_zero_are_told(make):
    with pytest.warns(UserWarning, match="does nothing, because its weights are zero"):
        make()


# -- in training


def train_rates(regularizer, aware, steps, epochs=150):
    """Train with the regularizer alone; return the rates afterwards, by spikes."""
    keras.utils.set_random_seed(0)
    layer = SpikingActivation(
        "relu",
        dt=0.01,
        seed=0,
        spiking_aware_training=aware,
        activity_regularizer=regularizer,
    )
    dense = keras.layers.Dense(20, kernel_initializer="glorot_uniform")
    model = keras.Sequential([keras.Input((None, 8)), dense, layer])
    model.layers[0].bias.assign(np.full(20, 5.0))
    model.compile(keras.optimizers.Adam(1.0), loss=lambda y, p: 0 * p[..., 0])
    x = np.random.RandomState(0).uniform(0, 1, (64, 1, 8)).astype(np.float32)
    short = np.repeat(x, steps, axis=1)
    y = np.zeros((64, steps, 20))
    model.fit(short, y, batch_size=64, epochs=epochs, verbose=0)
    return model.predict(np.repeat(x, 500, axis=1), verbose=0).mean(axis=1)


def test_rates_are_driven_into_a_range():
    rates = train_rates(regularizers.L2(0.01, target=(20, 30)), False, 1, epochs=300)
    assert np.all((rates > 19) & (rates < 31))


def test_mean_spikes_are_driven_to_a_target():
    """With spikes in training, the gradient is exact on average."""
    rates = train_rates(regularizers.L2(0.01, target=25), True, 20)
    assert rates.mean() == pytest.approx(25, rel=0.1)


def test_the_fastest_are_driven_into_a_range():
    percentile = regularizers.Percentile(90, target=(40, 45), l2=0.1)
    rates = train_rates(percentile, False, 1)
    fastest = np.percentile(rates, 90, axis=0)
    assert np.all((fastest > 38) & (fastest < 47))
    assert np.median(rates) < 40


# -- constraints


@pytest.mark.parametrize("axis", [-1, 0, (0, 1), [0, 1], None])
def test_mean(axis):
    chosen = tuple(axis) if isinstance(axis, list) else axis
    expected = np.broadcast_to(X.mean(axis=chosen, keepdims=True), X.shape)
    mean = constraints.Mean(axis)
    np.testing.assert_allclose(mean(X), expected)
    again = keras.constraints.get(keras.constraints.serialize(mean))
    np.testing.assert_allclose(again(X), expected)


def test_mean_default_axis():
    np.testing.assert_allclose(constraints.Mean()(X), constraints.Mean(-1)(X))
