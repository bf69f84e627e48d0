"""Oscillator: a group of neurons that talks to itself keeps turning after one kick.

An ensemble represents a point in the plane. A recurrent connection tells the ensemble
where the point should move: around the centre. The rule of the Neural Engineering
Framework turns wished-for dynamics ``dx/dt = A x`` into a connection: through a synapse
with time constant tau, the connection must compute ``tau A x + x``. With
``A = [[0, w], [-w, 0]]`` the point goes round w / (2 pi) times a second. A radial term
pulls it to the unit circle, so that noise neither stops nor speeds it up.

The picture shows the two coordinates over time, the path in the plane, and the rate of
each neuron over time: a hill of activity that travels around.

Run it with ``python examples/oscillator.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nengo
import numpy as np
from matplotlib.figure import Figure

import nengo_jax

N_NEURONS = 500
SYNAPSE = 0.1  # s
FREQUENCY = 2.0  # Hz, that we ask for
KICK = 0.1  # s


class Oscillator(NamedTuple):
    """The network with its probes."""

    network: nengo.Network
    ensemble: nengo.Ensemble
    point: nengo.Probe
    rates: nengo.Probe


class Figures(NamedTuple):
    """How it turns."""

    frequency: float  # Hz
    radius: float
    radius_spread: float  # standard deviation


def turn(point: np.ndarray) -> list[float]:
    """Return what the recurrent connection computes: tau A x + x, and the pull."""
    x, y = point
    speed = 2 * np.pi * FREQUENCY
    pull = 1 - (x**2 + y**2)
    return [
        x + SYNAPSE * (speed * y + 3 * pull * x),
        y + SYNAPSE * (-speed * x + 3 * pull * y),
    ]


def build() -> Oscillator:
    with nengo.Network("oscillator", seed=2) as network:
        kick = nengo.Node(lambda t: 1.0 if t < KICK else 0.0)
        ensemble = nengo.Ensemble(N_NEURONS, dimensions=2, radius=1.2)
        nengo.Connection(kick, ensemble[0])
        nengo.Connection(ensemble, ensemble, function=turn, synapse=SYNAPSE)
        point = nengo.Probe(ensemble, synapse=0.02)
        rates = nengo.Probe(ensemble.neurons, synapse=0.02, sample_every=0.01)
    return Oscillator(network, ensemble, point, rates)


def measure(path: np.ndarray, dt: float) -> Figures:
    """Measure the turning, from half a second on."""
    settled = path[int(0.5 / dt) :]
    angles = np.unwrap(np.arctan2(settled[:, 1], settled[:, 0]))
    turns = abs(angles[-1] - angles[0]) / (2 * np.pi)
    radius = np.linalg.norm(settled, axis=1)
    frequency = turns / ((len(settled) - 1) * dt)
    return Figures(float(frequency), float(radius.mean()), float(radius.std()))


def main(out: Path, time: float = 3.0) -> Figures:
    """Run the oscillator and save its picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    time : float
        Simulated time in seconds; more than 0.5.
    """
    oscillator = build()
    with nengo_jax.Simulator(oscillator.network, progress_bar=False) as sim:
        sim.run(time)
    path = sim.data[oscillator.point]
    encoders = sim.data[oscillator.ensemble].encoders
    by_direction = np.argsort(np.arctan2(encoders[:, 1], encoders[:, 0]))
    rates = sim.data[oscillator.rates][:, by_direction]
    figures = measure(path, sim.dt)
    draw(out, sim.trange(), path, rates, figures)
    return figures


def draw(
    out: Path, times: np.ndarray, path: np.ndarray, rates: np.ndarray, figures: Figures
) -> None:
    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplot_mosaic("ttp;rrp", width_ratios=(1, 1, 1.6))
    axes["t"].plot(times, path[:, 0], label="x", color="tab:blue")
    axes["t"].plot(times, path[:, 1], label="y", color="tab:orange")
    axes["t"].axvspan(0, KICK, color="0.85")
    axes["t"].text(KICK, -1.5, " kick", color="0.4")
    axes["t"].legend(loc="upper right", ncols=2, frameon=False)
    axes["t"].set_ylim(-1.7, 1.7)
    axes["t"].set_xlim(0, times[-1])
    axes["t"].set_title(
        f"{figures.frequency:.2f} turns a second; {FREQUENCY:g} were asked for",
        loc="left",
    )
    image = axes["r"].imshow(
        rates.T,
        aspect="auto",
        origin="lower",
        cmap="magma",
        vmin=0,
        vmax=300,
        extent=(0, times[-1], -180, 180),
        interpolation="nearest",
    )
    figure.colorbar(image, ax=axes["r"], label="rate (Hz)")
    axes["r"].set_yticks([-180, -90, 0, 90, 180])
    axes["r"].set_ylabel("preferred direction (degrees)")
    axes["r"].set_xlabel("time (s)")
    axes["r"].set_title("Rates of all neurons", loc="left")
    axes["p"].plot(*path.T, color="tab:purple", linewidth=0.9)
    axes["p"].set_aspect("equal")
    axes["p"].set_xlabel("x")
    axes["p"].set_ylabel("y")
    axes["p"].set_title("The path of the point", loc="left")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    print(main(Path("oscillator.png")))
