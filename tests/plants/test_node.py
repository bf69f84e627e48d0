"""Plants inside networks: as on their own, in batches, trained through."""

import gc
import weakref
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError, SimulationError, ValidationError

import nengo_jax
from nengo_jax import plants
from nengo_jax.optimizers import HessianFree

STEPS = 30


def make_network(plant, gain=None, **options):
    with nengo.Network(seed=1) as network:
        network.source = nengo.Node(np.zeros(plant.action_size))
        network.plant = plants.PlantNode(plant, **options)
        nengo.Connection(network.source, network.plant, synapse=None)
        if gain is not None:
            network.feedback = nengo.Connection(
                network.plant, network.plant, transform=gain, synapse=0
            )
        network.p = nengo.Probe(network.plant)
    return network


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(plants.two_link_arm(), marks=pytest.mark.slow),
        plants.cart_pole(0.01),
        plants.pendulum(0.01),
    ],
    ids=lambda plant: plant.name,
)
@pytest.mark.parametrize("batch", [None, 3])
def test_as_the_plant_alone(plant, batch):
    rng = np.random.RandomState(0)
    actions = rng.uniform(-1, 1, (batch or 1, STEPS, plant.action_size))
    network = make_network(plant)
    with nengo_jax.Simulator(
        network, dt=plant.dt, minibatch_size=batch, progress_bar=False
    ) as sim:
        for _ in range(2):  # a reset starts the plant anew
            sim.run_steps(STEPS, data={network.source: actions})
            result = np.asarray(sim.data[network.p]).reshape(*actions.shape[:2], -1)
            sim.reset()
    for seen, own in zip(result, actions, strict=True):
        state = plant.reset(jax.random.key(0))
        for k, action in enumerate(own):
            state = plant.step(state, jnp.asarray(action, jnp.float32))
            np.testing.assert_allclose(
                seen[k], plant.observe(state), rtol=2e-4, atol=2e-4
            )


def test_learning_through_a_closed_loop():
    """A feedback that brings a mass to rest, found through plant and loop."""
    plant = plants.damped_mass(damping=0.0, dt=0.01)
    network = make_network(plant, gain=[[0.0, 0.0]], start=jnp.array([1.0, 0.0]))
    with nengo_jax.Simulator(
        network, dt=0.01, minibatch_size=1, progress_bar=False
    ) as sim:
        sim.compile(keras.optimizers.Adam(0.3), loss={network.p: "mse"})
        target = np.zeros((1, 300, 2))
        x = np.zeros((1, 300, 1))
        before = sim.evaluate(x, target, verbose=0)["loss"]
        sim.fit(x, target, epochs=60, verbose=0)
        after = sim.evaluate(x, target, verbose=0)["loss"]
        gain = sim.data[network.feedback].weights
    assert before == pytest.approx(0.5, rel=1e-3)
    assert after < 0.5 * before
    assert np.all(gain < 0)


def test_gradients_through_a_closed_loop():
    """Exact derivatives, those of the fed-back observation included."""
    plant = plants.two_link_arm()
    gain = -0.2 * np.array([[0, 0, 1, 0.0], [0, 0, 0, 1]])
    network = make_network(plant, gain=gain, dtype="float64")
    with nengo_jax.Simulator(
        network, dt=0.01, dtype="float64", progress_bar=False
    ) as sim:
        found = sim.check_gradients()
    assert found[network.p]["analytic"].any()


def test_black_box_in_a_network_is_trained_through():
    def step(states, actions):
        speed = states[:, 1:] + 0.01 * actions
        return np.concatenate([states[:, :1] + 0.01 * speed, speed], axis=1)

    box = plants.black_box(step, actions=1, observations=2, start=[1, 0], dt=0.01)
    weights = []
    for plant in (box, _as_jax(box)):
        network = make_network(plant, gain=[[-1.0, -0.5]])
        with nengo_jax.Simulator(
            network, dt=0.01, minibatch_size=2, progress_bar=False
        ) as sim:
            sim.compile(keras.optimizers.SGD(0.1), loss={network.p: "mse"})
            x = np.ones((2, 40, 1)) * [[[0.1]], [[-0.2]]]
            sim.fit(x, np.zeros((2, 40, 2)), epochs=3, verbose=0)
            weights.append(sim.data[network.feedback].weights)
    assert np.abs(weights[0] - [[-1.0, -0.5]]).max() > 1e-3
    np.testing.assert_allclose(*weights, rtol=1e-4)


