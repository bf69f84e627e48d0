r"""Arms in a horizontal plane, moved by torques at their joints.

With the angles q (each measured from the link before it), their velocities :math:`\dot
q` and torques u, the equations of motion are

.. math:: M(q) \ddot q + c(q, \dot q) + B \dot q = u

with the matrix of inertia M, the Coriolis and centripetal forces c and the friction B.
M is that of Lagrangian mechanics: with the velocity :math:`J_i \dot q` of the centre of
mass of link i, its mass m and its moment of inertia I,

.. math:: M = \sum_i m_i J_i^T J_i + I_i w_i w_i^T, \qquad
    c = \dot M \dot q - \tfrac12 \nabla_q (\dot q^T M \dot q)

where :math:`w_i` is 1 for the joints up to link i. Time goes on by semi-implicit Euler
steps: first the velocities, then the angles with the new velocities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.exceptions import ValidationError

from .plant import Plant

ArmState = tuple[Array, Array]


@dataclass(frozen=True)
class Arm:
    """Parameters of an arm with any number of links.

    Attributes
    ----------
    lengths : tuple of float
        In m.
    masses : tuple of float
        In kg.
    centres : tuple of float
        Distance of each centre of mass from the joint before it, in m.
    inertias : tuple of float
        Moment of inertia of each link about its centre of mass, in kg m^2.
    start : tuple of float
        Angles at rest, in rad.
    friction : tuple of tuple of float or None
        Matrix B, in N m s.
    """

    lengths: tuple[float, ...]
    masses: tuple[float, ...]
    centres: tuple[float, ...]
    inertias: tuple[float, ...]
    start: tuple[float, ...]
    friction: tuple[tuple[float, ...], ...] | None = None

    def __post_init__(self) -> None:
        """Check that there is one of each for every link."""
        counts = {
            name: len(getattr(self, name))
            for name in ("lengths", "masses", "centres", "inertias", "start")
        }
        if len(set(counts.values())) != 1:
            raise ValidationError(
                f"An arm needs one of each for every link (got {counts})", attr="arm"
            )


def _rods(
    lengths: Sequence[float], masses: Sequence[float], start: Sequence[float]
) -> Arm:
    """Links that are uniform rods: centre in the middle, m l^2 / 12 about it."""
    pairs = list(zip(lengths, masses, strict=True))
    return Arm(
        tuple(lengths),
        tuple(masses),
        tuple(length / 2 for length in lengths),
        tuple(mass * length**2 / 12 for length, mass in pairs),
        tuple(start),
    )


# The two-link arm of the control suite by DeWolf (2013): uniform rods.
RODS = _rods((0.31, 0.27), (1.98, 1.32), (0.75613, 1.8553))

# A human arm by Li and Todorov (2004). Their moments of inertia are those about the
# joints, so what the masses contribute is taken off here.
HUMAN = Arm(
    lengths=(0.31, 0.27),
    masses=(1.4, 1.1),
    centres=(0.11, 0.16),
    inertias=(0.025 - 1.4 * 0.11**2, 0.045 - 1.1 * 0.16**2),
    start=(0.75613, 1.8553),
)

# The three-link arm of the control suite by DeWolf (2013).
THREE_LINKS = Arm(
    lengths=(2.0, 1.2, 0.7),
    masses=(10.0, 10.0, 10.0),
    centres=(1.0, 0.6, 0.35),
    inertias=(100.0, 100.0, 100.0),
    start=(np.pi / 5.5, np.pi / 1.7, np.pi / 6),
)


def two_link_arm(arm: Arm = RODS, dt: float = 0.01) -> Plant:
    """Return an arm with shoulder and elbow.

    Parameters
    ----------
    arm : Arm
        ``plants.RODS`` or ``plants.HUMAN``, or parameters of your own.
    dt : float
        Length of a step in seconds.

    Examples
    --------
    >>> import jax
    >>> from nengo_jax import plants
    >>> plant = plants.two_link_arm(plants.HUMAN)
    >>> plant.observations
    ('q0 (rad)', 'q1 (rad)', 'dq0 (rad/s)', 'dq1 (rad/s)')
    """
    return _planar(arm, dt, 2, "two-link arm")


def three_link_arm(arm: Arm = THREE_LINKS, dt: float = 0.01) -> Plant:
    """Return an arm with shoulder, elbow and wrist; see :func:`two_link_arm`."""
    return _planar(arm, dt, 3, "three-link arm")


def _planar(arm: Arm, dt: float, links: int, name: str) -> Plant:
    if len(arm.lengths) != links:
        raise ValidationError(
            f"A {name} has {links} links (got {len(arm.lengths)})", attr="arm"
        )
    numbers = range(links)
    start = np.asarray(arm.start)

    def reset(key: Array) -> ArmState:
        angles = jnp.asarray(start)
        return angles, jnp.zeros_like(angles)

    def step(state: ArmState, action: Array) -> ArmState:
        angles, velocities = state
        velocities = velocities + dt * acceleration(arm, angles, velocities, action)
        return angles + dt * velocities, velocities

    return Plant(
        name=name,
        dt=dt,
        actions=tuple(f"u{k} (N m)" for k in numbers),
        observations=(
            *(f"q{k} (rad)" for k in numbers),
            *(f"dq{k} (rad/s)" for k in numbers),
        ),
        reset=reset,
        step=step,
        observe=jnp.concatenate,
        points=lambda state: joints(arm, state[0]),
    )


def joints(arm: Arm, angles: Array) -> Array:
    """Return the places of shoulder, joints and hand, shape (links + 1, 2), in m."""
    ends = _along(angles, jnp.asarray(arm.lengths, angles.dtype))
    return jnp.concatenate([jnp.zeros((1, 2), angles.dtype), jnp.cumsum(ends, axis=0)])


def hand(arm: Arm, angles: Array) -> Array:
    """Return the place of the hand, shape (2,), in m."""
    return joints(arm, angles)[-1]


def inverse_kinematics(arm: Arm, place: Array) -> Array:
    """Return the angles of a two-link arm whose hand is at a place.

    Parameters
    ----------
    arm : Arm
        With two links.
    place : Array, shape (2,)
        In m. Out of reach, the arm is stretched towards it.

    Returns
    -------
    Array, shape (2,)
        Of the two solutions the one with a positive angle at the elbow.
    """
    first, second = arm.lengths
    x, y = place
    cosine = (x**2 + y**2 - first**2 - second**2) / (2 * first * second)
    elbow = jnp.arccos(jnp.clip(cosine, -1, 1))
    side = jnp.arctan2(second * jnp.sin(elbow), first + second * jnp.cos(elbow))
    return jnp.stack([jnp.arctan2(y, x) - side, elbow])


def inertia(arm: Arm, angles: Array) -> Array:
    """Return the matrix of inertia M, shape (links, links), in kg m^2."""
    links = len(arm.lengths)
    move = jax.jacfwd(lambda q: _centres(arm, q))(angles)  # link, axis, joint
    masses = jnp.asarray(arm.masses, angles.dtype)
    turn = jnp.tril(jnp.ones((links, links), angles.dtype))  # link, joint
    moments = jnp.asarray(arm.inertias, angles.dtype)
    linear = jnp.einsum("i,iaj,iak->jk", masses, move, move)
    return linear + jnp.einsum("i,ij,ik->jk", moments, turn, turn)


def acceleration(arm: Arm, angles: Array, velocities: Array, torques: Array) -> Array:
    """Return the accelerations of the joints, shape (links,), in rad/s^2."""
    matrix, change = jax.jvp(lambda q: inertia(arm, q), (angles,), (velocities,))

    def energy(q: Array) -> Array:
        return velocities @ inertia(arm, q) @ velocities / 2

    forces = torques - change @ velocities + jax.grad(energy)(angles)
    if arm.friction is not None:
        forces = forces - jnp.asarray(arm.friction, angles.dtype) @ velocities
    return _solve(matrix, forces)


def _solve(matrix: Array, forces: Array) -> Array:
    """Solve with a positive definite matrix of a few rows (Gauss and Jordan).

    LAPACK, called for each arm of a batch, takes a fifth of the time of training.
    """
    rows = list(jnp.column_stack([matrix, forces]))
    for i, _ in enumerate(rows):
        rows[i] = rows[i] / rows[i][i]
        for j, row in enumerate(rows):
            if j != i:
                rows[j] = row - row[i] * rows[i]
    return jnp.stack([row[-1] for row in rows])


def _centres(arm: Arm, angles: Array) -> Array:
    """Places of the centres of mass, shape (links, 2)."""
    own = _along(angles, jnp.asarray(arm.centres, angles.dtype))
    return joints(arm, angles)[:-1] + own


def _along(angles: Array, lengths: Array) -> Array:
    """Vectors along the links, shape (links, 2)."""
    directions = jnp.cumsum(angles)
    unit = jnp.stack([jnp.cos(directions), jnp.sin(directions)], axis=-1)
    return lengths[:, None] * unit
