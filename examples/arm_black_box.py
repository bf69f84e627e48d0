"""The arm that learned to reach, as Python that nobody can differentiate.

``arm_reaching.py`` trains with an arm that JAX sees through. Here the same arm is a
plain function of NumPy, with the equations of motion written out, and could as well be
another simulator: ``plants.black_box`` calls it on the host, for all 64 reaches at
once. Its derivatives are central differences: twelve more states a reach, in one call
a step, in double precision. They are made once an update; the products with curvature
only use them.

Run it with ``python examples/arm_black_box.py``; the picture is that of
``arm_reaching.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nengo_jax import plants

# isort: split
import jax.numpy as jnp
import numpy as np
from arm_reaching import ARM, DT, Figures, learn_to_reach, out_from_the_centre

EPSILON = 1e-6  # of the differences, rad and rad/s
LIMIT = 2 * np.pi  # beyond it the state is squashed
# K1 to K3 of two uniform rods (DeWolf, 2013), kg m^2
(L1, L2), (M1, M2) = ARM.lengths, ARM.masses
K1 = (M1 / 3 + M2) * L1**2 + M2 * L2**2 / 3
K2 = M2 * L1 * L2
K3 = M2 * L2**2 / 3


def move(states: np.ndarray, torques: np.ndarray) -> np.ndarray:
    """Move many arms by one step; states are (batch, 4): angles, then velocities."""
    angles, velocities = states[:, :2], states[:, 2:]
    sine, cosine = np.sin(angles[:, 1]), np.cos(angles[:, 1])
    first, second = velocities.T
    m11, m12 = K1 + K2 * cosine, K3 + K2 / 2 * cosine
    u1 = torques[:, 0] + K2 * sine * (first * second + second**2 / 2)
    u2 = torques[:, 1] - K2 / 2 * sine * first**2
    scale = 1 / (m11 * K3 - m12**2)
    accelerations = np.stack([K3 * u1 - m12 * u2, m11 * u2 - m12 * u1], axis=1)
    velocities = velocities + DT * scale[:, None] * accelerations
    return squash(np.concatenate([angles + DT * velocities, velocities], axis=1))


def squash(states: np.ndarray) -> np.ndarray:
    """As ``plants.squash`` does it."""
    far = np.abs(states) / LIMIT
    beyond = np.sign(states) * LIMIT * (1 + np.tanh(far - 1))
    return np.where(far > 1, beyond, states)


def make_box() -> plants.Plant:
    """The arm as a black box; angles are observed from those of its start."""
    start = np.array([*ARM.start, 0.0, 0.0])
    box = plants.black_box(
        move, actions=2, observations=4, start=start, dt=DT, epsilon=EPSILON
    )
    return replace(box, observe=lambda s: s - jnp.asarray(start, s.dtype))


def main(out: Path, updates: int = 40) -> Figures:
    """Train, measure, and save the picture; see ``arm_reaching.py``."""
    task = out_from_the_centre()
    task = task._replace(starts=jnp.concatenate(task.starts, axis=1))
    return learn_to_reach(out, make_box(), task, updates)


if __name__ == "__main__":
    print(main(Path("arm_black_box.png")))
