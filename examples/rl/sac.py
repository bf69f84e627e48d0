"""Soft Actor-Critic with a spiking actor, on the pendulum that a weak motor swings up.

The actor is a Nengo network in the manner of PopSAN. Each of the three observations is
seen by ten spiking neurons with Gaussian receptive fields; two layers of 64 spiking LIF
neurons follow, and their spike rates over five steps are decoded to the mean torque.
All voltages start from 0 in each decision. How far to explore, and the two critics, are
left to ordinary networks that do not spike.

The learner is that of Haarnoja et al. (2018). A replay memory holds what happened. The
critics learn by temporal differences what will be earned after an action, the entropy
of the policy included; the actor goes uphill on the lower of their opinions, by
surrogate gradients through its spikes; the temperature, which is the price of entropy,
rises when there is too little of it. Four pendulums, the memory and all updates are one
function of JAX, ``lax.scan`` inside ``jax.jit``.

Then the trained weights go back into a Nengo network that plays Gymnasium's Pendulum-v1
by itself, in ``nengo_jax.Simulator`` and in ``nengo.Simulator``. A pulse of inhibition
after each decision brings the voltages back to 0 there.

The picture shows what 20 test episodes earn in the course of training, how high the
pendulum is in them after training, and spikes and torque of one that runs in nengo.

Run it with ``python examples/rl/sac.py``; it needs optax and gymnasium.

References: Haarnoja et al., "Soft Actor-Critic algorithms and applications" (2018),
arXiv:1812.05905. Tang, Kumar, Yoo and Michmizos, "Deep reinforcement learning with
population-coded spiking neural network for continuous control" (CoRL 2020),
arXiv:2010.09635.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import nengo
import numpy as np
import optax
from jax import Array, lax
from jax.typing import ArrayLike
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax
from nengo_jax import plants

# The pendulum. Its episodes are cut, and no state is a final one.
PENDULUM = plants.pendulum()
STRONGEST, FASTEST = 2.0, 8.0  # N m, rad/s
EPISODE = 200  # steps of 0.05 s
TESTS = 20  # episodes in a test
SOLVED = -200.0  # mean return of a good policy
SAME = 1e-5  # N m; torques closer than this are the same in single precision

# The actor.
DT = 0.001  # s, of the network
SPIKE_STEPS = 5  # in each decision
PERIOD = SPIKE_STEPS + 1  # steps from decision to decision in nengo: one for a reset
CENTRES = np.linspace(-1, 1, 10)  # of receptive fields
WIDTH = 0.15  # of receptive fields: a standard deviation
LAYERS = {"fields": 3 * len(CENTRES), "hidden 1": 64, "hidden 2": 64}
TAU_RC = -DT / np.log(0.75)  # s; voltages fall to 3/4 in a step, as in PopSAN
GAIN = 10.0  # of all that goes to neurons; nengo wants more than a bias takes away
STEEPNESS = 2.0  # of surrogate gradients
LOG_STD = (-5.0, 1.0)  # smallest and largest

# The learner.
ENVIRONMENTS = 4
UPDATES = 4  # after each step of all environments
WARM_UP = 1000  # steps with random actions
BATCH = 128
HIDDEN = 128  # neurons in the layers of critics
LEARNING_RATE = 1e-3
DISCOUNT = 0.99
REWARD_SCALE = 0.1
TRACKING = 0.005  # how far target critics go towards the critics in an update
ENTROPY = -1.0  # what the temperature aims at: minus the number of actions
STRETCH = 2000  # steps from test to test

Weights = Mapping[str, Array]
Dense = Sequence[tuple[Array, Array]]
Critics = tuple[Dense, ...]  # two
Key = Array


class Transition(NamedTuple):
    """What happened in a step, or in many."""

    seen: Array
    action: Array  # torque, between -1 and 1
    reward: Array
    after: Array  # what was seen then


class Learned(NamedTuple):
    """All parameters that learn from gradients."""

    actor: Weights  # of the Nengo network
    log_std: Dense
    critics: Critics
    log_temperature: Array


class Training(NamedTuple):
    """What changes in the course of training."""

    learned: Learned
    targets: Critics  # the critics, a little behind
    memory: optax.OptState
    replay: Transition
    step: Array  # of each environment
    states: Array  # of the pendulums


class Run(NamedTuple):
    """What comes out of training."""

    weights: Weights  # of the actor
    curve: list[float]  # mean returns of tests
    seconds: float


class Game(NamedTuple):
    """Episodes in Gymnasium; arrays have shape (steps, episodes, ...)."""

    seen: np.ndarray
    torque: np.ndarray  # N m
    reward: np.ndarray


class Figures(NamedTuple):
    """What training leads to; lists have an element for each seed."""

    returns: list[float]  # mean of the test episodes in Gymnasium
    worst: list[float]  # the worst of them
    solved_after: list[int | None]  # steps until a test earns -200
    curves: list[list[float]]  # mean returns of tests during training
    seconds: list[float]  # of training; the first also compiles
    spikes: float  # in a neuron and step
    nengo_return: float  # of an episode that runs in nengo, first seed
    same_return: float  # of the same episode outside of it
    simulators_differ: float  # torques in nengo_jax and in nengo, N m at most
    decisions_differ: float  # share of torques that are others than outside of nengo


# The spiking actor -------------------------------------------------------------------


def receptive_fields(seen: Array) -> Array:
    """How much each neuron of the first layer is stimulated, between 0 and 1."""
    places = seen / jnp.asarray([1.0, 1.0, FASTEST])
    distances = places[:, None] - jnp.asarray(CENTRES, seen.dtype)[None, :]
    return jnp.exp(-0.5 * (distances / WIDTH) ** 2).reshape(-1)


def draw_weights(seed: int) -> Weights:
    """Weights of the actor before training."""
    rng = np.random.RandomState(seed)
    # a neuron needs a current of 1 to spike at all, and of 4 to spike in each step
    values = {"to fields/weights": np.asarray(5.0 / GAIN)}
    sizes = list(LAYERS.items())
    for (_, size_in), (name, size) in pairwise(sizes):
        spread = 4 / GAIN / np.sqrt(size_in)
        values[f"to {name}/weights"] = rng.normal(0, spread, (size, size_in))
    values |= {f"{name}/bias": np.zeros(size) for name, size in sizes}
    values["to mean/weights"] = np.zeros((1, sizes[-1][1]))
    return {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}


def add_actor(stimuli: nengo.Node, weights: Weights) -> nengo.Node:
    """Add the actor to a network, behind a node; return the node of the mean torque."""
    values = {name: np.asarray(value, float) for name, value in weights.items()}
    before = stimuli
    for name, size in LAYERS.items():
        layer = nengo.Ensemble(
            size,
            1,
            bias=values[f"{name}/bias"],
            gain=np.full(size, GAIN),
            neuron_type=nengo.LIF(
                TAU_RC,
                tau_ref=0.0,
                amplitude=DT,  # so that a spike is 1
                initial_state={"voltage": nengo.dists.Choice([0.0])},
            ),
            label=name,
        )
        connect(before, layer.neurons, f"to {name}", values)
        before = layer.neurons
    mean = nengo.Node(size_in=1, label="mean")
    connect(before, mean, "to mean", values)
    return mean


def connect(
    pre: nengo.Node | nengo.ensemble.Neurons,
    post: nengo.Node | nengo.ensemble.Neurons,
    label: str,
    values: Mapping[str, np.ndarray],
) -> None:
    transform = values[f"{label}/weights"]
    nengo.Connection(pre, post, transform=transform, synapse=None, label=label)


def build(weights: Weights) -> nengo.Network:
    """Make the network that is trained: its input are stimuli of receptive fields."""
    with nengo.Network(seed=0) as network:
        nengo_jax.configure_settings(
            training="surrogate",
            surrogate=nengo_jax.surrogates.FastSigmoid(STEEPNESS),
        )
        stimuli = nengo.Node(np.zeros(LAYERS["fields"]), label="stimuli")
        nengo.Probe(add_actor(stimuli, weights), label="mean torque")
    return network


def decide(net: nengo_jax.Functional, weights: Weights, seen: Array) -> Array:
    """Return the mean of the policy, shape (1,), before it is squashed."""
    stimuli = {"stimuli": receptive_fields(seen)}
    state, total = net.state, jnp.zeros(1)
    for _ in range(SPIKE_STEPS):
        state, outputs = net.step(weights, state, stimuli)
        total = total + outputs["mean torque"]
    return total / SPIKE_STEPS


def explore(
    net: nengo_jax.Functional, learned: Learned, seen: Array, key: Key
) -> tuple[Array, Array]:
    """Draw an action, shape (1,); return it and the log of its density."""
    low, high = LOG_STD
    log_std = low + (high - low) * jax.nn.sigmoid(dense(learned.log_std, seen))
    noise = jax.random.normal(key, (1,))
    raw = decide(net, learned.actor, seen) + jnp.exp(log_std) * noise
    log_density = -(noise**2) / 2 - log_std - np.log(2 * np.pi) / 2
    # the log of the derivative of tanh, 1 - tanh^2, in a form that is exact everywhere
    squashed = 2 * (np.log(2) - raw - jax.nn.softplus(-2 * raw))
    return jnp.tanh(raw), jnp.sum(log_density - squashed)


# What does not spike -----------------------------------------------------------------


def draw_dense(key: Key, sizes: Sequence[int]) -> Dense:
    """Draw weights of layers as He et al. (2015) do."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (size, before)) * np.sqrt(2 / before), jnp.zeros(size))
        for k, before, size in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def dense(layers: Dense, x: Array) -> Array:
    *hidden, (last_weights, last_bias) = layers
    for weights, bias in hidden:
        x = jax.nn.relu(weights @ x + bias)
    return last_weights @ x + last_bias


