"""Spiking layers in a plain Keras model: what makes a trained network spike well.

A network of 64-128-10 units learns handwritten digits (those of scikit-learn, 8 by 8
pixels). It is trained in three ways, and each network is then run with spikes, in steps
of 1 ms:

1. "rates": trained with a relu on one step, as any Keras model; afterwards the relu
   becomes spikes. ``SpikingActivation("relu", spiking_aware_training=False)`` does so.
   Its activities are about 1, which is one spike a second, so it needs a second.
2. "range": the same, while a regularizer drives the firing rate of each neuron for its
   favourite digits (the 95th percentile) towards a range.
3. "spikes": the second network is trained a little more, now with spikes, and with a
   lowpass filter in the place of the mean at the end, whose time constants are trained.

The picture shows the accuracy against the time for which a digit is shown, the firing
rates, the spikes of some neurons, and what the last network says while it looks at a
digit.

Run it with ``python examples/spiking_keras.py``; it needs scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from nengo_jax import layers

import keras  # after nengo_jax, which chooses the backend  # isort: skip

DT = 0.001  # s
TIMES = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)  # s, for which a digit is shown
SHORT = 0.05  # s, the one that counts
SLOWER = 5  # training with spikes takes steps of so many ms
RANGE = (40.0, 60.0)  # Hz, for the 95th percentile of each neuron
SEEN = 2  # the digit that the picture shows
COLOURS = {"rates": "tab:red", "range": "tab:orange", "spikes": "tab:blue"}
WORDS = {
    "rates": "trained with rates",
    "range": f"and rates driven towards {RANGE[0]:g}-{RANGE[1]:g} Hz",
    "spikes": "and trained with spikes and a filter",
}
Weights = list[np.ndarray]


class Figures(NamedTuple):
    """Accuracies with spikes in 50 ms, and firing rates in Hz."""

    rates: float
    range: float
    spikes: float
    rates_in_a_second: float
    fastest_before: float  # the 95th percentile, median over neurons that fire
    fastest_after: float


class Digits(NamedTuple):
    """Pixels from 0 to 1, shape (examples, 1, 64), and what they show."""

    x: np.ndarray
    y: np.ndarray


def load() -> tuple[Digits, Digits]:
    """Return digits to learn, and others."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))
    x, y = pixels[order, None].astype(np.float32) / 16, labels[order]
    return Digits(x[:1297], y[:1297]), Digits(x[1297:], y[1297:])


def build(kind: str, dt: float = DT, every_step: bool = False) -> keras.Sequential:
    """Make a network that says at the end, or in every step, what it sees."""
    regularizer = None
    if kind == "range":
        regularizer = layers.regularizers.Percentile(95, (0, 1), RANGE, l2=0.01)
    spiking = layers.SpikingActivation(
        "relu",
        dt=dt,
        seed=0,
        spiking_aware_training=kind == "spikes",
        activity_regularizer=regularizer,
    )
    if kind == "spikes":
        end = [layers.Lowpass(0.03, dt=dt, return_sequences=every_step)]
    else:
        end = [] if every_step else [keras.layers.GlobalAveragePooling1D()]
    dense = [keras.layers.Dense(128), spiking, keras.layers.Dense(10)]
    return keras.Sequential([keras.Input((None, 64)), *dense, *end])


def train(
    kind: str, digits: Digits, epochs: int, rate: float, start: Weights | None = None
) -> Weights:
    """Train a network of a kind, and return its weights."""
    keras.utils.set_random_seed(0)
    dt = SLOWER * DT if kind == "spikes" else DT
    steps = round(SHORT / dt) if kind == "spikes" else 1
    model = build(kind, dt)
    if start is not None:
        model.set_weights([*start, *model.get_weights()[len(start) :]])
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * 21)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss)
    x = np.repeat(digits.x, steps, axis=1)
    model.fit(x, digits.y, batch_size=64, epochs=epochs, verbose=0)
    return model.get_weights()


def accuracy(kind: str, weights: Weights, digits: Digits, time: float) -> float:
    """The share of digits that are named rightly after some time, with spikes."""
    model = build(kind)
    model.set_weights(weights)
    x = np.repeat(digits.x, round(time / DT), axis=1)
    said = model.predict(x, batch_size=100, verbose=0).argmax(axis=-1)
    return float(np.mean(said == digits.y))


def fastest(weights: Weights, digits: Digits) -> np.ndarray:
    """The 95th percentile of the firing rate of each neuron in Hz."""
    rates = np.maximum(digits.x[:, 0] @ weights[0] + weights[1], 0)
    return np.percentile(rates, 95, axis=0)