def _as_jax(box):
    def step(state, action):
        speed = state[1] + 0.01 * action[0]
        return jnp.stack([state[0] + 0.01 * speed, speed])

    return plants.Plant(
        "twin", box.dt, box.actions, box.observations, box.reset, step, box.observe
    )


def test_two_black_boxes_in_double_precision():
    """JAX calls them in threads of its own, in which double precision is off."""

    def swing(states, actions):
        return states + 0.001 * (actions - np.sin(states))

    box = plants.black_box(swing, actions=1, observations=1, start=[0.3], dt=0.001)
    network = make_network(box, dtype="float64")
    with network:
        other = plants.PlantNode(box, dtype="float64")
        nengo.Connection(network.source, other, synapse=None)
    actions = np.random.RandomState(0).normal(size=(40, STEPS, 1))
    with nengo_jax.Simulator(
        network, minibatch_size=40, dtype="float64", progress_bar=False
    ) as sim:
        sim.run_steps(STEPS, data={network.source: actions})
        found = sim.data[network.p]
    states = np.full((40, 1), 0.3)
    for k in range(STEPS):
        states = swing(states, actions[:, k])
        np.testing.assert_allclose(found[:, k], states, rtol=1e-14)


def test_steps_have_to_agree():
    network = make_network(plants.cart_pole(0.02))
    with pytest.raises(BuildError, match=r"0.001 s in the simulation and 0.02 s"):
        nengo_jax.Simulator(network, progress_bar=False)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"observe": lambda s: s[:1]}, "names 2 observations"),
        ({"step": lambda s, a: s[:1]}, "makes a state of shape"),
        ({"step": lambda s, a: s + a[5:].reshape(3)}, "fails for 1 actions"),
        ({"step": lambda s, a: 1 / 0}, "fails for 1 actions: ZeroDivisionError"),
        ({"step": lambda s, a: None}, "makes a state of shape None"),
        ({"step": lambda s, a: s.astype(int)}, "but some are int32"),
        ({"observe": lambda s: [s[0], s[1]]}, r"shows an array of shape \[\(\)"),
        ({"reset": lambda key: 1 / 0}, "cannot be reset: ZeroDivisionError"),
        ({"reset": lambda key: jnp.array([jnp.nan, 0])}, "must be finite numbers"),
        ({"reset": lambda key: ()}, "must be finite numbers"),
        ({"reset": lambda key: jnp.zeros(2, int)}, "but state is int32"),
        ({"reset": lambda key: jnp.zeros(2, complex)}, "but state is complex64"),
        ({"reset": lambda key: {"on": True}}, r"but state\['on'\] is bool"),
        ({"reset": lambda key: (0.0, key)}, r"but state\[1\] is key.*WhiteNoise"),
    ],
)
def test_plants_that_are_not_what_they_say(changes, match):
    plant = replace(plants.damped_mass(), **changes)
    with nengo.Network(), pytest.raises(ValidationError, match=match):
        plants.PlantNode(plant)


@pytest.mark.parametrize(
    ("plant", "options", "match"),
    [
        ("CartPole-v1", {}, "Must be a Plant .*plants.gymnasium_node"),
        (plants.damped_mass(), {"start": np.zeros(3)}, r"has shape \(2,\), .* \(3,\)"),
        (plants.damped_mass(), {"start": np.array([1j, 0])}, "start: .* is complex128"),
        (plants.damped_mass(), {"dtype": "int8"}, "Must be one of"),
    ],
)
def test_arguments_that_do_not_fit(plant, options, match):
    with nengo.Network(), pytest.raises(ValidationError, match=match):
        plants.PlantNode(plant, **options)


def bursts(states, actions):
    return np.where(states > 0.25, np.nan, states + 0.1 * actions)


