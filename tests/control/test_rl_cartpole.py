"""Policies that balance a pole: the natural policy gradient, and PPO with spikes."""

import runpy
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest

import nengo_jax

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "rl"
RNG = np.random.RandomState(0)


@pytest.fixture(autouse=True)
def _as_a_user():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def gradient():
    return runpy.run_path(str(EXAMPLES / "natural_policy_gradient.py"))


@pytest.fixture(scope="module")
def ppo():
    return runpy.run_path(str(EXAMPLES / "ppo.py"))


# -- the natural policy gradient


@pytest.mark.slow
def test_natural_gradient_learns_faster(run_example):
    figures = run_example("rl/natural_policy_gradient", 60, 10, 1)
    assert figures.natural_best > 130
    assert figures.natural_best > 2 * figures.plain_best
    assert figures.natural_end > 2 * figures.plain_end
    assert figures.live_nengo_jax == figures.live_nengo
    assert figures.live_nengo > 300
    assert figures.pushes == 1000
    assert figures.differ == 0


def test_returns_end_with_the_episode_and_go_on_after_the_batch(gradient):
    ended = np.array([False, True, False, False])
    found = gradient["returns_of"](jnp.asarray(ended), jnp.asarray(10.0))
    later = gradient["DISCOUNT"]
    last = 1 + later * 10
    np.testing.assert_allclose(found, [1 + later, 1, 1 + later * last, last], rtol=1e-6)


def test_episodes_start_anew_in_a_batch(gradient):
    """One policy pushes where the pole falls to, another one pushes it over."""
    catch = jnp.array([[0.0, 0.0], [-9.0, 9.0], [-9.0, 9.0], [-9.0, 9.0]])
    (good, _), (bad, last) = (
        gradient["play"](policy, jax.random.key(0)) for policy in (catch, -catch)
    )
    assert np.sum(good.ended) <= 2
    ended = np.flatnonzero(bad.ended)
    assert len(ended) > 15
    starts = bad.seen[ended[ended < 199] + 1]
    assert np.all(np.abs(starts) <= 0.05)
    assert len(np.unique(starts[:, 2])) == len(starts)
    assert last.shape == (4,)


@pytest.mark.parametrize("simulator", [nengo_jax.Simulator, nengo.Simulator])
def test_a_policy_in_nengo_plays_as_in_gymnasium(gradient, simulator):
    """Against the policy and CartPole-v1, one step at a time."""
    policy = jnp.array([[0.1, 0.0], [0.2, -0.2], [-1.0, 1.0], [-0.2, 0.1]])
    live = gradient["play_live"](simulator, policy, 1, seed=5)
    world = gymnasium.make("CartPole-v1")
    state, length, lengths = world.reset(seed=5)[0], 0, []
    for seen, push in zip(live.seen, live.push, strict=True):
        np.testing.assert_allclose(seen, state, atol=1e-6)
        assert push == np.argmax(state @ policy)
        state, _, fell, cut, _ = world.step(int(push))
        length += 1
        if fell or cut:
            lengths.append(length)
            state, length = world.reset()[0], 0
    world.close()
    assert live.lengths.tolist() == lengths
    assert len(live.push) == 500
    assert len(set(live.push)) == 2


@pytest.mark.slow
def test_natural_gradient_is_at_its_maximum_within_100_batches(run_example):
    figures = run_example("rl/natural_policy_gradient")
    assert figures.natural_best > 199.9  # one episode in a batch, for each seed
    assert figures.natural_first <= 100
    assert figures.plain_best < 150
    assert figures.natural_end > figures.plain_end
    assert figures.natural_last > figures.plain_last + 10
    assert min(figures.live_nengo_jax, figures.live_nengo) >= 475
    assert figures.differ <= 0.001 * figures.pushes  # rounding, at a tie


# -- the spiking policy


@pytest.mark.slow
def test_spiking_policy_balances_in_gymnasium_and_in_nengo(run_example):
    figures = run_example("rl/ppo", 24, 1, 20, 1)
    assert figures.untrained < 20
    assert figures.gymnasium[0] > 300
    assert figures.live_nengo_jax > 300
    assert figures.live_nengo > 300
    assert figures.decisions == 1000
    assert figures.differ <= 2  # rounding may move a spike
    assert figures.rate > 5