def value(critic: Dense, seen: Array, action: Array) -> Array:
    """Return what a critic thinks will be earned after an action."""
    return dense(critic, jnp.concatenate([seen, action]))[0]


def lower_value(critics: Critics, seen: Array, action: Array) -> Array:
    return jnp.minimum(*(value(critic, seen, action) for critic in critics))


# What is learned ---------------------------------------------------------------------


def critic_loss(
    net: nengo_jax.Functional,
    learned: Learned,
    targets: Critics,
    happened: Transition,
    key: Key,
) -> Array:
    """How wrong the critics are, in the eyes of their targets one step later."""
    seen, action, reward, after = happened
    next_action, log_density = explore(net, learned, after, key)
    entropy = -jnp.exp(learned.log_temperature) * log_density
    future = lower_value(targets, after, next_action) + entropy
    goal = lax.stop_gradient(REWARD_SCALE * reward + DISCOUNT * future)
    values = jnp.stack([value(critic, seen, action) for critic in learned.critics])
    return jnp.sum((values - goal) ** 2)


def policy_loss(
    net: nengo_jax.Functional, learned: Learned, seen: Array, key: Key
) -> Array:
    """The loss of the actor, what it fails to earn, and that of the temperature."""
    action, log_density = explore(net, learned, seen, key)
    earned = lower_value(lax.stop_gradient(learned.critics), seen, action)
    temperature = jnp.exp(learned.log_temperature)
    lacking = lax.stop_gradient(log_density) + ENTROPY
    return lax.stop_gradient(temperature) * log_density - earned - temperature * lacking