def raises(states, actions):
    if (states > 0.25).any():
        raise OSError("the cable broke")
    return states + 0.1 * actions


def loses_a_column(states, actions):
    return states[:, (states > 0.25).any().astype(int) :] + 0.1 * actions


BROKEN = [
    (bursts, "'bursts' returned .*nan.* for the state"),
    (raises, "'raises' failed for .* states.*OSError: the cable broke"),
    (loses_a_column, r"'loses_a_column' returned states of shape \(\d, 0\)"),
]


def broken_network(plant):
    network = make_network(plant)
    with network:
        extra = nengo.Node(size_in=1)
        nengo.Connection(network.source, extra, transform=[[1.0]], synapse=None)
        nengo.Connection(extra, network.plant, synapse=None)
    return network


@pytest.mark.parametrize(("step", "match"), BROKEN)
def test_black_boxes_that_break_in_a_run(step, match):
    plant = plants.black_box(step, actions=1, observations=1, start=[0], dt=0.001)
    network = make_network(plant)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        with pytest.raises(SimulationError, match=match):
            sim.run_steps(20, data={network.source: np.ones((1, 20, 1))})
        sim.run_steps(2)  # it can go on from before


@pytest.mark.parametrize(("step", "match"), BROKEN)
def test_black_boxes_that_break_in_training(step, match):
    plant = plants.black_box(step, actions=1, observations=1, start=[0], dt=0.001)
    network = broken_network(plant)
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile(keras.optimizers.SGD(0.1), loss={network.p: "mse"})
        with pytest.raises(SimulationError, match=match):
            sim.fit(np.ones((2, 20, 1)), np.zeros((2, 20, 1)), verbose=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [None, 2])
def test_plants_in_jax_that_burst_are_named(batch, dtype):
    def step(state, action):
        return jnp.where(state > 0.25, jnp.nan, state + 0.1 * action[0])

    plant = replace(plants.damped_mass(dt=0.001), name="rocket", step=step)
    network = make_network(plant, dtype=dtype)
    pushes = np.zeros((batch or 1, 20, 1))
    pushes[-1] = 1
    with nengo_jax.Simulator(
        network, minibatch_size=batch, dtype=dtype, progress_bar=False
    ) as sim:
        match = r"'rocket' returned \[nan nan\] for .* action \[1.\].*squash"
        with pytest.raises(SimulationError, match=match):
            sim.run_steps(20, data={network.source: pushes})
        with pytest.raises(SimulationError, match=match):
            sim.predict(pushes, n_steps=20, verbose=0)


@pytest.mark.parametrize("training", [False, True])
def test_black_boxes_can_be_interrupted(training):
    def step(states, actions):
        if (states > 0.25).any():
            raise KeyboardInterrupt
        return states + 0.1 * actions

    plant = plants.black_box(step, actions=1, observations=1, start=[0], dt=0.001)
    network = broken_network(plant)
    x = np.ones((1, 20, 1))
    with nengo_jax.Simulator(network, minibatch_size=1, progress_bar=False) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        fit = partial(sim.fit, x, x, verbose=0)
        run = partial(sim.run_steps, 20, data={network.source: x})
        with pytest.raises(KeyboardInterrupt):
            (fit if training else run)()


def test_derivatives_and_batches_of_batches_pass_the_check():
    """Of a network as in a run, whose plants look for what is not finite."""
    network = make_network(rocket("rocket"))
    run = nengo_jax.functional(network, training=False)
    probe = next(iter(run.run(run.params, run.state, {}, 2)[1]))
    pushes = jnp.full((2, 3, 2, 1), 0.5)

    def last(push):
        return run.run(run.params, run.state, {"Node0": push})[1][probe][-1, 0]

    values, slopes = jax.vmap(jax.vmap(jax.value_and_grad(last)))(pushes)
    np.testing.assert_allclose(values, 0.1, rtol=1e-6)
    np.testing.assert_allclose(slopes, np.full(pushes.shape, 0.1), rtol=1e-6)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"'rocket' returned .*nan"):
        jax.block_until_ready(jax.vmap(jax.vmap(last))(10 * pushes))


