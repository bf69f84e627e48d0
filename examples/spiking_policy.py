"""A spiking network learns to swing a pendulum up, by the gradient of what it earns.

The pendulum hangs down. The motor is too weak to lift it in one go: it has to swing,
and then to balance. A network of 100 spiking LIF neurons sees the angle (as cosine and
sine) and the speed, and gives the torque, every 4 ms.

Pendulum and network are one function of JAX: ``net.step`` of
``nengo_jax.functional(network)`` inside ``lax.scan``. So the return, what is earned in
3.2 s, has a derivative with respect to the parameters of the network, through the
physics and through each spike (surrogate gradients), and the network is trained by
walking uphill. No value function, no exploration noise, no replay. Training episodes
start at any angle, so that balancing is learned before the swing succeeds; the picture
and the figures are about episodes that start hanging.

The picture shows one episode before and after training as a strip of snapshots, the
angle in all episodes, torque and spikes of one, and how the return rises.

Run it with ``python examples/spiking_policy.py``; it needs optax.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import optax
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax

DT = 0.004  # s, of the network and of the physics
STEPS = 800
N_NEURONS = 100
GRAVITY, LENGTH = 9.81, 1.0  # m/s^2, m
FRICTION = 0.15  # 1/s
STRONGEST = 7.0  # torque over m l^2, 1/s^2; gravity's is up to 9.81
EPISODES = 8  # at a time, each from another start
START = np.array([[np.pi, 0.5]])  # largest angle and speed at the start
LEARNING_RATE = 0.03
AMPLITUDE = 0.01  # of a spike, so that decoders are about as large as encoders


class Episode(NamedTuple):
    """What happened, step by step; the leading axis is that of the steps."""

    angle: jax.Array  # radians; 0 is up
    speed: jax.Array  # radians a second
    torque: jax.Array
    spikes: jax.Array
    reward: jax.Array


class Figures(NamedTuple):
    """What the policy earns: 1 a step if upright, -1 if it hangs."""

    return_before: float
    return_after: float
    upright: float  # share of the last half second within 30 degrees, all starts
    weaker_than_gravity: bool


def build() -> nengo.Network:
    with nengo.Network(seed=1) as network:
        nengo_jax.configure_settings(training="surrogate")
        senses = nengo.Node([0.0, 0.0, 0.0], label="senses")
        neurons = nengo.Ensemble(
            N_NEURONS,
            3,
            radius=1.5,
            max_rates=nengo.dists.Uniform(100, 200),
            neuron_type=nengo.LIF(amplitude=AMPLITUDE),
            label="neurons",
        )
        torque = nengo.Node(size_in=1)
        nengo.Connection(senses, neurons, synapse=None)
        nengo.Connection(neurons, torque, function=lambda x: 0.1 * x[2], synapse=0.02)
        nengo.Probe(torque, label="torque")
        nengo.Probe(neurons.neurons, label="spikes")
    return network


def move(angle: jax.Array, speed: jax.Array, torque: jax.Array) -> tuple:
    """Move the pendulum on by one step (semi-implicit Euler)."""
    pull = GRAVITY / LENGTH * jnp.sin(angle)
    speed = speed + DT * (pull - FRICTION * speed + torque)
    return angle + DT * speed, speed


def play(net: nengo_jax.Functional, params: dict, start: jax.Array) -> Episode:
    """Let the network control the pendulum from (angle, speed) on."""

    def step(carry: tuple, _: None) -> tuple:
        angle, speed, state = carry
        seen = jnp.stack([jnp.cos(angle), jnp.sin(angle), speed / 5])
        state, outputs = net.step(params, state, {"senses": seen})
        torque = STRONGEST * jnp.tanh(outputs["torque"][0])
        angle, speed = move(angle, speed, torque)
        reward = jnp.cos(angle) - 0.01 * speed**2
        now = Episode(angle, speed, torque, outputs["spikes"], reward)
        return (angle, speed, state), now

    return jax.lax.scan(step, (start[0], start[1], net.state), None, STEPS)[1]


def train(net: nengo_jax.Functional, updates: int) -> tuple[dict, list[float]]:
    """Return the trained parameters, and the mean return of each update."""

    def loss(params: dict, starts: jax.Array) -> jax.Array:
        return -jnp.mean(jax.vmap(lambda s: play(net, params, s).reward)(starts))

    @jax.jit
    def improve(params: dict, memory: optax.OptState, key: jax.Array) -> tuple:
        value, gradient = jax.value_and_grad(loss)(params, draw_starts(key))
        changes, memory = optimizer.update(gradient, memory, params)
        return optax.apply_updates(params, changes), memory, -value

    rate = optax.cosine_decay_schedule(LEARNING_RATE, updates)
    optimizer = optax.chain(optax.clip_by_global_norm(0.3), optax.adam(rate))
    params, returns = net.params, []
    memory = optimizer.init(params)
    for key in jax.random.split(jax.random.key(0), updates):
        params, memory, value = improve(params, memory, key)
        returns.append(float(value))
    return params, returns


def draw_starts(key: jax.Array) -> jax.Array:
    """Any angle and a low speed, shape (EPISODES, 2)."""
    return jax.random.uniform(key, (EPISODES, 2), minval=-1.0, maxval=1.0) * START


def main(out: Path, updates: int = 300) -> Figures:
    """Train the policy and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        Number of steps uphill, each with the gradient of eight episodes.
    """
    net = nengo_jax.functional(build(), dt=DT)
    params, returns = train(net, updates)
    hanging = np.linspace(-0.4, 0.4, EPISODES)[:, None] * [[1.0, 0.0]] + [[np.pi, 0.0]]
    starts = jnp.asarray(hanging, jnp.float32)
    played = jax.jit(jax.vmap(lambda p, s: play(net, p, s), in_axes=(None, 0)))
    before, after = (
        Episode(*map(np.asarray, played(p, starts))) for p in (net.params, params)
    )
    draw(out, before, after, returns)
    last = after.angle[:, -round(0.5 / DT) :]
    return Figures(
        float(before.reward.mean()),
        float(after.reward.mean()),
        float(np.mean(np.cos(last) > np.cos(np.radians(30)))),
        bool(np.abs(after.torque).max() < GRAVITY / LENGTH),
    )


def draw(out: Path, before: Episode, after: Episode, returns: list[float]) -> None:
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplot_mosaic("bbb;aaa;nsr", height_ratios=(0.22, 0.22, 1))
    draw_strip(axes["b"], before.angle[0], "Before training")
    draw_strip(axes["a"], after.angle[0], "After training")
    times = DT * np.arange(1, STEPS + 1)
    for episode, colour in ((before, "0.75"), (after, "tab:blue")):
        turned = np.degrees(np.unwrap(episode.angle, axis=1))
        axes["n"].plot(times, turned.T, color=colour, lw=1.2)
    axes["n"].set_yticks([0, 180, 360], ["up", "hangs", "up"])
    axes["n"].set_title(f"{EPISODES} starts, before (grey) and after", loc="left")
    draw_spikes(axes["s"], times, after)
    smooth = np.convolve(returns, np.ones(20) / 20, "valid")
    axes["r"].plot(np.arange(1, len(returns) + 1), returns, color="0.8")
    axes["r"].plot(np.arange(20, len(returns) + 1), smooth, color="tab:green", lw=2)
    axes["r"].set_xlabel("updates")
    axes["r"].set_title("Mean reward a step, in training", loc="left")
    for name in "ns":
        axes[name].set_xlabel("time (s)")
        axes[name].set_xlim(0, times[-1])
    figure.savefig(out, dpi=110)


def draw_strip(axes: Axes, angle: np.ndarray, title: str) -> None:
    """Draw the pendulum every 0.2 s, side by side."""
    every = round(0.2 / DT)
    for place, turned in enumerate(angle[::every]):
        x, y = 2.2 * place, 0.0
        end = (x + np.sin(turned), y + np.cos(turned))
        upright = np.cos(turned) > np.cos(np.radians(30))
        colour = "tab:green" if upright else "0.3"
        axes.plot([x, end[0]], [y, end[1]], color=colour, lw=2.5)
        axes.plot(*end, "o", color=colour, ms=9)
        axes.plot(x, y, "s", color="black", ms=3)
    axes.set_aspect("equal")
    axes.set_ylim(-1.25, 1.25)
    axes.axis("off")
    axes.set_title(f"{title}: the pendulum every 0.2 s", loc="left")


def draw_spikes(axes: Axes, times: np.ndarray, episode: Episode) -> None:
    step, neuron = np.nonzero(episode.spikes[0])
    axes.scatter(times[step], neuron, s=5, marker="|", color="black", linewidths=0.7)
    axes.set_ylabel("neurons")
    axes.set_title("Spikes and torque (red) of the strip", loc="left")
    torque = axes.twinx()
    torque.plot(times, episode.torque[0], color="tab:red")
    torque.set_ylim(-GRAVITY, GRAVITY)
    torque.set_ylabel("torque (1/s²)", color="tab:red")


if __name__ == "__main__":
    print(main(Path("spiking_policy.png")))