def look(weights: Weights, digit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes of hidden neurons and outputs of the last network over time."""
    model = build("spikes", every_step=True)
    model.set_weights(weights)
    parts = keras.Model(model.inputs, [model.layers[1].output, model.outputs[0]])
    spikes, outputs = parts.predict(np.repeat(digit[None], 100, axis=1), verbose=0)
    return spikes[0], outputs[0]


def main(out: Path, epochs: int = 40, times: Sequence[float] = TIMES) -> Figures:
    """Train, run with spikes, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    epochs : int
        Epochs of training with rates; with spikes there are a third of it.
    times : sequence of float
        For how long to show digits, in seconds; the last one is a second.
    """
    known, new = load()
    weights = {"rates": train("rates", known, epochs, 3e-3)}
    weights["range"] = train("range", known, epochs, 3e-2)
    weights["spikes"] = train("spikes", known, epochs // 3, 2e-2, weights["range"])
    curves = {
        kind: [accuracy(kind, weights[kind], new, time) for time in times]
        for kind in WORDS
    }
    rates = {kind: fastest(weights[kind], new) for kind in ("rates", "range")}
    at = list(times).index(SHORT)
    figures = Figures(
        *(curves[kind][at] for kind in WORDS),
        curves["rates"][-1],
        *(float(np.median(value[value > 0])) for value in rates.values()),
    )
    draw(out, times, curves, rates, look(weights["spikes"], new.x[SEEN]), new)
    return figures


def draw(
    out: Path,
    times: Sequence[float],
    curves: dict[str, list[float]],
    rates: dict[str, np.ndarray],
    seen: tuple[np.ndarray, np.ndarray],
    new: Digits,
) -> None:
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplot_mosaic("aaas;rrro", width_ratios=(1, 1, 1, 2))
    draw_curves(axes["a"], times, curves)
    draw_rates(axes["r"], rates)
    spikes, outputs = seen
    digit = int(new.y[SEEN])
    shown = 1000 * DT * np.arange(1, len(spikes) + 1)
    active = np.argsort(-spikes.sum(axis=0))[:40]
    for row, neuron in enumerate(active):
        when = shown[spikes[:, neuron] > 0]
        axes["s"].plot(when, np.full(len(when), row), "|", color="0.2", ms=5)
    axes["s"].set_xlim(0, shown[-1])
    axes["s"].set_ylabel("neuron")
    axes["s"].set_title("The 40 most active neurons of the last network", loc="left")
    draw_outputs(axes["o"], shown, outputs, digit)
    figure.savefig(out, dpi=110)


def draw_curves(axes: Axes, times: Sequence[float], curves: dict) -> None:
    for kind, values in curves.items():
        axes.semilogx(
            1000 * np.array(times),
            100 * np.array(values),
            "o-",
            color=COLOURS[kind],
            label=WORDS[kind],
        )
    axes.axvline(1000 * SHORT, color="0.8", zorder=0)
    axes.set_ylim(0, 102)
    axes.set_xticks(ticks := [round(1000 * time) for time in times], ticks)
    axes.minorticks_off()
    axes.set_xlabel("a digit is shown for (ms)")
    axes.set_title("Digits named rightly, by spikes (%)", loc="left")
    axes.legend(frameon=False, loc="lower right")


def draw_rates(axes: Axes, rates: dict) -> None:
    bins = np.linspace(0, 80, 41)
    axes.axvspan(*RANGE, color="0.92", zorder=0)
    for kind, values in rates.items():
        axes.hist(values, bins, color=COLOURS[kind], alpha=0.8, label=WORDS[kind])
    axes.set_xlabel("Hz")
    axes.set_title("Firing rates for favourite digits: neurons", loc="left")
    axes.legend(frameon=False, loc="upper center")


def draw_outputs(axes: Axes, shown: np.ndarray, outputs: np.ndarray, seen: int) -> None:
    for digit in range(10):
        right = digit == seen
        axes.plot(
            shown,
            outputs[:, digit],
            color="tab:blue" if right else "0.75",
            lw=2.5 if right else 1,
            zorder=3 if right else 2,
        )
    axes.text(shown[-1], outputs[-1, seen], f" {seen}", color="tab:blue", va="center")
    axes.set_xlim(0, shown[-1])
    axes.set_xlabel("time (ms)")
    axes.set_title(f"What it says about a {seen}: filtered outputs", loc="left")


if __name__ == "__main__":
    print(main(Path("spiking_keras.png")))
