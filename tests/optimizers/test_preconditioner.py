"""The preconditioner, against gradients of single examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_jax.optimizers.conjugate_gradient import conjugate_gradient
from nengo_jax.optimizers.curvature import local_model
from nengo_jax.optimizers.preconditioner import preconditioner, squared_gradients

EXAMPLES, SIZE = 40, 12
RNG = np.random.RandomState(2)
X = RNG.standard_normal((EXAMPLES, SIZE)) * np.logspace(-2, 1, SIZE)
Y = RNG.standard_normal(EXAMPLES)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def local():
    return local_model(
        lambda w: jnp.tanh(X @ w), lambda z: jnp.mean((z - Y) ** 2), jnp.ones(SIZE) / 10
    )


def test_estimates_squared_gradients_of_examples():
    single = jax.vmap(
        jax.grad(lambda w, x, y: (jnp.tanh(x @ w) - y) ** 2), (None, 0, 0)
    )(jnp.ones(SIZE) / 10, X, Y)
    exact = np.mean(np.square(single), axis=0)
    samples = 2000
    found = squared_gradients(local(), jax.random.key(0), samples)
    np.testing.assert_allclose(found, exact, rtol=5 * np.sqrt(2 / samples))


def test_is_that_of_martens():
    np.testing.assert_allclose(
        preconditioner(jnp.array([0.0, 3.0]), jnp.array(1.0)), [1, 4**0.75]
    )


def test_needs_fewer_iterations():
    here = local()
    squares = squared_gradients(here, jax.random.key(1), 20)
    damping = 1e-6
    counts = [
        int(
            conjugate_gradient(
                lambda v: here.product(v) + damping * v,
                here.gradient,
                jnp.zeros(SIZE),
                iterations=200,
                tolerance=1e-9,
                scale=scale,
            ).iterations
        )
        for scale in (None, preconditioner(squares, jnp.asarray(damping)))
    ]
    assert counts[1] < counts[0]


def test_outputs_with_other_numbers_of_examples():
    here = local_model(
        lambda w: [X @ w, w], lambda z: jnp.sum(z[0] ** 2), jnp.ones(SIZE)
    )
    with pytest.raises(ValidationError, match=r"first axes are \[12, 40\]"):
        squared_gradients(here, jax.random.key(0), 1)
