"""The spiking model of reaching that ``reach.py`` records, and how it is run.

The model follows REACH (DeWolf et al. 2016). An arm with two links, a ``PlantNode``,
is moved by populations of spiking neurons that are named after the areas of the brain
whose part they play:

- *premotor*: a ramp runs up in each reach, and from ramp and direction the path of the
  hand is decoded, straight and of minimum jerk;
- *motor* (M1): the torques that pull the hand towards that path, which depend on the
  posture (operational space control, Khatib 1987);
- *cerebellum*: the torques that damp the arm and make up for Coriolis forces;
- *sensory* (S1): passes on angles, velocities, and the place of the hand.

References: DeWolf, Stewart, Slotine and Eliasmith, Proc. R. Soc. B 283 (2016),
20162134; Khatib, IEEE J. Robotics and Automation 3 (1987), 43.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import nengo
import numpy as np

import nengo_jax
from nengo_jax import plants

DT = 0.001  # s
CENTRE = np.array([0.0, 1.25])  # m, from the shoulder
DISTANCE = 0.25  # m, of the targets
MOVE = 1.0  # s
STEPS = 1800  # of a reach: the pulse, the movement, and a pause
PULSE = 0.2  # s, for which the ramp is held down
STIFFNESS, DAMPING = 100.0, 18.0  # 1/s^2, 1/s
SYNAPSE, MEMORY = 0.005, 0.05  # s, of most connections, of the ramp to itself

# What stands for 1 in the populations.
PLACE = 0.3  # m, from the centre or from the start of a reach
ANGLE = 0.3  # rad, from those at the centre
VELOCITY = 1.0  # rad/s
ACCELERATION = 12.0  # m/s^2

ELECTRODES = 200  # neurons of the motor population that are recorded
SMOOTH = 0.02  # s, of the recorded spikes

# The arm of REACH: uniform rods of 1.5 m and 1.3 m. At the start the hand is at CENTRE.
ARM = plants.Arm(
    lengths=(1.5, 1.3),
    masses=(1.98, 1.32),
    centres=(0.75, 0.65),
    inertias=(1.98 * 1.5**2 / 12, 1.32 * 1.3**2 / 12),
    start=(0.602, 2.226),
)

State = tuple[jax.Array, jax.Array]  # angles and velocities of the joints


class Plan(NamedTuple):
    """Reaches one after another, for each arm of a batch."""

    starts: np.ndarray  # in m, shape (arms, reaches, 2)
    goals: np.ndarray  # the same


class Model(NamedTuple):
    """The network, what it is given, and what is recorded."""

    network: nengo.Network
    task: nengo.Node  # start from CENTRE and way in m, speed of the ramp in 1/s
    electrodes: nengo.Node
    populations: tuple[nengo.Ensemble, ...]
    arm: nengo.Probe  # angles, velocities, place of the hand
    activity: nengo.Probe  # at the electrodes, smoothed; 1 for 100 Hz


def arm_with_hand() -> plants.Plant:
    """The arm, that also shows where its hand is."""
    arm = plants.two_link_arm(ARM, DT)

    def observe(state: State) -> jax.Array:
        return jnp.concatenate([*state, plants.hand(ARM, state[0])])

    return replace(
        arm, observations=(*arm.observations, "x (m)", "y (m)"), observe=observe
    )


def out_and_back() -> Plan:
    """Reaches of one arm to eight targets on a circle."""
    angles = 2 * np.pi * np.arange(8) / 8
    out = CENTRE + DISTANCE * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    back = np.broadcast_to(CENTRE, out.shape)
    pairs = np.stack([back, out], axis=1), np.stack([out, back], axis=1)
    return Plan(*(pair.reshape(1, -1, 2) for pair in pairs))


def anywhere(arms: int, reaches: int) -> Plan:
    """Reaches from place to place in and around the circle, for several arms."""
    rng = np.random.RandomState(3)
    places = [np.broadcast_to(CENTRE, (arms, 2))]
    for _ in range(reaches):
        angle = rng.uniform(0, 2 * np.pi, arms)
        radius = 1.2 * DISTANCE * np.sqrt(rng.uniform(0, 1, arms))
        offset = radius * np.stack([np.cos(angle), np.sin(angle)])
        places.append(CENTRE + offset.T)
    trail = np.stack(places, axis=1)
    return Plan(trail[:, :-1], trail[:, 1:])


def task_of(plan: Plan) -> np.ndarray:
    """What the model is given, shape (arms, steps, 5)."""
    pulse = np.arange(STEPS)[:, None] < round(PULSE / DT)
    starts, goals = (places[:, :, None] - CENTRE for places in plan)
    way = np.where(pulse, 0, goals - starts)
    parts = starts + 0 * way, way, np.where(pulse, -30, 2 / MOVE) + 0 * way[..., :1]
    return np.concatenate(parts, axis=-1).reshape(len(starts), -1, 5)


def decode(
    source: nengo.Ensemble, target: nengo.Node, function: Callable, seed: int
) -> None:
    """Connect a population with a function in JAX, most precise around zero."""
    size = source.dimensions
    points = np.random.RandomState(seed).normal(0, 0.5, (2500, size))
    nengo.Connection(
        source,
        target,
        eval_points=points,
        scale_eval_points=False,
        function=np.asarray(jax.jit(jax.vmap(function))(points)),
        synapse=SYNAPSE,
    )


def path(x: jax.Array) -> jax.Array:
    """Along the direction x[1:], with the ramp at x[0]; of minimum jerk."""
    s = jnp.clip((x[0] + 1) / 2, 0, 1)
    return (10 * s**3 - 15 * s**4 + 6 * s**5) * x[1:]


def pull(x: jax.Array) -> jax.Array:
    """Torques for the accelerations x[2:] of the hand, with the angles x[:2]."""
    angles = jnp.asarray(ARM.start) + ANGLE * x[:2]
    jacobian = jax.jacfwd(lambda q: plants.hand(ARM, q))(angles)
    joints = jnp.linalg.solve(jacobian, ACCELERATION * x[2:])
    return plants.inertia(ARM, angles) @ joints


def damp(x: jax.Array) -> jax.Array:
    """Torques against velocities x[1:] and Coriolis forces, with the elbow at x[0]."""
    elbow = ARM.start[1] + ANGLE * x[0]
    angles, velocities = jnp.stack([jnp.zeros_like(elbow), elbow]), VELOCITY * x[1:]
    free = plants.acceleration(ARM, angles, velocities, jnp.zeros_like(velocities))
    return plants.inertia(ARM, angles) @ (-DAMPING * velocities - free)


def build() -> Model:
    with nengo.Network("reaching", seed=1) as network:
        task = nengo.Node(np.zeros(5), label="task")
        arm = plants.PlantNode(arm_with_hand())
        sensory = add_sensory(arm)
        ramp, premotor, wish = add_premotor(task)

        motor = nengo.Ensemble(1000, 4, radius=1.5, label="motor")
        share = STIFFNESS * PLACE / ACCELERATION
        nengo.Connection(sensory[:2], motor[:2], synapse=SYNAPSE)
        nengo.Connection(wish, motor[2:], transform=share, synapse=None)
        nengo.Connection(sensory[4:], motor[2:], transform=-share, synapse=SYNAPSE)
        decode(motor, arm, pull, seed=3)

        cerebellum = nengo.Ensemble(1000, 3, radius=1.2, label="cerebellum")
        nengo.Connection(sensory[1:4], cerebellum, synapse=SYNAPSE)
        decode(cerebellum, arm, damp, seed=4)

        electrodes = nengo.Node(size_in=ELECTRODES, label="electrodes")
        recorded = motor.neurons[:ELECTRODES]
        nengo.Connection(recorded, electrodes, transform=0.01, synapse=SMOOTH)
        populations = ramp, premotor, motor, cerebellum
        probes = nengo.Probe(arm), nengo.Probe(electrodes)
        return Model(network, task, electrodes, populations, *probes)


def add_sensory(arm: nengo.Node) -> nengo.Node:
    """Add S1; return all that the arm shows, in the units of the populations."""
    sensory = nengo.networks.EnsembleArray(100, 6, label="sensory")
    scales = np.array([ANGLE, ANGLE, VELOCITY, VELOCITY, PLACE, PLACE])
    rest = nengo.Node(-np.array([*ARM.start, 0, 0, *CENTRE]) / scales)
    nengo.Connection(rest, sensory.input, synapse=None)
    nengo.Connection(arm, sensory.input, transform=np.diag(1 / scales), synapse=SYNAPSE)
    return sensory.output


def add_premotor(
    task: nengo.Node,
) -> tuple[nengo.Ensemble, nengo.Ensemble, nengo.Node]:
    """Add the ramp, the population with the path, and where the hand should be."""
    ramp = nengo.Ensemble(500, 1, label="ramp")
    nengo.Connection(ramp, ramp, synapse=MEMORY)
    nengo.Connection(task[4], ramp, transform=MEMORY, synapse=None)
    premotor = nengo.Ensemble(1000, 3, radius=1.5, label="premotor")
    nengo.Connection(ramp, premotor[0], synapse=SYNAPSE)
    nengo.Connection(task[2:4], premotor[1:], transform=1 / PLACE, synapse=None)
    wish = nengo.Node(size_in=2, label="wish")
    decode(premotor, wish, path, seed=2)
    nengo.Connection(task[:2], wish, transform=1 / PLACE, synapse=SYNAPSE)
    return ramp, premotor, wish


def run(model: Model, plan: Plan) -> nengo_jax.Simulator:
    data = task_of(plan)
    arms, steps, _ = data.shape
    with nengo_jax.Simulator(
        model.network, DT, minibatch_size=arms, progress_bar=False
    ) as sim:
        sim.run_steps(steps, data={model.task: data})
    return sim
