"""Natural gradient descent on a loss, as pure functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nengo_jax.optimizers import (
    NaturalGradientSettings,
    gauss_newton_product,
    natural_descent,
)

X = jnp.asarray(np.random.RandomState(0).standard_normal((20, 3)), jnp.float32)
Y = X @ jnp.array([1.0, -2.0, 0.5])
PARAMS = {"w": jnp.zeros(3)}
SETTINGS = NaturalGradientSettings(radius=0.01, solver="cg", damping=1e-3)


def predict(params, batch):
    return batch[0] @ params["w"]


def loss(outputs, batch):
    return jnp.mean((outputs - batch[1]) ** 2)


@pytest.mark.parametrize("longest", [1.0, 0.25])
def test_report_says_how_far_it_went(longest):
    method = natural_descent(predict, loss, SETTINGS)
    batch = (X, Y)
    after, _, report = method.update(
        method.init(PARAMS), PARAMS, batch, longest=longest
    )
    step = after["w"] - PARAMS["w"]
    product = gauss_newton_product(
        lambda p: predict(p, batch), lambda z: loss(z, batch), PARAMS
    )
    metric = product({"w": step})["w"] + SETTINGS.damping * step
    np.testing.assert_allclose(step @ metric, longest**2 * 0.01, rtol=1e-3)
    np.testing.assert_allclose(report.update_norm, jnp.linalg.norm(step), rtol=1e-5)
    natural = jnp.sqrt(0.01 / report.squared_norm)
    np.testing.assert_allclose(report.step_length, longest * natural, rtol=1e-5)


def test_report_of_a_step_that_is_refused():
    method = natural_descent(predict, loss, SETTINGS)
    batch = (X, Y.at[3].set(jnp.nan))
    after, state, report = method.update(method.init(PARAMS), PARAMS, batch)
    np.testing.assert_array_equal(after["w"], PARAMS["w"])
    assert report.step_length == 0
    assert report.update_norm == 0
    again, _, report = method.update(state, after, (X, Y))  # it can go on
    assert report.step_length > 0
    assert loss(predict(again, (X, Y)), (X, Y)) < loss(predict(PARAMS, (X, Y)), (X, Y))


def test_learns_a_classification():
    labels = (Y > 0).astype(jnp.int32)
    method = natural_descent(
        predict,
        lambda logits, batch: jnp.mean(
            jax.nn.softplus(logits) - logits * batch[1].astype(logits.dtype)
        ),
        NaturalGradientSettings(radius=0.1, solver="cg", damping=1e-3),
    )
    params, state = PARAMS, method.init(PARAMS)
    for _ in range(20):
        params, state, _ = method.update(state, params, (X, labels))
    assert jnp.mean((predict(params, (X, Y)) > 0) == (labels == 1)) == 1
