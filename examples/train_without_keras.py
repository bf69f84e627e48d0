"""Train a spiking network without Keras: the network as a function, and optax.

``nengo_jax.functional(network)`` turns a network into pure functions of JAX. ``run``
takes parameters, a state and inputs, and returns the new state and what the probes see.
Parameters are a dictionary by name of the object, so any optimizer that works on
dictionaries works here; the loss, the loop and the batches are plain Python.

Here 60 spiking LIF neurons learn ``sin(3 x)``. They know nothing of it at first: the
decoders start at zero. Training changes decoders, encoders and biases through
the spikes (``training="surrogate"``). All values of x are shown at once, each to a copy
of the network, for 60 ms; the output counts from 40 ms on, when the synapse is settled.

The picture shows the loss, the function before and after, and where on the x axis the
neurons begin to fire: training moves them to where they are needed.

Run it with ``python examples/train_without_keras.py``; it needs optax.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import optax
from matplotlib.figure import Figure

import nengo_jax

N_NEURONS = 60
STEPS, SETTLED = 60, 40  # of 1 ms
LEARNING_RATE = 1e-2
AMPLITUDE = 0.01  # of a spike, so that decoders are about as large as encoders
X = np.linspace(-1, 1, 64)
TARGET = np.sin(3 * X)


class Figures(NamedTuple):
    """How well the function is computed."""

    first_error: float  # RMS before training
    last_error: float  # RMS afterwards
    spikes: float  # a neuron and second, afterwards


def build() -> nengo.Network:
    with nengo.Network(seed=2) as network:
        nengo_jax.configure_settings(training="surrogate")
        x = nengo.Node([0.0], label="x")
        neurons = nengo.Ensemble(
            N_NEURONS,
            1,
            max_rates=nengo.dists.Uniform(100, 200),
            neuron_type=nengo.LIF(amplitude=AMPLITUDE),
            label="neurons",
        )
        y = nengo.Node(size_in=1)
        nengo.Connection(x, neurons, synapse=None)
        nengo.Connection(
            neurons, y, function=lambda x: 0, synapse=None, label="decoders"
        )
        nengo.Probe(y, synapse=0.01, label="y")
        nengo.Probe(neurons.neurons, label="spikes")
    return network


def train(net: nengo_jax.Functional, epochs: int) -> tuple[dict, list[float]]:
    """Return the trained parameters, and the loss of each epoch."""

    def loss(params: dict) -> jax.Array:
        y = outputs_for(net, params)["y"]
        return jnp.mean((y[:, SETTLED:, 0] - TARGET[:, None]) ** 2)

    @jax.jit
    def improve(params: dict, memory: optax.OptState) -> tuple:
        value, gradient = jax.value_and_grad(loss)(params)
        updates, memory = optimizer.update(gradient, memory, params)
        return optax.apply_updates(params, updates), memory, value

    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, epochs))
    params, losses = net.params, []
    memory = optimizer.init(params)
    for _ in range(epochs):
        params, memory, value = improve(params, memory)
        losses.append(float(value))
    return params, losses


def outputs_for(net: nengo_jax.Functional, params: dict) -> dict[str, jax.Array]:
    """What the probes see when each x is held, shape (values of x, steps, size)."""

    def show(x: jax.Array) -> dict[str, jax.Array]:
        return net.run(params, net.state, {"x": x}, STEPS)[1]

    return jax.vmap(show)(jnp.asarray(X[:, None], jnp.float32))


def main(out: Path, epochs: int = 600) -> Figures:
    """Train, measure, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    epochs : int
        Number of training steps; each uses all values of x.
    """
    net = nengo_jax.functional(build())
    params, losses = train(net, epochs)
    before, after = outputs_for(net, net.params), outputs_for(net, params)
    functions = [np.mean(o["y"][:, SETTLED:, 0], axis=1) for o in (before, after)]
    errors = [float(np.sqrt(np.mean((f - TARGET) ** 2))) for f in functions]
    spikes = np.asarray(after["spikes"])
    draw(out, losses, functions, [starts(net.params), starts(params)], spikes)
    rate = np.count_nonzero(spikes) / (spikes.size * 0.001)
    return Figures(errors[0], errors[1], float(rate))


def starts(params: dict) -> np.ndarray:
    """Where each neuron begins to fire: its current, e x + b, is 1 there."""
    encoders = np.asarray(params["neurons/encoders"])[:, 0]
    return (1 - np.asarray(params["neurons/bias"])) / encoders


def draw(
    out: Path,
    losses: list[float],
    functions: list[np.ndarray],
    thresholds: list[np.ndarray],
    spikes: np.ndarray,
) -> None:
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplot_mosaic("lf;rt", height_ratios=(1.2, 1))
    axes["l"].semilogy(np.arange(1, len(losses) + 1), losses, color="tab:red")
    axes["l"].set_xlabel("training step")
    axes["l"].set_title("Loss: mean squared error", loc="left")
    axes["f"].plot(X, TARGET, color="0.8", lw=7, label="sin(3 x)")
    axes["f"].plot(X, functions[0], color="tab:orange", label="before training")
    axes["f"].plot(X, functions[1], color="tab:blue", label="after", lw=2)
    axes["f"].legend(frameon=False, loc="upper left")
    axes["f"].set_xlabel("x")
    axes["f"].set_title("Decoded from spikes", loc="left")
    rates = np.count_nonzero(spikes, axis=1) / (STEPS * 0.001)
    order = np.lexsort((thresholds[1], rates[-1] > rates[0]))  # off- and on-neurons
    image = axes["r"].imshow(
        rates.T[order],
        aspect="auto",
        origin="lower",
        cmap="magma",
        extent=(-1, 1, 0, N_NEURONS),
        interpolation="nearest",
    )
    figure.colorbar(image, ax=axes["r"], label="rate (Hz)")
    axes["r"].set_xlabel("x")
    axes["r"].set_ylabel("neurons")
    axes["r"].set_title("Rates of all neurons after training", loc="left")
    bins = np.linspace(-1, 1, 21)
    for values, colour, label in zip(
        thresholds, ("tab:orange", "tab:blue"), ("before", "after"), strict=True
    ):
        axes["t"].hist(values, bins, color=colour, alpha=0.5, label=label)
    axes["t"].legend(frameon=False)
    axes["t"].set_xlabel("x where a neuron begins to fire")
    axes["t"].set_ylabel("neurons")
    axes["t"].set_title("Training moves the neurons", loc="left")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    print(main(Path("train_without_keras.png")))
