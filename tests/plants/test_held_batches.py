"""Held observations in ``sim.fit``, against the same updates of a function."""

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax import plants
from nengo_jax.nodes import TensorNode
from nengo_jax.optimizers import HessianFree, HessianFreeSettings, hessian_free

STEPS, EXAMPLES, RATE = 25, 4, 2.0
PLANT = plants.damped_mass(damping=0.5, dt=0.1)
RNG = np.random.RandomState(0)
GOALS = np.repeat(RNG.uniform(-1, 1, (EXAMPLES, 1, 1)), STEPS, axis=1)
TARGETS = np.concatenate([GOALS, np.zeros_like(GOALS)], axis=-1)
START = {"gain": np.array([[-0.8, -0.6]]), "told": np.array([[0.9]])}
# Three parameters take three iterations; after them only rounding would choose.
SETTINGS = {"damping": 0.01, "iterations": 2}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def make_network():
    """A force of tanh(gain seen + told goal), which moves a mass."""
    with nengo.Network(seed=0) as network:
        network.goal = nengo.Node([0.0], label="goal")
        network.mass = plants.PlantNode(PLANT, start=jnp.zeros(2), dtype="float64")
        network.seen = plants.Observed(network.mass)
        force = TensorNode(jnp.tanh, shape_in=1, pass_time=False)
        network.weights = {
            "gain": nengo.Connection(
                network.seen, force, transform=START["gain"], synapse=0
            ),
            "told": nengo.Connection(
                network.goal, force, transform=START["told"], synapse=None
            ),
        }
        nengo.Connection(force, network.mass, synapse=None)
        network.place = nengo.Probe(network.mass, label="place")
    return network


def simulate(network, batch):
    return nengo_jax.Simulator(
        network, dt=0.1, dtype="float64", minibatch_size=batch, progress_bar=False
    )


def data_of(network):
    return {network.goal: GOALS}, {network.place: TARGETS}


# -- the same as functions


def loops(params, goals, held=None):
    """Closed loops, or with what is held, of some examples."""

    def control(memory, seen, goal):
        return memory, jnp.tanh(params["gain"] @ seen + params["told"] @ goal)

    def one(goals, held):
        return plants.roll_out(
            PLANT, control, None, jnp.zeros(2), STEPS, given=goals, held=held
        )

    return jax.vmap(one, in_axes=(0, None if held is None else 0))(goals, held)


def record(params, batch):
    return loops(params, batch[0]).seen


def predict(params, pair):
    (goals, _), held = pair
    return loops(params, goals, held).outcomes


def loss(outcomes, pair):
    return jnp.mean((outcomes - pair[0][1]) ** 2)


def descend(params, pair):
    value, slope = jax.value_and_grad(lambda p: loss(predict(p, pair), pair))(params)
    return jax.tree.map(lambda w, s: w - RATE * s, params, slope), value


def fit(optimizer, batch, updates, epochs):
    """Losses and weights of ``sim.fit`` with held observations."""
    network = make_network()
    with simulate(network, batch) as sim:
        sim.compile(optimizer, loss={network.place: "mse"})
        held = plants.HeldBatches(
            sim, *data_of(network), updates=updates, shuffle=False
        )
        losses = sim.fit(held, epochs=epochs, shuffle=False, verbose=0).history["loss"]
        weights = {n: sim.data[c].weights for n, c in network.weights.items()}
    return losses, weights


def assert_as_expected(found, expected):
    for name in START:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8)
        assert np.abs(found[name] - START[name]).max() > 1e-3


@pytest.mark.parametrize(("batch", "updates"), [(4, 1), (4, 3), (2, 2), (2, 4)])
def test_gradient_descent_against_updates_of_a_function(batch, updates):
    """SGD in float64, with one batch in an epoch and with two."""
    epochs = 5
    losses, found = fit(keras.optimizers.SGD(RATE), batch, updates, epochs)
    params = jax.tree.map(jnp.asarray, START)
    goals, targets = jnp.asarray(GOALS), jnp.asarray(TARGETS)
    expected, number = [], 0
    for _ in range(epochs):
        values = []
        for first in range(0, EXAMPLES, batch):
            if number % updates == 0:
                seen = record(params, (goals, targets))
            here = slice(first, first + batch)
            pair = (goals[here], targets[here]), seen[here]
            params, value = descend(params, pair)
            values.append(value)
            number += 1
        expected.append(np.mean(values))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert_as_expected(found, params)


def test_hessian_free_against_plants_hold():
    updates, epochs = 2, 5
    losses, found = fit(HessianFree(**SETTINGS), EXAMPLES, updates, epochs)
    inner = hessian_free(predict, loss, HessianFreeSettings(**SETTINGS))
    method = plants.hold(inner, record, updates)
    params = jax.tree.map(jnp.asarray, START)
    batch = jnp.asarray(GOALS), jnp.asarray(TARGETS)
    state = method.init(params, batch)
    for value in losses:
        params, state, report = method.update(state, params, batch)
        np.testing.assert_allclose(value, report.loss, rtol=1e-6)
    assert_as_expected(found, params)