def loss(
    learned: Learned,
    net: nengo_jax.Functional,
    targets: Critics,
    batch: Transition,
    key: Key,
) -> Array:
    """The mean over a batch; each parameter has a gradient from its own loss only."""

    def one(happened: Transition, key: Key) -> Array:
        first, second = jax.random.split(key)
        return critic_loss(net, learned, targets, happened, first) + policy_loss(
            net, learned, happened.seen, second
        )

    return jnp.mean(jax.vmap(one)(batch, jax.random.split(key, len(batch.reward))))


OPTIMIZER = optax.adam(LEARNING_RATE)


def update(
    net: nengo_jax.Functional, training: Training, key: Key
) -> tuple[Training, None]:
    """Learn from a random batch of what happened."""
    for_batch, for_noise = jax.random.split(key)
    happened = ENVIRONMENTS * training.step
    chosen = jax.random.randint(for_batch, (BATCH,), 0, happened)
    batch = jax.tree.map(lambda kept: kept[chosen], training.replay)
    gradient = jax.grad(loss)(training.learned, net, training.targets, batch, for_noise)
    changes, memory = OPTIMIZER.update(gradient, training.memory)
    learned = optax.apply_updates(training.learned, changes)
    targets = optax.incremental_update(learned.critics, training.targets, TRACKING)
    return training._replace(learned=learned, targets=targets, memory=memory), None


# The pendulums and the loop ----------------------------------------------------------


