"""Arms: known equations, energy, and kinematics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from scipy.integrate import solve_ivp

from nengo_jax import plants

ANGLES = np.array([[0.3, 1.2], [-0.5, 2.0], [1.5, 0.4]])
VELOCITIES = np.array([[0.0, 0.0], [1.0, -2.0], [3.0, 0.5]])
TORQUES = np.array([[1.0, 0.5], [0.0, 0.0], [-2.0, 1.0]])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        yield


def two_link_acceleration(k1, k2, k3, q, dq, u):
    """Closed form of a two-link arm (Li and Todorov, 2004)."""
    sine, cosine = np.sin(q[1]), np.cos(q[1])
    matrix = [[k1 + k2 * cosine, k3 + k2 / 2 * cosine], [k3 + k2 / 2 * cosine, k3]]
    first = -k2 * sine * dq[0] * dq[1] - k2 / 2 * sine * dq[1] ** 2
    second = k2 / 2 * sine * dq[0] ** 2
    return np.linalg.solve(matrix, u - np.array([first, second]))


@pytest.mark.parametrize(
    ("arm", "constants"),
    [
        (plants.RODS, (0.222354, 0.110484, 0.032076)),
        # d1 = I1 + I2 + m2 l1^2, 2 d2 = 2 m2 l1 s2, d3 = I2
        (
            plants.HUMAN,
            (0.025 + 0.045 + 1.1 * 0.31**2, 2 * 1.1 * 0.31 * 0.16, 0.045),
        ),
    ],
)
def test_two_links_equal_the_closed_form(arm, constants):
    for q, dq, u in zip(ANGLES, VELOCITIES, TORQUES, strict=True):
        found = plants.acceleration(arm, jnp.array(q), jnp.array(dq), jnp.array(u))
        expected = two_link_acceleration(*constants, q, dq, u)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arm", "make"),
    [
        (plants.RODS, plants.two_link_arm),
        (plants.HUMAN, plants.two_link_arm),
        (plants.THREE_LINKS, plants.three_link_arm),
    ],
)
def test_energy_is_kept_without_torques(arm, make):
    plant = make(arm, 1e-4)
    links = plant.action_size
    start = (jnp.linspace(0.3, 1.0, links), jnp.linspace(1.0, -1.5, links))
    states, _, _ = plants.run(plant, lambda seen: jnp.zeros(links), start, 2000)
    matrices = jax.vmap(lambda q: plants.inertia(arm, q))(states[0])
    energies = np.einsum("ti,tij,tj->t", states[1], matrices, states[1]) / 2
    np.testing.assert_allclose(energies, energies[0], rtol=2e-3)
    assert np.abs(states[0][-1] - start[0]).max() > 0.1


@pytest.mark.slow
def test_small_steps_follow_the_differential_equation():
    arm = plants.THREE_LINKS
    torque = jnp.array([200.0, -100.0, 50.0])

    def change(t, y):
        moved = plants.acceleration(arm, jnp.array(y[:3]), jnp.array(y[3:]), torque)
        return np.concatenate([y[3:], moved])

    plant = plants.three_link_arm(dt=1e-4)
    start = plant.reset(None)
    states, _, _ = plants.run(plant, lambda seen: torque, start, 3000)
    exact = solve_ivp(change, (0, 0.3), np.concatenate(start), rtol=1e-9, atol=1e-9)
    last = np.concatenate([states[0][-1], states[1][-1]])
    np.testing.assert_allclose(last, exact.y[:, -1], rtol=1e-3, atol=1e-3)


def test_friction_slows_down():
    friction = ((0.05, 0.025), (0.025, 0.05))
    rough = plants.Arm(**{**vars(plants.HUMAN), "friction": friction})
    velocities = jnp.array([2.0, -1.0])
    for arm, slows in ((plants.HUMAN, False), (rough, True)):
        plant = plants.two_link_arm(arm, 1e-4)
        start = (jnp.array([0.5, 1.0]), velocities)
        states, _, _ = plants.run(plant, lambda seen: jnp.zeros(2), start, 4000)
        matrix = [plants.inertia(arm, states[0][k]) for k in (0, -1)]
        energy = [states[1][k] @ matrix[k] @ states[1][k] / 2 for k in (0, -1)]
        assert (energy[1] < 0.9 * energy[0]) == slows


def test_hand_and_its_inverse():
    for q in ANGLES:
        place = plants.hand(plants.RODS, jnp.array(q))
        expected = 0.31 * np.array([np.cos(q[0]), np.sin(q[0])])
        expected += 0.27 * np.array([np.cos(q.sum()), np.sin(q.sum())])
        np.testing.assert_allclose(place, expected)
        np.testing.assert_allclose(
            plants.inverse_kinematics(plants.RODS, place), q, atol=1e-6
        )
    start = plants.hand(plants.RODS, jnp.array(plants.RODS.start))
    np.testing.assert_allclose(start, [-0.0074, 0.3492], atol=2e-4)
    far = plants.inverse_kinematics(plants.RODS, jnp.array([0.0, 9.0]))
    np.testing.assert_allclose(plants.hand(plants.RODS, far), [0, 0.58], atol=1e-6)


def test_gradients_through_a_reach():
    """Torques that carry the hand somewhere, differentiated, against differences."""
    plant = plants.two_link_arm()
    start = plant.reset(None)

    def end(torque):
        states, _, _ = plants.run(
            plant, lambda seen: torque - 0.1 * seen[2:], start, 40
        )
        return plants.hand(plants.RODS, states[0][-1])

    torque = jnp.array([0.3, -0.2])
    exact = jax.jacobian(end)(torque)
    shift = 1e-6
    for k in range(2):
        step = shift * jnp.eye(2)[k]
        slope = (end(torque + step) - end(torque - step)) / (2 * shift)
        np.testing.assert_allclose(exact[:, k], slope, rtol=1e-6)


def test_wrong_parameters():
    with pytest.raises(ValidationError, match="one of each for every link"):
        plants.Arm((1.0, 1.0), (1.0,), (0.5, 0.5), (0.1, 0.1), (0.0, 0.0))
    with pytest.raises(ValidationError, match="two-link arm has 2 links"):
        plants.two_link_arm(plants.THREE_LINKS)
