"""A recurrent network learns to reach: 64 targets in seconds, by seeing curvature.

An arm of two links, 0.58 m long, lies still. Around its hand there are 64 targets on a
circle with a radius of 7 cm. A network of 32 + 32 recurrent tanh units gets the target
and what the joints do, and gives two torques, every 10 ms. After 0.4 s the hand has to
be there, and to stand still; nobody says how to get there.

The task is that of DeWolf (2016), who followed Sutskever (2013) and trained it with
Hessian-free optimization for 4 to 5 weeks, with a plant in Python whose derivatives
were differences. Here arm and network are one function of JAX, ``plants.roll_out``:
the gradient is exact, that of the observations which come back included, all reaches
run side by side, and all updates are one compiled call.

The picture shows the paths of the hand, how far it is from its target in time, the
torques of one reach, and how the errors fall from update to update.

Run it with ``python examples/arm_reaching.py``. Its siblings use the same parts:
``arm_black_box.py`` (the arm is Python that nobody can differentiate),
``arm_there_and_back.py``, ``arm_straight.py``, ``arm_held.py`` (another regime of
training), ``arm_in_nengo.py`` and ``arm_spiking.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

# nengo_jax sets up JAX.
from nengo_jax import plants
from nengo_jax.optimizers import HessianFreeSettings, Method, hessian_free

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ARM = plants.RODS
DT, STEPS = 0.01, 40  # s; a reach takes 0.4 s
REACHES = 64
RADIUS = sum(ARM.lengths) / 8  # m, of the circle of targets
UNITS = 32  # in each of the two layers
RANGES = np.array([0.3, 0.3, 1.0, 1.0])  # rad and rad/s, what inputs are like
TORQUE = 0.3  # N m, what outputs are like before training
WEIGHTS = np.array([1.0, 1.0, 0.1, 0.1])  # of errors in rad and rad/s at the end
SETTINGS = HessianFreeSettings(damping=1.0, iterations=96)

Params = dict[str, jax.Array]


class Task(NamedTuple):
    """What to do; the leading axis is that of the reaches."""

    starts: Any  # states of the arm
    goals: jax.Array  # angles from those of the start, and velocities; for each step
    places: jax.Array  # where the hand should be at the end, m


class Learning(NamedTuple):
    """What happened in each update."""

    loss: jax.Array
    distances: jax.Array  # of all hands from their targets before the update, m
    cg_iterations: jax.Array


class Figures(NamedTuple):
    """How well the arm reaches; distances at the end in mm."""

    mean: float
    worst: float
    speed: float  # of the fastest hand at the end, mm/s
    seconds: float  # of training, compiling included
    updates: int


def make_arm(dt: float = DT) -> plants.Plant:
    """An arm that stays finite; angles are observed from those of its start."""
    start = jnp.asarray(ARM.start)
    arm = plants.squash(plants.two_link_arm(ARM, dt), 2 * np.pi)
    return replace(arm, observe=lambda s: jnp.concatenate([s[0] - start, s[1]]))


def rest(angles: jax.Array) -> tuple[jax.Array, jax.Array]:
    """State of an arm that stands still."""
    return angles, jnp.zeros_like(angles)


def circle() -> tuple[jax.Array, jax.Array]:
    """Places of the targets in m, and the angles of the joints there."""
    turns = 2 * np.pi * jnp.arange(REACHES) / REACHES
    centre = plants.hand(ARM, jnp.asarray(ARM.start))
    places = centre + RADIUS * jnp.stack([jnp.cos(turns), jnp.sin(turns)], axis=1)
    return places, jax.vmap(lambda p: plants.inverse_kinematics(ARM, p))(places)


def goal(angles: jax.Array) -> jax.Array:
    """What the network is told: angles from those of the start, velocities of zero."""
    return jnp.concatenate([angles - jnp.asarray(ARM.start), jnp.zeros(2)])


def out_from_the_centre() -> Task:
    places, angles = circle()
    goals = jax.vmap(goal)(angles)
    start = rest(jnp.asarray(ARM.start))
    starts = jax.tree.map(lambda x: jnp.broadcast_to(x, (REACHES, 2)), start)
    return Task(starts, jnp.repeat(goals[:, None], STEPS, axis=1), places)


def draw_params(seed: int = 0) -> Params:
    rng = np.random.RandomState(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return rng.standard_normal((rows, columns)) / np.sqrt(rows)

    params = {
        "inputs to 1": matrix(8, UNITS) / np.tile(RANGES, 2)[:, None],
        "inputs to 2": matrix(8, UNITS) / np.tile(RANGES, 2)[:, None],
        "1 to 1": 0.8 * matrix(UNITS, UNITS),
        "1 to 2": matrix(UNITS, UNITS),
        "2 to 2": 0.8 * matrix(UNITS, UNITS),
        "2 to torques": TORQUE * matrix(UNITS, 2),
        "bias 1": np.zeros(UNITS),
        "bias 2": np.zeros(UNITS),
        "bias of torques": np.zeros(2),
    }
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


def control_with(params: Params) -> plants.Control:
    """The network; it remembers what its two layers did."""

    def control(memory: tuple, seen: jax.Array, goal: jax.Array) -> tuple:
        first, second = memory
        x = jnp.concatenate([goal, seen])
        first = jnp.tanh(
            x @ params["inputs to 1"] + first @ params["1 to 1"] + params["bias 1"]
        )
        second = jnp.tanh(
            x @ params["inputs to 2"]
            + first @ params["1 to 2"]
            + second @ params["2 to 2"]
            + params["bias 2"]
        )
        torques = second @ params["2 to torques"] + params["bias of torques"]
        return (first, second), torques

    return control


def reach(
    arm: plants.Plant, params: Params, task: Task, held: jax.Array | None = None
) -> plants.Trajectory:
    """Let the network control the arm in all reaches, or show it what is held."""
    silent = (jnp.zeros(UNITS), jnp.zeros(UNITS))
    control = control_with(params)

    def one(start: Any, goals: jax.Array, held: jax.Array | None) -> plants.Trajectory:
        steps = len(goals)
        return plants.roll_out(
            arm, control, silent, start, steps, given=goals, held=held
        )

    return jax.vmap(one)(task.starts, task.goals, held)


def final_cost(trajectories: plants.Trajectory, task: Task) -> jax.Array:
    """Only the last step counts."""

    def one(trajectory: plants.Trajectory, goals: jax.Array) -> jax.Array:
        return plants.quadratic_cost(trajectory, goals, final=WEIGHTS)

    return jnp.mean(jax.vmap(one)(trajectories, task.goals))


def train(
    arm: plants.Plant,
    task: Task,
    loss: Callable[[Any, Task], jax.Array],
    params: Params,
    updates: int,
    predict: Callable[[plants.Plant, Params, Task], Any] = reach,
) -> tuple[Params, Learning]:
    """Train all reaches at once.

    The loss is a convex function of what is predicted, by default the trajectories.
    """
    method = hessian_free(lambda p, task: predict(arm, p, task), loss, SETTINGS)
    return repeat(method, arm, task, params, method.init(params), updates)


def repeat(
    method: Method,
    arm: plants.Plant,
    task: Task,
    params: Params,
    state: Any,
    updates: int,
) -> tuple[Params, Learning]:
    """Make some updates with an optimizer, as one compiled loop."""

    @jax.jit
    def optimize(params: Params, state: Any) -> tuple[Params, Learning]:
        def update(carry: tuple, _: None) -> tuple:
            params, state = carry
            distances = off_target(reach(arm, params, task), task)
            params, state, report = method.update(state, params, task)
            return (params, state), Learning(
                report.loss, distances, report.cg_iterations
            )

        (params, _), learning = jax.lax.scan(update, (params, state), length=updates)
        return params, learning

    return jax.block_until_ready(optimize(params, state))


def hands(seen: jax.Array) -> jax.Array:
    """Places of the hands, shape (reaches, steps, 2), in m, from what arms show."""
    angles = seen[..., :2] + jnp.asarray(ARM.start)
    return jax.vmap(jax.vmap(lambda q: plants.hand(ARM, q)))(angles)


def off_target(trajectories: plants.Trajectory, task: Task) -> jax.Array:
    """Distances of the hands from their targets at the end, in m."""
    return jnp.linalg.norm(hands(trajectories.outcomes)[:, -1] - task.places, axis=1)


def measure(
    trajectories: plants.Trajectory, task: Task, seconds: float, updates: int
) -> Figures:
    distances = 1000 * np.asarray(off_target(trajectories, task))
    paths = np.asarray(hands(trajectories.outcomes))
    speeds = 1000 * np.linalg.norm(paths[:, -1] - paths[:, -2], axis=1) / DT
    mean, worst, speed = distances.mean(), distances.max(), speeds.max()
    return Figures(float(mean), float(worst), float(speed), seconds, updates)


def main(out: Path, updates: int = 40) -> Figures:
    """Train, measure, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        Number of Hessian-free updates; each sees all reaches.
    """
    return learn_to_reach(out, make_arm(), out_from_the_centre(), updates)


def learn_to_reach(out: Path, arm: plants.Plant, task: Task, updates: int) -> Figures:
    """Train with any arm, measure, and save the picture."""
    started = time.perf_counter()
    params, learning = train(arm, task, final_cost, draw_params(), updates)
    seconds = time.perf_counter() - started
    trajectories = jax.jit(lambda p: reach(arm, p, task))(params)
    figures = measure(trajectories, task, seconds, updates)
    draw(out, trajectories, task, learning, figures)
    return figures


def draw(
    out: Path,
    trajectories: plants.Trajectory,
    task: Task,
    learning: Learning,
    figures: Figures,
) -> None:
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplot_mosaic("ad;al;at", width_ratios=(1.1, 1))
    paths = np.asarray(hands(trajectories.outcomes))
    draw_paths(axes["a"], paths, task.places)
    axes["a"].set_title(
        f"{len(task.places)} reaches end {figures.mean:.2f} mm from their targets, "
        f"the worst {figures.worst:.2f} mm",
        loc="left",
    )
    times = DT * np.arange(1, paths.shape[1] + 1)
    away = np.linalg.norm(paths - task.places[:, None], axis=-1)
    axes["d"].semilogy(times, 1000 * away.T, color="tab:blue", lw=0.5)
    axes["d"].set_title("Distance from the target (mm)", loc="left")
    axes["t"].plot(times, trajectories.actions[:: REACHES // 4, :, 0].T, "tab:red")
    axes["t"].plot(times, trajectories.actions[:: REACHES // 4, :, 1].T, "tab:orange")
    axes["t"].set_title(
        "Torques of four reaches (N m): shoulder (red) and elbow", loc="left"
    )
    for name in "dt":
        axes[name].set_xlabel("time (s)")
    draw_learning(axes["l"], learning, figures.seconds)
    figure.savefig(out, dpi=80)


def draw_learning(axes: Axes, learning: Learning, seconds: float) -> None:
    distances = 1000 * np.asarray(learning.distances)
    numbers = np.arange(len(distances))
    axes.semilogy(numbers, distances.max(axis=1), color="0.6", label="worst")
    axes.semilogy(numbers, distances.mean(axis=1), color="tab:green", label="mean")
    axes.axhline(5, color="0.6", ls=":")
    axes.axhline(2, color="tab:green", ls=":")
    axes.set_xlabel("updates")
    axes.set_title(
        f"Error at the end (mm) in training, {seconds:.0f} s in all", loc="left"
    )
    axes.legend(frameon=False)


def draw_paths(axes: Axes, paths: Any, places: Any) -> None:
    """Draw ways of hands, and targets, in colours of the direction."""
    wheel = colormaps["hsv"](np.linspace(0, 0.95, len(places)))
    for path, place, colour in zip(
        np.asarray(paths), np.asarray(places), wheel, strict=True
    ):
        axes.plot(*path.T, color=colour, lw=1)
        axes.plot(*place, "o", color=colour, ms=4, mfc="none")
    axes.set_aspect("equal")
    axes.set_xlabel("x (m)")
    axes.set_ylabel("y (m)")


if __name__ == "__main__":
    print(main(Path("arm_reaching.png")))