def test_preferences_count_spikes(ppo):
    """Against nengo's own LIF neurons, from a voltage of 0."""
    values, gain = ppo["draw_weights"](3), ppo["GAIN"]
    values["out/weights"] = RNG.standard_normal((2, ppo["N_NEURONS"]))
    params, policy = ppo["make_policy"](3)
    params = {name: jnp.asarray(values[name], jnp.float32) for name in params}
    assert params.keys() == values.keys()
    policy = jax.jit(policy)
    for seen in RNG.uniform(-1, 1, (5, 4)):
        current = gain * values["in/weights"] @ seen + values["neurons/bias"]
        count, output = 0, np.zeros(len(current))
        voltage, refractory = np.zeros(len(current)), np.zeros(len(current))
        for _ in range(ppo["LISTEN"]):
            nengo.LIF().step(ppo["DT"], current, output, voltage, refractory)
            count = count + (output > 0)
        found = policy(params, jnp.asarray(seen, jnp.float32))
        np.testing.assert_allclose(found, values["out/weights"] @ count, atol=1e-4)
        assert np.sum(count) > 20


def test_every_parameter_of_the_policy_has_a_gradient(ppo):
    values, policy = ppo["make_policy"](0)
    params = {**values, "out/weights": jnp.ones_like(values["out/weights"])}
    seen = jnp.array([0.1, -0.2, 0.3, 0.4])
    slope = jax.jit(jax.grad(lambda params: jnp.sum(policy(params, seen))))
    for name, value in slope(params).items():
        assert np.mean(np.asarray(value) != 0) > 0.3, name


def test_advantages(ppo):
    """Against their definition, with a fall, a cut, and an end of the rollout."""
    steps, carts = 12, ppo["CARTS"]
    fell = RNG.uniform(size=(steps, carts)) < 0.1
    cut = RNG.uniform(size=(steps, carts)) < 0.1
    seen, after = RNG.standard_normal((2, steps, carts, 4)).astype(np.float32)
    nothing = jnp.zeros((steps, carts))
    played = ppo["Step"](
        jnp.asarray(seen),
        jnp.asarray(after),
        nothing,
        nothing,
        fell,
        fell | cut,
        nothing,
    )
    critic = ppo["make_critic"](jax.random.key(0))
    value, later = (np.asarray(ppo["expected"](critic, x)) for x in (seen, after))
    discount, trace, reward = ppo["DISCOUNT"], ppo["TRACE"], ppo["REWARD"]
    surprise = reward + discount * later * ~fell - value
    expected = np.zeros((steps, carts))
    for first in range(steps):
        alive = np.ones(carts)
        for step in range(first, steps):
            weight = (discount * trace) ** (step - first)
            expected[first] += alive * weight * surprise[step]
            alive = alive * ~(fell | cut)[step]
    advantage, returns = ppo["advantages_of"](critic, played)
    np.testing.assert_allclose(advantage, expected, atol=1e-5)
    np.testing.assert_allclose(returns, expected + value, atol=1e-5)


def test_lengths_of_episodes(ppo):
    """A cart that is always pushed to the right, in Gymnasium, one at a time."""
    lengths = ppo["lengths_in_gymnasium"](
        lambda seen: jnp.tile(jnp.array([[0.0, 1.0]]), (len(seen), 1)), 5, seed=7
    )
    expected = []
    for seed in range(7, 12):
        world = gymnasium.make("CartPole-v1")
        world.reset(seed=seed)
        expected.append(1)
        while not world.step(1)[2]:
            expected[-1] += 1
        world.close()
    assert lengths.tolist() == expected
    assert min(expected) < 12


@pytest.mark.slow
def test_spiking_policies_of_three_seeds_earn_475(run_example):
    figures = run_example("rl/ppo")
    assert len(figures.gymnasium) == 3
    assert min(figures.gymnasium) >= 475
    assert figures.live_nengo_jax >= 475
    assert figures.live_nengo >= 475
    assert figures.differ <= 0.001 * figures.decisions
