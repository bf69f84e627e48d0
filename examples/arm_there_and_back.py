"""There and back again: a reach out, and without a pause the way home.

The network of ``arm_reaching.py`` learned to reach from the centre to 64 targets. When
the goal then moves back to the centre, it does not come home: the way back begins
elsewhere, with other things in the memory of the network, and nobody trained it. So
training goes on with 0.8 s in which the goal changes half way. What counts is where the
hand is when the goal changes and at the end, and that it stands still both times; the
targets of all other steps are NaN. The gradient goes through both reaches.

The picture shows the paths home before and after, and distances in time.

Run it with ``python examples/arm_there_and_back.py``.
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
    Task,
    draw_params,
    draw_paths,
    final_cost,
    hands,
    make_arm,
    out_from_the_centre,
    reach,
    train,
)
from matplotlib.figure import Figure


class Figures(NamedTuple):
    """Distances in mm, of hands from where they should be."""

    lost: float  # at the end, mean, if only the way out is trained
    out_mean: float  # when the goal changes
    out_worst: float
    back_mean: float  # at the end
    back_worst: float


def there_and_back() -> Task:
    """Reaches to the targets, then back; the place is that of the end."""
    out = out_from_the_centre()
    goals = jnp.concatenate([out.goals, jnp.zeros_like(out.goals)], axis=1)
    home = plants.hand(ARM, jnp.asarray(ARM.start))
    return Task(out.starts, goals, jnp.broadcast_to(home, out.places.shape))


def both_ends_cost(trajectories: plants.Trajectory, task: Task) -> jax.Array:
    counts = jnp.isin(jnp.arange(1, 2 * STEPS + 1), jnp.array([STEPS, 2 * STEPS]))
    # the mean over all steps of what counts in two of them
    along = 2 * STEPS * WEIGHTS

    def one(trajectory: plants.Trajectory, goals: jax.Array) -> jax.Array:
        targets = jnp.where(counts[:, None], goals, jnp.nan)
        return plants.quadratic_cost(trajectory, targets, final=0.0, along=along)

    return jnp.mean(jax.vmap(one)(trajectories, task.goals))


def main(out: Path, updates: int = 40, more: int = 60) -> Figures:
    """Train outwards, then both ways, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        Number of updates on the way out.
    more : int
        Number of updates on both ways after that.
    """
    arm, there, task = make_arm(), out_from_the_centre(), there_and_back()
    outwards, _ = train(arm, there, final_cost, draw_params(), updates)
    params, _ = train(arm, task, both_ends_cost, outwards, more)
    look = jax.jit(lambda params: reach(arm, params, task))
    before, after = look(outwards), look(params)
    lost = distances(before, there, task)[:, -1]
    away = distances(after, there, task)
    first, last = away[:, STEPS - 1], away[:, -1]
    found = (lost.mean(), first.mean(), first.max(), last.mean(), last.max())
    figures = Figures(*map(float, found))
    draw(out, before, after, there, task, figures)
    return figures


def distances(trajectories: plants.Trajectory, there: Task, task: Task) -> np.ndarray:
    """From the goal of each step, in mm, shape (reaches, steps)."""
    goals = np.repeat(np.stack([there.places, task.places], axis=1), STEPS, axis=1)
    return 1000 * np.linalg.norm(hands(trajectories.outcomes) - goals, axis=-1)


def draw(
    out: Path,
    before: plants.Trajectory,
    after: plants.Trajectory,
    there: Task,
    task: Task,
    figures: Figures,
) -> None:
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplot_mosaic("oba;oba;ddd", height_ratios=(1, 1, 0.8))
    paths = hands(after.outcomes)
    ways = {
        "o": paths[:, :STEPS],
        "b": hands(before.outcomes)[:, STEPS:],
        "a": paths[:, STEPS:],
    }
    titles = {
        "o": f"There: within {figures.out_worst:.2f} mm",
        "b": f"Back, untrained: {figures.lost:.0f} mm off on average",
        "a": f"Back: within {figures.back_worst:.2f} mm",
    }
    for name, way in ways.items():
        draw_paths(axes[name], way, (there if name == "o" else task).places)
        axes[name].set_title(titles[name], loc="left")
    times = DT * np.arange(1, 2 * STEPS + 1)
    for trajectories, colour in ((before, "0.7"), (after, "tab:blue")):
        away = distances(trajectories, there, task)
        axes["d"].semilogy(times, away.T, color=colour, lw=0.5)
    axes["d"].set_title(
        "Distance from the goal (mm); grey: trained on the way out alone", loc="left"
    )
    axes["d"].set_xlabel("time (s)")
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    print(main(Path("arm_there_and_back.png")))
