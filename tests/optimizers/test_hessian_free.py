"""Hessian-free optimization of pure functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from optimizers.tasks import connections, crossentropy, integrator, xor

from nengo_jax.optimizers import HessianFreeSettings, hessian_free, natural_descent


def train(task, updates, **settings):
    """Return parameters, state and the last report."""
    held = "structural_damping" in settings
    hidden = (lambda outputs: [outputs["hidden"]]) if held else None
    method = hessian_free(
        task.predict, task.loss, HessianFreeSettings(**settings), hidden=hidden
    )
    params, state = task.params, method.init(task.params)
    report = None
    for _ in range(updates):
        params, state, report = method.update(state, params, task.batch)
    return params, state, report


def loss_of(task, params):
    return float(task.loss(task.predict(params, task.batch), task.batch))


@pytest.mark.parametrize(
    ("make", "updates", "limit", "settings"),
    [
        (xor, 40, 1e-5, {"iterations": 2}),
        (xor, 40, 1e-5, {"iterations": 50}),
        (xor, 40, 1e-5, {"iterations": 10, "preconditioner": 8}),
        (connections, 40, 1e-5, {"iterations": 50}),
        (crossentropy, 40, 1e-5, {"iterations": 2}),
        (integrator, 30, 1e-4, {"iterations": 100}),
        (integrator, 30, 1e-4, {"iterations": 100, "structural_damping": 0.1}),
    ],
)
def test_tasks_of_the_reference(make, updates, limit, settings):
    """The limits are those of the tests of the hessianfree package."""
    for seed in range(2):
        task = make(seed)
        assert loss_of(task, task.params) > 1e-2
        params, _, _ = train(task, updates, **settings)
        assert loss_of(task, params) < limit


def linear_task():
    """Whose quadratic model is exact."""
    rng = np.random.RandomState(3)
    x = jnp.asarray(rng.standard_normal((20, 4)), "float32")
    y = jnp.asarray(rng.standard_normal((20, 2)), "float32")
    task = xor(0)
    return task._replace(
        predict=lambda w, batch: batch[0] @ w, params=jnp.zeros((4, 2)), batch=(x, y)
    )


def test_one_update_solves_a_linear_model():
    task = linear_task()
    params, state, report = train(task, 1, damping=1e-7)
    x, y = map(np.asarray, task.batch)
    np.testing.assert_allclose(params, np.linalg.lstsq(x, y)[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(report.reduction_ratio, 1, rtol=1e-4)
    assert float(report.step_length) == 1
    np.testing.assert_allclose(state.damping, 1e-7 * 2 / 3, rtol=1e-5)


def test_damped_step_is_that_of_levenberg_and_marquardt():
    task = linear_task()
    x, y = map(np.asarray, task.batch)
    damping = 2.0
    matrix = x.T @ x / len(x)
    expected = np.linalg.solve(matrix + damping * np.eye(4), x.T @ y / len(x))
    params, _, report = train(task, 1, damping=damping)
    np.testing.assert_allclose(params, expected, rtol=1e-4)
    before, after = loss_of(task, task.params), loss_of(task, params)
    model = -np.sum(expected * (x.T @ y / len(x))) / 2
    np.testing.assert_allclose(report.reduction_ratio, (after - before) / model, 1e-3)
    np.testing.assert_allclose(report.loss, before, rtol=1e-6)
    np.testing.assert_allclose(report.update_norm, np.linalg.norm(expected), rtol=1e-4)


def test_structural_damping_holds_on_to_hidden_outputs():
    task = integrator(0)
    before = task.predict(task.params, task.batch)["hidden"]
    moved = [
        float(jnp.linalg.norm(task.predict(params, task.batch)["hidden"] - before))
        for params in (
            train(task, 1, damping=0.1, structural_damping=s)[0]
            for s in (0.0, 1.0, 100.0)
        )
    ]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < 0.5 * moved[0]


def test_missing_targets_count_as_met():
    """Only the last step has a target, and the rest of the output does not matter."""
    task = integrator(0)
    inputs, targets = task.batch
    only_last = targets.at[:, :-1].set(jnp.nan)

    def loss(outputs, batch):
        known = ~jnp.isnan(batch[1])
        error = jnp.where(known, outputs["output"] - jnp.nan_to_num(batch[1]), 0)
        return jnp.sum(error**2) / 2 / len(error)

    def last(outputs, batch):
        return jnp.sum((outputs["output"][:, -1] - batch[1][:, -1]) ** 2) / 2 / 15

    found, _, report = train(task._replace(loss=loss, batch=(inputs, only_last)), 3)
    expected, _, _ = train(task._replace(loss=last), 3)
    assert float(report.loss) < 0.1
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), found, expected
    )


def test_sparse_penalty_on_hidden_activity():
    """The package asks for a loss below 1e-2 and a mean activity below 0.1."""
    task = xor(1)
    rng = np.random.RandomState(1)
    params = {"w": jnp.asarray(rng.standard_normal((2, 8)), "float32")}
    params |= {"v": jnp.asarray(rng.standard_normal((8, 1)), "float32")}
    params |= {"b": jnp.zeros((1, 8)), "c": jnp.zeros((1, 1))}

    def predict(p, batch):
        hidden = jax.nn.sigmoid(batch[0] @ p["w"] + p["b"])
        return {"hidden": hidden, "output": jax.nn.sigmoid(hidden @ p["v"] + p["c"])}

    def loss(outputs, batch):
        error = jnp.sum((outputs["output"] - batch[1]) ** 2) / 8
        return error + 0.01 * jnp.sum(outputs["hidden"] ** 2) / 8

    task = task._replace(predict=predict, loss=loss, params=params)
    params, _, _ = train(task, 100, iterations=50)
    assert loss_of(task, params) < 1e-2
    outputs = predict(params, task.batch)
    assert (
        float(jnp.mean(outputs["hidden"]))
        < 0.1
        < float(jnp.mean(predict(task.params, task.batch)["hidden"]))
    )
    np.testing.assert_allclose(outputs["output"], task.batch[1], atol=0.1)


def test_penalty_on_parameters():
    task = linear_task()
    x, y = map(np.asarray, task.batch)
    method = hessian_free(
        task.predict,
        task.loss,
        HessianFreeSettings(damping=1e-7),
        penalty=lambda w: 0.5 * jnp.sum(w**2),
    )
    found, _, _ = method.update(method.init(task.params), task.params, task.batch)
    ridge = np.linalg.solve(x.T @ x / 20 + np.eye(4), x.T @ y / 20)
    np.testing.assert_allclose(found, ridge, rtol=1e-4)


def test_curvature_from_a_part_of_the_batch():
    task = linear_task()
    x, y = map(np.asarray, task.batch)
    method = hessian_free(task.predict, task.loss, HessianFreeSettings(damping=5.0))
    part = (task.batch[0][:10], task.batch[1][:10])
    found, _, report = method.update(
        method.init(task.params), task.params, task.batch, part
    )
    matrix = x[:10].T @ x[:10] / 10 + 5 * np.eye(4)
    expected = np.linalg.solve(matrix, x.T @ y / 20)
    assert float(report.step_length) == 1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_restarts_where_it_was():
    """A state that was written down and read again goes on in the same way."""
    task = xor(0)
    method = hessian_free(task.predict, task.loss)
    params, state, _ = train(task, 5)
    copy = jax.tree.map(lambda a: jnp.asarray(np.array(a)), (params, state))
    straight, _, _ = train(task, 8)
    params, state = copy
    for _ in range(3):
        params, state, _ = method.update(state, params, task.batch)
    jax.tree.map(np.testing.assert_array_equal, params, straight)


def test_nan_leaves_parameters_alone():
    task = xor(0)
    x, y = task.batch
    params, state, report = train(task._replace(batch=(x, y.at[0].set(jnp.nan))), 2)
    jax.tree.map(np.testing.assert_array_equal, params, task.params)
    assert np.isnan(report.loss)
    assert float(report.step_length) == 0
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state))


def test_double_precision():
    with jax.enable_x64(True):
        task = xor(0)
        task = task._replace(
            params=jax.tree.map(lambda a: a.astype("float64"), task.params),
            batch=tuple(a.astype("float64") for a in task.batch),
        )
        params, state, _ = train(task, 60, iterations=50)
        assert params[0]["w"].dtype == state.damping.dtype == np.float64
        assert loss_of(task, params) < 1e-9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"damping": 0.0}, "larger than 0"),
        ({"damping": np.nan}, "larger than 0"),
        ({"iterations": 0}, "at least 1"),
        ({"iterations": 2.5}, "whole number"),
        ({"decay": 1.5}, "at most 1"),
        ({"preconditioner": -1}, "at least 0"),
        ({"structural_damping": -0.1}, "at least 0"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValidationError, match=message):
        HessianFreeSettings(**settings)


def test_structural_damping_needs_outputs():
    task = xor(0)
    with pytest.raises(ValidationError, match="which outputs"):
        hessian_free(task.predict, task.loss, HessianFreeSettings(structural_damping=1))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "nothing to train"),
        ({"a": jnp.ones(2), "n": jnp.ones(2, int)}, r"'n'\] is int32"),
    ],
)
def test_parameters_that_cannot_be_trained(params, message):
    with pytest.raises(ValidationError, match=message):
        hessian_free(lambda p, b: p["a"], lambda o, b: jnp.sum(o)).init(params)


def test_dead_end_is_named():
    task = xor(0)

    def predict(params, batch):
        return task.predict([params[0], jax.lax.stop_gradient(params[1])], batch)

    with pytest.raises(ValidationError, match="depends on 1/b, 1/w only along ways"):
        train(task._replace(predict=predict), 1)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda z: None, "a NoneType"),
        (lambda z: z**2, r"of shape \(2,\)"),
        (lambda z: jnp.argmax(z), "int"),
    ],
    ids=["nothing", "one per example", "a count"],
)
@pytest.mark.parametrize("make", [hessian_free, natural_descent])
def test_a_loss_that_is_no_number_is_named(make, loss, message):
    method = make(lambda params, x: params * x, lambda z, x: loss(z))
    params = jnp.ones(2)
    with pytest.raises(ValidationError, match=f"one floating-point number.*{message}"):
        method.update(method.init(params), params, jnp.ones(2))
