"""Surrogates: values, derivatives, and what carries them through a step function."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nengo_jax.surrogates import (
    Arctan,
    FastSigmoid,
    RateDerivative,
    SuperSpike,
    Triangle,
    count_spikes,
    spike,
    straight_through,
    with_surrogate,
)

X = np.array([-2.0, -0.75, -0.25, -0.0, 0.0, 0.25, 0.75, 2.0], np.float32)

VALUES = {
    FastSigmoid(): 1 / (1 + 10 * np.abs(X)) ** 2,
    FastSigmoid(slope=2): 1 / (1 + 2 * np.abs(X)) ** 2,
    SuperSpike(): 1 / (1 + 100 * np.abs(X)) ** 2,
    Arctan(): 1 / (1 + (np.pi * X) ** 2),
    Arctan(slope=4): 2 / (1 + (2 * np.pi * X) ** 2),
    Triangle(): np.maximum(0, 1 - np.abs(X)),
    Triangle(width=0.5): 2 * np.maximum(0, 1 - 2 * np.abs(X)),
}


@pytest.mark.parametrize(("surrogate", "expected"), VALUES.items(), ids=repr)
def test_values(surrogate, expected):
    np.testing.assert_allclose(surrogate(jnp.asarray(X)), expected, rtol=1e-6)


@pytest.mark.parametrize("surrogate", [Arctan(), Arctan(5), Triangle(), Triangle(0.1)])
def test_area_is_one(surrogate):
    """They are derivatives of functions that go from 0 to 1."""
    x = np.linspace(-300, 300, 600_001, dtype=np.float32)
    assert abs(float(np.trapezoid(surrogate(jnp.asarray(x)), x)) - 1) < 5e-3


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("surrogate", VALUES, ids=repr)
def test_precision_is_kept(surrogate, dtype):
    slope = jax.grad(lambda x: jnp.sum(spike(x, surrogate)))(X.astype(dtype))
    assert slope.dtype == dtype
    assert np.all(np.isfinite(slope))


def test_spike():
    """A step at 0, not including it."""
    outputs, slopes = jax.vmap(jax.value_and_grad(lambda x: spike(x, Triangle())))(X)
    np.testing.assert_array_equal(outputs, X > 0)
    np.testing.assert_allclose(slopes, VALUES[Triangle()])


@pytest.mark.parametrize(
    ("lowest", "nearest"),
    [(1, [1, 1, 1, 1, 1, 2, 3]), (-np.inf, [-2, 0, 0, 1, 1, 2, 3])],
)
def test_count_spikes(lowest, nearest):
    """Thresholds are whole numbers, from the lowest on."""
    x = np.array([-1.8, -0.3, 0.4, 0.6, 1.2, 1.7, 3.1], np.float32)
    slope = jax.vmap(jax.grad(lambda x: count_spikes(x, lambda d: 2 * d, lowest)))(x)
    np.testing.assert_array_equal(count_spikes(jnp.asarray(x), Arctan()), np.floor(x))
    np.testing.assert_allclose(slope, 2 * (x - np.array(nearest)), rtol=1e-5)


def test_spikes_have_no_other_derivative():
    """Neither by their own formula, nor by that of the surrogate."""

    def output(x):
        return with_surrogate(x**3, 2 * x, lambda distance: distance)

    value, slope = jax.value_and_grad(output)(3.0)
    assert (value, slope) == (27, 2 * 6)
    assert jax.jvp(output, (3.0,), (1.0,))[1] == 12


def test_straight_through():
    def output(x):
        return straight_through(jnp.round(x), jnp.sin(x))

    value, slope = jax.value_and_grad(output)(jnp.float32(0.7))
    assert value == 1
    np.testing.assert_allclose(slope, np.cos(0.7), rtol=1e-6)


def test_they_are_values():
    """Equal and hashable, so that JAX recognises a function that it has compiled."""
    assert FastSigmoid(3) == FastSigmoid(3) != FastSigmoid(4)
    assert len({Arctan(), Arctan(2.0), Triangle(), RateDerivative()}) == 3


def test_batches():
    """Vectorised in either order."""
    x = jnp.asarray(X.reshape(2, 4))
    total = jax.vmap(lambda row: jax.grad(lambda r: jnp.sum(spike(r, Arctan())))(row))
    np.testing.assert_allclose(total(x), Arctan()(x), rtol=1e-6)
    compiled = jax.jit(
        jax.grad(lambda x: jnp.sum(jax.vmap(lambda row: spike(row, Arctan()))(x)))
    )
    np.testing.assert_allclose(compiled(x), Arctan()(x), rtol=1e-6)
