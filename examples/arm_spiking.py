"""Sixty-four spiking neurons reach: rates learn by curvature, spikes are tuned after.

The controller of ``arm_reaching.py`` with LIF neurons: two recurrent layers of 32, in a
``nengo.Network`` with the arm as a ``plants.PlantNode``, in steps of 1 ms. Each neuron
has a current of its own from goal, arm and layers; nothing is an encoder or a decoder.
It is trained as a function, ``nengo_jax.functional(network)``, through 400 steps of
neurons, synapses and arm:

1. The neurons are rates (``training="rate"``), and Hessian-free optimization finds the
   weights. Their spikes already reach: synapses and the mass of the arm average them.
2. The neurons spike (``training="surrogate"``), and Adam tunes the weights so that each
   spike is taken into account. The derivative of a spike is that of the firing rate,
   ``RateDerivative``. Surrogates that go through voltages fail here: over 400 steps and
   a closed loop their errors grow until they say nothing.

Then the weights are put into a network that is simulated, ``sim.run_steps``, with all
reaches as a batch. The picture shows the paths of the hand, spikes and torques of a
reach, and how the error falls in both parts of training.

Run it with ``python examples/arm_spiking.py``; it needs optax.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nengo_jax
from nengo_jax import plants
from nengo_jax.optimizers import HessianFreeSettings, hessian_free
from nengo_jax.surrogates import RateDerivative

# isort: split
import jax
import jax.numpy as jnp
import nengo
import numpy as np
import optax
from arm_reaching import (
    RANGES,
    TORQUE,
    UNITS,
    WEIGHTS,
    circle,
    draw_paths,
    goal,
    hands,
    make_arm,
)
from matplotlib.figure import Figure

DT, STEPS = 0.001, 400  # s
AMPLITUDE = 0.01  # of a spike: a rate of 100 Hz is an activity of 1
CURRENTS = 2.0, 5.0  # biases before training, in units of the threshold
SEEN, BETWEEN, OUT = 0.002, 0.01, 0.02  # s, time constants of synapses
SMOOTHING = 0.05  # of the rate at the threshold, which has no derivative there
SETTINGS = HessianFreeSettings(damping=1.0, iterations=48)
LEARNING_RATE = 1e-3

Weights = dict[str, np.ndarray]


class Model(NamedTuple):
    """The network, and what is given and seen."""

    network: nengo.Network
    goal: nengo.Node
    arm: nengo.Probe
    torques: nengo.Probe
    spikes: dict[str, nengo.Probe]


class Played(NamedTuple):
    """What happened in the simulation; the leading axis is that of the reaches."""

    paths: np.ndarray  # of the hands, m
    torques: np.ndarray  # N m
    spikes: np.ndarray  # both layers, 0 or 1


class Figures(NamedTuple):
    """How far from its target the hand ends, in mm; and rates in Hz."""

    rates_worst: float  # neurons as rates
    untuned_worst: float  # spikes, with the weights of the rates
    mean: float  # spikes
    worst: float
    firing: float  # mean of all neurons
    tuned: float  # loss of spikes after tuning, divided by that before


def draw_weights(seed: int = 0) -> Weights:
    """Weights by label of the connection; what excites and what inhibits cancels."""
    rng = np.random.RandomState(seed)

    def matrix(columns: int, rows: int, scale: float) -> np.ndarray:
        drawn = scale * rng.standard_normal((rows, columns)) / np.sqrt(columns)
        return drawn - drawn.mean(axis=1, keepdims=True)

    weights = {"torques": matrix(UNITS, 2, TORQUE), "1 to 2": matrix(UNITS, UNITS, 1.0)}
    for layer in "12":
        inputs = rng.standard_normal((UNITS, 8)) / np.sqrt(2) / np.tile(RANGES, 2)
        weights[f"goal to {layer}"], weights[f"arm to {layer}"] = np.split(inputs, 2, 1)
        weights[f"{layer} to {layer}"] = matrix(UNITS, UNITS, 0.5)
        weights[layer] = rng.uniform(*CURRENTS, UNITS)
    return weights


def build(weights: Weights, training: str = "rate") -> Model:
    with nengo.Network(seed=0) as network:
        nengo_jax.configure_settings(
            training=training, surrogate=RateDerivative(), lif_smoothing=SMOOTHING
        )
        goal = nengo.Node(np.zeros(4), label="goal")
        arm = plants.PlantNode(make_arm(DT), label="arm")
        torques = nengo.Node(size_in=2)
        layers = {
            name: nengo.Ensemble(
                UNITS,
                1,
                gain=np.ones(UNITS),
                bias=weights[name],
                neuron_type=nengo.LIF(amplitude=AMPLITUDE),
                label=name,
            ).neurons
            for name in "12"
        }

        def connect(a: object, b: object, label: str, synapse: float | None) -> None:
            transform = weights[label]
            nengo.Connection(a, b, transform=transform, synapse=synapse, label=label)

        for name, layer in layers.items():
            connect(goal, layer, f"goal to {name}", None)
            connect(arm, layer, f"arm to {name}", SEEN)
            connect(layer, layer, f"{name} to {name}", BETWEEN)
        connect(layers["1"], layers["2"], "1 to 2", BETWEEN)
        connect(layers["2"], torques, "torques", OUT)
        nengo.Connection(torques, arm, synapse=None)
        spikes = {name: nengo.Probe(layer) for name, layer in layers.items()}
        seen, acted = nengo.Probe(arm, label="seen"), nengo.Probe(torques)
        return Model(network, goal, seen, acted, spikes)


def weights_of(params: dict[str, jax.Array]) -> Weights:
    """Trained values by label of the object, as ``build`` wants them."""
    return {name.rpartition("/")[0]: np.asarray(v) for name, v in params.items()}


def ends_of(net: nengo_jax.Functional) -> Callable[[dict, jax.Array], jax.Array]:
    """The function from parameters and goals to what the arm shows at the end."""

    def end(params: dict, goal: jax.Array) -> jax.Array:
        _, outputs = net.run(params, net.state, {"goal": goal}, STEPS)
        return outputs["seen"][-1]

    return jax.vmap(end, in_axes=(None, 0))


def cost(ends: jax.Array, goals: jax.Array) -> jax.Array:
    """Only the last step counts."""
    return jnp.mean(jnp.square(ends - goals) @ WEIGHTS.astype("float32")) / 2


def learn_rates(updates: int) -> tuple[dict, np.ndarray]:
    """Train rates; return parameters, and the loss of each update."""
    net = nengo_jax.functional(build(draw_weights()).network, dt=DT)
    method = hessian_free(ends_of(net), cost, SETTINGS)
    goals = jax.vmap(goal)(circle()[1])

    @jax.jit
    def optimize(params: dict) -> tuple[dict, jax.Array]:
        def update(carry: tuple, _: None) -> tuple:
            params, state, report = method.update(carry[1], carry[0], goals)
            return (params, state), report.loss

        start = (params, method.init(params))
        (params, _), losses = jax.lax.scan(update, start, length=updates)
        return params, losses

    params, losses = optimize(net.params)
    return params, np.asarray(losses)


def tune_spikes(params: dict, updates: int) -> tuple[dict, np.ndarray]:
    """Train spikes; return parameters, and the loss of each update."""
    model = build(weights_of(params), "surrogate")
    ends = ends_of(nengo_jax.functional(model.network, dt=DT))
    goals = jax.vmap(goal)(circle()[1])
    rate = optax.cosine_decay_schedule(LEARNING_RATE, updates)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    @jax.jit
    def optimize(params: dict) -> tuple[dict, jax.Array]:
        def update(carry: tuple, _: None) -> tuple:
            params, memory = carry
            value, gradient = jax.value_and_grad(lambda p: cost(ends(p, goals), goals))(
                params
            )
            changes, memory = optimizer.update(gradient, memory, params)
            return (optax.apply_updates(params, changes), memory), value

        start = (params, optimizer.init(params))
        (params, _), losses = jax.lax.scan(update, start, length=updates)
        return params, losses

    params, losses = optimize(params)
    return params, np.asarray(losses)


def play(params: dict, spiking: bool = True) -> Played:
    """Simulate all reaches in Nengo."""
    model = build(weights_of(params))
    if not spiking:
        for ensemble in model.network.ensembles:
            ensemble.neuron_type = nengo.LIFRate(amplitude=AMPLITUDE)
    places, angles = circle()
    goals = np.repeat(np.asarray(jax.vmap(goal)(angles))[:, None], STEPS, axis=1)
    with nengo_jax.Simulator(
        model.network, dt=DT, minibatch_size=len(places), progress_bar=False
    ) as sim:
        sim.run_steps(STEPS, data={model.goal: goals})
    paths = hands(jnp.asarray(sim.data[model.arm], jnp.float32))
    spikes = np.concatenate([sim.data[p] for p in model.spikes.values()], axis=-1)
    return Played(np.asarray(paths), sim.data[model.torques], spikes > 0)


def distances(played: Played) -> np.ndarray:
    """From the targets at the end, in mm."""
    return 1000 * np.linalg.norm(played.paths[:, -1] - circle()[0], axis=1)


def main(out: Path, updates: int = 30, tuning: int = 100) -> Figures:
    """Train, simulate in Nengo, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        Number of Hessian-free updates of rates.
    tuning : int
        Number of updates of spikes with Adam.
    """
    learned, losses = learn_rates(updates)
    params, tuned = tune_spikes(learned, tuning)
    played = play(params)
    away = distances(played)
    figures = Figures(
        float(distances(play(learned, spiking=False)).max()),
        float(distances(play(learned)).max()),
        float(away.mean()),
        float(away.max()),
        float(played.spikes.mean() / DT),
        float(tuned[-1] / tuned[0]),
    )
    draw(out, played, losses, tuned, figures)
    return figures


def draw(
    out: Path, played: Played, losses: np.ndarray, tuned: np.ndarray, figures: Figures
) -> None:
    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplot_mosaic("as;at;al", width_ratios=(1.1, 1))
    draw_paths(axes["a"], played.paths, circle()[0])
    axes["a"].set_title(
        f"Spikes reach within {figures.worst:.1f} mm, {figures.mean:.1f} mm on average",
        loc="left",
    )
    step, neuron = np.nonzero(played.spikes[0])
    times = DT * np.arange(1, STEPS + 1)
    axes["s"].scatter(times[step], neuron, s=4, marker="|", color="black", lw=0.6)
    axes["s"].set_title("Spikes of a reach; layer 1 is below", loc="left")
    axes["t"].plot(times, played.torques[0])
    axes["t"].set_title("Its torques (N m)", loc="left")
    for name in "st":
        axes[name].set_xlabel("time (s)")
        axes[name].set_xlim(0, times[-1])
    axes["l"].semilogy(losses, color="tab:green", label="rates, Hessian-free")
    numbers = len(losses) + np.arange(len(tuned))
    axes["l"].semilogy(numbers, tuned, color="tab:red", label="spikes, Adam")
    axes["l"].set_title("Loss of each update", loc="left")
    axes["l"].legend(frameon=False)
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    print(main(Path("arm_spiking.png")))
