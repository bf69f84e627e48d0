"""A spiking policy balances a pole on a cart, learned by proximal policy optimization.

The policy is a Nengo network. 64 spiking LIF neurons see position, velocity, angle and
spin, and their spikes are counted by two non-spiking units: the preferences for a push
to the left and to the right. The network makes five steps of 4 ms in the 20 ms between
two pushes. The neurons listen in four of them, beginning with a voltage of 0 at each
decision, so the policy has no memory.

1. Training is PPO (Schulman et al., 2017), much as in CleanRL. 16 carts run at once;
   after 128 steps of all of them the policy climbs the clipped objective, by surrogate
   gradients through its spikes. A critic, which does not spike, says what to expect.
   Carts, network and learner are one function of JAX, and ``vmap`` runs it for three
   seeds at once.
2. The policy plays 100 episodes in Gymnasium's CartPole-v1, where the most is 500
   steps. Then it makes the push that it prefers, and does not draw one.
3. It goes back into a Nengo network whose other half is Gymnasium's CartPole-v1, as a
   node. Nothing resets voltages there from outside, so a clock inhibits all neurons for
   one step in five, which does the same: a LIF neuron cannot get below 0. This network
   runs in ``nengo_jax.Simulator`` and in ``nengo.Simulator``.

The picture shows how long episodes become in training, and the first episode of the
network in ``nengo.Simulator``: the pole and the spikes.

Run it with ``python examples/rl/ppo.py``; it needs optax and gymnasium.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import nengo
import numpy as np
import optax
from jax import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nengo_jax
from nengo_jax import plants

DT = 0.004  # s, of the network
DECISION, LISTEN = 5, 4  # steps of the network
N_NEURONS = 64
SCALE = np.array([1 / 2.4, 1 / 3, 1 / 0.2, 1 / 3])  # of what is seen, to about 1
GAIN = 10.0  # of all that goes to neurons; nengo wants more than a bias takes away
INHIBITION = 1e3  # times the gain: far more than any other current
CART = plants.cart_pole()
FORCE = 10.0  # N
LONGEST = 500  # steps of an episode
CARTS, STEPS = 16, 128  # played for an update
EPOCHS, MINIBATCHES = 4, 4
DISCOUNT, TRACE = 0.99, 0.95  # gamma and lambda of the advantage
REWARD = 1 - DISCOUNT  # of a step, so that values are at most 1
CLIP, ENTROPY = 0.2, 0.01
LEARNING_RATE = 3e-3  # at first; it falls to 0
HIDDEN = 64  # units in each of the two layers of the critic

Params = dict[str, Any]


class Step(NamedTuple):
    """A step of all carts; of a rollout, with an axis of steps in front."""

    seen: Array  # scaled
    after: Array  # what is seen after the push, before a new start
    push: Array  # 0: left, 1: right
    chance: Array  # log-probability of the push
    fell: Array
    over: Array  # the pole fell, or the time was up
    age: Array  # steps of the episode so far


class Live(NamedTuple):
    """What happened in a simulator, decision by decision."""

    seen: np.ndarray  # shape (decisions, 4), in m, m/s, rad and rad/s
    push: np.ndarray
    lengths: np.ndarray  # of the episodes, in steps
    spikes: np.ndarray  # shape (steps of the network, neurons)


class Figures(NamedTuple):
    """How well the pole is balanced; lengths are in steps, at most 500."""

    gymnasium: tuple[float, ...]  # mean length of 100 episodes, for each seed
    untrained: float  # the same before training, when it always pushes to the left
    live_nengo_jax: float  # mean length in the network, of the first seed
    live_nengo: float
    differ: int  # pushes in both simulators that are not those of the functional form
    decisions: int  # that were compared
    rate: float  # spikes of a neuron and second, in nengo.Simulator


# -- the policy


def draw_weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.RandomState(seed)
    return {
        "in/weights": rng.normal(0, 3 / GAIN, (N_NEURONS, 4)),
        "neurons/bias": rng.uniform(0, 4, N_NEURONS),
        "out/weights": np.zeros((2, N_NEURONS)),
    }


def add_policy(seen: nengo.Node, weights: dict) -> tuple[nengo.Ensemble, nengo.Node]:
    """Add the spiking policy to a network; return its neurons and preferences."""
    neurons = nengo.Ensemble(
        N_NEURONS,
        1,
        gain=np.full(N_NEURONS, GAIN),
        bias=np.asarray(weights["neurons/bias"], float),
        neuron_type=nengo.LIF(initial_state={"voltage": nengo.dists.Choice([0])}),
        label="neurons",
    )
    prefer = nengo.Node(size_in=2, label="prefer")
    # the number of spikes in the last four steps; a spike is 1 / dt high
    count = nengo.LinearFilter(np.full(LISTEN, DT), np.eye(LISTEN + 1)[0], analog=False)
    nengo.Connection(
        seen,
        neurons.neurons,
        transform=np.asarray(weights["in/weights"], float),
        synapse=None,
        label="in",
    )
    nengo.Connection(
        neurons.neurons,
        prefer,
        transform=np.asarray(weights["out/weights"], float),
        synapse=count,
        label="out",
    )
    return neurons, prefer


def make_policy(seed: int) -> tuple[Params, Callable[[Params, Array], Array]]:
    """Return parameters, and a function from what is seen to preferences."""
    with nengo.Network(seed=seed) as network:
        nengo_jax.configure_settings(
            training="surrogate", surrogate=nengo_jax.surrogates.Arctan(2.0)
        )
        seen = nengo.Node(np.zeros(4), label="seen")
        _, prefer = add_policy(seen, draw_weights(seed))
        nengo.Probe(prefer, label="preference")
    net = nengo_jax.functional(network, dt=DT)

    def policy(params: Params, seen: Array) -> Array:
        _, outputs = net.run(params, net.state, {"seen": seen}, DECISION)
        return outputs["preference"][-1]

    return net.params, policy


# -- training


def expected(critic: Params, seen: Array) -> Array:
    """What a state is worth, as the critic says; seen has shape (..., 4)."""
    for number in range(2):
        seen = jnp.tanh(seen @ critic[f"w{number}"] + critic[f"b{number}"])
    return (seen @ critic["w2"] + critic["b2"])[..., 0]


def make_critic(key: Array) -> Params:
    critic, sizes = {}, (4, HIDDEN, HIDDEN, 1)
    for number, own in enumerate(jax.random.split(key, 3)):
        shape = sizes[number : number + 2]
        weights = jax.random.normal(own, shape) / np.sqrt(shape[0])
        critic |= {f"w{number}": weights, f"b{number}": jnp.zeros(shape[1])}
    return critic


def roll_out(policy: Callable, params: Params, carts: tuple, key: Array) -> tuple:
    """Let all carts make 128 steps, starting anew when an episode is over."""

    def step(carts: tuple, key: Array) -> tuple[tuple, Step]:
        states, age = carts
        choose, restart = jax.random.split(key)
        seen = SCALE * jax.vmap(CART.observe)(states)
        chances = jax.nn.log_softmax(jax.vmap(policy, (None, 0))(params, seen))
        push = jax.random.categorical(choose, chances)
        chance = jnp.take_along_axis(chances, push[:, None], axis=1)[:, 0]
        states = jax.vmap(CART.step)(states, FORCE * (2.0 * push[:, None] - 1))
        age = age + 1
        fell = jax.vmap(CART.failed)(states)
        over = fell | (age == LONGEST)
        after = SCALE * jax.vmap(CART.observe)(states)
        new = jax.vmap(CART.reset)(jax.random.split(restart, CARTS))
        states = jnp.where(over[:, None], new, states)
        played = Step(seen, after, push, chance, fell, over, age)
        return (states, jnp.where(over, 0, age)), played

    return jax.lax.scan(step, carts, jax.random.split(key, STEPS))


def advantages_of(critic: Params, played: Step) -> tuple[Array, Array]:
    """Generalized advantages and returns, shape (steps, carts)."""
    value = expected(critic, played.seen)
    later = jnp.where(played.fell, 0, expected(critic, played.after))
    surprise = REWARD + DISCOUNT * later - value

    def step(later: Array, now: tuple) -> tuple[Array, Array]:
        surprise, over = now
        advantage = surprise + DISCOUNT * TRACE * jnp.where(over, 0, later)
        return advantage, advantage

    _, advantage = jax.lax.scan(
        step, jnp.zeros(CARTS), (surprise, played.over), reverse=True
    )
    return advantage, advantage + value


def loss(params: Params, policy: Callable, batch: tuple) -> Array:
    """The clipped objective of PPO, with the error of the critic."""
    seen, push, chance, advantage, returns = batch
    chances = jax.nn.log_softmax(jax.vmap(policy, (None, 0))(params["actor"], seen))
    ratio = jnp.exp(jnp.take_along_axis(chances, push[:, None], 1)[:, 0] - chance)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1 - CLIP, 1 + CLIP)
    gain = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -jnp.sum(jnp.exp(chances) * chances, axis=1).mean()
    error = jnp.square(expected(params["critic"], seen) - returns).mean()
    return -gain - ENTROPY * entropy + error


def learn(policy: Callable, updates: int, actor: Params, key: Array) -> tuple:
    """Return the trained policy, and the mean length of episodes in each update."""
    critic, start, rest = jax.random.split(key, 3)
    params = {"actor": actor, "critic": make_critic(critic)}
    total = updates * EPOCHS * MINIBATCHES
    optimizer = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.adam(optax.linear_schedule(LEARNING_RATE, 0.0, total)),
    )
    slope = jax.grad(loss)

    def improve(carry: tuple, batch: tuple) -> tuple[tuple, None]:
        params, memory = carry
        change, memory = optimizer.update(slope(params, policy, batch), memory)
        return (optax.apply_updates(params, change), memory), None

    def update(carry: tuple, key: Array) -> tuple[tuple, tuple]:
        learner, carts = carry
        play, shuffle = jax.random.split(key)
        carts, played = roll_out(policy, learner[0]["actor"], carts, play)
        advantage, returns = advantages_of(learner[0]["critic"], played)
        batch = (played.seen, played.push, played.chance, advantage, returns)
        flat = [part.reshape(-1, *part.shape[2:]) for part in batch]

        def epoch(learner: tuple, key: Array) -> tuple[tuple, None]:
            order = jax.random.permutation(key, CARTS * STEPS).reshape(MINIBATCHES, -1)
            return jax.lax.scan(improve, learner, tuple(part[order] for part in flat))

        learner, _ = jax.lax.scan(epoch, learner, jax.random.split(shuffle, EPOCHS))
        lengths = jnp.where(played.over, played.age, 0)
        return (learner, carts), (lengths.sum(), played.over.sum())

    states = jax.vmap(CART.reset)(jax.random.split(start, CARTS))
    carry = ((params, optimizer.init(params)), (states, jnp.zeros(CARTS, int)))
    carry, (lengths, episodes) = jax.lax.scan(
        update, carry, jax.random.split(rest, updates)
    )
    return carry[0][0]["actor"], lengths / episodes


# -- what was learned


def scaled(seen: np.ndarray) -> Array:
    return jnp.asarray(seen * SCALE, jnp.float32)


def lengths_in_gymnasium(
    prefer: Callable[[Array], Array], episodes: int, seed: int
) -> np.ndarray:
    """Lengths of episodes in CartPole-v1, with the push that is preferred."""
    worlds = [gymnasium.make("CartPole-v1") for _ in range(episodes)]
    seen = np.stack([w.reset(seed=seed + k)[0] for k, w in enumerate(worlds)])
    lengths = np.zeros(episodes, int)
    playing = list(range(episodes))
    while playing:
        pushes = np.asarray(prefer(scaled(seen))).argmax(axis=1)
        lengths[playing] += 1
        going = []
        for k in playing:
            seen[k], _, fell, cut, _ = worlds[k].step(pushes[k])
            if not (fell or cut):
                going.append(k)
        playing = going
    for world in worlds:
        world.close()
    return lengths


def play_live(simulator: type, weights: dict, episodes: int, seed: int) -> Live:
    """Let a network of policy and CartPole-v1 run in a simulator."""
    with nengo.Network(seed=seed) as network:
        world = plants.gymnasium_node("CartPole-v1", seed=seed, every=DECISION)
        seen = nengo.Node(size_in=4, label="seen")
        neurons, prefer = add_policy(seen, weights)
        # the world moves in every fifth step, in which neurons are set back
        clock = nengo.Node(lambda t: float(round(t / DT) % DECISION == 0))
        stop = np.full((N_NEURONS, 1), -INHIBITION)
        nengo.Connection(world[:4], seen, transform=np.diag(SCALE), synapse=None)
        nengo.Connection(clock, neurons.neurons, transform=stop, synapse=None)
        nengo.Connection(prefer, world, synapse=None)
        probes = [nengo.Probe(part) for part in (world, prefer, neurons.neurons)]
    with simulator(network, dt=DT, progress_bar=False) as sim:
        sim.run_steps(DECISION * LONGEST * episodes)
        worlds, preferences, spikes = (sim.data[probe] for probe in probes)
    # what is seen before a push, the push, and what came of it
    seen, made = worlds[DECISION - 2 :: DECISION], preferences[DECISION - 1 :: DECISION]
    ends = np.flatnonzero(worlds[DECISION - 1 :: DECISION, -1]) + 1
    lengths = np.diff(ends, prepend=0)
    return Live(seen[:, :4], made.argmax(axis=1), lengths, spikes > 0)


def main(
    out: Path,
    updates: int = 60,
    seeds: int = 3,
    episodes: int = 100,
    live_episodes: int = 10,
) -> Figures:
    """Train policies, test them in Gymnasium and in Nengo, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    updates : int
        Each follows 2048 steps of training.
    seeds : int
        Number of policies.
    episodes : int
        How many episodes of CartPole-v1 test a policy.
    live_episodes : int
        How many full episodes the network plays in each simulator.
    """
    made = [make_policy(seed) for seed in range(seeds)]
    policy = made[0][1]  # they only differ in their parameters
    actors = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(p for p, _ in made))
    keys = jax.random.split(jax.random.key(0), seeds)
    train = jax.jit(jax.vmap(partial(learn, policy, updates)))
    trained, curves = train(actors, keys)
    prefer = jax.jit(jax.vmap(policy, (None, 0)))
    each = [jax.tree.map(lambda leaf, k=k: leaf[k], trained) for k in range(seeds)]
    lengths = [
        lengths_in_gymnasium(partial(prefer, params), episodes, seed=1000)
        for params in (*each, made[0][0])
    ]
    lives = [
        play_live(simulator, each[0], live_episodes, seed=2000)
        for simulator in (nengo_jax.Simulator, nengo.Simulator)
    ]
    draw(out, np.asarray(curves), lives[1])
    differ = [
        np.asarray(prefer(each[0], scaled(live.seen))).argmax(axis=1) != live.push
        for live in lives
    ]
    return Figures(
        tuple(float(some.mean()) for some in lengths[:-1]),
        float(lengths[-1].mean()),
        *(float(live.lengths.mean()) for live in lives),
        int(np.sum(differ)),
        np.size(differ),
        float(lives[1].spikes.mean() / DT),
    )


def draw(out: Path, curves: np.ndarray, live: Live) -> None:
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplot_mosaic("c;a;s", height_ratios=(1.2, 1, 1))
    for number, curve in enumerate(curves):
        ended = np.isfinite(curve)  # in some updates no episode ends
        played = CARTS * STEPS / 1000 * np.arange(1, len(curve) + 1)
        axes["c"].plot(played[ended], curve[ended], label=f"seed {number}")
    axes["c"].axhline(475, color="0.7", ls=":", lw=1)
    axes["c"].set_xlabel("steps of training (thousands)")
    axes["c"].set_title("Length of episodes in training", loc="left")
    axes["c"].legend(frameon=False, loc="lower right")
    first = slice(0, live.lengths[0] if len(live.lengths) else LONGEST)
    draw_pole(axes["a"], live.seen[first], live.push[first])
    shown = live.spikes[: DECISION * len(live.push[first])]
    step, neuron = np.nonzero(shown)
    axes["s"].scatter(DT * step, neuron, s=2, marker="|", color="black", lw=0.5)
    axes["s"].set_ylabel("neurons")
    axes["s"].set_xlabel("time (s)")
    for name in "as":
        axes[name].set_xlim(0, DT * len(shown))
    figure.savefig(out, dpi=85)


def draw_pole(axes: Axes, seen: np.ndarray, push: np.ndarray) -> None:
    times = DT * DECISION * np.arange(len(seen))
    axes.plot(times, np.degrees(seen[:, 2]), color="tab:blue", label="angle (degrees)")
    axes.plot(times, 10 * seen[:, 0], color="tab:green", label="position (10 cm)")
    colours = np.where(push == 1, "tab:red", "0.7")
    axes.scatter(times, np.full(len(seen), -12), c=colours, s=3, marker="s")
    axes.set_ylim(-13, 13)
    axes.legend(frameon=False, loc="upper right", ncols=2)
    axes.set_title(
        "An episode in nengo.Simulator; below, pushes to the right (red) and left",
        loc="left",
    )


if __name__ == "__main__":
    print(main(Path("ppo.png")))
