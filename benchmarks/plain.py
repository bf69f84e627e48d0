"""The trained networks by hand in plain JAX, in the form that was found to be fastest.

Each function is a loss of parameters and one batch of data. The equations are those of
nengo's LIF neurons; weights, biases and the surrogate are those of ``trained.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

DT, TAU_RC, TAU_REF = 0.001, 0.02, 0.002
SLOPE = 10.0
Params = dict[str, Array]


@jax.custom_jvp
def spike(x: Array) -> Array:
    """Return 1 above 0, with the derivative of a fast sigmoid."""
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x,), (change,) = primals, tangents
    return spike(x), change / jnp.square(1 + SLOPE * jnp.abs(x))


def lif(current: Array, state: tuple[Array, Array]) -> tuple[Array, tuple]:
    """Advance LIF neurons by one step; return spikes of height 1 / DT, and state."""
    voltage, refractory = state
    refractory = refractory - DT
    available = jnp.clip(DT - refractory, 0, DT)
    voltage = voltage - (current - voltage) * jnp.expm1(-available / TAU_RC)
    spikes = spike(voltage - 1)
    fired = lax.stop_gradient(spikes) > 0
    over = jnp.where(fired, (voltage - 1) / (current - 1), 0)
    late = DT + TAU_RC * jnp.log1p(-lax.stop_gradient(over))
    voltage = jnp.where(fired, 0, jnp.maximum(voltage, 0))
    refractory = jnp.where(fired, TAU_REF + late, lax.stop_gradient(refractory))
    return spikes / DT, (voltage, refractory)


def start(batch: int, size: int, rng: np.random.RandomState) -> tuple[Array, Array]:
    """Return the initial state of a layer."""
    voltage = np.broadcast_to(rng.uniform(0, 1, size), (batch, size))
    return jnp.asarray(voltage, jnp.float32), jnp.zeros((batch, size))


def mlp(params: Params, x: Array, y: Array, steps: int) -> Array:
    """Loss of the perceptron for a still input of shape (batch, 784)."""
    rng = np.random.RandomState(0)
    first = x @ params["w1"] + params["b1"]
    states = [start(len(x), 512, rng), start(len(x), 512, rng)]

    def step(states: Any, _: None) -> tuple[Any, Array]:
        one, two = states
        spikes, one = lif(first, one)
        spikes, two = lif(spikes @ params["w2"] + params["b2"], two)
        return (one, two), spikes @ params["w3"]

    _, outputs = lax.scan(step, tuple(states), None, length=steps)
    return jnp.mean(jnp.square(outputs.swapaxes(0, 1) - y))


def recurrent(params: Params, x: Array, y: Array, steps: int) -> Array:
    """Loss of the recurrent network for an input of shape (batch, steps, 700)."""
    state = start(len(x), 256, np.random.RandomState(0))

    def step(carry: Any, now: Array) -> tuple[Any, Array]:
        spikes, state = carry
        current = now @ params["w1"] + spikes @ params["w2"] + params["b1"]
        spikes, state = lif(current, state)
        return (spikes, state), spikes @ params["w3"]

    zero = jnp.zeros((len(x), 256))
    _, outputs = lax.scan(step, (zero, state), x.swapaxes(0, 1))
    return jnp.mean(jnp.square(outputs.swapaxes(0, 1) - y))


def _patches(x: Array) -> Array:
    """Lay the 3 x 3 patches, two apart, of (batch, h, w, c) side by side."""
    height, width = (x.shape[1] - 3) // 2 + 1, (x.shape[2] - 3) // 2 + 1
    parts = [
        x[:, i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2]
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(parts, axis=-1)


def convolution(params: Params, x: Array, y: Array, steps: int) -> Array:
    """Loss of the convolutional network for still images (batch, 28, 28, 1)."""
    rng = np.random.RandomState(0)
    batch = len(x)
    first = (_patches(x) @ params["w1"]).reshape(batch, -1) + params["b1"]
    states = (start(batch, first.shape[1], rng), start(batch, 6 * 6 * 64, rng))

    def step(states: Any, _: None) -> tuple[Any, Array]:
        one, two = states
        spikes, one = lif(first, one)
        patches = _patches(spikes.reshape(batch, 13, 13, 32))
        current = (patches @ params["w2"]).reshape(batch, -1) + params["b2"]
        spikes, two = lif(current, two)
        return (one, two), spikes @ params["w3"]

    _, outputs = lax.scan(step, states, None, length=steps)
    return jnp.mean(jnp.square(outputs.swapaxes(0, 1) - y))


def adam_step(loss: Callable, learning_rate: float = 1e-3) -> Callable:
    """Make one compiled step of Adam, ``step(params, moments, k, x, y)``."""

    @jax.jit
    def step(params: Params, moments: tuple, k: Array, x: Array, y: Array):
        value, gradient = jax.value_and_grad(loss)(params, x, y)
        first, second = moments
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(
            lambda m, g: 0.999 * m + 0.001 * jnp.square(g), second, gradient
        )
        rate = learning_rate * jnp.sqrt(1 - 0.999**k) / (1 - 0.9**k)
        params = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), params, first, second
        )
        return params, (first, second), value

    return step
