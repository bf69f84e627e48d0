"""Record spikes and an arm, train a recurrent Keras model on them, put it back.

150 spiking neurons drive an arm with two joints: their decoded output is where the
joints should go, and the arm, a Python node, follows like a damped spring. What the arm
does can be read from the spikes of the last 0.1 s, and a GRU learns to do so.

1. One simulation records the spikes and the movement of the hand.
2. The recording is cut into windows of 100 steps x 150 neurons. A Keras model, a GRU
   and a linear layer, learns where the hand is at the end of a window.
3. The model goes back into the network as a ``nengo_jax.nodes.TensorNode``. It wants a
   window, but in each step of the simulation there is one step of spikes, 150 numbers.
   So a node between them keeps the last 100 steps, and the shape that the TensorNode is
   given, ``(100, 150)``, is that of the whole window.

Then the arm moves along a path that the model has never seen, and the prediction is
compared with the hand in each step; and with what ``model.predict`` says about windows
cut from the new spikes, which must be the same.

Run it with ``python examples/predict_arm.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax
from nengo_jax.nodes import TensorNode

import keras  # after nengo_jax, which chooses the backend  # isort: skip

N_NEURONS = 150
WINDOW = 100  # steps of 1 ms
EVERY = 10  # steps from one window of the recording to the next
LENGTHS = 1.0, 0.8  # of upper arm and forearm
STIFFNESS, DAMPING = 400.0, 40.0  # 1/s^2, 1/s


class Arm:
    """An arm with two joints that follow their targets like damped springs."""

    def __init__(self):
        self.angles = np.array([0.6, 1.2])
        self.speeds = np.zeros(2)

    def __call__(self, t: float, x: np.ndarray) -> np.ndarray:
        """Move on for a step; return x and y of the elbow, then of the hand."""
        targets = np.array([0.6, 1.2]) + x
        pull = STIFFNESS * (targets - self.angles) - DAMPING * self.speeds
        self.speeds = self.speeds + 0.001 * pull
        self.angles = self.angles + 0.001 * self.speeds
        first, second = np.cumsum(self.angles)
        elbow = LENGTHS[0] * np.array([np.cos(first), np.sin(first)])
        hand = elbow + LENGTHS[1] * np.array([np.cos(second), np.sin(second)])
        return np.concatenate([elbow, hand])


class SlidingWindow:
    """The last inputs of a node, the newest at the end."""

    def __init__(self, steps: int, size: int):
        self.rows = np.zeros((steps, size))

    def __call__(self, t: float, x: np.ndarray) -> np.ndarray:
        """Take in x, shape (size,), and return all rows, shape (steps * size,)."""
        self.rows = np.concatenate([self.rows[1:], x[None]])
        return self.rows.reshape(-1)


class Reach(NamedTuple):
    """The network, and what is recorded in it."""

    network: nengo.Network
    neurons: nengo.Ensemble
    spikes: nengo.Probe
    arm: nengo.Probe


class Figures(NamedTuple):
    """How good the live prediction is."""

    error: float  # RMS distance from the hand, over all steps
    movement: float  # RMS distance of the hand from its mean position
    live_differs: float  # at most, from model.predict on the same windows


def build(path_seed: int) -> Reach:
    with nengo.Network("arm", seed=5) as network:
        wish = nengo.Node(
            nengo.processes.WhiteSignal(60.0, 1.0, 0.5, seed=path_seed), size_out=2
        )
        # a seed of their own, or the neurons would change with what is added later
        neurons = nengo.Ensemble(N_NEURONS, 2, radius=1.4, seed=6)
        arm = nengo.Node(Arm(), size_in=2, size_out=4)
        nengo.Connection(wish, neurons, synapse=None)
        nengo.Connection(neurons, arm, synapse=0.02)
        spikes, moved = nengo.Probe(neurons.neurons), nengo.Probe(arm)
    return Reach(network, neurons, spikes, moved)


def run(
    reach: Reach, time: float
) -> tuple[nengo_jax.Simulator, np.ndarray, np.ndarray]:
    """Return the simulator, the spikes (0 or 1), and elbow and hand."""
    with nengo_jax.Simulator(reach.network, progress_bar=False) as sim:
        sim.run(time)
    return sim, sim.data[reach.spikes] * sim.dt, sim.data[reach.arm]


def cut_windows(spikes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Windows up to each end, shape (ends, WINDOW, neurons)."""
    return np.stack([spikes[end - WINDOW : end] for end in ends]).astype("float32")


