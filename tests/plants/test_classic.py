"""Pole, pendulum and mass against Gymnasium and exact solutions; limits."""

from dataclasses import replace

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from scipy.integrate import solve_ivp

from nengo_jax import plants

STEPS = 60


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


def test_cart_pole_is_that_of_gymnasium():
    plant = plants.cart_pole()
    environment = gymnasium.make("CartPole-v1").unwrapped
    seen, _ = environment.reset(seed=1)
    state = jnp.asarray(environment.state)
    rng = np.random.RandomState(0)
    failed = False
    for _ in range(STEPS):
        choice = rng.randint(2)
        seen, _, ended, _, _ = environment.step(choice)
        state = plant.step(state, jnp.array([10.0 if choice else -10.0]))
        np.testing.assert_allclose(plant.observe(state), seen, rtol=1e-6, atol=1e-6)
        assert bool(plant.failed(state)) == ended
        failed |= ended
        if ended:
            break
    assert failed


def test_pendulum_is_that_of_gymnasium():
    plant = plants.pendulum()
    environment = gymnasium.make("Pendulum-v1").unwrapped
    seen, _ = environment.reset(seed=1)
    state = jnp.asarray(environment.state)
    rng = np.random.RandomState(0)
    for _ in range(STEPS):
        torque = rng.uniform(-3, 3, 1)
        seen, *_ = environment.step(torque)
        state = plant.step(state, jnp.asarray(torque))
        np.testing.assert_allclose(plant.observe(state), seen, rtol=1e-5, atol=1e-5)


def test_damped_mass_is_exact():
    plant = plants.damped_mass(mass=2.0, damping=0.7, stiffness=3.0, dt=0.1)
    forces = np.sin(np.arange(20))
    state, place = jnp.array([1.0, 0.0]), np.array([1.0, 0.0])
    for force in forces:
        state = plant.step(state, jnp.array([force]))

        def change(t, y, force=force):
            return [y[1], (force - 0.7 * y[1] - 3 * y[0]) / 2]

        place = solve_ivp(change, (0, 0.1), place, rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(state, place, rtol=1e-6)


@pytest.mark.parametrize(
    "plant",
    [
        plants.cart_pole(),
        plants.pendulum(),
        plants.damped_mass(),
        plants.two_link_arm(),
    ],
    ids=lambda plant: plant.name,
)
def test_batches_and_sizes(plant):
    keys = jax.random.split(jax.random.key(0), 5)
    states = jax.vmap(plant.reset)(keys)
    after = jax.vmap(plant.step)(states, jnp.ones((5, plant.action_size)))
    assert jax.vmap(plant.observe)(after).shape == (5, plant.observation_size)
    alone = plant.step(
        jax.tree.map(lambda s: s[2], states), jnp.ones(plant.action_size)
    )
    jax.tree.map(
        lambda many, one: np.testing.assert_allclose(many[2], one), after, alone
    )


def test_repeated_steps():
    plant = plants.pendulum(0.01)
    joined = plants.repeat(plant, 5)
    state, action = plant.reset(jax.random.key(1)), jnp.array([0.5])
    expected = state
    for _ in range(5):
        expected = plant.step(expected, action)
    np.testing.assert_allclose(joined.step(state, action), expected)
    assert joined.dt == pytest.approx(0.05)


def test_squash():
    plant = plants.damped_mass(damping=0.0, dt=1.0)
    tame = plants.squash(plant, 10.0)
    inside, action = jnp.array([1.0, 2.0]), jnp.array([0.5])
    np.testing.assert_array_equal(tame.step(inside, action), plant.step(inside, action))
    state = inside
    for _ in range(200):
        state = tame.step(state, jnp.array([1e3]))
    assert np.all(np.abs(state) <= 20)
    slope = jax.jacobian(lambda s: tame.step(s, action))(jnp.array([9.999, 0.001]))
    assert np.isfinite(slope).all()
    edge = [
        tame.step(jnp.array([x, 0.0]), jnp.zeros(1))[0] for x in (9.99999, 10.00001)
    ]
    assert abs(edge[0] - edge[1]) < 1e-4
    with pytest.raises(ValidationError, match="positive"):
        plants.squash(plant, 0.0)


def test_squash_with_a_limit_for_each_state():
    mass = plants.damped_mass(dt=1.0)
    plant = plants.squash(mass, np.array([0.5, 3.0]))
    after = plant.step(jnp.zeros(2), jnp.array([4.0]))
    free = mass.step(jnp.zeros(2), jnp.array([4.0]))
    assert abs(after[0]) < 1 < abs(free[0])
    np.testing.assert_allclose(after[1], 3 * (1 + np.tanh(free[1] / 3 - 1)), rtol=1e-6)


@pytest.mark.parametrize("limit", [0.0, np.array([1.0, -1.0])])
def test_limits_are_positive(limit):
    with pytest.raises(ValidationError, match="Must be positive"):
        plants.squash(plants.damped_mass(), limit)


@pytest.mark.parametrize("limit", [(1.0, 2.0), np.ones(3)])
def test_limits_have_the_form_of_the_state(limit):
    plant = plants.squash(plants.damped_mass(), limit)
    with pytest.raises(ValidationError, match=r"does not fit .* 'damped mass'"):
        plant.step(jnp.zeros(2), jnp.zeros(1))


def test_times_are_positive():
    with pytest.raises(ValidationError, match="positive time"):
        replace(plants.damped_mass(), dt=0.0)
    with pytest.raises(
        ValidationError, match="times: Must be a whole number, at least 1"
    ):
        plants.repeat(plants.damped_mass(), 0)