def reward_of(state: Array, torque: Array) -> Array:
    """The reward of Pendulum-v1 for a torque, shape (1,), in a state."""
    angle = (state[0] + jnp.pi) % (2 * jnp.pi) - jnp.pi
    return -(angle**2 + 0.1 * state[1] ** 2 + 0.001 * torque[0] ** 2)


def move(state: Array, action: Array) -> tuple[Array, Transition]:
    torque = STRONGEST * action
    after = PENDULUM.step(state, torque)
    seen, reward = PENDULUM.observe(state), reward_of(state, torque)
    return after, Transition(seen, action, reward, PENDULUM.observe(after))


def start_pendulums(key: Key) -> Array:
    return jax.vmap(PENDULUM.reset)(jax.random.split(key, ENVIRONMENTS))


def play_step(net: nengo_jax.Functional, training: Training, key: Key) -> Training:
    """Make a step in each environment, and remember it."""
    for_start, for_noise, for_random = jax.random.split(key, 3)
    begins = training.step % EPISODE == 0
    states = jnp.where(begins, start_pendulums(for_start), training.states)
    seen = jax.vmap(PENDULUM.observe)(states)
    keys = jax.random.split(for_noise, ENVIRONMENTS)
    actions, _ = jax.vmap(partial(explore, net, training.learned))(seen, keys)
    random = jax.random.uniform(for_random, actions.shape, minval=-1.0, maxval=1.0)
    actions = jnp.where(is_warm(training), actions, random)
    states, now = jax.vmap(move)(states, actions)

    def keep(kept: Array, new: Array) -> Array:
        place = ENVIRONMENTS * training.step
        return lax.dynamic_update_slice_in_dim(kept, new, place, axis=0)

    replay = jax.tree.map(keep, training.replay, now)
    return training._replace(replay=replay, step=training.step + 1, states=states)


def is_warm(training: Training) -> Array:
    return ENVIRONMENTS * training.step >= WARM_UP


def train_step(
    net: nengo_jax.Functional, training: Training, key: Key
) -> tuple[Training, None]:
    for_play, for_updates = jax.random.split(key)
    training = play_step(net, training, for_play)

    def learn(training: Training) -> Training:
        keys = jax.random.split(for_updates, UPDATES)
        return lax.scan(partial(update, net), training, keys)[0]

    return lax.cond(is_warm(training), learn, lambda training: training, training), None


def mean_return(net: nengo_jax.Functional, weights: Weights, key: Key) -> Array:
    """Test a policy without exploration."""

    def step(state: Array, _: None) -> tuple[Array, Array]:
        action = jnp.tanh(decide(net, weights, PENDULUM.observe(state)))
        state, now = move(state, action)
        return state, now.reward

    def episode(key: Key) -> Array:
        return jnp.sum(lax.scan(step, PENDULUM.reset(key), length=EPISODE)[1])

    return jnp.mean(jax.vmap(episode)(jax.random.split(key, TESTS)))


def start(seed: int, steps: int) -> Training:
    """Return networks that know nothing, and an empty replay memory."""
    keys = jax.random.split(jax.random.key(seed), 4)
    critics = tuple(draw_dense(k, (4, HIDDEN, HIDDEN, 1)) for k in keys[:2])
    learned = Learned(
        draw_weights(seed), draw_dense(keys[2], (3, 64, 1)), critics, jnp.zeros(())
    )
    replay = Transition(
        seen=jnp.zeros((steps, 3)),
        action=jnp.zeros((steps, 1)),
        reward=jnp.zeros(steps),
        after=jnp.zeros((steps, 3)),
    )
    memory, first = OPTIMIZER.init(learned), jnp.zeros((), jnp.int32)
    return Training(learned, critics, memory, replay, first, start_pendulums(keys[3]))


