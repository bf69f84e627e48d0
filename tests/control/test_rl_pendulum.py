"""A spiking actor learns to swing the pendulum up, from losses that are right."""

import runpy
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest
from scipy.stats import norm

import nengo_jax

SAC = Path(__file__).resolve().parents[2] / "examples" / "rl" / "sac.py"


@pytest.fixture
def sac():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield SimpleNamespace(**runpy.run_path(str(SAC)))


@pytest.fixture
def actor(sac):
    """Weights of an actor whose mean torques differ, and its functions."""
    rng = np.random.RandomState(1)
    weights = dict(sac.draw_weights(0))
    for name, spread in (("to mean/weights", 0.3), ("hidden 1/bias", 0.5)):
        drawn = rng.normal(0, spread, weights[name].shape)
        weights[name] = jnp.asarray(drawn, jnp.float32)
    return weights, nengo_jax.functional(sac.build(weights), sac.DT)


def mean_by_nengo(sac, weights, seen):
    """The mean torque over five steps of nengo's own simulator."""
    network = sac.build(weights)
    network.nodes[0].output = np.asarray(sac.receptive_fields(jnp.asarray(seen)))
    with nengo.Simulator(network, sac.DT, progress_bar=False) as sim:
        sim.run_steps(sac.SPIKE_STEPS)
        return sim.data[network.probes[0]].mean()


def dense_by_numpy(layers, x):
    for weights, bias in layers[:-1]:
        x = np.maximum(np.asarray(weights, float) @ x + np.asarray(bias, float), 0)
    weights, bias = layers[-1]
    return np.asarray(weights, float) @ x + np.asarray(bias, float)


def explored_by_numpy(sac, learned, seen, key):
    """An action and its log density, by the rule for densities of functions."""
    raw_std = dense_by_numpy(learned.log_std, seen)[0]
    low, high = sac.LOG_STD
    std = np.exp(low + (high - low) / (1 + np.exp(-raw_std)))
    mean = mean_by_nengo(sac, learned.actor, seen)
    raw = mean + std * float(jax.random.normal(key, (1,))[0])
    return np.tanh(raw), norm.logpdf(raw, mean, std) - np.log(1 - np.tanh(raw) ** 2)


def lower_by_numpy(critics, seen, action):
    given = np.append(seen, action)
    return min(dense_by_numpy(critic, given)[0] for critic in critics)


def learned_by(sac, weights):
    """Networks that already know something, and the temperature 0.5."""
    training = sac.start(3, 8)
    temperature = jnp.asarray(np.log(0.5), jnp.float32)
    return training.learned._replace(actor=weights, log_temperature=temperature)


def some_transition(sac):
    state, action = jnp.asarray([0.6, -1.5]), jnp.asarray([0.3])
    return sac.move(state, action)[1]


def test_losses_are_those_of_the_paper(sac, actor):
    weights, net = actor
    learned = learned_by(sac, weights)
    targets = sac.start(4, 8).learned.critics
    happened, key = some_transition(sac), jax.random.key(5)
    seen, action, reward, after = (np.asarray(part, float) for part in happened)

    following, log_density = explored_by_numpy(sac, learned, after, key)
    future = lower_by_numpy(targets, after, following) - 0.5 * log_density
    goal = sac.REWARD_SCALE * reward + sac.DISCOUNT * future
    given = np.append(seen, action)
    errors = [dense_by_numpy(critic, given)[0] - goal for critic in learned.critics]
    loss = jax.jit(partial(sac.critic_loss, net))
    found = loss(learned, targets, happened, key)
    assert float(found) == pytest.approx(np.sum(np.square(errors)), rel=1e-4)

    chosen, log_density = explored_by_numpy(sac, learned, seen, key)
    of_actor = 0.5 * log_density - lower_by_numpy(learned.critics, seen, chosen)
    of_temperature = -0.5 * (log_density + sac.ENTROPY)
    found = jax.jit(partial(sac.policy_loss, net))(learned, happened.seen, key)
    assert float(found) == pytest.approx(of_actor + of_temperature, rel=1e-4)


@pytest.mark.slow
def test_each_parameter_learns_from_its_own_loss_only(sac, actor):
    weights, net = actor
    learned, happened = learned_by(sac, weights), some_transition(sac)
    targets, key = learned.critics, jax.random.key(5)

    def size(tree):
        return sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(tree))

    gradient = jax.jit(jax.grad(partial(sac.critic_loss, net)))
    by_critics = gradient(learned, targets, happened, key)
    assert size(by_critics.critics) > 0
    assert size(by_critics._replace(critics=())) == 0
    gradient = jax.jit(jax.grad(partial(sac.policy_loss, net)))
    by_policy = gradient(learned, happened.seen, key)
    assert size(by_policy.critics) == 0
    assert size(by_policy.log_std) > 0
    for name, gradient in by_policy.actor.items():
        assert size(gradient) > 0, name
    # the price of entropy rises where the density is too high
    explore = jax.jit(partial(sac.explore, net))
    _, log_density = explore(learned, happened.seen, key)
    lacking = float(log_density) + sac.ENTROPY
    assert float(by_policy.log_temperature) == pytest.approx(-0.5 * lacking, rel=1e-5)


def test_pendulum_and_reward_are_those_of_gymnasium(sac):
    environment, rng = gymnasium.make("Pendulum-v1"), np.random.RandomState(0)
    seen, _ = environment.reset(seed=1)
    for _ in range(50):
        state = jnp.asarray(environment.unwrapped.state, jnp.float32)
        action = rng.uniform(-1, 1, 1).astype(np.float32)
        after, reward, *_ = environment.step(sac.STRONGEST * action)
        _, ours = sac.move(state, jnp.asarray(action))
        np.testing.assert_allclose(ours.seen, seen, atol=2e-6)
        np.testing.assert_allclose(ours.after, after, atol=2e-5)
        assert float(ours.reward) == pytest.approx(reward, rel=1e-4, abs=1e-5)
        seen = after
    environment.close()


def test_replay_memory_holds_what_happened_in_its_order(sac, actor):
    _, net = actor
    training = sac.start(0, 3 * sac.ENVIRONMENTS)
    play = jax.jit(lambda training, key: sac.play_step(net, training, key))
    for key in jax.random.split(jax.random.key(0), 2):
        training = play(training, key)
    seen, action, reward, after = (
        np.asarray(kept).reshape(3, sac.ENVIRONMENTS, -1) for kept in training.replay
    )
    np.testing.assert_array_equal(after[0], seen[1])
    assert len(np.unique(action[:2])) == 2 * sac.ENVIRONMENTS
    assert np.all(reward[:2] < 0)
    assert not np.any(seen[2])


@pytest.mark.slow
def test_a_spiking_actor_learns_and_runs_in_nengo(run_example):
    figures = run_example("rl/sac", 6000, (1,))
    assert figures.curves[0][0] < -900  # no better than a pendulum that hangs
    assert figures.returns[0] > -600
    assert figures.simulators_differ < 1e-9
    assert figures.decisions_differ < 0.02  # by a spike at the very threshold
    assert 0.02 < figures.spikes < 0.7


@pytest.mark.slow
def test_three_trainings_solve_the_pendulum(run_example):
    figures = run_example("rl/sac")
    assert all(earned >= -200 for earned in figures.returns)
    assert all(steps is not None for steps in figures.solved_after)
    assert figures.nengo_return == pytest.approx(figures.same_return, abs=20)
    assert figures.simulators_differ < 1e-9
    assert figures.decisions_differ < 0.02
