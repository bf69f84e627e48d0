"""A live loop gives what a plain run gives, and refuses what it cannot use."""

import gc

import nengo
import numpy as np
import pytest
from helpers import assert_close, count_compilations
from nengo.exceptions import SimulatorClosed, ValidationError

import nengo_jax
from nengo_jax.live import Loop

STEPS = 25


def network(*, host: bool = False) -> nengo.Network:
    """A network with inputs of two kinds, noise, spikes, and Python if asked for."""
    with nengo.Network(seed=1) as net:
        net.senses = nengo.Node([0.0, 0.0], label="senses")
        net.goal = nengo.Node(lambda t: np.sin(t), label="goal")
        net.noise = nengo.Node(nengo.processes.WhiteNoise(seed=None), size_out=2)
        net.neurons = nengo.Ensemble(30, 2)
        nengo.Connection(net.senses, net.neurons, synapse=None)
        nengo.Connection(net.noise, net.neurons, transform=0.01)
        net.calls = []
        net.motor = nengo.Node(size_in=1)
        if host:
            net.motor.output = lambda t, x: net.calls.append(t) or 2 * x
        nengo.Connection(net.neurons, net.motor, function=lambda x: x[0])
        nengo.Connection(net.goal, net.motor, synapse=None)
        net.action = nengo.Probe(net.motor, label="action")
        net.spikes = nengo.Probe(net.neurons.neurons)
        net.rare = nengo.Probe(net.motor, sample_every=0.005)
    return net


def simulator(net, **options):
    options = {"progress_bar": False, "dtype": "float64", **options}
    return nengo_jax.Simulator(net, **options)


def observations(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape)


@pytest.mark.parametrize("host", [False, True], ids=["device", "host"])
@pytest.mark.parametrize("batch", [None, 3])
def test_steps_are_those_of_a_plain_run(host, batch):
    net = network(host=host)
    lead = () if batch is None else (batch,)
    data = observations(*lead, STEPS, 2)
    with simulator(net, minibatch_size=batch) as sim:
        sim.run_steps(STEPS, {net.senses: data})
        whole = {probe: sim.data[probe] for probe in (net.action, net.spikes)}
    with simulator(net, minibatch_size=batch) as sim:
        loop = Loop(sim, [net.senses], [net.action, net.spikes])
        assert sim.n_steps == 0
        for k in loop.ticks(STEPS):
            outputs = loop.step({net.senses: data[..., k, :]})
            for probe, value in outputs.items():
                assert_close(value, whole[probe][..., k, :], probe)
        assert (sim.n_steps, sim.time) == (STEPS, STEPS * sim.dt)
        assert [len(sim.data[probe]) for probe in net.probes] == [0, 0, 0]
        assert loop.latency.steps == STEPS


def test_outputs_agree_with_the_reference():
    net = network()
    data = observations(STEPS, 2)
    net.senses.output = lambda t: data[round(t / 0.001) - 1]
    with nengo.Simulator(net, progress_bar=False, optimize=False) as reference:
        reference.run_steps(STEPS)
    with simulator(net) as sim:
        loop = Loop(sim, net.senses, net.action)
        actions = [loop.step(row) for row in data]
    assert_close(np.array(actions), reference.data[net.action], net.action)


@pytest.mark.parametrize("host", [False, True], ids=["device", "host"])
@pytest.mark.parametrize("batch", [None, 2])
def test_all_is_compiled_before_the_first_step(host, batch):
    net = network(host=host)
    with simulator(net, minibatch_size=batch) as sim:
        loop = Loop(sim, net.senses, net.action)
        assert not net.calls  # of the user's function
        with count_compilations() as compiled:
            for _ in range(7):  # with and without a sample of the rare probe
                loop.step(np.zeros(2) if batch is None else np.zeros((batch, 2)))
        assert not compiled


def test_warm_up_leaves_noise_as_it_is():
    net = network()
    found = []
    for warm in (False, True):
        with simulator(net, dtype="float32") as sim:
            if warm:
                sim.warm_up({net.senses: [0.0, 0.0]})
            sim.run_steps(5)
            found.append(sim.data[net.spikes])
            found.append(sim.data[net.action])
    assert np.array_equal(found[0], found[2])
    assert np.array_equal(found[1], found[3])