def train(net: nengo_jax.Functional, steps: int, seeds: Sequence[int]) -> list[Run]:
    """Train an actor for each seed."""

    @jax.jit
    def stretch(training: Training, key: Key) -> tuple[Training, Array]:
        for_steps, for_test = jax.random.split(key)
        keys = jax.random.split(for_steps, STRETCH // ENVIRONMENTS)
        training, _ = lax.scan(partial(train_step, net), training, keys)
        return training, mean_return(net, training.learned.actor, for_test)

    runs = []
    for seed in seeds:
        began, training, curve = time.perf_counter(), start(seed, steps), []
        for key in jax.random.split(jax.random.key(1000 + seed), steps // STRETCH):
            training, earned = stretch(training, key)
            curve.append(float(earned))
        seconds = time.perf_counter() - began
        runs.append(Run(training.learned.actor, curve, seconds))
    return runs


# The trained policy in Gymnasium, and back in Nengo ----------------------------------


def chooser(net: nengo_jax.Functional) -> Callable[[Weights, ArrayLike], Array]:
    """Return the policy for a batch of observations, without exploration, in N m."""

    def choose(weights: Weights, seen: Array) -> Array:
        return STRONGEST * jnp.tanh(decide(net, weights, seen))

    return jax.jit(jax.vmap(choose, (None, 0)))


def play(choose: Callable[[ArrayLike], Array]) -> Game:
    """Play the test episodes in Gymnasium, with a policy for a batch."""
    environments = gymnasium.make_vec("Pendulum-v1", num_envs=TESTS)
    seen, _ = environments.reset(seed=0)  # and 1, 2, ... for the others
    steps = []
    for _ in range(EPISODE):
        torque = np.asarray(choose(seen))
        after, reward, *_ = environments.step(torque)
        steps.append((seen, torque[:, 0], reward))
        seen = after
    environments.close()
    return Game(*map(np.stack, zip(*steps, strict=True)))


class Loop(NamedTuple):
    """A network that plays by itself, and what is recorded in it."""

    network: nengo.Network
    seen: nengo.Probe  # and the reward behind it
    torque: nengo.Probe
    spikes: list[nengo.Probe]  # of each layer


def build_loop(weights: Weights) -> Loop:
    """Make a network that holds the policy and Pendulum-v1.

    A decision takes SPIKE_STEPS steps, and one more in which all neurons are inhibited
    and the pendulum moves. The episode is the first of those in Gymnasium.
    """
    see = jax.jit(receptive_fields)
    # the mean over the steps before this one, by its transfer function in z
    average = nengo.LinearFilter(
        np.full(SPIKE_STEPS, 1 / SPIKE_STEPS), [1] + SPIKE_STEPS * [0], analog=False
    )
    with nengo.Network(seed=0) as network:
        pendulum = plants.gymnasium_node("Pendulum-v1", seed=0, every=PERIOD)
        stimuli = nengo.Node(
            lambda t, x: np.asarray(see(x.astype(np.float32))),
            size_in=3,
            size_out=LAYERS["fields"],
        )
        squash = nengo.Node(lambda t, x: STRONGEST * np.tanh(x), size_in=1, size_out=1)
        nengo.Connection(pendulum[:3], stimuli, synapse=None)
        nengo.Connection(add_actor(stimuli, weights), squash, synapse=average)
        nengo.Connection(squash, pendulum, synapse=None)

        inhibit = nengo.Node(lambda t: -1000.0 * (round(t / DT) % PERIOD == 0))
        layers = list(network.ensembles)
        for layer in layers:
            ones = np.ones((layer.n_neurons, 1))
            nengo.Connection(inhibit, layer.neurons, transform=ones, synapse=None)
        return Loop(
            network,
            nengo.Probe(pendulum[:4]),
            nengo.Probe(squash),
            [nengo.Probe(layer.neurons) for layer in layers],
        )


def run_loop(loop: Loop, simulator: nengo.Simulator | nengo_jax.Simulator) -> Game:
    """Play an episode; rows are those of the decisions."""
    with simulator as sim:
        sim.run_steps(EPISODE * PERIOD)
        seen, torque = sim.data[loop.seen], sim.data[loop.torque]
    before, moved = slice(0, None, PERIOD), slice(SPIKE_STEPS, None, PERIOD)
    return Game(seen[before, None, :3], torque[moved], seen[moved, 3:])


def main(out: Path, steps: int = 40_000, seeds: Sequence[int] = (0, 1, 2)) -> Figures:
    """Train, play in Gymnasium and in Nengo, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    steps : int
        In the environment; a multiple of STRETCH.
    seeds : sequence of int
        Of trainings.
    """
    net = nengo_jax.functional(build(draw_weights(0)), DT)
    runs = train(net, steps, seeds)
    choose = chooser(net)
    games = [play(partial(choose, run.weights)) for run in runs]
    returns = [game.reward.sum(axis=0) for game in games]

    loop = build_loop(runs[0].weights)
    reference = nengo.Simulator(loop.network, DT, progress_bar=False)
    ours = nengo_jax.Simulator(loop.network, DT, dtype="float64", progress_bar=False)
    in_nengo, in_ours = run_loop(loop, reference), run_loop(loop, ours)
    seen_there = in_nengo.seen[:, 0].astype(np.float32)
    again = np.asarray(choose(runs[0].weights, seen_there))
    spikes = [reference.data[probe] for probe in loop.spikes]
    draw(out, runs, games[0], in_nengo, spikes)
    return Figures(
        returns=[float(np.mean(earned)) for earned in returns],
        worst=[float(np.min(earned)) for earned in returns],
        solved_after=[solved_after(run.curve) for run in runs],
        curves=[run.curve for run in runs],
        seconds=[run.seconds for run in runs],
        spikes=float(np.mean(np.concatenate(spikes, axis=1))),
        nengo_return=float(in_nengo.reward.sum()),
        same_return=float(returns[0][0]),
        simulators_differ=float(np.abs(in_nengo.torque - in_ours.torque).max()),
        decisions_differ=float(np.mean(np.abs(in_nengo.torque - again) > SAME)),
    )


def solved_after(curve: Sequence[float]) -> int | None:
    """Steps until a test first earned enough."""
    enough = np.flatnonzero(np.asarray(curve) >= SOLVED)
    return STRETCH * (int(enough[0]) + 1) if len(enough) else None


def draw(
    out: Path,
    runs: Sequence[Run],
    game: Game,
    in_nengo: Game,
    spikes: Sequence[np.ndarray],
) -> None:
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplot_mosaic("ca;ss", height_ratios=(1, 1.1))
    for number, run in enumerate(runs):
        done = STRETCH * np.arange(1, len(run.curve) + 1)
        axes["c"].plot(done, run.curve, ".-", label=f"training {number + 1}")
    axes["c"].axhline(SOLVED, color="0.6", ls=":")
    axes["c"].legend(frameon=False, loc="lower right")
    axes["c"].set_xlim(0)
    axes["c"].set_xlabel("steps in the environment")
    axes["c"].set_title(f"Mean return of {TESTS} test episodes", loc="left")
    times = PENDULUM.dt * np.arange(EPISODE)
    axes["a"].plot(times, heights(game), color="tab:blue", lw=0.8)
    axes["a"].set_ylabel("height of the tip (m)")
    axes["a"].set_xlabel("time (s)")
    axes["a"].set_title(
        f"{TESTS} episodes in Gymnasium after training 1: "
        f"{game.reward.sum(axis=0).mean():.0f}",
        loc="left",
    )
    draw_episode(axes["s"], in_nengo, spikes)
    figure.savefig(out, dpi=90)


def heights(game: Game) -> np.ndarray:
    return game.seen[:, :, 0]  # the cosine of the angle, for 1 m


def draw_episode(axes: Axes, game: Game, spikes: Sequence[np.ndarray]) -> None:
    """Draw spikes of all layers with the torque, for half of an episode."""
    shown = EPISODE // 2
    times = PENDULUM.dt / PERIOD * np.arange(shown * PERIOD)
    step, neuron = np.nonzero(np.concatenate(spikes, axis=1)[: len(times)])
    axes.scatter(times[step], neuron, s=1.5, marker="|", color="black", linewidths=0.5)
    borders = np.cumsum([0, *LAYERS.values()])
    axes.set_yticks((borders[:-1] + borders[1:]) / 2, list(LAYERS))
    axes.tick_params("y", length=0)
    axes.hlines(borders[1:-1], 0, times[-1], color="0.8", lw=0.8)
    axes.set_xlim(0, times[-1])
    axes.set_ylim(0, borders[-1])
    axes.set_xlabel("time of the pendulum (s)")
    torque = axes.twinx()
    decisions = PENDULUM.dt * np.arange(shown)
    torque.step(decisions, game.torque[:shown, 0], "tab:red", where="post", lw=1.5)
    torque.plot(decisions, heights(game)[:shown], "tab:blue", lw=2)
    torque.set_ylim(-2.1, 2.1)
    torque.set_ylabel("torque (N m, red) and height (m, blue)")
    axes.set_title(
        f"An episode in nengo.Simulator: {game.reward.sum():.0f}", loc="left"
    )


if __name__ == "__main__":
    print(main(Path("sac.png")))