def test_without_a_recording_the_loop_is_closed():
    """In a run, and in training: the node changes nothing."""
    network = make_network()
    params, goals = jax.tree.map(jnp.asarray, START), jnp.asarray(GOALS)
    pair = (goals, jnp.asarray(TARGETS)), None
    x, y = data_of(network)
    with simulate(network, EXAMPLES) as sim:
        sim.run_steps(STEPS, data=x)
        closed = loops(params, goals).outcomes
        np.testing.assert_allclose(sim.data[network.place], closed, atol=1e-12)
        sim.reset()
        sim.compile(keras.optimizers.SGD(RATE), loss={network.place: "mse"})
        sim.fit(x, y, verbose=0)
        found = {n: sim.data[c].weights for n, c in network.weights.items()}
    assert_as_expected(found, descend(params, pair)[0])


def test_examples_keep_their_recording_when_they_are_shuffled():
    network = make_network()
    with simulate(network, 1) as sim:
        x, y = data_of(network)
        held = plants.HeldBatches(sim, x, y, updates=EXAMPLES)
        seen = sim.predict(x, verbose=0)[network.place]
        name = sim.get_name(network.seen.recorded)
        orders = []
        for _ in range(6):
            batches = [held[number] for number in range(len(held))]
            held.on_epoch_end()
            order = [
                int(np.argmin(abs(GOALS[:, 0] - b[0]["goal"][0, 0]))) for b in batches
            ]
            for row, (inputs, targets) in zip(order, batches, strict=True):
                np.testing.assert_array_equal(inputs[name][0, :, :-1], seen[row])
                assert (inputs[name][0, :, -1] == 1).all()
                np.testing.assert_array_equal(targets["place"][0], TARGETS[row])
            orders.append(order)
    assert all(sorted(order) == list(range(EXAMPLES)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_validation_is_of_the_closed_loop():
    network = make_network()
    x, y = data_of(network)
    with simulate(network, EXAMPLES) as sim:
        sim.compile(keras.optimizers.SGD(RATE), loss={network.place: "mse"})
        held = plants.HeldBatches(sim, x, y, updates=4)
        history = sim.fit(held, epochs=3, validation_data=(x, y), verbose=0).history
        after = sim.evaluate(x, y, verbose=0)["loss"]
    np.testing.assert_allclose(history["val_loss"][-1], after, rtol=1e-6)
    assert abs(history["loss"][-1] - after) > 1e-3 * after


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"updates": 3}, r"An epoch has 2 batches, .* multiple of 2 \(got 3\)"),
        ({"updates": 0}, "updates: Must be a whole number, at least 1"),
        ({"x": GOALS}, "x: Must be a dictionary"),
        ({"x": {}}, "x: Must be a dictionary"),
        ({"y": {"place": TARGETS[1:]}}, r"goal: 4, place: 3"),
    ],
)
def test_arguments_that_do_not_fit(options, match):
    network = make_network()
    x, y = data_of(network)
    with (
        simulate(network, 2) as sim,
        pytest.raises(ValidationError, match=match),
    ):
        plants.HeldBatches(sim, **{"x": x, "y": y, "updates": 2, **options})


def test_networks_that_cannot_be_held():
    def fails(network, match):
        x, y = {"goal": GOALS}, {"place": TARGETS}
        with (
            simulate(network, 4) as sim,
            pytest.raises(ValidationError, match=match),
        ):
            plants.HeldBatches(sim, x, y, updates=1)

    network = make_network()
    with network:
        plants.Observed(network.mass, label="idle")
    fails(network, "idle.*is connected to nothing")
    network = make_network()
    network.place.synapse = nengo.Lowpass(0.1)
    fails(network, "no probe to record .*damped mass.*nengo.Probe")
    with nengo.Network() as network:
        goal = nengo.Node([0.0], label="goal")
        nengo.Probe(goal, label="place")
    fails(network, "no plants.Observed node")
    with network, pytest.raises(ValidationError, match="Must be a PlantNode"):
        plants.Observed(goal)


def test_stateful_training_is_refused():
    network = make_network()
    with simulate(network, EXAMPLES) as sim:
        sim.compile(keras.optimizers.SGD(RATE), loss={network.place: "mse"})
        held = plants.HeldBatches(sim, *data_of(network), updates=1)
        with pytest.raises(ValidationError, match="cannot be stateful"):
            sim.fit(held, stateful=True, verbose=0)


def test_stateful_training_is_refused_while_a_recording_is_held():
    network = make_network()
    with simulate(network, EXAMPLES) as sim:
        sim.compile(keras.optimizers.SGD(RATE), loss={network.place: "mse"})
        held = plants.HeldBatches(sim, *data_of(network), updates=8)
        sim.fit(held, verbose=0)
        with pytest.raises(ValidationError, match="cannot be stateful"):
            sim.fit(held, stateful=True, verbose=0)


def test_another_optimizer_begins_with_another_recording():
    network = make_network()
    x, y = data_of(network)
    with simulate(network, EXAMPLES) as sim:
        held = plants.HeldBatches(sim, x, y, updates=8, shuffle=False)
        name = sim.get_name(network.seen.recorded)
        for _ in range(2):
            before = sim.predict(x, verbose=0)[network.place]
            sim.compile(keras.optimizers.SGD(RATE), loss={network.place: "mse"})
            sim.fit(held, epochs=2, shuffle=False, verbose=0)
            np.testing.assert_array_equal(held[0][0][name][:, :, :-1], before)
