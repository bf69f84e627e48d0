"""An integrator that forgets less, because training improves encoders and biases.

A recurrent ensemble holds a value: its decoded output is fed back to itself. With few
neurons the decoded value is never quite the value that is held, and the difference
adds up: the value drifts to one of a few fixed points. Nengo solves for the best
decoders; the encoders and biases, drawn at random, are left as they are.

Here encoders and biases are trained to hold values for 0.5 s, by backpropagation
through time (600 steps); the decoders stay as they are. In training the neurons use
their rate form (``training="rate"``), as the drift is a matter of rates. Afterwards
they spike.

The picture shows the held values before and after, and how far each has drifted.

Run it with ``python examples/better_integrator.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib
import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax

N_NEURONS = 40
SYNAPSE = 0.1  # s, of the feedback
PUSH = 0.1  # s, for which the value is pushed to where it should stay
HOLD = 0.5  # s, for which it is held in training
DT = 0.001
LEARNING_RATE = 0.05
LEVELS = np.linspace(-0.9, 0.9, 19)


class Parts(NamedTuple):
    """The network, with its parts and probes."""

    network: nengo.Network
    stimulus: nengo.Node
    integrator: nengo.Ensemble
    held: nengo.Probe


class Figures(NamedTuple):
    """How well values are held, as spikes: the drift after twice the training time."""

    drift_before: float  # RMS
    drift_after: float
    encoders_changed: float  # RMS, relative
    biases_changed: float


def build() -> Parts:
    with nengo.Network("integrator", seed=1) as network:
        nengo_jax.configure_settings(training="rate", trainable=True)
        network.config[nengo.Connection].trainable = False
        stimulus = nengo.Node([0.0])
        integrator = nengo.Ensemble(
            N_NEURONS,
            1,
            max_rates=nengo.dists.Uniform(100, 200),
            neuron_type=nengo.LIF(amplitude=0.01),
        )
        nengo.Connection(stimulus, integrator, transform=SYNAPSE, synapse=SYNAPSE)
        nengo.Connection(integrator, integrator, synapse=SYNAPSE)
        held = nengo.Probe(integrator, synapse=0.05)
    return Parts(network, stimulus, integrator, held)


def pushes(levels: np.ndarray, hold: float) -> np.ndarray:
    """Inputs that push the integrator to levels and then leave it, (levels, steps, 1).

    An integrator adds up: a push of height level / PUSH for a time PUSH is a level.
    """
    steps = round((PUSH + hold) / DT)
    pushing = np.arange(steps) < round(PUSH / DT)
    return (levels[:, None] / PUSH * pushing)[:, :, None]


def train(parts: Parts, epochs: int) -> nengo_jax.Simulator:
    """Return an open simulator of the trained network."""
    import keras

    x = pushes(LEVELS, HOLD)
    y = np.repeat(LEVELS[:, None, None], x.shape[1], axis=1)
    y[:, : round((PUSH + 0.1) / DT)] = np.nan  # any way there will do
    sim = nengo_jax.Simulator(
        parts.network, minibatch_size=len(LEVELS), progress_bar=False
    )
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs)
    sim.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),
        loss={parts.held: nengo_jax.losses.nan_mse},
    )
    sim.fit({parts.stimulus: x}, {parts.held: y}, epochs=epochs, verbose=0)
    return sim


def hold(sim: nengo_jax.Simulator, parts: Parts) -> np.ndarray:
    """Let spiking neurons hold each level for twice the time of training."""
    x = pushes(LEVELS, 2 * HOLD)
    return sim.predict({parts.stimulus: x}, verbose=0)[parts.held][:, :, 0]


def main(out: Path, epochs: int = 150) -> Figures:
    """Train the integrator, measure its drift, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    epochs : int
        Number of training steps; each uses all levels.
    """
    parts = build()
    with nengo_jax.Simulator(
        parts.network, minibatch_size=len(LEVELS), progress_bar=False
    ) as sim:
        before, old = hold(sim, parts), sim.data[parts.integrator]
    with train(parts, epochs) as sim:
        after, new = hold(sim, parts), sim.data[parts.integrator]
    figures = Figures(
        rms(before[:, -100:].mean(axis=1) - LEVELS),
        rms(after[:, -100:].mean(axis=1) - LEVELS),
        rms(new.scaled_encoders - old.scaled_encoders) / rms(old.scaled_encoders),
        rms(new.bias - old.bias) / rms(old.bias),
    )
    draw(out, before, after, figures)
    return figures


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def draw(out: Path, before: np.ndarray, after: np.ndarray, figures: Figures) -> None:
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplot_mosaic("ba;dd", height_ratios=(1.6, 1))
    for name, held, title, drift in (
        ("b", before, "Before training", figures.drift_before),
        ("a", after, "After training", figures.drift_after),
    ):
        draw_held(axes[name], held)
        axes[name].set_title(
            f"{title}: off by {drift:.3f} in the end (RMS)", loc="left"
        )
        late = held[:, -100:].mean(axis=1)
        colour = {"b": "tab:orange", "a": "tab:blue"}[name]
        axes["d"].plot(LEVELS, late - LEVELS, "o-", color=colour, label=title)
    axes["d"].axhline(0, color="0.7", lw=1)
    axes["d"].legend(frameon=False)
    axes["d"].set_xlabel("value that should be held")
    axes["d"].set_title(
        f"How far it has drifted after {2 * HOLD:g} s; training was about {HOLD:g} s",
        loc="left",
    )
    figure.savefig(out, dpi=110)


def draw_held(axes: Axes, held: np.ndarray) -> None:
    times = DT * np.arange(1, held.shape[1] + 1)
    for level, values in zip(LEVELS, held, strict=True):
        colour = matplotlib.colormaps["coolwarm"]((level + 1) / 2)
        axes.axhline(level, color=colour, lw=0.8, ls=":")
        axes.plot(times, values, color=colour, lw=1.5)
    axes.axvspan(0, PUSH, color="0.93")
    axes.axvspan(PUSH + HOLD, times[-1], color="0.97")
    axes.text(PUSH + HOLD + 0.01, -1.12, "longer than in training", color="0.5")
    axes.set_xlim(0, times[-1])
    axes.set_ylim(-1.2, 1.2)
    axes.set_xlabel("time (s)")


if __name__ == "__main__":
    print(main(Path("better_integrator.png")))
