"""Plants that every textbook has: a pole on a cart, a pendulum, a damped mass.

The first two follow Gymnasium's CartPole-v1 (after Barto, Sutton and Anderson, 1983)
and Pendulum-v1, so what is learned here works there.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .plant import Plant

_GRAVITY = 9.8  # m/s^2, as in CartPole


def cart_pole(dt: float = 0.02) -> Plant:
    """Return a cart of 1 kg with a pole of 0.1 kg and 1 m that stands on it.

    The action is the force on the cart, which CartPole-v1 sets to 10 or -10 N. The
    state is (position, velocity, angle, angular velocity), and all of it is seen; angle
    0 is upright. Steps are explicit Euler steps. It starts with random numbers in
    [-0.05, 0.05], and has failed beyond 2.4 m or 12 degrees.
    """
    cart, pole, half = 1.0, 0.1, 0.5
    total = cart + pole

    def reset(key: Array) -> Array:
        return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)

    def step(state: Array, action: Array) -> Array:
        _, velocity, angle, spin = state
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        push = (action[0] + pole * half * spin**2 * sine) / total
        turn = (_GRAVITY * sine - cosine * push) / (
            half * (4 / 3 - pole * cosine**2 / total)
        )
        pull = push - pole * half * turn * cosine / total
        change = jnp.stack([velocity, pull, spin, turn])
        return state + dt * change

    def failed(state: Array) -> Array:
        return (jnp.abs(state[0]) > 2.4) | (jnp.abs(state[2]) > 12 * np.pi / 180)

    def points(state: Array) -> Array:
        base = jnp.stack([state[0], jnp.zeros_like(state[0])])
        way = jnp.stack([jnp.sin(state[2]), jnp.cos(state[2])])
        return jnp.stack([base, base + 2 * half * way])

    return Plant(
        name="cart-pole",
        dt=dt,
        actions=("force (N)",),
        observations=("x (m)", "dx (m/s)", "angle (rad)", "spin (rad/s)"),
        reset=reset,
        step=step,
        observe=jnp.asarray,
        points=points,
        failed=failed,
    )


def pendulum(dt: float = 0.05) -> Plant:
    """Return a pendulum of 1 kg and 1 m that a weak motor swings up.

    The action is the torque, of at most 2 N m. The state is (angle, angular velocity),
    seen as cosine, sine and velocity; angle 0 is upright, and gravity is 10 m/s^2.
    Steps are semi-implicit Euler steps, and the velocity is kept within 8 rad/s. It
    starts at a random angle with a velocity in [-1, 1].
    """
    gravity, most, fastest = 10.0, 2.0, 8.0

    def reset(key: Array) -> Array:
        limits = jnp.asarray([np.pi, 1.0])
        return jax.random.uniform(key, (2,), minval=-limits, maxval=limits)

    def step(state: Array, action: Array) -> Array:
        angle, spin = state
        torque = jnp.clip(action[0], -most, most)
        spin = spin + dt * (1.5 * gravity * jnp.sin(angle) + 3 * torque)
        spin = jnp.clip(spin, -fastest, fastest)
        return jnp.stack([angle + dt * spin, spin])

    def points(state: Array) -> Array:
        end = jnp.stack([-jnp.sin(state[0]), jnp.cos(state[0])])
        return jnp.stack([jnp.zeros_like(end), end])

    return Plant(
        name="pendulum",
        dt=dt,
        actions=("torque (N m)",),
        observations=("cos(angle)", "sin(angle)", "spin (rad/s)"),
        reset=reset,
        step=step,
        observe=lambda s: jnp.stack([jnp.cos(s[0]), jnp.sin(s[0]), s[1]]),
        points=points,
    )


def damped_mass(
    mass: float = 1.0, damping: float = 0.5, stiffness: float = 0.0, dt: float = 0.01
) -> Plant:
    """Return a mass on a line that is slowed down by friction.

    The equation is m x'' = u - b x' - k x, and each step is exact for a force that
    stays the same during the step.

    Parameters
    ----------
    mass : float
        In kg.
    damping : float
        b, in N s/m.
    stiffness : float
        k of a spring to 0, in N/m.
    dt : float
        Length of a step in seconds.
    """
    from scipy.signal import cont2discrete

    system = np.array([[0, 1], [-stiffness / mass, -damping / mass]])
    push = np.array([[0], [1 / mass]])
    after, effect, *_ = cont2discrete((system, push, np.eye(2), np.zeros((2, 1))), dt)

    def step(state: Array, action: Array) -> Array:
        move, force = (jnp.asarray(matrix, state.dtype) for matrix in (after, effect))
        return move @ state + force @ action

    return Plant(
        name="damped mass",
        dt=dt,
        actions=("force (N)",),
        observations=("x (m)", "dx (m/s)"),
        reset=lambda key: jnp.zeros(2),
        step=step,
        observe=jnp.asarray,
        points=lambda state: jnp.stack([jnp.zeros(2), state * jnp.array([1.0, 0.0])]),
    )
