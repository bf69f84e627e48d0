"""Learn a connection, then use what was learned in a network that does not learn.

The first network learns online, while it runs: the learning rule PES changes the
decoders of a connection until its output, from the spikes of 200 neurons, is the square
of the input. For the last quarter of the time the error is switched off, and nothing
changes any more.

There are two ways to take the learned decoders out of the simulator:

1. a probe on ``"weights"``; its last sample is the state at the end, and
2. the live values, ``sim.signals[sim.model.sig[connection]["weights"]]``.

Both are the same numbers. The second network has the same neurons (the same seed), and
its connection is given those decoders with ``nengo.solvers.NoSolver``. Its output is
that of the first network after learning.

The picture shows the error, the output of both networks afterwards, and the decoders.

Run it with ``python examples/pes_then_static.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax

N_NEURONS = 200
SYNAPSE = 0.02  # s
LEARNING_RATE = 4e-4
LEARNING_SHARE = 0.75  # of the time; then the error is switched off


class Task(NamedTuple):
    """What both networks have: an input, and neurons to compute with."""

    neurons: nengo.Ensemble
    square: nengo.Node
    target: nengo.Probe
    output: nengo.Probe


class Learned(NamedTuple):
    """What the learning network leaves behind."""

    times: np.ndarray
    target: np.ndarray
    output: np.ndarray
    from_probe: np.ndarray  # shape (1, N_NEURONS)
    from_signals: np.ndarray  # shape (1, N_NEURONS)


class Figures(NamedTuple):
    """What was learned, and whether it was carried over."""

    error_at_first: float  # RMS over the first tenth of the time
    error_learned: float  # RMS after learning
    weights_differ: float  # between the two ways, at most
    outputs_differ: float  # between the two networks after learning, at most


def add_task() -> Task:
    stimulus = nengo.Node(lambda t: np.sin(4 * np.pi * t))
    neurons = nengo.Ensemble(N_NEURONS, dimensions=1, seed=5)
    nengo.Connection(stimulus, neurons, synapse=None)
    square = nengo.Node(size_in=1)
    target = nengo.Node(size_in=1)
    nengo.Connection(stimulus, target, function=np.square, synapse=SYNAPSE)
    return Task(neurons, square, nengo.Probe(target), nengo.Probe(square))


def learn(time: float) -> Learned:
    with nengo.Network("learning", seed=4) as network:
        task = add_task()
        connection = nengo.Connection(
            task.neurons,
            task.square,
            function=lambda x: 0,
            synapse=SYNAPSE,
            learning_rule_type=nengo.PES(LEARNING_RATE, pre_synapse=SYNAPSE),
        )
        error = nengo.Node(
            lambda t, x: x if t < LEARNING_SHARE * time else 0 * x, size_in=1
        )
        nengo.Connection(task.square, error, synapse=None)
        nengo.Connection(task.target.target, error, transform=-1, synapse=None)
        nengo.Connection(error, connection.learning_rule, synapse=None)
        weights = nengo.Probe(connection, "weights")
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run(time)
        live = np.array(sim.signals[sim.model.sig[connection]["weights"]])
    return Learned(
        sim.trange(),
        sim.data[task.target][:, 0],
        sim.data[task.output][:, 0],
        sim.data[weights][-1],
        live,
    )


def use(weights: np.ndarray, time: float) -> np.ndarray:
    """Run the network that does not learn; return its output, shape (steps,)."""
    with nengo.Network("static", seed=4) as network:
        task = add_task()
        nengo.Connection(
            task.neurons,
            task.square,
            solver=nengo.solvers.NoSolver(weights.T),
            synapse=SYNAPSE,
        )
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run(time)
    return sim.data[task.output][:, 0]


def main(out: Path, time: float = 10.0) -> Figures:
    """Learn, carry over, compare, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    time : float
        Simulated time in seconds, of each network.
    """
    learned = learn(time)
    static = use(learned.from_probe, time)
    first = learned.times <= 0.1 * time
    after = learned.times > LEARNING_SHARE * time + 10 * SYNAPSE
    error = learned.output - learned.target
    figures = Figures(
        float(np.sqrt(np.mean(error[first] ** 2))),
        float(np.sqrt(np.mean(error[after] ** 2))),
        float(np.abs(learned.from_probe - learned.from_signals).max()),
        float(np.abs(learned.output - static)[after].max()),
    )
    draw(out, learned, static, figures)
    return figures


def draw(out: Path, learned: Learned, static: np.ndarray, figures: Figures) -> None:
    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplot_mosaic("ll;as;ww", height_ratios=(1, 1, 0.8))
    end = learned.times[-1]
    stop = LEARNING_SHARE * end
    draw_error(axes["l"], learned, stop, figures)
    last = learned.times > stop + 10 * SYNAPSE
    for name, output, title in (
        ("a", learned.output, "The first network, after learning"),
        ("s", static, "The second network, which never learned"),
    ):
        times = learned.times[last]
        axes[name].plot(times, learned.target[last], color="0.75", lw=5)
        axes[name].plot(times, output[last], color="tab:blue", lw=1.2)
        axes[name].set_title(title, loc="left")
        axes[name].set_ylim(-0.2, 1.4)
        axes[name].set_xlabel("time (s)")
    axes["a"].text(
        0.02, 0.92, "grey: the square of the input", transform=axes["a"].transAxes
    )
    order = np.argsort(learned.from_probe[0])
    axes["w"].plot(
        learned.from_signals[0, order],
        color="tab:orange",
        lw=5,
        alpha=0.5,
        label="sim.signals",
    )
    axes["w"].plot(
        learned.from_probe[0, order],
        color="black",
        lw=1,
        label="last sample of the probe",
    )
    axes["w"].legend(frameon=False)
    axes["w"].set_xlabel("neuron, in order of its decoder")
    axes["w"].set_title("The learned decoders, taken out in two ways", loc="left")
    figure.savefig(out, dpi=110)


def draw_error(axes: Axes, learned: Learned, stop: float, figures: Figures) -> None:
    axes.plot(learned.times, learned.target - learned.output, color="tab:red", lw=0.8)
    axes.axvspan(stop, learned.times[-1], color="0.92")
    axes.text(stop, 0.65, "  the error is switched off", va="top", color="0.4")
    axes.set_xlim(0, learned.times[-1])
    axes.set_ylim(-0.75, 0.75)
    axes.set_xlabel("time (s)")
    axes.set_title(
        f"Error of the first network: {figures.error_at_first:.3f} (RMS) at first, "
        f"{figures.error_learned:.3f} at the end",
        loc="left",
    )


if __name__ == "__main__":
    print(main(Path("pes_then_static.png")))
