"""Plants inside networks: as on their own, in batches, trained through."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError, ValidationError

import nengo_jax
from nengo_jax import plants

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
    [plants.two_link_arm(), plants.cart_pole(0.01), plants.pendulum(0.01)],
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
    ],
)
def test_plants_that_are_not_what_they_say(changes, match):
    plant = replace(plants.damped_mass(), **changes)
    with nengo.Network(), pytest.raises(ValidationError, match=match):
        plants.PlantNode(plant)
