"""Two regimes of training a closed loop: rolled out anew, and with held observations.

In ``arm_reaching.py`` the gradient goes all the way round the loop: torques move the
arm, what is seen of it moves the network. The package that the task was first trained
with leaves the way back out: while an update is worked out, the network is shown what
was recorded before. ``plants.hold`` does the same, and holds the recording for as many
updates as one likes; the arm still follows the torques. (``plants.HeldBatches`` does it
for networks that ``sim.fit`` trains.)

It works, but worse. What fits the recording does not fit the loop, which moves on with
each update. The picture shows how the reaches get better in both regimes; distances
are always those of the closed loop.

Run it with ``python examples/arm_held.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nengo_jax import plants
from nengo_jax.optimizers import hessian_free

# isort: split
import numpy as np
from arm_reaching import (
    SETTINGS,
    Learning,
    Params,
    Task,
    draw_params,
    final_cost,
    make_arm,
    out_from_the_centre,
    reach,
    repeat,
    train,
)
from matplotlib.figure import Figure


class Figures(NamedTuple):
    """Mean distance from the targets at the end, in mm, by regime."""

    anew: float
    held_once: float
    held_often: float


def train_held(
    arm: plants.Plant, task: Task, params: Params, updates: int, every: int
) -> Learning:
    """Train with observations that are held for some updates."""
    inner = hessian_free(
        lambda p, batch: reach(arm, p, batch[0], held=batch[1]),
        lambda trajectories, batch: final_cost(trajectories, batch[0]),
        SETTINGS,
    )
    method = plants.hold(inner, lambda p, task: reach(arm, p, task).seen, every)
    state = method.init(params, task)
    return repeat(method, arm, task, params, state, updates)[1]


def main(out: Path, updates: int = 60, often: int = 4) -> Figures:
    """Train anew, and with observations held for one and more updates.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        In each of the three runs.
    often : int
        For how many updates observations are held in the last one.
    """
    arm, task, params = make_arm(), out_from_the_centre(), draw_params()
    learned = {"rolled out anew": train(arm, task, final_cost, params, updates)[1]}
    for every in (1, often):
        name = f"held for {every} update{'s' * (every > 1)}"
        learned[name] = train_held(arm, task, params, updates, every)
    curves = {n: 1000 * np.asarray(done.distances) for n, done in learned.items()}
    draw(out, curves)
    return Figures(*(float(curve[-1].mean()) for curve in curves.values()))


def draw(out: Path, curves: dict[str, np.ndarray]) -> None:
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    colours = ("tab:green", "tab:orange", "tab:red")
    for (name, distances), colour in zip(curves.items(), colours, strict=True):
        numbers = np.arange(len(distances))
        axes.semilogy(numbers, distances.mean(axis=1), color=colour, label=name)
        low, high = distances.min(axis=1), distances.max(axis=1)
        axes.fill_between(numbers, low, high, color=colour, alpha=0.15, lw=0)
    axes.set_xlabel("updates")
    axes.set_title(
        "Distance of the hand from its target at the end (mm): mean and range",
        loc="left",
    )
    axes.legend(frameon=False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    print(main(Path("arm_held.png")))
