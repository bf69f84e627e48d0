"""A controller that was trained as a function drives the arm inside a Nengo network.

``arm_reaching.py`` trains a recurrent network as a function of JAX. Its weights go into
a ``nengo.Network`` here: two ensembles of tanh neurons, connected neuron by neuron, and
the arm as a ``plants.PlantNode``. ``sim.run`` plays all reaches at once, and the hand
goes where it went before, to rounding.

What takes a step in the function, the way from the arm back to the network and from a
layer to itself, is a connection with ``synapse=0`` here. All other connections have
none at all, so that a step of the simulation is a step of the function.

The arm is seen relative to its start, so that what a connection says before anything
has come through it, zero, is right.

The other way round works, too: the untrained network is trained where it is, with
``sim.fit`` and the same optimizer, through the arm and the loop.

The picture shows the paths of the hand in Nengo, how far they are from those of the
function, and how ``sim.fit`` gets on.

Run it with ``python examples/arm_in_nengo.py``.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import nengo_jax
from nengo_jax import plants
from nengo_jax.optimizers import HessianFree

# isort: split
import jax
import keras
import nengo
import numpy as np
from arm_reaching import (
    DT,
    SETTINGS,
    STEPS,
    UNITS,
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


class Model(NamedTuple):
    """The network, and what is given and seen."""

    network: nengo.Network
    goal: nengo.Node
    arm: nengo.Probe
    torques: nengo.Probe


class Figures(NamedTuple):
    """How well both agree, and how well the arm reaches."""

    differs: float  # at most, of a joint in rad or rad/s
    hand_differs: float  # at most, mm
    mean: float  # mm from the targets at the end
    worst: float
    fitted_worst: float  # the same, trained by ``sim.fit``


def build(params: Params) -> Model:
    """Put the trained network into Nengo."""
    weights = {name: np.asarray(value, float) for name, value in params.items()}
    neurons = {"neuron_type": nengo.Tanh(tau_ref=1), "gain": np.ones(UNITS)}
    with nengo.Network("reaching", seed=0) as network:
        goal = nengo.Node(np.zeros(4), label="goal")
        arm = plants.PlantNode(make_arm())
        layers = {
            name: nengo.Ensemble(
                UNITS, 1, bias=weights[f"bias {name}"], label=name, **neurons
            ).neurons
            for name in "12"
        }
        torques = nengo.Node(size_in=2, label="torques")
        bias = nengo.Node(weights["bias of torques"])
        for name, layer in layers.items():
            told, seen = np.split(weights[f"inputs to {name}"].T, 2, axis=1)
            nengo.Connection(goal, layer, transform=told, synapse=None)
            nengo.Connection(arm, layer, transform=seen, synapse=0)
            own = weights[f"{name} to {name}"].T
            nengo.Connection(layer, layer, transform=own, synapse=0)
        forward, out = weights["1 to 2"].T, weights["2 to torques"].T
        nengo.Connection(layers["1"], layers["2"], transform=forward, synapse=None)
        nengo.Connection(layers["2"], torques, transform=out, synapse=None)
        nengo.Connection(bias, torques, synapse=None)
        nengo.Connection(torques, arm, synapse=None)
        return Model(network, goal, nengo.Probe(arm), nengo.Probe(torques))


def play(model: Model, goals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give goals, shape (reaches, steps, 4); return what the arm does, and torques."""
    with simulate(model, goals) as sim:
        sim.run(DT * goals.shape[1], data={model.goal: goals})
        return sim.data[model.arm], sim.data[model.torques]


def simulate(model: Model, goals: np.ndarray) -> nengo_jax.Simulator:
    return nengo_jax.Simulator(
        model.network, dt=DT, minibatch_size=len(goals), progress_bar=False
    )


def fit(updates: int, goals: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Train the network in Nengo; return what the arm does then, and the losses."""
    model = build(draw_params())
    with simulate(model, goals) as sim:
        sim.compile(HessianFree(**asdict(SETTINGS)), loss={model.arm: final_error})
        data = {model.goal: goals}, {model.arm: goals}
        losses = sim.fit(*data, epochs=updates, verbose=0).history["loss"]
        sim.run(DT * goals.shape[1], data={model.goal: goals})
        return sim.data[model.arm], losses


def final_error(goals: Any, seen: Any) -> Any:
    """Only the last step counts, as in ``final_cost``."""
    squares = keras.ops.square(seen[:, -1] - goals[:, -1])
    return keras.ops.sum(WEIGHTS.astype("float32") * squares, axis=-1) / 2


def main(out: Path, updates: int = 40) -> Figures:
    """Train, play in Nengo, compare, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        Of training.
    """
    arm, task = make_arm(), out_from_the_centre()
    goals = np.asarray(task.goals)
    params, _ = train(arm, task, final_cost, draw_params(), updates)
    alone = jax.jit(lambda p: reach(arm, p, task))(params)
    seen, torques = play(build(params), goals)
    inside = alone._replace(outcomes=seen, actions=torques)
    fitted, losses = fit(updates, goals)
    apart = np.linalg.norm(hands(inside.outcomes) - hands(alone.outcomes), axis=-1)
    away = 1000 * np.asarray(off_target(inside, task))
    fitted_away = off_target(alone._replace(outcomes=fitted), task)
    figures = Figures(
        float(np.abs(seen - alone.outcomes).max()),
        float(1000 * apart.max()),
        float(away.mean()),
        float(away.max()),
        float(1000 * fitted_away.max()),
    )
    draw(out, inside, task, apart, losses, figures)
    return figures


def draw(
    out: Path,
    inside: plants.Trajectory,
    task: Task,
    differences: np.ndarray,
    losses: list[float],
    figures: Figures,
) -> None:
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplot_mosaic("ad;at;al", width_ratios=(1.1, 1))
    draw_paths(axes["a"], hands(inside.outcomes), task.places)
    axes["a"].set_title(
        f"In Nengo, {len(task.places)} reaches end {figures.mean:.2f} mm from their "
        f"targets, the worst {figures.worst:.2f} mm",
        loc="left",
    )
    times = DT * np.arange(1, STEPS + 1)
    axes["d"].semilogy(times, 1000 * differences.T, color="tab:blue", lw=0.5)
    axes["d"].set_title("Distance from the hand of the function (mm)", loc="left")
    axes["t"].plot(times, inside.actions[..., 0].T, color="tab:red", lw=0.5)
    axes["t"].plot(times, inside.actions[..., 1].T, color="tab:orange", lw=0.5)
    axes["t"].set_title("Torques (N m): shoulder (red) and elbow", loc="left")
    for name in "dt":
        axes[name].set_xlabel("time (s)")
    axes["l"].semilogy(losses, color="tab:green")
    axes["l"].set_xlabel("updates")
    axes["l"].set_title(
        f"Loss in sim.fit, after which all end within {figures.fitted_worst:.2f} mm",
        loc="left",
    )
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    print(main(Path("arm_in_nengo.png")))
