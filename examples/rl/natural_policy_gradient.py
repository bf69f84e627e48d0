"""A pole on a cart, balanced by a policy of 8 numbers: two ways uphill, side by side.

The policy is the smallest there is: softmax of four observations times a 4 x 2 matrix
chooses between a push to the left and one to the right. It is improved after every
batch of 200 steps, by what these steps have shown:

* The policy gradient says which change of the 8 numbers raises the return fastest. Adam
  makes the step.
* The natural policy gradient (Kakade, 2001; Rajeswaran et al., 2017) asks instead which
  change of the *behaviour* does, and steps just as far in behaviour each time. A
  position of 2.4 m and an angle of 0.2 rad matter alike, whatever their units. It is
  ``nengo_jax.optimizers.natural_gradient``, fed with the score of each step, the
  gradient of the log-probability of the action that was taken.

Both begin with the same policy, and a small value network (4-10-1) tells both of them
what return to expect from a state. The experiment is that of studywolf's blog on
natural policy gradients (2018), but for a discount of 0.99 in place of 0.97, larger and
damped natural steps, and returns that do not stop with the batch: the value network
says what would have followed. Plant, policy, scores and update are one function of JAX
that ``lax.scan`` repeats for all batches and ``vmap`` for all seeds.

A trained policy goes back into a Nengo network: its 8 numbers are the transform of a
connection, from Gymnasium's CartPole-v1 as a node to its two preferences, the larger of
which is the next push. This network runs in ``nengo_jax.Simulator`` and in
``nengo.Simulator``.

The reward of a step is 1, and an episode is over when the pole has fallen. So the mean
reward of the episodes in a batch is at most 200: one episode that lasts for all of it.
The picture shows this mean over batches, averaged over seeds, with the 95% bands of a
bootstrap; and how the policies of all seeds hold the pole in the end.

Run it with ``python examples/rl/natural_policy_gradient.py``; it needs optax
and gymnasium.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import optax
from jax import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import bootstrap

import nengo_jax
from nengo_jax import plants
from nengo_jax.optimizers import NaturalGradientSettings, natural_gradient

STEPS = 200  # in a batch
LONGEST = 500  # steps of an episode of CartPole-v1
FORCE = 10.0  # N, to the left or to the right
DISCOUNT = 0.99  # of the reward, for each step that one has to wait for it
HIDDEN = 10  # units of the value network
VALUE_RATE, POLICY_RATE = 0.1, 0.01  # learning rates of Adam
SETTINGS = NaturalGradientSettings(
    radius=2e-3,  # squared length of a step
    damping=1e-3,  # a policy that hardly ever chooses would make steps too large
)
CART = plants.cart_pole()


class Batch(NamedTuple):
    """What happened in 200 steps; the axis of steps comes first."""

    seen: Array
    action: Array  # 0 or 1
    ended: Array  # whether the pole fell in this step


class Learner(NamedTuple):
    """A way to improve the policy."""

    init: Callable[[Array], Any]
    improve: Callable[[Any, Array, Batch, Array], tuple[Array, Any]]


class Live(NamedTuple):
    """What happened in a simulator, push by push."""

    seen: np.ndarray  # shape (pushes, 4)
    push: np.ndarray  # 0 or 1
    lengths: np.ndarray  # of the episodes, in steps


class Figures(NamedTuple):
    """How fast and how far both ways lead; rewards are means over the seeds."""

    natural_best: float  # reward of the best of the first 100 batches; at most 200
    plain_best: float
    natural_first: int | None  # first batch with a reward above 195
    plain_first: int | None
    natural_last: float  # reward in the last 50 batches
    plain_last: float
    natural_end: float  # reward in the last batch
    plain_end: float
    milliseconds: float  # for a batch of one policy: to play it and to learn from it
    milliseconds_all: float  # for a batch of all seeds at once
    live_nengo_jax: float  # mean length of episodes in Nengo, first seed; at most 500
    live_nengo: float
    differ: int  # pushes in both simulators that are not those of the policy alone
    pushes: int  # that were compared


def log_probability(policy: Array, seen: Array, action: Array) -> Array:
    return jax.nn.log_softmax(seen @ policy)[action]


def play(policy: Array, key: Array) -> tuple[Batch, Array]:
    """Balance for 200 steps, and start anew whenever the pole falls.

    Returns
    -------
    batch : Batch
    last : Array
        What is seen after the last step.
    """

    def step(state: Array, key: Array) -> tuple[Array, Batch]:
        choose, restart = jax.random.split(key)
        seen = CART.observe(state)
        action = jax.random.categorical(choose, seen @ policy)
        force = jnp.where(action == 1, FORCE, -FORCE)
        after = CART.step(state, force[None])
        ended = CART.failed(after)
        after = jnp.where(ended, CART.reset(restart), after)
        return after, Batch(seen, action, ended)

    start, rest = jax.random.split(key)
    last, batch = jax.lax.scan(step, CART.reset(start), jax.random.split(rest, STEPS))
    return batch, CART.observe(last)


def returns_of(ended: Array, later: Array) -> Array:
    """Discounted number of steps that follow; ``later`` is that after the last one."""

    def step(later: Array, ended: Array) -> tuple[Array, Array]:
        value = 1 + DISCOUNT * jnp.where(ended, 0, later)
        return value, value

    return jax.lax.scan(step, later, ended, reverse=True)[1]


def plain() -> Learner:
    """The policy gradient, with Adam."""
    optimizer = optax.adam(POLICY_RATE)

    def improve(memory: Any, policy: Array, batch: Batch, advantage: Array) -> tuple:
        def loss(policy: Array) -> Array:
            chosen = jax.vmap(log_probability, (None, 0, 0))
            return -jnp.sum(chosen(policy, batch.seen, batch.action) * advantage)

        change, memory = optimizer.update(jax.grad(loss)(policy), memory)
        return optax.apply_updates(policy, change), memory

    return Learner(optimizer.init, improve)


def natural() -> Learner:
    """The natural policy gradient, by the exact 8 x 8 Fisher matrix."""
    method = natural_gradient(SETTINGS)
    score = jax.vmap(jax.grad(log_probability), (None, 0, 0))

    def improve(memory: Any, policy: Array, batch: Batch, advantage: Array) -> tuple:
        scores = score(policy, batch.seen, batch.action)
        policy, memory, _ = method.update(memory, policy, scores, advantage)
        return policy, memory

    return Learner(method.init, improve)


def expected(weights: dict[str, Array], seen: Array) -> Array:
    """The value network: what return to expect, shape (steps,)."""
    hidden = jax.nn.relu(seen @ weights["in"] + weights["bias"])
    return hidden @ weights["out"] + weights["offset"]


def make_weights(key: Array) -> dict[str, Array]:
    first, second = jax.random.split(key)
    return {
        "in": jax.random.normal(first, (4, HIDDEN)),
        "bias": jnp.zeros(HIDDEN),
        "out": jax.random.normal(second, (HIDDEN,)),
        "offset": jnp.zeros(()),
    }


def learn(learner: Learner, batches: int, key: Array) -> tuple[Array, Array]:
    """Return the reward of each batch, and the policy in the end, from one seed."""
    optimizer = optax.adam(VALUE_RATE)
    start, values, rest = jax.random.split(key, 3)
    policy, weights = jax.random.normal(start, (4, 2)), make_weights(values)

    def update(carry: tuple, key: Array) -> tuple[tuple, Array]:
        policy, memory, weights, value_memory = carry
        batch, last = play(policy, key)
        returns = returns_of(batch.ended, expected(weights, last))

        def loss(weights: dict[str, Array]) -> tuple[Array, Array]:
            surprise = returns - expected(weights, batch.seen)
            return jnp.sum(surprise**2) / 2, surprise

        slope, advantage = jax.grad(loss, has_aux=True)(weights)
        change, value_memory = optimizer.update(slope, value_memory)
        weights = optax.apply_updates(weights, change)
        policy, memory = learner.improve(memory, policy, batch, advantage)
        # an episode that the end of the batch cuts off counts, too
        episodes = jnp.sum(batch.ended) + ~batch.ended[-1]
        return (policy, memory, weights, value_memory), STEPS / episodes

    carry = (policy, learner.init(policy), weights, optimizer.init(weights))
    carry, rewards = jax.lax.scan(update, carry, jax.random.split(rest, batches))
    return rewards, carry[0]


class Result(NamedTuple):
    """What came of a way to learn."""

    rewards: np.ndarray  # shape (seeds, batches)
    policies: Array
    milliseconds: float  # for a batch of all seeds, without compiling


def learn_from(learner: Learner, batches: int, keys: Array) -> Result:
    """Let a policy learn from each seed."""
    run = jax.jit(jax.vmap(partial(learn, learner, batches)))
    rewards, policies = jax.block_until_ready(run(keys))
    start = time.perf_counter()
    jax.block_until_ready(run(keys))
    seconds = time.perf_counter() - start
    return Result(np.asarray(rewards), policies, 1000 * seconds / batches)


def play_live(simulator: type, policy: Array, episodes: int, seed: int) -> Live:
    """Let a network of a policy and CartPole-v1 run in a simulator."""
    with nengo.Network(seed=seed) as network:
        # it shows in one step what is answered in the next, when the cart moves
        world = plants.gymnasium_node("CartPole-v1", seed=seed, every=2)
        prefer = nengo.Node(size_in=2, label="prefer")
        weights = np.asarray(policy, float).T
        nengo.Connection(world[:4], prefer, transform=weights, synapse=0)
        nengo.Connection(prefer, world, synapse=None)
        probes = [nengo.Probe(part) for part in (world, prefer)]
    with simulator(network, dt=CART.dt / 2, progress_bar=False) as sim:
        sim.run_steps(2 * LONGEST * episodes)
        worlds, preferences = (sim.data[probe] for probe in probes)
    ends = np.flatnonzero(worlds[1::2, -1]) + 1
    lengths = np.diff(ends, prepend=0)
    return Live(worlds[::2, :4], preferences[1::2].argmax(axis=1), lengths)


def main(
    out: Path, batches: int = 300, seeds: int = 10, live_episodes: int = 10
) -> Figures:
    """Learn in both ways, let a policy run in Nengo, and save the picture.

    Parameters
    ----------
    out : Path
        Where to save the picture.
    batches : int
        How many batches of 200 steps each policy plays.
    seeds : int
        How many policies learn in each way.
    live_episodes : int
        How many full episodes the first policy plays in each simulator.
    """
    keys = jax.random.split(jax.random.key(0), seeds)
    slow, fast = (learn_from(way, batches, keys) for way in (plain(), natural()))
    draw(out, slow, fast)
    policy = fast.policies[0]
    lives = [
        play_live(simulator, policy, live_episodes, seed=2000)
        for simulator in (nengo_jax.Simulator, nengo.Simulator)
    ]
    differ = [np.argmax(live.seen @ policy, axis=1) != live.push for live in lives]
    return Figures(
        *(float(way.rewards.mean(axis=0)[:100].max()) for way in (fast, slow)),
        *(first_above(way.rewards.mean(axis=0), 195) for way in (fast, slow)),
        *(float(way.rewards[:, -50:].mean()) for way in (fast, slow)),
        *(float(way.rewards[:, -1].mean()) for way in (fast, slow)),
        learn_from(natural(), batches, keys[:1]).milliseconds,
        fast.milliseconds,
        *(float(live.lengths.mean()) for live in lives),
        int(np.sum(differ)),
        np.size(differ),
    )


def first_above(rewards: np.ndarray, level: float) -> int | None:
    """Number of the first batch above a level, from 1 on."""
    found = np.flatnonzero(rewards > level)
    return int(found[0]) + 1 if len(found) else None


def angles_of(policies: Array) -> np.ndarray:
    """Angle of the pole in a batch of each policy, NaN in the step after a fall."""
    batch, _ = jax.jit(jax.vmap(play, (0, None)))(policies, jax.random.key(1))
    return np.where(batch.ended, np.nan, batch.seen[:, :, 2])


def draw(out: Path, slow: Result, fast: Result) -> None:
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplot_mosaic("rr;pn", height_ratios=(1.6, 1))
    draw_band(axes["r"], slow.rewards, "tab:orange", "policy gradient")
    draw_band(axes["r"], fast.rewards, "tab:blue", "natural policy gradient")
    axes["r"].axhline(STEPS, color="0.7", lw=1, ls=":")
    axes["r"].set_xlabel("batches of 200 steps")
    axes["r"].set_title(
        f"Mean reward of the episodes in a batch, {len(fast.rewards)} seeds, 95% bands",
        loc="left",
    )
    axes["r"].legend(frameon=False, loc="upper left")
    times = CART.dt * np.arange(STEPS)
    for name, way, colour in (("p", slow, "tab:orange"), ("n", fast, "tab:blue")):
        angles = angles_of(way.policies)
        axes[name].plot(times, np.degrees(angles).T, color=colour, lw=0.7)
        axes[name].set_ylim(-13, 13)
        axes[name].set_xlabel("time (s)")
        axes[name].set_ylabel("angle (degrees)")
        axes[name].set_title("The pole after the last batch, all seeds", loc="left")
    figure.savefig(out, dpi=85)


def draw_band(axes: Axes, rewards: np.ndarray, colour: str, label: str) -> None:
    """Draw the mean over seeds, and where it lies in 95% of the cases."""
    band = bootstrap(
        (rewards,), np.mean, n_resamples=3000, batch=100, method="percentile", rng=0
    ).confidence_interval
    number = np.arange(1, rewards.shape[1] + 1)
    axes.fill_between(number, band.low, band.high, color=colour, alpha=0.25, lw=0)
    axes.plot(number, rewards.mean(axis=0), color=colour, label=label)


if __name__ == "__main__":
    print(main(Path("natural_policy_gradient.png")))
