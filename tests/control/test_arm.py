"""The arm: reaching is learned, in all its variants; thresholds are those of a reach.

Short versions make fewer updates; the others are what examples do by themselves.
"""

import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nengo_jax import plants

# isort: split
from conftest import EXAMPLES

LENGTH = 72.5  # mm, of a reach


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arm_reaching", "arm_black_box"])
def test_every_reach_ends_at_its_target(run_example, name):
    figures = run_example(name, 20)
    assert figures.worst < 5
    assert figures.mean < 2


@pytest.mark.usefixtures("siblings")
def test_the_black_box_is_the_arm():
    """Equations written out in NumPy against those of Lagrange in JAX."""
    box = runpy.run_path(str(EXAMPLES / "arm_black_box.py"))
    rng = np.random.RandomState(0)
    states = rng.uniform(-1, 1, (50, 4)) * [3.0, 3.0, 9.0, 9.0]  # some are squashed
    torques = rng.uniform(-3, 3, (50, 2))
    with jax.enable_x64(True):
        arm = plants.squash(plants.two_link_arm(plants.RODS), 2 * np.pi)
        state = jnp.asarray(states[:, :2]), jnp.asarray(states[:, 2:])
        after = jax.vmap(arm.step)(state, jnp.asarray(torques))
    expected = np.concatenate(after, axis=1)
    np.testing.assert_allclose(box["move"](states, torques), expected, rtol=1e-9)
    assert (np.abs(expected) > 2 * np.pi).any()


@pytest.mark.slow
def test_a_running_cost_straightens_paths(run_example):
    figures = run_example("arm_straight", 20, 15)
    assert figures.straight < 0.25 * figures.curved
    assert figures.worst < 5


@pytest.mark.slow
def test_the_controller_does_the_same_in_nengo(run_example):
    figures = run_example("arm_in_nengo", 20)
    assert figures.differs < 1e-5
    assert figures.hand_differs < 1e-3
    assert figures.worst < 5
    assert figures.fitted_worst < 5


@pytest.mark.slow
def test_spikes_follow_rates(run_example):
    figures = run_example("arm_spiking", 6, 2)
    assert figures.rates_worst < LENGTH
    assert figures.untuned_worst == pytest.approx(figures.rates_worst, abs=10)
    assert 50 < figures.firing < 200


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arm_reaching", "arm_black_box"])
def test_reaches_are_exact_after_all_updates(run_example, name):
    figures = run_example(name)
    assert figures.worst < 0.5
    assert figures.speed < 5


@pytest.mark.slow
def test_there_and_back_again(run_example):
    figures = run_example("arm_there_and_back")
    assert figures.lost > LENGTH
    assert max(figures.out_worst, figures.back_worst) < 5
    assert max(figures.out_mean, figures.back_mean) < 2


@pytest.mark.slow
def test_straight_paths(run_example):
    figures = run_example("arm_straight")
    assert figures.curved > 10
    assert figures.most_curved < 1
    assert figures.worst < 5


@pytest.mark.slow
def test_spiking_neurons_reach_within_a_centimetre(run_example):
    figures = run_example("arm_spiking")
    assert figures.worst < 10
    assert figures.tuned < 0.5


@pytest.mark.slow
def test_held_observations_train_too(run_example):
    figures = run_example("arm_held")
    assert figures.anew < figures.held_once < 5
    assert figures.anew < figures.held_often < 5
