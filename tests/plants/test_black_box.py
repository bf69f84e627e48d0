"""Python functions and MuJoCo models as plants; derivatives by differences."""

import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nengo.exceptions import SimulationError, ValidationError

from nengo_jax import plants

XML = """
<mujoco>
  <option timestep="0.01" gravity="0 0 -9.81" integrator="Euler"/>
  <worldbody>
    <body><joint name="hinge" type="hinge" axis="0 1 0" damping="0.1"/>
      <geom type="capsule" fromto="0 0 0 0 0 -1" size="0.02" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor name="motor" joint="hinge" gear="1"/></actuator>
</mujoco>
"""


def swing(states, actions):
    angle, spin = states.T
    spin = spin + 0.05 * (np.sin(angle) + actions[:, 0] ** 3)
    return np.stack([angle + 0.05 * spin, spin], axis=1)


def swing_jax(state, action):
    spin = state[1] + 0.05 * (jnp.sin(state[0]) + action[0] ** 3)
    return jnp.stack([state[0] + 0.05 * spin, spin])


@pytest.fixture
def plant():
    return plants.black_box(
        swing, actions=["torque (N m)"], observations=2, start=[0.5, -1.0], dt=0.05
    )


def test_values_and_derivatives(plant):
    """In single precision too, differences are not lost in rounding."""
    state, action = jnp.array([0.3, 1.0]), jnp.array([0.7])
    np.testing.assert_allclose(
        plant.step(state, action), swing_jax(state, action), rtol=1e-6
    )
    for argument in (0, 1):
        found = jax.jacobian(plant.step, argument)(state, action)
        expected = jax.jacobian(swing_jax, argument)(state, action)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_double_precision_where_it_is_off(plant):
    """As in the threads in which JAX calls Python."""
    with jax.enable_x64(True):
        states, actions = jnp.array([[0.3, 1.0], [1 / 3, 0]]), jnp.array([[0.7], [0.1]])
        values = jax.jit(jax.vmap(plant.step)).lower(states, actions).compile()
        slopes = jax.jit(jax.vmap(jax.jacobian(plant.step))).lower(states, actions)
        slopes = slopes.compile()
        exact = jax.vmap(jax.jacobian(swing_jax))(states, actions)
    found = np.asarray(values(states, actions))
    np.testing.assert_array_equal(found, swing(np.asarray(states), np.asarray(actions)))
    np.testing.assert_allclose(np.asarray(slopes(states, actions)), exact, rtol=1e-8)


@pytest.mark.parametrize("double", [False, True])
def test_no_second_derivatives(plant, double):
    with jax.enable_x64(double):
        state = plant.reset(None)
        with pytest.raises(SimulationError, match=r"'swing' .* first derivatives only"):
            jax.hessian(lambda state: plant.step(state, state[:1])[0])(state)


def test_one_call_for_a_batch():
    sizes = []

    def counted(states, actions):
        sizes.append(len(states))
        return swing(states, actions)

    plant = plants.black_box(
        counted, actions=1, observations=2, start=[0.5, -1.0], dt=0.05
    )
    sizes.clear()
    states, actions = jnp.ones((7, 2)), jnp.ones((7, 1))

    def loss(actions):
        return jnp.sum(jax.vmap(plant.step)(states, actions))

    jax.jit(jax.grad(loss))(actions).block_until_ready()
    assert sorted(sizes) in ([7, 7 * 6], [7 * 6])


def test_through_time(plant):
    """A whole roll-out, differentiated backward, is that of the same plant in JAX."""

    def end(step, gain):
        def one(state, _):
            return step(state, -gain * state[1:]), None

        last, _ = jax.lax.scan(one, jnp.array([0.5, -1.0]), length=25)
        return jnp.sum(last**2)

    found = jax.grad(lambda gain: end(plant.step, gain))(0.8)
    expected = jax.grad(lambda gain: end(swing_jax, gain))(0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_error_of_the_derivative():
    states, actions = np.array([[0.3, 1.0]]), np.array([[0.7]])
    rough = plants.derivative_error(swing, states, actions, epsilon=0.1)
    fine = plants.derivative_error(swing, states, actions, epsilon=1e-4)
    assert fine < 1e-6 < rough
    slope = (0.05 * 0.05) * ((0.7 + 0.1) ** 3 - (0.7 - 0.1) ** 3) / 0.2
    exact = 0.05 * 0.05 * 3 * 0.7**2
    assert rough > abs(slope - exact)

    def rocket(states, actions):
        return states * np.nan

    with pytest.raises(SimulationError, match=r"'rocket' returned .*nan"):
        plants.derivative_error(rocket, states, actions)


@pytest.mark.parametrize(
    ("step", "start", "match"),
    [
        (lambda s, a: s[:, :1], [0, 0], r"shape \(2, 1\) for states of shape \(2, 2\)"),
        (lambda s, a: s * np.nan, [0, 0], "returned .*nan.* for the state"),
        (lambda s, a: 1 / 0, [0, 0], "ZeroDivisionError"),
        (lambda s, a: s + 1j, [0, 0], "no real numbers, but complex128"),
        (lambda s, a: s.astype(str), [0, 0], "no real numbers, but <U32"),
        (3, [0, 0], "'int' object is not callable"),
        (swing, [0, 0, 0], "2 observations, but starts with shape"),
        (swing, [0, np.nan], "which is not finite"),
        (swing, ["0", "0"], r"must start with real numbers \(got \['0', '0'\]\)"),
        (swing, [0, 1j], "must start with real numbers"),
    ],
)
def test_functions_that_are_no_plants(step, start, match):
    with pytest.raises(ValidationError, match=match):
        plants.black_box(step, actions=1, observations=2, start=start, dt=0.1)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"actions": "force"}, r"actions: Must be a tuple of names, .*'force'\)"),
        ({"actions": 1.5}, "actions: Must be a tuple of names"),
        ({"actions": -1}, "actions: Must be a whole number, at least 0"),
        ({"observations": (1, 2)}, "observations: Must be a tuple of names"),
        ({"observations": 0, "start": []}, "observations: .* at least 1"),
        ({"observations": (), "start": []}, "number of observations: .* at least 1"),
        ({"epsilon": "a"}, "epsilon: Must be a number, larger than 0"),
        ({"epsilon": np.nan}, "epsilon"),
        ({"dt": "x"}, r"must take a positive time \(got 'x' s\)"),
    ],
)
def test_arguments_that_do_not_fit(changes, match):
    given = {"actions": 1, "observations": 2, "start": [0, 0], "dt": 0.1} | changes
    with pytest.raises(ValidationError, match=match):
        plants.black_box(swing, **given)


