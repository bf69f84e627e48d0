"""A spiking network watches how a pole is balanced, learns it, and does it live.

A pole stands on a cart. The cart is a Python class that knows nothing of networks; it
could as well be a robot behind a socket. Pushes try to topple the pole.

1. A linear controller balances the pole while a network of 400 spiking neurons is in
   the loop and watches: ``nengo_jax.live.Loop`` takes what is seen and done in each
   step, and ``nengo_jax.live.Recording`` writes both to disk.
2. The recording is read back in windows, and ``sim.fit`` trains the network on them.
3. The network takes over. It runs in time with the clock, 1000 steps in each second:
   observe, step, act. The report tells how long the steps took and how many came late.

The picture shows the angle of the pole for the controller, for the network before
training (it falls), and for the network live; its spikes and its force; and how long
the steps took, from the observation to the action.

Run it with ``python examples/live_loop.py``.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import NamedTuple

import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.linalg import solve_continuous_are

import nengo_jax
from nengo_jax.live import Loop, Playback, Recording, Report

import keras  # after nengo_jax, which chooses the backend  # isort: skip

DT = 0.001  # s
N_NEURONS = 400
GRAVITY, CART, POLE, HALF = 9.81, 1.0, 0.1, 0.5  # m/s^2, kg, kg, m
FALLEN = math.radians(45)
SEEN = np.array([0.5, 1.0, 0.15, 1.0])  # m, m/s, rad, rad/s that count as 1
FORCE = 10.0  # N that count as 1
PUSH, PUSHED, EVERY = 25.0, 0.05, 1.5  # N, s, s
BATCH = 128


class Cart:
    """A cart with a pole (Barto, Sutton and Anderson, 1983), in Python."""

    def __init__(self):
        self.place, self.speed, self.angle, self.spin = 0.0, 0.0, 0.0, 0.0

    @property
    def state(self) -> np.ndarray:
        """Place (m), speed (m/s), angle (rad; 0 is up) and spin (rad/s)."""
        return np.array([self.place, self.speed, self.angle, self.spin])

    def act(self, force: float) -> None:
        """Move on by one step (semi-implicit Euler); force in N."""
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        total = CART + POLE
        push = (force + POLE * HALF * self.spin**2 * sine) / total
        turn = (GRAVITY * sine - cosine * push) / (
            HALF * (4 / 3 - POLE * cosine**2 / total)
        )
        self.speed += DT * (push - POLE * HALF * turn * cosine / total)
        self.spin += DT * turn
        self.place += DT * self.speed
        self.angle += DT * self.spin


class Network(NamedTuple):
    """The network and its ends."""

    network: nengo.Network
    senses: nengo.Node
    shown: nengo.Node  # what somebody else does
    seen: nengo.Probe
    teaching: nengo.Probe
    decoded: nengo.Probe  # the force at once, to train
    force: nengo.Probe  # the force from filtered spikes, to act
    spikes: nengo.Probe


class Run(NamedTuple):
    """What happened, step by step."""

    angle: np.ndarray  # degrees
    force: np.ndarray  # N
    spikes: np.ndarray
    latency: Report


class Figures(NamedTuple):
    """How well the network balances, and how fast it is."""

    controller_angle: float  # the largest, degrees
    untrained_fell: bool
    angle: float  # the largest of the network, degrees
    steps: int
    median: float  # us
    percentile_99: float  # us
    worst: float  # us
    missed: int


def build() -> Network:
    with nengo.Network(seed=3) as network:
        senses = nengo.Node(np.zeros(4), label="senses")
        shown = nengo.Node(np.zeros(1), label="shown")
        neurons = nengo.Ensemble(
            N_NEURONS, 4, radius=1.5, max_rates=nengo.dists.Uniform(50, 150)
        )
        force = nengo.Node(size_in=1)
        nengo.Connection(senses, neurons, synapse=None)
        nengo.Connection(neurons, force, function=lambda x: 0, synapse=None)
        return Network(
            network,
            senses,
            shown,
            nengo.Probe(senses, label="seen"),
            nengo.Probe(shown, label="teaching"),
            nengo.Probe(force, label="decoded"),
            nengo.Probe(force, label="force", synapse=0.01),
            nengo.Probe(neurons.neurons, label="spikes"),
        )


def linear_controller() -> np.ndarray:
    """Gains of the linear-quadratic regulator about the upright pole, shape (4,)."""
    total = CART + POLE
    inertia = HALF * (4 / 3 - POLE / total)
    turn = np.array([0, 0, GRAVITY, 0, -1 / total]) / inertia  # of state and force
    move = np.array([0, 0, 0, 0, 1 / total]) - POLE * HALF / total * turn
    system = np.array([[0, 1, 0, 0], move[:4], [0, 0, 0, 1], turn[:4]])
    effect = np.array([[0], [move[4]], [0], [turn[4]]])
    cost = solve_continuous_are(system, effect, np.diag([20, 4, 40, 4]), [[0.1]])
    return (effect.T @ cost / 0.1)[0]


def disturb(tick: int) -> float:
    """Return the force of a push, from the left and from the right in turn."""
    number, since = divmod(tick * DT, EVERY)
    return (-1) ** number * PUSH if since < PUSHED else 0.0


def demonstrate(net: Network, path: Path, time: float) -> np.ndarray:
    """Let the controller balance while the network watches; return the angles.

    It is pushed at random, so that the network sees what to do far from the middle.
    """
    rng, gains, cart, wind = np.random.default_rng(0), linear_controller(), Cart(), 0.0
    angles = []
    with (
        nengo_jax.Simulator(net.network, dt=DT, progress_bar=False) as sim,
        Recording(path, sim, [net.seen, net.teaching]),
        Loop(sim, [net.senses, net.shown], net.force) as loop,
    ):
        for tick in loop.ticks(round(time / DT)):
            force = float(-gains @ cart.state)
            loop.step({net.senses: cart.state / SEEN, net.shown: force / FORCE})
            if tick % 50 == 0:
                wind = rng.normal(0, 6)
            cart.act(force + wind)
            angles.append(math.degrees(cart.angle))
    return np.array(angles)


def train(net: Network, path: Path, epochs: int) -> None:
    """Train on the recording, and write what was learned into the network."""
    keras.utils.set_random_seed(0)
    with (
        Playback(path) as recorded,
        nengo_jax.Simulator(
            net.network, dt=DT, progress_bar=False, minibatch_size=BATCH
        ) as sim,
    ):
        windows = recorded.windows(
            {net.senses: "seen"},
            {net.decoded: "teaching"},
            n_steps=1,
            every=3,
            batch_size=BATCH,
        )
        x, y = windows.arrays()
        rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * len(windows))
        sim.compile(keras.optimizers.Adam(rate), loss={net.decoded: "mse"})
        sim.fit(x, y, epochs=epochs, verbose=0)
        sim.freeze_params(net.network)


def balance(net: Network, time: float, period: float | None) -> Run:
    """Let the network balance the pole, until it falls or the time is over."""
    cart, rows = Cart(), []
    with (
        nengo_jax.Simulator(net.network, dt=DT, progress_bar=False) as sim,
        Loop(sim, net.senses, [net.force, net.spikes], period) as loop,
    ):
        for tick in loop.ticks(round(time / DT)):
            outputs = loop.step(cart.state / SEEN)
            force = FORCE * float(outputs[net.force][0])
            cart.act(force + disturb(tick))
            rows.append((math.degrees(cart.angle), force, outputs[net.spikes] > 0))
            if abs(cart.angle) > FALLEN:
                break
    return Run(*map(np.array, zip(*rows, strict=True)), loop.latency)


def main(
    out: Path,
    demonstration: float = 60.0,
    epochs: int = 30,
    live: float = 9.0,
    period: float | None = DT,
) -> Figures:
    """Watch, learn, act live, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    demonstration : float
        Seconds of simulated time in which the network watches.
    epochs : int
        Of training.
    live : float
        Seconds in which the network acts.
    period : float or None
        Seconds of wall-clock time for each step. None: as fast as possible.
    """
    net = build()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demonstration.h5"
        shown = demonstrate(net, path, demonstration)
        before = balance(net, live, None)
        train(net, path, epochs)
    after = balance(net, live, period)
    draw(out, shown, before, after, period)
    report = after.latency
    return Figures(
        controller_angle=float(np.abs(shown).max()),
        untrained_fell=bool(np.abs(before.angle).max() > math.degrees(FALLEN)),
        angle=float(np.abs(after.angle).max()),
        steps=report.steps,
        median=report.median * 1e6,
        percentile_99=report.percentile_99 * 1e6,
        worst=report.worst * 1e6,
        missed=report.missed,
    )


def draw(
    out: Path, shown: np.ndarray, before: Run, after: Run, period: float | None
) -> None:
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplot_mosaic("al;fl;sl", width_ratios=(1.5, 1))
    times = DT * np.arange(1, len(after.angle) + 1)
    axes["a"].plot(times, shown[: len(times)], color="0.75", label="shown")
    axes["a"].plot(
        times[: len(before.angle)], before.angle, color="tab:red", label="before"
    )
    axes["a"].plot(times, after.angle, color="tab:blue", label="live, after training")
    axes["a"].set_ylim(-15, 15)
    axes["a"].legend(loc="upper right", ncols=3)
    axes["a"].set_title("Angle of the pole (degrees)", loc="left")
    axes["f"].plot(times, after.force, color="tab:blue", lw=0.7)
    pushes = np.array([disturb(tick) for tick in range(len(times))])
    axes["f"].fill_between(times, pushes, color="tab:orange", label="pushes")
    axes["f"].legend(loc="upper right")
    axes["f"].set_title("Force of the network (N)", loc="left")
    step, neuron = np.nonzero(after.spikes[:, ::8])
    axes["s"].scatter(times[step], neuron, s=2, color="black", lw=0)
    axes["s"].set_title("Spikes of 50 of the neurons", loc="left")
    axes["s"].set_xlabel("time (s)")
    for name in "afs":
        axes[name].set_xlim(0, times[-1])
    draw_latency(axes["l"], after.latency, period)
    figure.savefig(out, dpi=90)


def draw_latency(axes: Axes, report: Report, period: float | None) -> None:
    """Draw how long steps took, with logarithmic axes since the tail is long."""
    edges = report.edges[::5] * 1e6
    counts = np.add.reduceat(report.counts, np.arange(0, len(report.counts), 5))
    edges = np.append(edges[: len(counts)], report.edges[-1] * 1e6)
    axes.stairs(counts, edges, fill=True, color="tab:green", alpha=0.6)
    marks = {"median": report.median, "99%": report.percentile_99}
    marks |= {"worst": report.worst}
    for (name, seconds), style in zip(marks.items(), ("-", "--", ":"), strict=True):
        label = f"{name}: {seconds * 1e6:.0f} us"
        axes.axvline(seconds * 1e6, color="black", ls=style, lw=1, label=label)
    if period is not None:
        label = f"the next step is due; {report.missed} of {report.steps} came late"
        axes.axvline(period * 1e6, color="tab:red", lw=1.5, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("from observation to action (us)")
    axes.set_ylabel("steps")
    axes.legend(loc="upper right")
    axes.set_title("Latency", loc="left")


if __name__ == "__main__":
    print(main(Path("live_loop.png")))
