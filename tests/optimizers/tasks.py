"""Small tasks of the literature, with networks as pure functions.

They are the benchmarks that the hessianfree package ships; losses are half the squared
error per example, or cross-entropy.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Task(NamedTuple):
    """What to optimize."""

    predict: Callable
    loss: Callable
    params: Any
    batch: Any


def dense(rng, size_in, size_out, coefficient=1.0):
    """Gaussian weights, and a bias of zero."""
    weights = rng.standard_normal((size_in, size_out)) * coefficient / size_in**0.5
    return {"w": jnp.asarray(weights, jnp.float32), "b": jnp.zeros((1, size_out))}


def apply(layer, x):
    return x @ layer["w"] + layer["b"]


def squared(outputs, batch):
    return jnp.sum((outputs - batch[1]) ** 2) / 2 / len(batch[1])


XOR_X = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = jnp.array([[0.0], [1.0], [1.0], [0.0]])


def xor(seed):
    """[2, 5, 1], logistic."""
    rng = np.random.RandomState(seed)
    params = [dense(rng, 2, 5), dense(rng, 5, 1)]

    def predict(params, batch):
        hidden = jax.nn.sigmoid(apply(params[0], batch[0]))
        return jax.nn.sigmoid(apply(params[1], hidden))

    return Task(predict, squared, params, (XOR_X, XOR_Y))


def connections(seed):
    """[2, 5, 5, 1], tanh, with connections that leave out a layer."""
    rng = np.random.RandomState(seed)
    shapes = {"01": (2, 5), "02": (2, 5), "12": (5, 5), "13": (5, 1), "23": (5, 1)}
    params = {name: dense(rng, *shape) for name, shape in shapes.items()}

    def predict(p, batch):
        first = jnp.tanh(apply(p["01"], batch[0]))
        second = jnp.tanh(apply(p["02"], batch[0]) + apply(p["12"], first))
        return jnp.tanh(apply(p["13"], first) + apply(p["23"], second))

    return Task(predict, squared, params, (XOR_X, XOR_Y))


def crossentropy(seed):
    """[2, 5, 2], tanh and softmax."""
    rng = np.random.RandomState(seed)
    params = [dense(rng, 2, 5), dense(rng, 5, 2)]

    def predict(params, batch):
        return apply(params[1], jnp.tanh(apply(params[0], batch[0])))

    def loss(logits, batch):
        return -jnp.mean(jnp.sum(batch[1] * jax.nn.log_softmax(logits), axis=-1))

    return Task(predict, loss, params, (XOR_X, jnp.hstack([XOR_Y, 1 - XOR_Y])))


def recurrent(layers, params, inputs, activation):
    """Run recurrent layers; inputs have shape (examples, steps, size)."""

    def step(state, x):
        after = []
        for k in range(layers):
            x = activation(apply(params[k], x) + state[k] @ params[f"r{k}"])
            after.append(x)
        return tuple(after), x

    start = tuple(
        jnp.zeros((len(inputs), params[f"r{k}"].shape[0])) for k in range(layers)
    )
    return jax.lax.scan(step, start, jnp.swapaxes(inputs, 0, 1))[1]


def integrator(seed, hidden=10, examples=15, steps=10):
    """RNN [1, hidden, 1], logistic: sum up a constant input over time."""
    rng = np.random.RandomState(seed)
    slopes = np.linspace(0.1, 0.9, examples)
    inputs = np.repeat(slopes[:, None, None], steps, axis=1).astype("float32")
    targets = np.cumsum(inputs, axis=1) / steps
    params = {
        0: dense(rng, 1, hidden),
        "r0": jnp.asarray(
            rng.standard_normal((hidden, hidden)) / hidden**0.5, "float32"
        ),
        1: dense(rng, hidden, 1),
    }
    params = {str(key): value for key, value in params.items()}

    def predict(params, batch):
        layers = {0: params["0"], "r0": params["r0"]}
        hidden = recurrent(1, layers, batch[0], jax.nn.sigmoid)
        output = jax.nn.sigmoid(hidden @ params["1"]["w"] + params["1"]["b"][None])
        return {
            "output": jnp.swapaxes(output, 0, 1),
            "hidden": jnp.swapaxes(hidden, 0, 1),
        }

    def loss(outputs, batch):
        return squared(outputs["output"], batch)

    return Task(predict, loss, params, (jnp.asarray(inputs), jnp.asarray(targets)))
