"""Environments of Gymnasium in a network."""

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax import plants

STEPS = 40


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_as_the_environment_alone(name):
    rng = np.random.RandomState(0)
    with nengo.Network() as network:
        node = plants.gymnasium_node(name, seed=3)
        source = nengo.Node(np.zeros(node.size_in))
        nengo.Connection(source, node, synapse=None)
        probe = nengo.Probe(node)
    actions = rng.uniform(-2, 2, (2, STEPS, node.size_in))
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.run_steps(STEPS, data={source: actions})
    for k in range(2):
        environment = gymnasium.make(name)
        environment.reset(seed=3 + k)
        discrete = name == "CartPole-v1"
        for shown, x in zip(sim.data[probe][k], actions[k], strict=True):
            action = int(np.argmax(x)) if discrete else x.astype("float32")
            seen, reward, ended, cut, _ = environment.step(action)
            if ended or cut:
                seen, _ = environment.reset()
            np.testing.assert_allclose(shown[:-2], seen, rtol=1e-6)
            np.testing.assert_allclose(shown[-2:], [reward, ended or cut], rtol=1e-6)


def test_several_steps_of_the_simulation():
    with nengo.Network() as network:
        node = plants.gymnasium_node("Pendulum-v1", every=5)
        probe = nengo.Probe(node)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(20)
    changes = np.flatnonzero(np.any(np.diff(sim.data[probe], axis=0) != 0, axis=1))
    np.testing.assert_array_equal(changes, [3, 8, 13, 18])


def test_spaces_that_do_not_fit():
    class Odd(gymnasium.Env):
        observation_space = gymnasium.spaces.Discrete(3)
        action_space = gymnasium.spaces.Discrete(2)

    class Mixed(Odd):
        observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        action_space = gymnasium.spaces.MultiBinary(3)

    with nengo.Network():
        with pytest.raises(ValidationError, match="observations must be a Box"):
            plants.gymnasium_node(Odd)
        with pytest.raises(ValidationError, match="actions must be a Box or Discrete"):
            plants.gymnasium_node(Mixed)