def test_history_is_kept_if_asked_for():
    net = network()
    with simulator(net) as sim:
        loop = Loop(sim, net.senses, net.action, keep=True)
        actions = [loop.step(row) for row in observations(STEPS, 2)]
        assert np.array_equal(sim.data[net.action], actions)
        assert sim.data[net.rare].shape == (STEPS // 5, 1)
        sim.run_steps(3, keep=False)
        assert len(sim.data[net.action]) == STEPS


def test_step_of_the_simulator_returns_what_is_asked_for():
    net = network()
    with simulator(net) as sim:
        assert sim.step() is None
        action = sim.step({"senses": [0.5, 0]}, outputs=net.action)
        assert action.shape == (1,)
        both = sim.step(outputs=[net.action, net.spikes], keep=True)
        assert list(both) == [net.action, net.spikes]
        assert np.array_equal(sim.data[net.action][-1], both[net.action])
        assert len(sim.data[net.action]) == 2  # the first step, and the kept one
        before = sim.n_steps
        sim.step(outputs=net.action, stateful=False)
        assert sim.n_steps == before


def test_reset_in_the_loop():
    net = network()
    rows = observations(STEPS, 2)
    with simulator(net) as sim:
        loop = Loop(sim, net.senses, net.action)
        first = [loop.step(row) for row in rows]
        sim.reset()
        assert sim.n_steps == 0
        assert np.array_equal([loop.step(row) for row in rows], first)


@pytest.mark.parametrize("form", ["node", "name", "array"])
def test_forms_of_observations(form):
    net = network()
    row = np.array([0.3, -0.4])
    values = {"node": {net.senses: row}, "name": {"senses": row}, "array": row}
    with simulator(net) as sim, simulator(net) as other:
        ours = Loop(sim, net.senses, net.spikes).step(values[form])
        theirs = other.step({net.senses: row[None]}, outputs=net.spikes)
        assert np.array_equal(ours, theirs)


def test_a_number_is_enough_for_one_number():
    net = network()
    with simulator(net) as sim:
        loop = Loop(sim, net.goal, net.action)
        before = loop.step(0.0)
        sim.reset()
        assert_close(loop.step(0.5), before + 0.5, net.action)


def test_a_number_for_each_example_is_enough_for_one_number():
    net = network()
    with simulator(net, minibatch_size=3) as sim:
        loop = Loop(sim, net.goal, net.action)
        before = loop.step(np.zeros((3, 1)))
        sim.reset()
        goals = np.array([0.5, 0.0, -0.5])
        assert_close(loop.step(goals), before + goals[:, None], net.action)


def test_a_loop_may_have_no_inputs():
    net = network()
    with simulator(net) as sim:
        loop = Loop(sim, [], net.action)
        assert loop.step({}).shape == (1,)


REFUSED = {
    "missing": ({}, "Missing: senses"),
    "unknown": ({"senses": [0, 0], "sight": 1}, "unknown: sight"),
    "another": ({"goal": [0]}, "Missing: senses; unknown: goal"),
    "none": (None, "Give a value for each input"),
    "size": ([0.0, 0.0, 0.0], r"shape \(3,\).*\(2,\) will do"),
    "scalar": (0.0, r"shape \(\)"),
    "steps": (np.zeros((2, 2)), r"shape \(2, 2\)"),
    "nan": ([0.0, np.nan], "NaN"),
    "text": (["a", "b"], "not numbers"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_observations_that_are_refused(value, message):
    net = network()
    with simulator(net, optimize=False) as sim:
        loop = Loop(sim, net.senses, net.action)
        loop.step([0.1, 0.2])
        with pytest.raises(ValidationError, match=message):
            loop.step(value)
        assert sim.n_steps == loop.latency.steps == 1
        loop.step([0.1, 0.2])


def test_a_list_of_inputs_wants_a_mapping():
    net = network()
    with simulator(net) as sim:
        loop = Loop(sim, [net.senses, net.goal], net.action)
        with pytest.raises(ValidationError, match=r"'senses': \.\.\., 'goal'"):
            loop.step([0.0, 0.0])


def test_a_batch_has_to_be_complete():
    net = network()
    with simulator(net, minibatch_size=3) as sim:
        loop = Loop(sim, net.senses, net.action)
        with pytest.raises(ValidationError, match=r"\(3, 2\) will do"):
            loop.step([0.0, 0.0])


def test_what_cannot_be_in_a_loop():
    net = network()
    with nengo.Network():
        stranger = nengo.Node([0])
        probe = nengo.Probe(stranger)
    with simulator(net) as sim:
        for node in (stranger, net.motor):
            with pytest.raises(ValidationError, match="no input node"):
                Loop(sim, node, net.action)
        with pytest.raises(ValidationError, match="no probe of the network"):
            Loop(sim, net.senses, probe)
        with pytest.raises(ValidationError, match="sample_every"):
            Loop(sim, net.senses, net.rare)
        for outputs, message in (
            ("nope", "'nope' is no probe"),
            (3, "3 is no probe"),
            ([], "at least one probe"),
        ):
            with pytest.raises(ValidationError, match=message):
                Loop(sim, net.senses, outputs)
            with pytest.raises(ValidationError, match=message):
                sim.step(outputs=outputs)
        with pytest.raises(ValidationError, match="Each input can be given once"):
            Loop(sim, [net.senses, net.senses], net.action)
        for period in (0, -1.0, "fast", float("nan")):
            with pytest.raises(ValidationError, match="positive number of seconds"):
                Loop(sim, net.senses, net.action, period)
        loop = Loop(sim, net.senses, net.action)
    with pytest.raises(SimulatorClosed):
        loop.step([0.0, 0.0])
    with pytest.raises(SimulatorClosed):
        Loop(sim, net.senses, net.action)


def test_garbage_of_before_is_left_alone_in_the_loop():
    net = network()
    with simulator(net) as sim:
        before = gc.get_freeze_count()  # Python itself may have frozen some
        with Loop(sim, net.senses, net.action):
            assert gc.get_freeze_count() > before + 1000
        assert gc.get_freeze_count() == 0
