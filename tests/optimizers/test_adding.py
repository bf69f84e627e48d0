"""The adding problem: to remember two marked numbers for up to 50 steps.

Martens and Sutskever (2011) call it solved when errors are below 0.04; answering with
the mean leaves a mean square of 0.167. The hidden layers are those of the hessianfree
package, in which the problem is called "fairly easy" at 50 steps. Its output is a ReLU,
which for four of six seeds is silent for all examples from the beginning, so that there
is no gradient; here the output is linear.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nengo_jax.optimizers import HessianFreeSettings, hessian_free

STEPS, EXAMPLES, BATCH = 50, 2048, 512


def data(rng):
    values = rng.uniform(0, 1, (EXAMPLES, STEPS))
    marks = np.zeros((EXAMPLES, STEPS))
    rows = np.arange(EXAMPLES)
    marks[rows, rng.randint(STEPS // 10, size=EXAMPLES)] = 1
    marks[rows, rng.randint(STEPS // 10, STEPS // 2, size=EXAMPLES)] = 1
    x = np.stack([values, marks], axis=-1).astype("float32")
    return x, np.sum(values * marks, axis=1, keepdims=True).astype("float32")


def weights(rng):
    params = {}
    for name, rows, columns in (
        ("a", 2, 32),
        ("b", 32, 64),
        ("r", 64, 64),
        ("c", 64, 1),
    ):
        drawn = rng.standard_normal((rows, columns)) / rows**0.5
        params[name] = jnp.asarray(drawn, "float32")
        params[f"{name} bias"] = jnp.zeros((1, columns))
    radius = np.max(np.abs(np.linalg.eigvals(params["r"])))
    return {**params, "r": params["r"] / np.float32(radius)}


def predict(p, batch):
    """ReLU, then a recurrent layer of leaky ReLU (20 steps), then a sum."""

    def step(state, x):
        first = jax.nn.relu(x @ p["a"] + p["a bias"])
        given = first @ p["b"] + p["b bias"]
        given = given + jax.nn.relu(state) @ p["r"] + p["r bias"]
        state = state + (given - state) / 20
        return state, jax.nn.relu(state)

    start = jnp.zeros((len(batch[0]), 64))
    _, hidden = jax.lax.scan(step, start, jnp.swapaxes(batch[0], 0, 1))
    output = hidden[-1] @ p["c"] + p["c bias"]
    return {"hidden": jnp.swapaxes(hidden, 0, 1), "output": output}


def loss(outputs, batch):
    return jnp.mean((outputs["output"] - batch[1]) ** 2) / 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 3])  # of six tried, 0 and 3 were the slowest
def test_adding_problem_at_50_steps(seed):
    rng = np.random.RandomState(seed)
    x, y = data(rng)
    method = hessian_free(
        predict,
        loss,
        HessianFreeSettings(20.0, 60, structural_damping=1e-4),
        hidden=lambda outputs: outputs["hidden"],
    )
    params = weights(rng)
    state = method.init(params)
    for update in range(60):
        first = update * BATCH % (EXAMPLES - BATCH)
        batch = (x[first : first + BATCH], y[first : first + BATCH])
        params, state, _ = method.update(state, params, batch)
    unseen = data(np.random.RandomState(100))
    error = np.asarray(predict(params, unseen)["output"]) - unseen[1]
    assert np.var(unseen[1]) > 0.15
    assert np.mean(error**2) < 1e-3
    assert np.mean(np.abs(error) < 0.04) > 0.8
