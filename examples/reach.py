"""A network that foresees the arm, from the spikes of a model that moves it.

The model, in ``reach_model.py``, follows REACH (DeWolf et al. 2016): populations of
spiking neurons, named after areas of the brain, let the hand of an arm reach.

The second network is trained offline. It knows nothing of the model but the spikes of
200 neurons of the motor population, recorded while 16 arms reach for random places; it
learns where the hand will be in 0.15 s. It is a GRU, a cell of Keras in a
``TensorNode``, and keeps its state from step to step. So it is trained in a network of
its own with ``sim.fit(..., stateful=True)``; ``freeze_params`` writes what it learns
to the layers, and the same layers go into the model, where they see the spikes as they
come. While the arm reaches for eight targets on a circle, which was not part of the
training, they are always 0.15 s ahead.

The picture shows the reaches with what was foreseen, and spikes of the populations.

Run it with ``python examples/reach.py``; it also saves an animation.

Reference: DeWolf, Stewart, Slotine and Eliasmith, Proc. R. Soc. B 283 (2016), 20162134.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import jax.numpy as jnp
import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from reach_model import (
    ARM,
    CENTRE,
    DISTANCE,
    DT,
    ELECTRODES,
    PLACE,
    STEPS,
    Plan,
    anywhere,
    arm_with_hand,
    build,
    out_and_back,
    run,
)

import nengo_jax
from nengo_jax import plants
from nengo_jax.nodes import TensorNode

import keras  # after nengo_jax, which chooses the backend  # isort: skip

SHOWN = 15  # neurons of each population whose spikes are drawn
RATE, CLIP = 1e-3, 1.0  # of learning; of the norm of gradients
AHEAD = 150  # steps
LENGTH = 300  # steps of a piece of the recording
WARM_UP = 200  # steps that do not count at the start of the live run

Layers = tuple[keras.layers.GRUCell, keras.layers.Dense]


class Live(NamedTuple):
    """What happened to one arm while the second network ran."""

    plan: Plan
    arm: np.ndarray  # angles, velocities, place of the hand; shape (steps, 6)
    foreseen: np.ndarray  # in m, shape (steps, 2)
    spikes: dict[str, np.ndarray]  # by population, shape (steps, SHOWN)


class Figures(NamedTuple):
    """How well the arm reaches, and how well it is foreseen; in cm, if not stated."""

    missed: float  # mean distance from the target at the end of a reach
    bent: float  # mean over reaches of the furthest distance from the straight line
    foreseen: float  # RMS error of where the hand will be
    stays: float  # the same if one supposes that the hand stays where it is
    live_differs: float  # at most, from what Keras says about the same activity
    recording: float  # seconds of computing
    training: float  # seconds of computing


def add_second(source: nengo.Node, layers: Layers) -> nengo.Probe:
    """Add the second network; it returns where the hand will be, in units of PLACE.

    It is a network of its own, or what is added would change the seeds of the neurons.
    """
    cell, readout = layers
    with nengo.Network("second network"):
        memory = TensorNode(cell, shape_in=ELECTRODES, pass_time=False)
        foreseen = TensorNode(readout, shape_in=cell.units, pass_time=False)
        nengo.Connection(source, memory, synapse=None)
        nengo.Connection(memory, foreseen, synapse=None)
        return nengo.Probe(foreseen)


def make_alone(layers: Layers) -> tuple[nengo.Network, nengo.Node, nengo.Probe]:
    """The second network without the model, with a node for what was recorded."""
    with nengo.Network() as alone:
        source = nengo.Node(np.zeros(ELECTRODES))
        probe = add_second(source, layers)
    return alone, source, probe


def train(activity: np.ndarray, hand: np.ndarray, epochs: int) -> Layers:
    """Train the layers of the second network on recordings, shape (arms, steps, ...).

    It goes through them piece by piece and keeps its state in between: trained on
    pieces that start from zero, it drifts away as soon as it runs for longer.
    """
    keras.utils.set_random_seed(0)
    layers = keras.layers.GRUCell(64), keras.layers.Dense(2)
    alone, source, probe = make_alone(layers)
    starts = range(0, hand.shape[1] - LENGTH - AHEAD + 1, LENGTH)
    inputs = np.concatenate([activity[:, start:][:, :LENGTH] for start in starts])
    wanted = np.concatenate([hand[:, start + AHEAD :][:, :LENGTH] for start in starts])
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * len(starts))
    with nengo_jax.Simulator(
        alone, DT, minibatch_size=len(hand), progress_bar=False
    ) as sim:
        sim.compile(keras.optimizers.Adam(rate, clipnorm=CLIP), loss="mse")
        for _ in range(epochs):
            sim.fit(
                {source: inputs},
                {probe: (wanted - CENTRE) / PLACE},
                shuffle=False,
                stateful=True,
                verbose=0,
            )
            sim.reset(include_trainable=False)
        sim.freeze_params(alone)
    return layers


def main(
    out: Path,
    arms: int = 16,
    reaches: int = 7,
    epochs: int = 20,
    animation: Path | None = None,
) -> Figures:
    """Record, train, put back, compare, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    arms, reaches : int
        How many arms are recorded, and for how many reaches of 1.8 s each.
    epochs : int
        How often training goes through the recording.
    animation : Path or None
        Where to save an animation of the first reaches, if at all.
    """
    begin = perf_counter()
    model = build()
    sim = run(model, anywhere(arms, reaches))
    recorded = perf_counter()
    layers = train(sim.data[model.activity], sim.data[model.arm][..., 4:], epochs)
    trained = perf_counter()

    model, plan = build(), out_and_back()
    with model.network:
        foreseen = add_second(model.electrodes, layers)
        spikes = [nengo.Probe(e.neurons[:SHOWN]) for e in model.populations]
    sim = run(model, plan)
    cell, readout = layers
    memory = keras.layers.RNN(cell, return_sequences=True)
    again = readout(memory(sim.data[model.activity]))
    live = Live(
        plan,
        sim.data[model.arm][0],
        CENTRE + PLACE * sim.data[foreseen][0],
        {
            e.label: sim.data[p][0]
            for e, p in zip(model.populations, spikes, strict=True)
        },
    )
    figures = Figures(
        *errors(live),
        float(100 * PLACE * np.abs(sim.data[foreseen] - again).max()),
        recorded - begin,
        trained - recorded,
    )
    draw(out, live, figures)
    if animation is not None:
        animate(animation, live)
    return figures


def errors(live: Live) -> tuple[float, float, float, float]:
    """Return the first four figures."""
    hand = live.arm[:, 4:]
    starts, goals = live.plan.starts[0], live.plan.goals[0]
    paths = hand.reshape(len(goals), -1, 2)
    missed = np.linalg.norm(paths[:, -1] - goals, axis=-1)
    left = (goals - starts)[:, ::-1] * [-1, 1] / DISTANCE
    aside = np.einsum("rta,ra->rt", paths - starts[:, None], left)
    later = hand[WARM_UP + AHEAD :]
    rms = [
        np.sqrt(np.mean(np.sum((now[WARM_UP:-AHEAD] - later) ** 2, axis=-1)))
        for now in (live.foreseen, hand)
    ]
    figures = missed.mean(), np.abs(aside).max(axis=1).mean(), *rms
    return tuple(float(100 * figure) for figure in figures)


def draw(out: Path, live: Live, figures: Figures) -> None:
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    axes = figure.subplot_mosaic("ax;ry;rs", width_ratios=(1, 1.25))
    shown = slice(0, 6 * STEPS)
    times = DT * np.arange(len(live.arm))[shown]
    draw_arm(axes["a"], live)
    draw_reaches(axes["r"], live, figures)
    for name, axis in (("x", 0), ("y", 1)):
        hand = live.arm[AHEAD:, 4 + axis][shown]
        axes[name].plot(times, 100 * hand, color="0.8", lw=6, label="hand")
        axes[name].plot(
            times,
            100 * live.foreseen[shown, axis],
            color="tab:red",
            lw=1,
            label="foreseen",
        )
        axes[name].set_ylabel(f"{name} of the hand in {AHEAD * DT:.2f} s (cm)")
        axes[name].set_xlim(times[0], times[-1])
    axes["x"].legend(frameon=False, ncols=2)
    axes["x"].set_title(
        f"Foreseen: off by {figures.foreseen:.1f} cm (RMS), a hand that stays by "
        f"{figures.stays:.1f} cm",
        loc="left",
    )
    draw_spikes(axes["s"], live.spikes)
    figure.savefig(out, dpi=85)


def draw_arm(axes: Axes, live: Live) -> None:
    states = live.arm[:STEPS, :2], live.arm[:STEPS, 2:4]
    plants.draw(arm_with_hand(), states, axes, count=4)
    axes.set_title("The arm in the first reach")


def draw_reaches(axes: Axes, live: Live, figures: Figures) -> None:
    axes.plot(*live.arm[:, 4:].T, color="0.8", lw=6, solid_capstyle="round")
    axes.plot(*live.foreseen[WARM_UP:].T, color="tab:red", lw=0.8)
    goals = live.plan.goals[0]
    axes.scatter(*goals.T, s=90, facecolors="none", edgecolors="black", zorder=3)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(
        f"Reaches of 25 cm end {figures.missed:.1f} cm from the target", loc="left"
    )


def draw_spikes(axes: Axes, spikes: dict[str, np.ndarray]) -> None:
    for place, heights in enumerate(spikes.values()):
        step, neuron = np.nonzero(heights[:STEPS])
        rows = neuron + place * SHOWN
        axes.scatter(DT * step, rows, s=12, marker="|", lw=0.8, color=f"C{place}")
    axes.set_yticks([(k + 0.5) * SHOWN for k in range(len(spikes))], list(spikes))
    axes.set(xlim=(0, DT * STEPS), xlabel="time (s)")
    axes.set_title(f"Spikes of {SHOWN} neurons each in the first reach", loc="left")


def animate(out: Path, live: Live) -> None:
    """Show the first reaches; the last line is from the hand to where it will be."""
    every = 80
    arm = replace(
        arm_with_hand(),
        dt=every * DT,
        points=lambda state: jnp.vstack([plants.joints(ARM, state[0]), state[1]]),
    )
    shown = slice(WARM_UP, 4 * STEPS, every)
    states = jnp.asarray(live.arm[shown, :2]), jnp.asarray(live.foreseen[shown])
    figure = Figure(figsize=(4, 4), dpi=60)
    film = plants.animate(arm, states, figure)
    goals = live.plan.goals[0]
    figure.axes[0].scatter(*goals.T, s=50, facecolors="none", edgecolors="black")
    figure.axes[0].set_xlim(-0.4, 1.6)
    film.save(out, writer="pillow")


if __name__ == "__main__":
    print(main(Path("reach.png"), animation=Path("reach.gif")))
