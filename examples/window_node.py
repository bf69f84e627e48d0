"""A Node that remembers: Python code that sees the last 100 steps of 1000 neurons.

A Node can run any Python in each step, and an object with a ``__call__`` method can
keep something between the steps. Here it keeps a sliding window of spikes, 100 steps x
1000 neurons, and puts out all of it in each step: 100,000 numbers. A probe with
``sample_every`` records ten windows a second instead of a thousand.

The neurons represent a direction that turns once a second. The picture shows each
recorded window as an image, with the neurons in the order of their preferred direction:
a band of spikes that wanders. Below is the direction that one reads from each window by
adding up the preferred directions, a spike a vote. A window looks back 0.1 s, so what
it shows is, on average, 0.05 s old.

What an object keeps belongs to it, not to the simulator: ``sim.reset()`` does not clear
it. Each example of a batch gets a copy of its own.

Run it with ``python examples/window_node.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nengo
import numpy as np
from matplotlib.figure import Figure

import nengo_jax

N_NEURONS = 1000
N_STEPS = 100
SAMPLE_EVERY = 0.1  # s
TURNS = 1.0  # a second
NEURONS_A_PIXEL = 10


class SlidingWindow:
    """The last inputs of a node, the newest at the end.

    Parameters
    ----------
    steps : int
    size : int
        Number of inputs.
    """

    def __init__(self, steps: int, size: int):
        self.rows = np.zeros((steps, size))

    def __call__(self, t: float, x: np.ndarray) -> np.ndarray:
        """Take in x, shape (size,), and return all rows, shape (steps * size,)."""
        self.rows[:-1] = self.rows[1:]
        self.rows[-1] = x
        return self.rows.reshape(-1)


class Watched(NamedTuple):
    """The network with its probes."""

    network: nengo.Network
    ensemble: nengo.Ensemble
    window: nengo.Probe
    spikes: nengo.Probe


class Figures(NamedTuple):
    """What the windows hold."""

    n_windows: int
    complete: bool  # each window is what a probe of the spikes recorded
    direction_error: float  # degrees, RMS, over the windows


def direction(t: float) -> list[float]:
    return [np.cos(2 * np.pi * TURNS * t), np.sin(2 * np.pi * TURNS * t)]


def build() -> Watched:
    with nengo.Network("window", seed=6) as network:
        stimulus = nengo.Node(direction)
        ensemble = nengo.Ensemble(N_NEURONS, dimensions=2)
        window = nengo.Node(
            SlidingWindow(N_STEPS, N_NEURONS),
            size_in=N_NEURONS,
            size_out=N_STEPS * N_NEURONS,
        )
        nengo.Connection(stimulus, ensemble, synapse=None)
        nengo.Connection(ensemble.neurons, window, synapse=None)
        windows = nengo.Probe(window, sample_every=SAMPLE_EVERY)
        spikes = nengo.Probe(ensemble.neurons)
    return Watched(network, ensemble, windows, spikes)


def main(out: Path, time: float = 1.0) -> Figures:
    """Run the network and save its picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    time : float
        Simulated time in seconds; at least 0.1.
    """
    watched = build()
    with nengo_jax.Simulator(watched.network, progress_bar=False) as sim:
        sim.run(time)
    windows = sim.data[watched.window].reshape(-1, N_STEPS, N_NEURONS)
    spikes = sim.data[watched.spikes]
    encoders = sim.data[watched.ensemble].encoders
    times = sim.trange(sample_every=SAMPLE_EVERY)
    ends = np.round(times / sim.dt).astype(int)
    complete = all(
        np.array_equal(window, spikes[end - N_STEPS : end])
        for window, end in zip(windows, ends, strict=True)
    )
    votes = windows.sum(axis=1) @ encoders
    read = np.degrees(np.arctan2(votes[:, 1], votes[:, 0]))
    true = 360 * TURNS * (times - N_STEPS * sim.dt / 2)
    off = (read - true + 180) % 360 - 180
    by_direction = np.argsort(np.arctan2(encoders[:, 1], encoders[:, 0]))
    draw(out, times, windows[:, :, by_direction], true + off)
    return Figures(len(windows), complete, float(np.sqrt(np.mean(off**2))))


def draw(out: Path, times: np.ndarray, windows: np.ndarray, read: np.ndarray) -> None:
    shown = min(10, len(windows))
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 2))
    rows = above.subplots(1, shown, sharey=True, squeeze=False)[0]
    for axes, window, time in zip(rows, windows, times, strict=False):
        spiking = (window > 0).reshape(N_STEPS, -1, NEURONS_A_PIXEL).mean(axis=-1)
        axes.imshow(
            spiking.T,
            extent=(-N_STEPS, 0, 0, N_NEURONS),
            aspect="auto",
            origin="lower",
            cmap="gray_r",
            vmax=0.5,
            interpolation="nearest",
        )
        axes.set_title(f"at {time:.1f} s")
        axes.set_yticks([0, N_NEURONS / 2, N_NEURONS], ["-180°", "0°", "180°"])
        axes.set_xticks([-N_STEPS, 0], ["-0.1 s", "0"])
    rows[0].set_ylabel("neurons, by preferred direction")
    above.suptitle("What the node holds: the spikes of the last 0.1 s")
    axes = below.subplots()
    now = np.linspace(0, times[-1], 200)
    axes.plot(now, 360 * TURNS * now, color="0.7", label="direction now")
    axes.plot(now, 360 * TURNS * (now - 0.05), "--", color="0.7", label="0.05 s ago")
    axes.plot(times, read, "o", color="tab:blue", label="read from a window")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("direction (degrees)")
    axes.legend(frameon=False)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    print(main(Path("window_node.png")))
