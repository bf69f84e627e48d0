"""Closed loops: trajectories, gradients of both regimes, and costs."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax import plants
from nengo_jax.losses import nan_mse
from nengo_jax.optimizers import HessianFreeSettings, hessian_free

STEPS = 12
ARM = plants.two_link_arm()
GOALS = np.linspace(-0.5, 0.5, STEPS)[:, None] * [[1.0, -0.5]]
WEIGHTS = {
    "seen": np.random.RandomState(0).uniform(-1, 1, (4, 3)),
    "memory": np.random.RandomState(1).uniform(-1, 1, (3, 3)),
    "goal": np.random.RandomState(2).uniform(-1, 1, (2, 3)),
    "action": np.random.RandomState(3).uniform(-1, 1, (3, 2)),
}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def start():
    return ARM.reset(jax.random.key(0))


def control_with(weights):
    def control(memory, seen, goal):
        memory = jnp.tanh(
            seen @ weights["seen"] + memory @ weights["memory"] + goal @ weights["goal"]
        )
        return memory, memory @ weights["action"]

    return control


def loop(weights, held=None, plant=ARM):
    return plants.roll_out(
        plant,
        control_with(weights),
        jnp.zeros(3),
        start(),
        STEPS,
        given=jnp.asarray(GOALS),
        held=held,
    )


def cost(weights, held=None, plant=ARM):
    trajectory = loop(weights, held, plant)
    target = jnp.array([0.9, 1.5, 0.0, 0.0])
    return plants.quadratic_cost(
        trajectory, target, final=[10, 10, 1, 1], along=0.5, control=[0.1, 0.2]
    )


def by_differences(function, weights, epsilon=1e-6):
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, weights))
    flat = np.asarray(flat)
    shifts = epsilon * np.eye(flat.size)
    values = jax.jit(jax.vmap(lambda w: function(unravel(w))))
    return (values(flat + shifts) - values(flat - shifts)) / (2 * epsilon)


def test_as_written_out_step_by_step():
    found = loop(WEIGHTS)
    state, memory = start(), jnp.zeros(3)
    control = control_with(WEIGHTS)
    for k, goal in enumerate(GOALS):
        seen = ARM.observe(state)
        np.testing.assert_allclose(found.seen[k], seen, atol=1e-12)
        memory, action = control(memory, seen, goal)
        np.testing.assert_allclose(found.actions[k], action, atol=1e-12)
        state = ARM.step(state, action)
        np.testing.assert_allclose(found.states[0][k + 1], state[0], atol=1e-12)
        np.testing.assert_allclose(found.outcomes[k], ARM.observe(state), atol=1e-12)


@pytest.mark.parametrize("held", [False, True], ids=["anew", "held"])
def test_gradient_against_differences(held):
    seen = loop(WEIGHTS).seen if held else None
    gradient, _ = ravel_pytree(jax.grad(cost)(WEIGHTS, seen))
    differences = by_differences(lambda w: cost(w, seen), WEIGHTS)
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-6)


def test_held_observations_cut_the_way_back_and_nothing_else():
    """The gradient is that of a loop whose observations let no derivative through."""
    cut = replace(ARM, observe=lambda s: jax.lax.stop_gradient(ARM.observe(s)))

    def cut_cost(weights):  # what counts is observed with its derivative
        trajectory = loop(weights, plant=cut)
        after = jax.tree.map(lambda leaf: leaf[1:], trajectory.states)
        trajectory = trajectory._replace(outcomes=jax.vmap(ARM.observe)(after))
        target = jnp.array([0.9, 1.5, 0.0, 0.0])
        return plants.quadratic_cost(trajectory, target, final=[10, 10, 1, 1])

    def held_cost(weights, seen):
        target = jnp.array([0.9, 1.5, 0.0, 0.0])
        trajectory = loop(weights, seen)
        return plants.quadratic_cost(trajectory, target, final=[10, 10, 1, 1])

    seen = loop(WEIGHTS).seen
    value, gradient = jax.value_and_grad(held_cost)(WEIGHTS, seen)
    expected_value, expected = jax.value_and_grad(cut_cost)(WEIGHTS)
    closed = jax.grad(held_cost)(WEIGHTS, None)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    for name in WEIGHTS:
        np.testing.assert_allclose(gradient[name], expected[name], rtol=1e-9)
        assert np.abs(gradient[name] - closed[name]).max() > 1e-3
    by_seen = jax.grad(held_cost, 1)(WEIGHTS, seen)
    assert not by_seen.any()


@pytest.mark.parametrize("updates", [1, 3])
def test_hold_records_when_it_is_time(updates):
    """Against the same updates, written out; the plant is one that compiles fast.

    With more iterations, rounding would choose between those that are as good.
    """
    mass = plants.damped_mass(dt=0.1)
    narrow = {"seen": WEIGHTS["seen"][:2], "action": WEIGHTS["action"][:, :1]}
    settings = HessianFreeSettings(damping=1.0, iterations=3)
    starts = jnp.array([[0.6, 0.0], [0.2, 0.5]])
    target = jnp.array([0.4, 0.0])

    def trajectories(weights, starts, held=None):
        def one(state, held):
            control = control_with(weights)
            given = jnp.asarray(GOALS)
            return plants.roll_out(
                mass, control, jnp.zeros(3), state, STEPS, given=given, held=held
            )

        return jax.vmap(one, in_axes=(0, None if held is None else 0))(starts, held)

    def predict(weights, batch):
        starts, held = batch
        return trajectories(weights, starts, held)

    def loss(outputs, batch):
        costs = jax.vmap(lambda t: plants.quadratic_cost(t, target))(outputs)
        return jnp.mean(costs)

    def record(weights, starts):
        return trajectories(weights, starts).seen

    method = hessian_free(predict, loss, settings)
    held_method = plants.hold(method, record, updates)
    weights = expected = jax.tree.map(jnp.asarray, WEIGHTS | narrow)
    state, inner, seen = held_method.init(weights, starts), method.init(weights), None
    losses = []
    for k in range(5):
        if k % updates == 0:
            seen = record(expected, starts)
        expected, inner, _ = method.update(inner, expected, (starts, seen))
        weights, state, report = held_method.update(state, weights, starts)
        losses.append(float(report.loss))
        for name in WEIGHTS:
            np.testing.assert_allclose(weights[name], expected[name], rtol=1e-6)
    assert losses[-1] < 0.2 * losses[0]
    assert int(state.updates) == 5


def test_cost_is_the_equation():
    trajectory = loop(WEIGHTS)
    outcomes, actions = np.asarray(trajectory.outcomes), np.asarray(trajectory.actions)
    target = np.random.RandomState(0).normal(size=outcomes.shape)
    final, along, control = np.array([1, 2, 3, 4]), np.array([5, 6, 7, 8]), 0.3
    found = plants.quadratic_cost(
        trajectory, target.tolist(), final=final, along=along, control=control
    )
    squares = (outcomes - target) ** 2
    expected = np.sum(final * squares[-1]) + np.sum(along * squares) / STEPS
    expected += control * np.sum(actions**2) / STEPS
    np.testing.assert_allclose(found, expected / 2, rtol=1e-12)


def test_missing_targets_do_not_count():
    """Only the third step, as if it were the last; gradients stay finite."""
    target = np.full((STEPS, 4), np.nan)
    target[2] = [0.9, 1.5, 0.0, 0.0]

    def missing(weights):
        return plants.quadratic_cost(loop(weights), jnp.asarray(target), along=STEPS)

    def third(weights):
        error = loop(weights).outcomes[2] - target[2]
        return jnp.sum(error**2) / 2

    value, gradient = jax.value_and_grad(missing)(WEIGHTS)
    expected_value, expected = jax.value_and_grad(third)(WEIGHTS)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    for name in WEIGHTS:
        np.testing.assert_allclose(gradient[name], expected[name], rtol=1e-9)
        assert expected[name].any()


def test_wrong_shapes_are_named():
    control = control_with(WEIGHTS)
    options = {"given": jnp.zeros((STEPS, 2)), "held": jnp.zeros((STEPS, 4))}
    for name in options:
        wrong = {**options, name: jnp.zeros((STEPS + 1, 4))}
        with pytest.raises(ValidationError, match=rf"{name}: Must have shape \(12, "):
            plants.roll_out(ARM, control, jnp.zeros(3), start(), STEPS, **wrong)
    wide = jnp.zeros((STEPS, 5))
    with pytest.raises(ValidationError, match=r"held: .* \(12, 4\) \(got \(12, 5\)\)"):
        plants.roll_out(ARM, control, jnp.zeros(3), start(), STEPS, held=wide)
    for steps in (2.5, 0):
        with pytest.raises(ValidationError, match="steps: Must be a whole number"):
            plants.run(ARM, lambda seen: seen[:2], start(), steps)
    match = r"action of `control`: Must have shape \(2,\) \(got \(3,\)\)"
    with pytest.raises(ValidationError, match=match):
        plants.run(ARM, lambda seen: seen[:3], start(), STEPS)
    with pytest.raises(ValidationError, match=r"shape \(4,\) of an observation"):
        plants.quadratic_cost(loop(WEIGHTS), jnp.zeros((STEPS, 2)))
    with pytest.raises(ValidationError, match="updates"):
        plants.hold(hessian_free(lambda p, b: p, lambda z, b: z), lambda p, b: b, 0)


def test_losses_of_a_simulator_are_the_same_cost():
    """A step of Keras with losses at the end and on the action, and one written out."""
    mass, rate, effort = plants.damped_mass(damping=0.5, dt=0.01), 0.5, 0.3
    gain, forces = np.array([[-1.0, -0.5]]), np.linspace(1, -1, 40)[None, :, None]
    wanted = np.full((1, 40, 2), np.nan)
    wanted[:, -1] = [0.1, 0.0]

    def total(gain):
        def control(memory, seen, force):
            return memory, gain @ seen + force

        trajectory = plants.roll_out(
            mass, control, None, jnp.zeros(2), 40, given=jnp.asarray(forces[0])
        )
        return plants.quadratic_cost(
            trajectory, jnp.asarray(wanted[0]), final=2 / 80, control=2 * effort
        )

    with nengo.Network() as network:
        source = nengo.Node([0.0])
        node = plants.PlantNode(mass, start=jnp.zeros(2), dtype="float64")
        action = nengo.Node(size_in=1)
        nengo.Connection(source, action, synapse=None)
        feedback = nengo.Connection(node, action, transform=gain, synapse=0)
        nengo.Connection(action, node, synapse=None)
        probes = nengo.Probe(node), nengo.Probe(action)
        nengo_jax.configure_settings(trainable=None)
        for connection in network.all_connections:
            network.config[connection].trainable = connection is feedback
    with nengo_jax.Simulator(
        network, dt=0.01, dtype="float64", minibatch_size=1, progress_bar=False
    ) as sim:
        losses = dict(zip(probes, (nan_mse, "mse"), strict=True))
        weights = dict(zip(probes, (1.0, effort), strict=True))
        sim.compile(keras.optimizers.SGD(rate), loss=losses, loss_weights=weights)
        targets = dict(zip(probes, (wanted, np.zeros((1, 40, 1))), strict=True))
        history = sim.fit({source: forces}, targets, epochs=1, verbose=0)
        found = sim.data[feedback].weights
    value, gradient = jax.value_and_grad(total)(jnp.asarray(gain))
    np.testing.assert_allclose(history.history["loss"][0], value, rtol=1e-5)
    np.testing.assert_allclose((gain - found) / rate, gradient, rtol=1e-4)