def test_numbers_of_numpy_say_how_many():
    one, two = np.array([1, 2])
    plant = plants.black_box(
        swing, actions=one, observations=two, start=[0, 0], dt=np.float32(0.1)
    )
    assert (plant.actions, plant.observations) == (("u0",), ("x0", "x1"))


def test_nan_on_the_way_names_the_plant():
    def step(states, actions):
        return np.where(states > 2, np.nan, states + 1)

    plant = plants.black_box(
        step, actions=1, observations=1, start=[0.0], dt=0.1, name="rocket"
    )

    def go():
        states, _, _ = plants.run(plant, lambda x: x, plant.reset(None), 5)
        jax.block_until_ready(states)

    with pytest.raises(jax.errors.JaxRuntimeError, match=r"'rocket' returned .*nan"):
        go()


def test_mujoco():
    import mujoco

    plant = plants.mujoco_plant(XML)
    assert plant.actions == ("motor",)
    assert plant.dt == 0.01
    model = mujoco.MjModel.from_xml_string(XML)
    data = mujoco.MjData(model)
    state = plant.reset(None)
    for k in range(20):
        action = np.array([np.sin(k)])
        data.ctrl[:] = action
        mujoco.mj_step(model, data)
        state = plant.step(state, jnp.asarray(action, jnp.float32))
    np.testing.assert_allclose(
        state, np.concatenate([data.qpos, data.qvel]), rtol=1e-4, atol=1e-6
    )
    slope = jax.jacobian(plant.step, 1)(state, jnp.zeros(1))
    # a rod of 1 kg and 1 m about its end: 1/3 kg m^2 and a little more
    assert slope[1, 0] == pytest.approx(0.01 * 3, rel=0.05)


def test_python_is_called_by_one_thread_at_a_time():
    inside, together = [], []

    def step(states, actions):
        inside.append(None)
        together.append(len(inside))
        time.sleep(1e-3)
        inside.pop()
        return states + actions

    plant = plants.black_box(step, actions=1, observations=1, start=[0.0], dt=0.001)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(plant.step, np.zeros((40, 1)), np.ones((40, 1))))
    np.testing.assert_array_equal(found, np.ones((40, 1)))
    assert set(together) == {1}


def test_mujoco_in_several_threads():
    """They take turns with what MuJoCo computes in."""
    plant = plants.mujoco_plant(XML)
    rng = np.random.RandomState(0)
    states = rng.uniform(-1, 1, (4, 2000, 2)).astype("float32")
    actions = rng.uniform(-1, 1, (4, 2000, 1)).astype("float32")
    step = jax.vmap(plant.step)
    expected = [np.asarray(step(*given)) for given in zip(states, actions, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(step, states, actions))
    np.testing.assert_array_equal(found, expected)


def test_mujoco_models_that_cannot_be_read(tmp_path):
    with pytest.raises(ValidationError, match="cannot read"):
        plants.mujoco_plant("<mujoco><nonsense/></mujoco>")
    with pytest.raises(ValidationError, match="cannot read"):
        plants.mujoco_plant(tmp_path / "missing.xml")
    with pytest.raises(ValidationError, match="no actuators"):
        plants.mujoco_plant("<mujoco><worldbody/></mujoco>")
    fixed = "<worldbody><body><geom size='.1'/><site name='s'/></body></worldbody>"
    motor = "<actuator><motor site='s'/></actuator>"
    with pytest.raises(ValidationError, match="no joints"):
        plants.mujoco_plant(f"<mujoco>{fixed}{motor}</mujoco>")