def make_model() -> keras.Model:
    """A GRU that reads a window in 20 bins of 5 ms."""
    return keras.Sequential(
        [
            keras.Input((WINDOW, N_NEURONS)),
            keras.layers.AveragePooling1D(5),
            keras.layers.GRU(48),
            keras.layers.Dense(2),
        ]
    )


def train(spikes: np.ndarray, hand: np.ndarray, epochs: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    ends = np.arange(WINDOW, len(spikes) + 1, EVERY)
    windows, places = cut_windows(spikes, ends), hand[ends - 1].astype("float32")
    model = make_model()
    rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * -(-len(ends) // 32))
    model.compile(keras.optimizers.Adam(rate), loss="mse")
    model.fit(windows, places, epochs=epochs, verbose=0)
    return model


def put_back(model: keras.Model, reach: Reach) -> nengo.Probe:
    """Add the window and the model to a network; return the probe of its output."""
    with reach.network:
        window = nengo.Node(
            SlidingWindow(WINDOW, N_NEURONS),
            size_in=N_NEURONS,
            size_out=WINDOW * N_NEURONS,
        )
        predict = TensorNode(model, shape_in=(WINDOW, N_NEURONS), pass_time=False)
        # a spike is 1 / dt high; the model knows spikes of height 1
        nengo.Connection(reach.neurons.neurons, window, transform=0.001, synapse=None)
        nengo.Connection(window, predict, synapse=None)
        return nengo.Probe(predict)


def main(out: Path, time: float = 20.0, epochs: int = 20) -> Figures:
    """Record, train, put back, compare, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    time : float
        Simulated time of the recording, in seconds; the live run takes 2 s.
    epochs : int
        How often training goes through the windows.
    """
    _, spikes, arm = run(build(path_seed=1), time)
    model = train(spikes, arm[:, 2:], epochs)
    reach = build(path_seed=2)
    probe = put_back(model, reach)
    sim, spikes, arm = run(reach, 2.0)
    predicted = sim.data[probe][WINDOW:]
    ends = np.arange(WINDOW + 1, len(spikes) + 1)
    again = model.predict(cut_windows(spikes, ends), verbose=0)
    hand = arm[WINDOW:, 2:]
    figures = Figures(
        rms_distance(predicted - hand),
        rms_distance(hand - hand.mean(axis=0)),
        float(np.abs(predicted - again).max()),
    )
    draw(out, spikes[WINDOW:], arm[WINDOW:], predicted, figures)
    return figures


def rms_distance(offsets: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum(offsets**2, axis=-1))))


def draw(
    out: Path,
    spikes: np.ndarray,
    arm: np.ndarray,
    predicted: np.ndarray,
    figures: Figures,
) -> None:
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplot_mosaic("ax;ay;as", width_ratios=(1, 1.3))
    times = 0.001 * np.arange(WINDOW + 1, WINDOW + 1 + len(arm))
    draw_arm(axes["a"], arm, predicted)
    axes["a"].set_title("Arm every 0.2 s, and the predicted hand", loc="left")
    for name, column in (("x", 0), ("y", 1)):
        axes[name].plot(times, arm[:, 2 + column], color="0.8", lw=6, label="hand")
        axes[name].plot(
            times, predicted[:, column], color="tab:red", lw=1, label="live prediction"
        )
        axes[name].set_ylabel(f"{name} of the hand")
    axes["x"].legend(frameon=False, ncols=2)
    axes["x"].set_title(
        f"Off by {figures.error:.2f} (RMS) while the hand moves by "
        f"{figures.movement:.2f}",
        loc="left",
    )
    step, neuron = np.nonzero(spikes)
    axes["s"].scatter(times[step], neuron, s=2, marker="|", color="black", lw=0.6)
    axes["s"].set_ylabel("neurons")
    axes["s"].set_xlabel("time (s)")
    for name in "xys":
        axes[name].set_xlim(times[0], times[-1])
    figure.savefig(out, dpi=110)


def draw_arm(axes: Axes, arm: np.ndarray, predicted: np.ndarray) -> None:
    axes.plot(*arm[:, 2:].T, color="0.8", lw=6, solid_capstyle="round")
    axes.plot(*predicted.T, color="tab:red", lw=0.8)
    shown = arm[::200]
    for place, (x, y, hand_x, hand_y) in enumerate(shown):
        shade = str(0.75 - 0.7 * place / len(shown))
        axes.plot([0, x, hand_x], [0, y, hand_y], "o-", color=shade, lw=2.5, ms=5)
    axes.plot(*predicted[::200].T, "o", color="tab:red", ms=7, mfc="none", mew=2)
    axes.set_aspect("equal")
    axes.set_axis_off()


if __name__ == "__main__":
    print(main(Path("predict_arm.png")))
