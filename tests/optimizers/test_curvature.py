"""Products with the Gauss-Newton matrix, against explicit Jacobians in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_jax.optimizers import gauss_newton_product
from nengo_jax.optimizers.curvature import local_model

EXAMPLES, INPUTS, HIDDEN, OUTPUTS = 5, 3, 4, 2
SIZE = INPUTS * HIDDEN + HIDDEN * OUTPUTS
RNG = np.random.RandomState(0)
X = RNG.standard_normal((EXAMPLES, INPUTS))
Y = RNG.standard_normal((EXAMPLES, OUTPUTS))
CLASSES = np.eye(OUTPUTS)[[0, 1, 1, 0, 1]]
FLAT = RNG.standard_normal(SIZE)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def predict(flat):
    w1 = flat[: INPUTS * HIDDEN].reshape(INPUTS, HIDDEN)
    w2 = flat[INPUTS * HIDDEN :].reshape(HIDDEN, OUTPUTS)
    hidden = jnp.tanh(X @ w1)
    return {"hidden": hidden, "output": hidden @ w2}


def squared(outputs):
    return jnp.mean((outputs["output"] - Y) ** 2)


def cross_entropy(outputs):
    return -jnp.mean(jnp.sum(CLASSES * jax.nn.log_softmax(outputs["output"]), axis=-1))


def log_cosh(outputs):
    error = outputs["output"] - Y
    return jnp.mean(jnp.logaddexp(error, -error)) + 0.1 * jnp.sum(
        outputs["hidden"] ** 4
    )


def unknown_targets(outputs):
    target = np.where(np.arange(EXAMPLES)[:, None] < 2, np.nan, Y)
    known = ~np.isnan(target)
    error = jnp.where(known, outputs["output"], 0) - np.where(known, target, 0)
    return jnp.mean(error**2)


LOSSES = [squared, cross_entropy, log_cosh, unknown_targets]


def flatten(outputs):
    return jnp.concatenate([outputs["hidden"].ravel(), outputs["output"].ravel()])


def unflatten(flat):
    middle = EXAMPLES * HIDDEN
    return {
        "hidden": flat[:middle].reshape(EXAMPLES, HIDDEN),
        "output": flat[middle:].reshape(EXAMPLES, OUTPUTS),
    }


def explicit(loss):
    """J^T H J from whole matrices."""
    jacobian = jax.jacrev(lambda flat: flatten(predict(flat)))(jnp.asarray(FLAT))
    outputs = flatten(predict(jnp.asarray(FLAT)))
    hessian = jax.hessian(lambda z: loss(unflatten(z)))(outputs)
    return np.asarray(jacobian.T @ hessian @ jacobian)


def columns(product):
    return np.asarray(jax.vmap(product)(jnp.eye(SIZE)))


@pytest.mark.parametrize("loss", LOSSES)
def test_products_are_those_of_the_explicit_matrix(loss):
    local = local_model(predict, loss, jnp.asarray(FLAT))
    found = columns(local.product)
    assert np.abs(found).max() > 1e-3
    np.testing.assert_allclose(found, explicit(loss), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_value_and_gradient(loss):
    local = local_model(predict, loss, jnp.asarray(FLAT))
    value, gradient = jax.value_and_grad(lambda f: loss(predict(f)))(jnp.asarray(FLAT))
    np.testing.assert_allclose(local.loss, value, rtol=1e-13)
    np.testing.assert_allclose(local.gradient, gradient, rtol=1e-10, atol=1e-14)
    assert np.all(np.isfinite(gradient))


def test_equals_the_hessian_of_a_linear_model():
    def product(w):
        return gauss_newton_product(
            lambda w: X @ w["a"], lambda z: jnp.sum((z - Y) ** 2) / 2, w
        )

    w = {"a": jnp.ones((INPUTS, OUTPUTS))}
    v = RNG.standard_normal((INPUTS, OUTPUTS))
    np.testing.assert_allclose(product(w)({"a": v})["a"], X.T @ X @ v, rtol=1e-12)


def test_structural_damping_adds_the_matrix_of_hidden_outputs():
    local = local_model(
        predict, squared, jnp.asarray(FLAT), lambda outputs: [outputs["hidden"]]
    )
    jacobian = jax.jacrev(lambda f: predict(f)["hidden"].ravel())(jnp.asarray(FLAT))
    added = np.asarray(jacobian.T @ jacobian) / EXAMPLES
    found = columns(lambda v: local.product(v, 0.3))
    np.testing.assert_allclose(
        found, explicit(squared) + 0.3 * added, rtol=1e-10, atol=1e-13
    )


def test_structural_damping_of_outputs_that_are_no_floats():
    def hidden(outputs):
        return [jnp.argmax(outputs["hidden"], axis=-1)]

    local = local_model(predict, squared, jnp.asarray(FLAT), hidden)
    with pytest.raises(ValidationError, match=r"damped_outputs: .*\(got int64\)"):
        local.product(jnp.asarray(FLAT), 0.3)


def test_penalty_comes_with_its_own_hessian():
    def penalty(flat):
        return jnp.sum(jnp.cosh(flat))

    local = local_model(predict, squared, jnp.asarray(FLAT), penalty=penalty)
    np.testing.assert_allclose(
        columns(local.product),
        explicit(squared) + np.diag(np.cosh(FLAT)),
        rtol=1e-10,
        atol=1e-13,
    )
    expected = jax.grad(lambda f: squared(predict(f)) + penalty(f))(jnp.asarray(FLAT))
    np.testing.assert_allclose(local.gradient, expected, rtol=1e-10)


def test_products_through_time():
    """A recurrent network in a scan, as networks of nengo are."""
    inputs = RNG.standard_normal((7, 2))

    def run(flat):
        w = flat.reshape(3, 3)

        def step(h, x):
            h = jnp.tanh(h @ w[:2, :2] + x @ w[1:, 1:])
            return h, h

        return jax.lax.scan(step, jnp.zeros(2), inputs)[1]

    def loss(z):
        return jnp.sum((z - 0.3) ** 2)

    flat = jnp.asarray(RNG.standard_normal(9))
    jacobian = jax.jacfwd(lambda f: run(f).ravel())(flat)
    found = jax.vmap(local_model(run, loss, flat).product)(jnp.eye(9))
    np.testing.assert_allclose(found, 2 * jacobian.T @ jacobian, rtol=1e-9, atol=1e-12)
