"""Reaches along straight lines: a cost along the way, and one on the torques.

The network of ``arm_reaching.py`` is only told where the hand should be at the end, so
its paths are curved. Here training goes on with a running cost: half the mean square of
the distance from the straight line between start and target, and a little of the
torques. The final cost stays.

The distance from a line is not a quadratic function of the angles. So the places of the
hands are part of what is predicted, and the loss is convex in them, as Gauss-Newton
products want it.

The picture shows the paths before and after, how far they are from straight lines, and
the torques.

Run it with ``python examples/arm_straight.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nengo_jax import plants

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
from arm_reaching import (
    ARM,
    DT,
    STEPS,
    WEIGHTS,
    Params,
    Task,
    draw_params,
    draw_paths,
    final_cost,
    hands,
    make_arm,
    off_target,
    out_from_the_centre,
    reach,
    train,
)
from matplotlib.figure import Figure

SIDEWAYS = 30.0  # weight of the distance from the line, 1/m^2
EFFORT = 1e-5  # weight of the torques, 1/(N m)^2


class Figures(NamedTuple):
    """Before, only the end counts; all in mm."""

    mean: float  # distance from the target at the end
    worst: float
    curved: float  # largest distance from the line, mean over reaches, before
    straight: float  # the same, after
    most_curved: float  # the largest of all, after


class Predicted(NamedTuple):
    """What the loss looks at; the leading axis is that of the reaches."""

    trajectories: plants.Trajectory
    sideways: jax.Array  # distances from the line with a sign, (reaches, steps), m


def predict(arm: plants.Plant, params: Params, task: Task) -> Predicted:
    trajectories = reach(arm, params, task)
    return Predicted(trajectories, sideways(trajectories, task))


def sideways(trajectories: plants.Trajectory, task: Task) -> jax.Array:
    """Distances of the hands from the lines to their targets, with a sign."""
    start = plants.hand(ARM, jnp.asarray(ARM.start))
    along = task.places - start
    x, y = jnp.moveaxis(along / jnp.linalg.norm(along, axis=1, keepdims=True), 1, 0)
    normals = jnp.stack([-y, x], axis=1)
    return jnp.einsum("rsa,ra->rs", hands(trajectories.outcomes) - start, normals)


def running_cost(predicted: Predicted, task: Task) -> jax.Array:
    def one(trajectory: plants.Trajectory, goals: jax.Array) -> jax.Array:
        return plants.quadratic_cost(trajectory, goals, final=WEIGHTS, control=EFFORT)

    costs = jax.vmap(one)(predicted.trajectories, task.goals)
    return jnp.mean(costs) + SIDEWAYS * jnp.mean(jnp.square(predicted.sideways)) / 2


def main(out: Path, updates: int = 40, straightening: int = 60) -> Figures:
    """Train, train on with the running cost, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        Number of updates when only the end counts.
    straightening : int
        Number of updates after that.
    """
    arm, task = make_arm(), out_from_the_centre()
    curved, _ = train(arm, task, final_cost, draw_params(), updates)
    straight, _ = train(arm, task, running_cost, curved, straightening, predict)
    look = jax.jit(lambda params: predict(arm, params, task))
    before, after = look(curved), look(straight)
    away = 1000 * np.asarray(off_target(after.trajectories, task))
    bows = [1000 * np.abs(p.sideways).max(axis=1) for p in (before, after)]
    figures = Figures(
        float(away.mean()),
        float(away.max()),
        float(bows[0].mean()),
        float(bows[1].mean()),
        float(bows[1].max()),
    )
    draw(out, before, after, task, figures)
    return figures


def draw(
    out: Path, before: Predicted, after: Predicted, task: Task, figures: Figures
) -> None:
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplot_mosaic("bbaa;bbaa;ddtt", height_ratios=(1, 1, 0.8))
    for name, predicted in (("b", before), ("a", after)):
        paths = hands(predicted.trajectories.outcomes)
        draw_paths(axes[name], paths, task.places)
    axes["b"].set_title("Only the end counts", loc="left")
    axes["a"].set_title(
        f"Straight lines: within {figures.most_curved:.2f} mm of them, and "
        f"{figures.worst:.2f} mm of the target",
        loc="left",
    )
    times = DT * np.arange(1, STEPS + 1)
    for predicted, colour in ((before, "0.7"), (after, "tab:blue")):
        axes["d"].plot(times, 1000 * predicted.sideways.T, color=colour, lw=0.5)
        torques = predicted.trajectories.actions[..., 0]
        axes["t"].plot(times, torques.T, color=colour, lw=0.5)
    axes["d"].set_title(
        "Distance from the line (mm), before (grey) and after", loc="left"
    )
    axes["t"].set_title("Torques of the shoulder (N m)", loc="left")
    for name in "dt":
        axes[name].set_xlabel("time (s)")
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    print(main(Path("arm_straight.png")))
