"""A spiking arm learns to move straight through a force field, online, with PES.

The experiment is that of Shadmehr and Mussa-Ivaldi (1994): a hand moves 10 cm from a
centre to one of eight targets and back, again and again. Then a robot pushes it with a
force that grows with its velocity. The paths are bent, become straight again with
practice, and when the field is taken away they are bent to the other side: the nervous
system has learned what the field does.

Here the arm is ``plants.HUMAN`` in a ``PlantNode``, and all that controls it spikes:

- *feedback*: how far the joints are from where they should be, as an acceleration;
- *motor*: the torques for the planned acceleration plus that of the feedback;
- *adaptive*: torques that depend on angles and velocities of the joints. They are zero
  until PES learns them. What it learns from is the feedback: as long as there is
  something to correct, something is missing (feedback-error learning, Kawato 1990);
- *training*: hands the feedback on to PES. If it is inhibited, nothing is learned.

Three arms run at the same time, as one batch, each with decoders of its own: one in a
curl field, one in the field of the paper, and one in the curl field that cannot learn.

The picture shows reaches of the first arm before, at the beginning, after learning and
after the field, and the error of all three in each set of 16 reaches.

Run it with ``python examples/force_field.py``.

References: Shadmehr and Mussa-Ivaldi, J. Neurosci. 14 (1994), 3208; the network follows
REACH (DeWolf, Stewart, Slotine and Eliasmith, Proc. R. Soc. B 283 (2016), 20162134).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax
from nengo_jax import plants

DT = 0.001  # s
ARM = plants.HUMAN
CENTRE = np.array([0.0, 0.35])  # m, from the shoulder
DISTANCE = 0.1  # m
MOVE, HOLD = 0.5, 0.2  # s
STIFFNESS, DAMPING = 150.0, 25.0  # 1/s^2, 1/s
CURL = np.array([[0.0, 13.0], [-13.0, 0.0]])  # N s/m, from velocity to force
SADDLE = np.array([[-10.1, -11.2], [-11.2, 11.1]])  # N s/m, that of the paper
LEARNING_RATE = 5e-6
SYNAPSE = 0.005  # s

# What stands for 1 in the populations.
ANGLE = 0.3  # rad, from the middle of those that occur
SPEED = 0.4  # m/s
ACCELERATION = 40.0  # rad/s^2

State = tuple[jax.Array, jax.Array]  # angles and velocities of the joints


class Condition(NamedTuple):
    """What one arm of the batch meets."""

    name: str
    field: np.ndarray
    learns: bool


CONDITIONS = (
    Condition("curl field", CURL, True),
    Condition("field of the paper", SADDLE, True),
    Condition("curl field, no learning", CURL, False),
)


class Sets(NamedTuple):
    """Numbers of sets of reaches, to eight targets and back."""

    before: int
    field: int
    after: int


class Plan(NamedTuple):
    """Where to be when."""

    joints: np.ndarray  # angles, velocities, accelerations; shape (steps, 6)
    starts: np.ndarray  # in m, shape (sets, 8 targets, out or back, 2)
    goals: np.ndarray  # the same
    order: np.ndarray  # of the targets, shape (sets, 8)


class Task(NamedTuple):
    """The network, what it is given, and what is recorded."""

    network: nengo.Network
    field: nengo.Node
    stop: nengo.Node
    hand: nengo.Probe


class Run(NamedTuple):
    """What happened in a set to each target: condition, set, target, out or back."""

    paths: np.ndarray  # of the hand in m, shape (..., steps, 2)
    bends: np.ndarray  # furthest from the straight line in m, to the left of it


class Figures(NamedTuple):
    """One number for each condition; errors are means over a set, in cm."""

    before: list[float]  # the last set without field
    first: list[float]  # the first set in the field
    learned: list[float]  # the last set in the field
    ratio: list[float]  # of these two
    aftereffect: list[float]  # -1: bent as at first, but to the other side
    seconds: float  # of computing, for all conditions


def arm_in_field() -> plants.Plant:
    """An arm whose third input is a matrix, from velocity of the hand to force on it.

    It shows angles and velocities of the joints, place and velocity of the hand.
    """
    arm = plants.two_link_arm(ARM, DT)

    def hand(angles: jax.Array) -> jax.Array:
        return plants.hand(ARM, angles)

    def step(state: State, action: jax.Array) -> State:
        angles, velocities = state
        torques, field = action[:2], action[2:].reshape(2, 2)
        jacobian = jax.jacfwd(hand)(angles)
        force = field @ jacobian @ velocities
        return arm.step(state, torques + jacobian.T @ force)

    def observe(state: State) -> jax.Array:
        place, velocity = jax.jvp(hand, state[:1], state[1:])
        return jnp.concatenate([*state, place, velocity])

    return replace(
        arm,
        name="arm in a field",
        actions=(*arm.actions, *(f"{f} / v{v} (N s/m)" for f in "xy" for v in "xy")),
        observations=(*arm.observations, "x (m)", "y (m)", "vx (m/s)", "vy (m/s)"),
        step=step,
        observe=observe,
    )


def make_plan(sets: Sets) -> Plan:
    """Straight paths of minimum jerk, to the targets in random order and back."""
    rng = np.random.RandomState(0)
    order = np.stack([rng.permutation(8) for _ in range(sum(sets))])
    angles = 2 * np.pi * order / 8
    out = CENTRE + DISTANCE * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    back = np.broadcast_to(CENTRE, out.shape)
    starts, goals = np.stack([back, out], axis=2), np.stack([out, back], axis=2)

    def joints(time: jax.Array, start: jax.Array, goal: jax.Array) -> jax.Array:
        s = jnp.minimum(time / MOVE, 1)
        share = 10 * s**3 - 15 * s**4 + 6 * s**5
        return plants.inverse_kinematics(ARM, start + share * (goal - start))

    def reach(time: jax.Array, start: jax.Array, goal: jax.Array) -> jax.Array:
        velocity = jax.jacfwd(joints)
        acceleration = jax.jacfwd(velocity)
        parts = joints, velocity, acceleration
        return jnp.concatenate([part(time, start, goal) for part in parts])

    times = DT * jnp.arange(1, round((MOVE + HOLD) / DT) + 1)
    steps = jax.vmap(reach, in_axes=(0, None, None))
    rows = jax.vmap(steps, in_axes=(None, 0, 0))(
        times, starts.reshape(-1, 2), goals.reshape(-1, 2)
    )
    return Plan(np.asarray(rows).reshape(-1, 6), starts, goals, order)


def build(plan: Plan) -> Task:
    low, high = plan.joints[:, :2].min(axis=0), plan.joints[:, :2].max(axis=0)
    middle, at_first = (low + high) / 2, (plan.joints[0, :2], np.zeros(2))
    with nengo.Network("arm in a force field", seed=1) as network:
        wish = nengo.Node(nengo.processes.PresentInput(plan.joints, DT))
        field, stop = nengo.Node(np.zeros(4)), nengo.Node([0.0])
        arm = plants.PlantNode(arm_in_field(), start=at_first)
        nengo.Connection(field, arm[2:], synapse=None)
        angles = nengo.Node(size_in=2, label="angles from the middle")
        nengo.Connection(nengo.Node(-middle / ANGLE), angles, synapse=None)
        nengo.Connection(arm[:2], angles, transform=1 / ANGLE, synapse=SYNAPSE)

        feedback = nengo.Ensemble(500, 2, label="feedback")
        for part, gain in ((slice(0, 2), STIFFNESS), (slice(2, 4), DAMPING)):
            share = gain / ACCELERATION
            nengo.Connection(wish[part], feedback, transform=share, synapse=SYNAPSE)
            nengo.Connection(arm[part], feedback, transform=-share, synapse=SYNAPSE)
        motor = add_motor(middle[1], arm)
        nengo.Connection(angles[1], motor[0], synapse=None)
        nengo.Connection(wish[4:], motor[1:], transform=1 / ACCELERATION, synapse=None)
        nengo.Connection(feedback, motor[1:], synapse=SYNAPSE)
        adaptive, training = add_adaptation(arm)
        nengo.Connection(angles, adaptive[:2], synapse=None)
        nengo.Connection(arm[6:], adaptive[2:], transform=1 / SPEED, synapse=SYNAPSE)
        nengo.Connection(feedback, training, synapse=SYNAPSE)
        nengo.Connection(stop, training.neurons, transform=np.full((500, 1), -3.0))
        return Task(network, field, stop, nengo.Probe(arm[4:6]))


def add_motor(middle: float, arm: nengo.Node) -> nengo.Ensemble:
    """Neurons that turn accelerations [1:] at an angle of the elbow [0] to torques."""

    def torques(x: jax.Array) -> jax.Array:
        elbow = middle + ANGLE * x[0]  # of the shoulder inertia is independent
        matrix = plants.inertia(ARM, jnp.stack([jnp.zeros_like(elbow), elbow]))
        return matrix @ (ACCELERATION * x[1:])

    motor = nengo.Ensemble(1000, 3, radius=1.5, label="motor")
    points = np.random.RandomState(2).uniform(-1, 1, (3000, 3))
    nengo.Connection(
        motor,
        arm[:2],
        eval_points=points,
        scale_eval_points=False,
        function=np.asarray(jax.vmap(torques)(points)),
        synapse=SYNAPSE,
    )
    return motor


def add_adaptation(arm: nengo.Node) -> tuple[nengo.Ensemble, nengo.Ensemble]:
    """Neurons whose torques PES learns, and those that say what is missing."""
    adaptive = nengo.Ensemble(
        1000,
        4,
        radius=1.3,
        # each neuron is active in a part of the space, parts of all sizes alike
        intercepts=nengo.dists.CosineSimilarity(6),
        label="adaptive",
    )
    learned = nengo.Connection(
        adaptive,
        arm[:2],
        function=lambda x: np.zeros(2),
        learning_rule_type=nengo.PES(LEARNING_RATE),
        synapse=SYNAPSE,
    )
    training = nengo.Ensemble(500, 2, label="training")
    # PES wants output - target, so what is missing counts as negative
    nengo.Connection(
        training, learned.learning_rule, transform=-ACCELERATION, synapse=SYNAPSE
    )
    return adaptive, training


def run(sets: Sets) -> tuple[Run, float]:
    """Simulate all conditions as one batch; return the seconds that it took, too."""
    plan = make_plan(sets)
    task = build(plan)
    steps = len(plan.joints)
    in_field = np.repeat(np.repeat([0.0, 1.0, 0.0], sets), steps // sum(sets))
    data = {
        task.field: [in_field[:, None] * c.field.reshape(-1) for c in CONDITIONS],
        task.stop: [np.full((steps, 1), 1.0 - c.learns) for c in CONDITIONS],
    }
    begin = perf_counter()
    with nengo_jax.Simulator(
        task.network, DT, minibatch_size=len(CONDITIONS), progress_bar=False
    ) as sim:
        sim.run_steps(steps, data={node: np.array(rows) for node, rows in data.items()})
    seconds = perf_counter() - begin
    return by_target(sim.data[task.hand], plan), seconds


def by_target(hand: np.ndarray, plan: Plan) -> Run:
    """Cut a recording into reaches, and measure how bent they are."""
    paths = hand.reshape(len(CONDITIONS), *plan.starts.shape[:-1], -1, 2)
    ways = (plan.goals - plan.starts) / DISTANCE
    left = np.stack([-ways[..., 1], ways[..., 0]], axis=-1)
    offsets = paths - plan.starts[..., None, :]
    aside = np.sum(offsets * left[..., None, :], axis=-1)
    furthest = np.abs(aside).argmax(axis=-1)[..., None]
    bends = np.take_along_axis(aside, furthest, axis=-1)[..., 0]
    order = np.argsort(plan.order, axis=1)[None, :, :, None]
    return Run(
        np.take_along_axis(paths, order[..., None, None], axis=2),
        np.take_along_axis(bends, order, axis=2),
    )


def main(out: Path, before: int = 2, field: int = 12, after: int = 2) -> Figures:
    """Run the experiment and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    before, field, after : int
        Numbers of sets of 16 reaches, 11.2 s each: without field, in it, without it.
    """
    sets = Sets(before, field, after)
    done, seconds = run(sets)
    errors = 100 * np.abs(done.bends).mean(axis=(2, 3))
    first, learned = errors[:, before], errors[:, before + field - 1]
    bent, bent_after = done.bends[:, before], done.bends[:, before + field]
    aftereffect = np.sum(bent * bent_after, axis=(1, 2)) / np.sum(bent**2, axis=(1, 2))
    rows = errors[:, before - 1], first, learned, learned / first, aftereffect
    figures = Figures(*(row.tolist() for row in rows), seconds)
    draw(out, done, errors, sets, figures)
    return figures


def draw(
    out: Path, done: Run, errors: np.ndarray, sets: Sets, figures: Figures
) -> None:
    figure = Figure(figsize=(10, 8.5), layout="constrained")
    axes = figure.subplot_mosaic("abcd;ijkl;eeee")
    end = sets.before + sets.field
    moments = {
        "before": sets.before - 1,
        "first in the field": sets.before,
        "after learning": end - 1,
        "field taken away": end,
    }
    for condition, names in enumerate(("abcd", "ijkl")):
        for name, (title, moment) in zip(names, moments.items(), strict=True):
            draw_paths(axes[name], done.paths[condition, moment])
            axes[name].set_title(title)
        axes[names[0]].set_ylabel(CONDITIONS[condition].name)
    draw_errors(axes["e"], errors, sets, figures)
    figure.savefig(out, dpi=90)


def draw_paths(axes: Axes, paths: np.ndarray) -> None:
    for target, (way_out, _) in enumerate(paths):
        axes.plot(*(100 * way_out).T, color=f"C{target}", lw=1.5)
    angles = 2 * np.pi * np.arange(8) / 8
    places = 100 * (CENTRE + DISTANCE * np.stack([np.cos(angles), np.sin(angles)], 1))
    axes.scatter(*places.T, s=45, facecolors="none", edgecolors="0.6")
    axes.set(xlim=(-14, 14), ylim=(21, 49), aspect="equal", xticks=[], yticks=[])
    axes.plot([-13, -8], [22, 22], color="black", lw=2)
    axes.text(-10.5, 22.5, "5 cm", ha="center")


def draw_errors(axes: Axes, errors: np.ndarray, sets: Sets, figures: Figures) -> None:
    numbers = np.arange(1, sum(sets) + 1)
    for condition, error, ratio in zip(CONDITIONS, errors, figures.ratio, strict=True):
        label = f"{condition.name}: in the end {100 * ratio:.0f}% of the first set"
        axes.plot(numbers, error, "o-", ms=4, label=label)
    axes.axvspan(sets.before + 0.5, sets.before + sets.field + 0.5, color="0.92")
    axes.text(sets.before + 0.6, 0.05, "field", color="0.4")
    axes.set(xlabel="set of 16 reaches (11.2 s)", ylabel="furthest from straight (cm)")
    axes.set_ylim(0)
    axes.legend(frameon=False, loc=(0.3, 0.55))


if __name__ == "__main__":
    print(main(Path("force_field.png")))
