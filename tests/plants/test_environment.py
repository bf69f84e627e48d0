"""Environments of Gymnasium in a network."""

import gc
import pickle
from typing import ClassVar

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError, ValidationError

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
        with pytest.raises(
            ValidationError, match=r"Box or Discrete.*`act` and `size_in"
        ):
            plants.gymnasium_node(Mixed)


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (gymnasium.Env(), {}, "make: Must be a name or a function, .* environment of"),
        (lambda: 3, {}, r"make: <lambda>: Must make a gymnasium.Env \(got 3\)"),
        ("CartPole-v1", {"act": 3}, r"act: Must be a function \(got 3\)"),
        ("CartPole-v1", {"size_in": 3}, "size_in: Is the size of the input of `act`"),
        (
            "CartPole-v1",
            {"act": int, "size_in": 1.5},
            "size_in: Must be a whole number",
        ),
        ("CartPole-v1", {"every": 0}, "every: Must be a whole number"),
    ],
)
def test_arguments_that_do_not_fit(make, options, match):
    with nengo.Network(), pytest.raises(ValidationError, match=match):
        plants.gymnasium_node(make, **options)


class Recorder(gymnasium.Env):
    """Says what it was reset with, and knows whether it was closed."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float64)
    made: ClassVar[list["Recorder"]] = []

    def __init__(self):
        self.made.append(self)
        self.closed, self.seed, self.steps = False, None, 0

    def reset(self, *, seed=None, options=None):
        self.seed, self.steps = seed % 1000, 0
        return np.array([float(self.seed), 0.0]), {}

    def step(self, action):
        assert not self.closed
        self.steps += 1
        return np.array([self.seed, self.steps]), 0.0, False, False, {}

    def close(self):
        self.closed = True


@pytest.fixture
def made():
    Recorder.made.clear()
    return Recorder.made


def recorder(**options):
    with nengo.Network(seed=0) as network:
        probe = nengo.Probe(plants.gymnasium_node(Recorder, **options))
    return network, probe


def seeds_and_steps(sim, probe):
    data = sim.data[probe].reshape(-1, sim.n_steps, 4)
    return data[:, -1, 0].tolist(), data[:, -1, 1].tolist()


def test_reset_starts_with_a_new_environment(made):
    network, probe = recorder(seed=7)
    with nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim:
        sim.run_steps(3)
        before = sim.data[probe]
        assert seeds_and_steps(sim, probe) == ([7, 8], [3, 3])
        sim.reset()
        sim.run_steps(3)
        np.testing.assert_array_equal(sim.data[probe], before)
        assert [e.closed for e in made if e.steps] == [True, True, False, False]


@pytest.mark.parametrize("simulator", [nengo.Simulator, nengo_jax.Simulator])
def test_as_the_reference(made, simulator):
    network, probe = recorder()
    with nengo.Simulator(network, seed=4, progress_bar=False, optimize=False) as ref:
        ref.run_steps(2)
    with simulator(network, seed=4, progress_bar=False) as sim:
        sim.run_steps(2)
    np.testing.assert_array_equal(sim.data[probe], ref.data[probe])


def test_seed_of_the_simulation(made):
    network, probe = recorder()
    with nengo_jax.Simulator(network, 0.001, 4, progress_bar=False) as sim:
        sim.run_steps(2)
        first = seeds_and_steps(sim, probe)
        sim.reset(seed=5)
        sim.run_steps(2)
        second = seeds_and_steps(sim, probe)
    assert first[0] != second[0]
    with nengo_jax.Simulator(
        network, seed=4, minibatch_size=2, progress_bar=False
    ) as sim:
        sim.run_steps(2)
    assert seeds_and_steps(sim, probe)[0] == first[0] + second[0]


def test_closed_with_the_simulator(made):
    network, _ = recorder()
    assert [e.closed for e in made] == [True]  # it only told its spaces
    with nengo_jax.Simulator(network, minibatch_size=3, progress_bar=False) as sim:
        sim.run_steps(2)
        sim.reset()
        sim.run_steps(2)
    gc.collect()
    assert len(made) > 6
    assert all(e.closed for e in made)


def test_two_simulators_do_not_share():
    with nengo.Network() as network:
        probe = nengo.Probe(plants.gymnasium_node("CartPole-v1", seed=1))
    sims = [nengo_jax.Simulator(network, progress_bar=False) for _ in range(2)]
    for _ in range(10):
        for sim in sims:
            sim.run_steps(1)
    np.testing.assert_array_equal(*(sim.data[probe] for sim in sims))
    for sim in sims:
        sim.close()


def test_pickled_simulator():
    with nengo.Network() as network:
        probe = nengo.Probe(plants.gymnasium_node("Pendulum-v1", seed=1))
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(3)
        twin, seen = pickle.loads(pickle.dumps((sim, probe)))
    with twin:
        twin.reset()
        twin.run_steps(3)
    np.testing.assert_array_equal(twin.data[seen], sim.data[probe])


class Broken(Recorder):
    """An environment that breaks in its third step."""

    breaks = "raises"

    def step(self, action):
        seen, *rest = super().step(action)
        if self.steps < 3:
            return seen, *rest
        if self.breaks == "pays nothing":
            return seen, None, False, False, {}
        if self.breaks == "raises":
            raise KeyError("motor")
        if self.breaks == "ends":  # it cannot be reset without a seed
            return seen, 0.0, True, False, {}
        after = {"nan": [np.nan, 0.0], "long": [0.0, 1.0, 2.0], "text": ["a", "b"]}[
            self.breaks
        ]
        return np.array(after), *rest


@pytest.mark.parametrize(
    ("breaks", "match"),
    [
        ("raises", "Broken: the environment failed for the action .*KeyError: 'motor'"),
        ("ends", "Broken: the environment failed for the action .*TypeError: "),
        ("nan", "Broken: the environment returned the observation .*nan.*not all fin"),
        ("long", "Broken: .* 3 numbers as its observation, but .* space has 2"),
        ("text", "Broken: .*'a', 'b'.* which are not numbers: ValueError: "),
        ("pays nothing", "Broken: .* the reward None, which are not .*: TypeError: "),
    ],
)
def test_environments_that_break(breaks, match, monkeypatch):
    monkeypatch.setattr(Broken, "breaks", breaks)
    with nengo.Network() as network:
        probe = nengo.Probe(plants.gymnasium_node(Broken))
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        with pytest.raises(SimulationError, match=match):
            sim.run_steps(10)
        assert len(sim.data[probe]) == 2


def test_environments_that_cannot_be_reset():
    class Stuck(Recorder):
        def reset(self, *, seed=None, options=None):
            raise OSError("no motor")

    with nengo.Network() as network:
        plants.gymnasium_node(Stuck, seed=3)
    match = "Stuck: the environment failed when it was reset with seed 3: OSError: no m"
    with pytest.raises(SimulationError, match=match):
        nengo_jax.Simulator(network, progress_bar=False)


def test_actions_that_fail():
    with nengo.Network() as network:
        plants.gymnasium_node("CartPole-v1", act=lambda x: 1 / 0)
    match = r"CartPole-v1: `act` failed for the input \[0. 0.\]: ZeroDivisionError"
    sim = nengo_jax.Simulator(network, progress_bar=False)
    with sim, pytest.raises(SimulationError, match=match):
        sim.run_steps(1)


@pytest.mark.parametrize(
    ("space", "options", "given", "expected"),
    [
        (gymnasium.spaces.Box(-2, 5, (2,), np.int64), {}, [1.9, -8.0], [2, -2]),
        (
            gymnasium.spaces.MultiDiscrete([2, 3]),
            {"act": lambda x: np.round(x).astype(int), "size_in": 2},
            [0.9, 2.0],
            [1, 2],
        ),
    ],
    ids=["whole numbers", "several discrete ones"],
)
def test_actions_that_are_whole_numbers(space, options, given, expected):
    class Echo(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-9, 9, (2,))
        action_space = space

        def reset(self, *, seed=None, options=None):
            return np.zeros(2), {}

        def step(self, action):
            assert self.action_space.contains(action)
            return action, 0.0, False, False, {}

    with nengo.Network() as network:
        node = plants.gymnasium_node(Echo, **options)
        nengo.Connection(nengo.Node(given), node, synapse=None)
        probe = nengo.Probe(node)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(1)
    np.testing.assert_array_equal(sim.data[probe][0, :2], expected)


def test_another_action():
    with nengo.Network() as network:
        node = plants.gymnasium_node(
            "CartPole-v1", seed=0, act=lambda x: int(x[0] > 0.5), label="pole"
        )
        nengo.Connection(nengo.Node([1.0, 0.0]), node, synapse=None)
        probe = nengo.Probe(node)
    assert node.label == "pole"
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(5)
    assert np.all(np.diff(sim.data[probe][:, 1]) > 0)  # always pushed to the right
