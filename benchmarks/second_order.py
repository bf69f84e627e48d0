"""The demos of the hessianfree package as pure functions, for ``hessian_free.py``.

Networks, CG iterations and damping are those of the demos. Small matrix products are
written as sums, which XLA joins with what comes before and after: half the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_FEW = 10_000  # products
Arrays = tuple[np.ndarray, np.ndarray]


class Demo(NamedTuple):
    """A task.

    Attributes
    ----------
    data : callable
        ``data() -> (x, y)``, targets that are NaN do not count.
    start : callable
        ``start(rng) -> params``.
    predict : callable
        ``predict(params, batch) -> outputs``, a dictionary.
    loss : callable
        ``loss(outputs, batch) -> value``.
    updates, iterations : int
    damping : float
    structural : float
        Structural damping of the outputs named "hidden".
    output : callable
        From the outputs to what is compared with the targets.
    shares : tuple of float
        Shares of the batch that nengo_jax computes products with the curvature with,
        one after the other; the package always takes all.
    """

    data: Callable[[], Arrays]
    start: Callable[[np.random.RandomState], Any]
    predict: Callable[[Any, Any], dict[str, jax.Array]]
    loss: Callable[[Any, Any], jax.Array]
    updates: int = 40
    iterations: int = 2
    damping: float = 1.0
    structural: float = 0.0
    output: Callable[[jax.Array], jax.Array] = lambda outputs: outputs
    shares: tuple[float, ...] = (1.0,)


def squared(outputs: dict[str, jax.Array], batch: Any) -> jax.Array:
    """Half the squared error of an example."""
    known = ~jnp.isnan(batch[1])
    error = jnp.where(known, outputs["output"] - jnp.nan_to_num(batch[1]), 0)
    return jnp.sum(error**2) / 2 / len(error)


def logits_loss(outputs: dict[str, jax.Array], batch: Any) -> jax.Array:
    """Cross-entropy."""
    return -jnp.mean(jnp.sum(batch[1] * jax.nn.log_softmax(outputs["output"]), -1))


def layers(*shapes: tuple[str, int, int]) -> Callable:
    """Make the function that draws weights, and biases of zero."""

    def start(rng: np.random.RandomState) -> dict[str, jax.Array]:
        params = {}
        for name, rows, columns in shapes:
            weights = rng.standard_normal((rows, columns)) / rows**0.5
            params[name] = jnp.asarray(weights, jnp.float32)
            params[f"{name} bias"] = jnp.zeros((1, columns))
        return params

    return start


def dense(params: Any, name: str, x: jax.Array) -> jax.Array:
    """Multiply with weights and add the bias."""
    return times(x, params[name]) + params[f"{name} bias"]


def times(x: jax.Array, weights: jax.Array) -> jax.Array:
    """Multiply with weights."""
    if x.size * weights.shape[1] <= _FEW:
        return jnp.sum(x[..., None] * weights, axis=-2)
    return x @ weights


def xor_data() -> Arrays:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([[0], [1], [1], [0]], np.float32)


def two_class_data() -> Arrays:
    x, y = xor_data()
    return x, np.hstack([1 - y, y])


def xor(params: Any, batch: Any) -> dict[str, jax.Array]:
    hidden = jax.nn.sigmoid(dense(params, "01", batch[0]))
    return {"output": jax.nn.sigmoid(dense(params, "12", hidden))}


def crossentropy(params: Any, batch: Any) -> dict[str, jax.Array]:
    return {"output": dense(params, "12", jnp.tanh(dense(params, "01", batch[0])))}


def connections(params: Any, batch: Any) -> dict[str, jax.Array]:
    """Weights with the same input, or the same output, are one matrix."""
    first, second = jnp.split(dense(params, "0", batch[0]), 2, axis=1)
    first = jnp.tanh(first)
    second = jnp.tanh(second + dense(params, "12", first))
    both = jnp.concatenate([first, second], axis=1)
    return {"output": jnp.tanh(dense(params, "3", both))}


def integrator_data() -> Arrays:
    slopes = np.linspace(0.1, 0.9, 15)
    x, y = np.outer(slopes, np.ones(10)), np.outer(slopes, np.linspace(0, 1, 10))
    return x[:, :, None].astype("float32"), y[:, :, None].astype("float32")


def integrator(params: Any, batch: Any) -> dict[str, jax.Array]:
    def step(hidden: jax.Array, given: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden = jax.nn.sigmoid(given + times(hidden, params["11"]))
        return hidden, hidden

    given = dense(params, "01", by_step(batch[0])) + params["11 bias"]
    _, hidden = jax.lax.scan(step, jnp.zeros(given.shape[1:]), given)
    return {"output": by_step(jax.nn.sigmoid(dense(params, "12", hidden)))}


def by_step(values: jax.Array) -> jax.Array:
    """From (examples, steps, size) to (steps, examples, size), and back."""
    return jnp.swapaxes(values, 0, 1)


def adding_data(examples: int = 1024, steps: int = 50) -> Arrays:
    rng = np.random.RandomState(0)
    values = rng.uniform(0, 1, (examples, steps))
    marks = np.zeros((examples, steps))
    rows = np.arange(examples)
    marks[rows, rng.randint(steps // 10, size=examples)] = 1
    marks[rows, rng.randint(steps // 10, steps // 2, size=examples)] = 1
    y = np.full((examples, steps, 1), np.nan)
    y[:, -1, 0] = np.sum(values * marks, axis=1)
    return np.stack([values, marks], -1).astype("float32"), y.astype("float32")


def adding_start(rng: np.random.RandomState) -> dict[str, jax.Array]:
    shapes = (("01", 2, 32), ("12", 32, 64), ("22", 64, 64), ("23", 64, 1))
    params = layers(*shapes)(rng)
    radius = np.max(np.abs(np.linalg.eigvals(params["22"])))
    return {**params, "22": params["22"] / radius}


def adding(params: Any, batch: Any) -> dict[str, jax.Array]:
    def step(state: jax.Array, given: jax.Array) -> tuple[jax.Array, jax.Array]:
        given = given + times(jax.nn.relu(state), params["22"])
        state = state + (given - state) / 20
        return state, jax.nn.relu(state)

    first = jax.nn.relu(dense(params, "01", by_step(batch[0])))
    given = dense(params, "12", first) + params["22 bias"]
    _, hidden = jax.lax.scan(step, jnp.zeros(given.shape[1:]), given)
    output = jax.nn.relu(dense(params, "23", hidden))
    return {"hidden": by_step(hidden), "output": by_step(output)}


DEMOS = {
    "xor": Demo(xor_data, layers(("01", 2, 5), ("12", 5, 1)), xor, squared),
    "crossentropy": Demo(
        two_class_data,
        layers(("01", 2, 5), ("12", 5, 2)),
        crossentropy,
        logits_loss,
        output=jax.nn.softmax,
    ),
    "connections": Demo(
        xor_data,
        layers(("0", 2, 10), ("12", 5, 5), ("3", 10, 1)),
        connections,
        squared,
    ),
    "integrator": Demo(
        integrator_data,
        layers(("01", 1, 10), ("11", 10, 10), ("12", 10, 1)),
        integrator,
        squared,
        updates=30,
        iterations=100,
    ),
    "adding": Demo(
        adding_data,
        adding_start,
        adding,
        squared,
        updates=20,
        iterations=60,
        damping=20.0,
        structural=1e-4,
        shares=(1.0, 1 / 16),
    ),
}
