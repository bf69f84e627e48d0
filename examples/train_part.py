"""Train one part of a larger model, and run all of it in ``nengo.Simulator``.

An integrator (a recurrent ensemble) collects what it is told, and a subnetwork,
"square", has to say the square of what the integrator holds. The integrator is good as
it is. The subnetwork has two layers of 80 neurons, and its connections were drawn at
random.

``configure_settings(trainable=False)`` on the model fixes everything in it; the same
with ``True`` inside the subnetwork makes an exception of it, because an inner network
counts before an outer one. Then the model is trained as a whole: the error goes back
through the subnetwork only, and the integrator keeps its parameters to the last bit.

Training uses spikes and surrogate gradients. At its end, ``sim.freeze_params(model)``
writes the parameters into the nengo objects. From then on the model is an ordinary
nengo model, and ``nengo.Simulator`` shows the same output.

The picture shows the output before and after training, the two simulators on top of
each other, and how much each parameter has changed.

Run it with ``python examples/train_part.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nengo
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax

STEPS = 200  # of 1 ms, in training
N_EXAMPLES = 16
N_NEURONS = 80  # in each layer of the part that is trained
SYNAPSE = 0.01  # s
AMPLITUDE = 0.01  # of the spikes of the subnetwork


class Parts(NamedTuple):
    """The model, with its parts and probes."""

    model: nengo.Network
    stimulus: nengo.Node
    integrator: nengo.Ensemble
    square: nengo.Network
    held: nengo.Probe
    output: nengo.Probe


class Figures(NamedTuple):
    """What training did, and where."""

    error_before: float  # RMS
    error_after: float
    integrator_changed: float  # at most
    square_changed: float  # at most
    simulators_differ: float  # at most, in float64


def build() -> Parts:
    with nengo.Network("model", seed=3) as model:
        nengo_jax.configure_settings(training="surrogate", trainable=False)
        stimulus = nengo.Node(told)
        integrator = nengo.Ensemble(300, 1, label="integrator")
        nengo.Connection(stimulus, integrator, transform=0.1, synapse=0.1)
        nengo.Connection(integrator, integrator, synapse=0.1, label="feedback")
        square = make_square()
        nengo.Connection(integrator, square.input, synapse=SYNAPSE)
        held = nengo.Probe(integrator, synapse=5 * SYNAPSE)
        output = nengo.Probe(square.output, synapse=3 * SYNAPSE)
    return Parts(model, stimulus, integrator, square, held, output)


def make_square() -> nengo.Network:
    """Make the part that will be trained."""
    with nengo.Network("square") as square:
        nengo_jax.configure_settings(trainable=True)
        square.config[nengo.Ensemble].neuron_type = nengo.LIF(amplitude=AMPLITUDE)
        square.config[nengo.Ensemble].max_rates = nengo.dists.Choice([200])
        square.input = nengo.Node(size_in=1)
        first, second = (
            nengo.Ensemble(N_NEURONS, 1, label=f"layer {k}") for k in (1, 2)
        )
        square.output = nengo.Node(size_in=1)
        nengo.Connection(square.input, first, synapse=None)
        nengo.Connection(
            first.neurons,
            second.neurons,
            transform=nengo_jax.dists.Glorot(),
            synapse=SYNAPSE,
            label="first to second",
        )
        nengo.Connection(
            second.neurons,
            square.output,
            transform=nengo_jax.dists.Glorot(),
            synapse=None,
            label="second to output",
        )
    return square


def told(t: float) -> float:
    """What the integrator is told in the run that is shown."""
    return [4.0, 0.0, -8.0, 0.0, 8.0, -8.0, 4.0, 0.0][int(t / 0.2) % 8] * 0.9


def train(parts: Parts, epochs: int) -> nengo_jax.Simulator:
    """Return an open simulator of the trained model."""
    import keras

    levels = np.linspace(-5, 5, N_EXAMPLES)  # up to 1 in 0.2 s
    pushes = np.tile(levels[:, None, None], (1, STEPS, 1))
    sim = nengo_jax.Simulator(
        parts.model, minibatch_size=N_EXAMPLES, progress_bar=False
    )
    held = sim.predict({parts.stimulus: pushes}, verbose=0)[parts.held]
    rate = keras.optimizers.schedules.CosineDecay(1e-2, epochs)
    sim.compile(keras.optimizers.Adam(rate), loss={parts.output: "mse"})
    sim.fit({parts.stimulus: pushes}, {parts.output: held**2}, epochs=epochs, verbose=0)
    return sim


def parameters(sim: nengo_jax.Simulator, network: nengo.Network) -> dict:
    """All parameters of a network, by name."""
    values = {}
    for ensemble in network.all_ensembles:
        built = sim.data[ensemble]
        values[f"{ensemble.label}: encoders"] = np.array(built.scaled_encoders)
        values[f"{ensemble.label}: biases"] = np.array(built.bias)
    for connection in network.all_connections:
        if connection.label:
            values[connection.label] = np.array(sim.data[connection].weights)
    return values


def run(parts: Parts, simulator: type, time: float, **options) -> tuple:
    """Run the model; return what the integrator holds, and the output."""
    with simulator(parts.model, progress_bar=False, **options) as sim:
        sim.run(time)
    return sim.data[parts.held][:, 0], sim.data[parts.output][:, 0]


def main(out: Path, epochs: int = 150, time: float = 1.6) -> Figures:
    """Train, freeze, run everywhere, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    epochs : int
    time : float
        Simulated time in seconds of the run that is shown.
    """
    parts = build()
    held, before = run(parts, nengo_jax.Simulator, time)
    with nengo_jax.Simulator(parts.model, progress_bar=False) as sim:
        old = parameters(sim, parts.model)
    with train(parts, epochs) as sim:
        new = parameters(sim, parts.model)
        sim.freeze_params(parts.model)
    ours = run(parts, nengo_jax.Simulator, time, dtype="float64")[1]
    reference = run(parts, nengo.Simulator, time)[1]
    changes = {name: float(np.abs(new[name] - old[name]).max()) for name in old}
    fixed = [v for n, v in changes.items() if n.startswith(("integrator", "feedback"))]
    figures = Figures(
        rms(before - held**2),
        rms(ours - held**2),
        max(fixed),
        max(changes.values()),
        float(np.abs(ours - reference).max()),
    )
    draw(out, held, (before, ours, reference), changes, figures)
    return figures


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def draw(
    out: Path, held: np.ndarray, outputs: tuple, changes: dict, figures: Figures
) -> None:
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplot_mosaic("hc;oc", width_ratios=(2, 1))
    before, ours, reference = outputs
    times = 0.001 * np.arange(1, len(held) + 1)
    axes["h"].plot(times, held, color="0.3")
    axes["h"].set_title("What the integrator holds; it is not trained", loc="left")
    axes["o"].plot(times, held**2, color="0.82", lw=7, label="its square")
    axes["o"].plot(times, before, color="tab:orange", lw=1, label="before training")
    axes["o"].plot(times, ours, color="tab:blue", lw=2.5, label="after")
    axes["o"].plot(
        times, reference, ":", color="black", lw=1, label="after, nengo.Simulator"
    )
    axes["o"].legend(frameon=False, ncols=4, loc="upper left")
    axes["o"].set_ylim(-0.4, 1.1)
    axes["o"].set_xlabel("time (s)")
    axes["o"].set_title(
        f"What the subnetwork says: error {figures.error_before:.2f} before, "
        f"{figures.error_after:.2f} after (RMS)",
        loc="left",
    )
    draw_changes(axes["c"], changes)
    figure.savefig(out, dpi=110)


def draw_changes(axes: Axes, changes: dict[str, float]) -> None:
    names, values = list(changes), np.array(list(changes.values()))
    colours = np.where(values > 0, "tab:blue", "0.6")
    axes.barh(names, values, color=colours)
    for place, value in enumerate(values):
        if value == 0:
            axes.text(0, place, " no change", va="center", color="0.4")
    axes.invert_yaxis()
    axes.set_title("Largest change of a parameter", loc="left")


if __name__ == "__main__":
    print(main(Path("train_part.png")))