def rocket(name):
    """A plant that bursts where it is pushed beyond 0.25."""

    def step(state, action):
        return jnp.where(state > 0.25, jnp.nan, state + 0.1 * action[0])

    start = jnp.zeros(1)
    return plants.Plant(
        name, 0.001, ("u",), ("x",), lambda key: start, step, jnp.asarray
    )


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, HessianFree])
def test_plants_in_jax_that_burst_in_training_are_named(optimizer):
    """In the second batch; the first plant of the network does nothing wrong."""
    network = broken_network(rocket("rocket"))
    with network:
        quiet = plants.PlantNode(rocket("balloon"))
        nengo.Connection(quiet, quiet, synapse=0)
        network.q = nengo.Probe(quiet)
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile(optimizer(learning_rate=1e-3), loss={network.p: "mse"})
        x = np.zeros((4, 20, 1))
        x[2:] = 1
        y = {network.p: np.zeros((4, 20, 1))}
        match = (
            r"The loss of probe is nan in epoch 1, batch 2. The plant 'rocket' returned"
            r" \[nan\] for the state \[0.4\] and the action \[2.\]. .*squash.$"
        )
        with pytest.raises(SimulationError, match=match):
            sim.fit(x, y, shuffle=False, verbose=0)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_plants_are_named_where_batches_share_a_call(count):
    """Four batches, of which the third and the fourth burst."""
    network = broken_network(rocket("rocket"))
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        loss = {network.p: "mse"}
        sim.compile(keras.optimizers.SGD(1e-3), loss=loss, steps_per_execution=count)
        x = np.zeros((8, 20, 1))
        x[4:6], x[6:] = 1, 2
        match = r"epoch 1, batch 3. The plant 'rocket' .* and the action \[2.\]"
        with pytest.raises(SimulationError, match=match):
            sim.fit(x, np.zeros((8, 20, 1)), shuffle=False, verbose=0)


def test_losses_that_burst_without_a_plant_are_as_before():
    network = broken_network(rocket("rocket"))
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        y = np.full((2, 20, 1), np.nan)
        with pytest.raises(SimulationError, match=r"batch 1\. A smaller learning rate"):
            sim.fit(np.zeros((2, 20, 1)), y, verbose=0)


def test_plants_are_not_to_blame_for_parameters_that_burst():
    """The plant then gets NaN as its action."""
    network = broken_network(plants.damped_mass(dt=0.001))
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile(keras.optimizers.SGD(1e38), loss={network.p: "mse"})
        x, y = np.ones((8, 20, 1)), np.full((8, 20, 2), 1e3)
        with pytest.raises(SimulationError, match=r"\. A smaller learning rate"):
            sim.fit(x, y, epochs=4, verbose=0)


def test_trained_networks_are_freed():
    """What JAX has compiled for them stays, and must not hold on to them."""
    network = broken_network(rocket("rocket"))
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        sim.fit(np.zeros((2, 5, 1)), np.zeros((2, 5, 1)), verbose=0)
        model = weakref.ref(sim.keras_model)
    del sim
    gc.collect()
    assert model() is None


def test_second_order_steps_back_from_where_a_plant_bursts():
    """Steps that are only tried may be bad; those that are taken are not."""

    def step(state, action):
        return jnp.where(jnp.abs(state) > 2, jnp.nan, state + 0.1 * action[0])

    plant = plants.Plant(
        "rocket", 0.01, ("u",), ("x",), lambda key: jnp.zeros(1), step, jnp.asarray
    )
    network = broken_network(plant)
    with nengo_jax.Simulator(
        network, dt=0.01, minibatch_size=2, progress_bar=False
    ) as sim:
        sim.compile(HessianFree(damping=1e-3), loss={network.p: "mse"})
        x, y = np.ones((2, 10, 1)), np.full((2, 10, 1), 1.9)
        history = sim.fit(x, y, epochs=8, verbose=0).history
        after = sim.predict(x, n_steps=10, verbose=0)[network.p]
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(after).all()
