"""What a Simulator promises: the contract of ``nengo.Simulator``, and batches."""

from __future__ import annotations

import copy
import gc
import pickle

import jax
import nengo
import numpy as np
import pytest
from helpers import assert_close, compare_networks, count_compilations, run_jax
from nengo.builder import Model
from nengo.builder.signal import Signal
from nengo.exceptions import ReadonlyError, SimulationError, SimulatorClosed
from nengo.utils.progress import ProgressBar

import nengo_jax


def simulator(network, **options) -> nengo_jax.Simulator:
    return nengo_jax.Simulator(
        network, **{"progress_bar": False, "dtype": "float64", **options}
    )


def on_reference(network, **options) -> nengo.Simulator:
    return nengo.Simulator(network, progress_bar=False, optimize=False, **options)


def ramp_network() -> tuple[nengo.Network, nengo.Probe]:
    """A filtered ramp: cheap to compile."""
    with nengo.Network(seed=1) as network:
        node = nengo.Node(lambda t: [t, -t])
        probe = nengo.Probe(node, synapse=0.01)
    return network, probe


def neural_network() -> nengo.Network:
    """A network with all kinds of state, and its parts as attributes."""
    with nengo.Network(seed=1) as network:
        network.stimulus = nengo.Node([0.5, -0.3])
        network.pre = nengo.Ensemble(12, 2, seed=1)
        network.post = nengo.Ensemble(10, 2, seed=2)
        nengo.Connection(network.stimulus, network.pre)
        network.learned = nengo.Connection(
            network.pre, network.post, learning_rule_type=nengo.PES(1e-3)
        )
        nengo.Connection(network.stimulus, network.learned.learning_rule, transform=-1)
        network.probe = nengo.Probe(network.post, synapse=0.01)
        network.spikes = nengo.Probe(network.pre.neurons)
        network.weights = nengo.Probe(network.learned, "weights", sample_every=0.002)
    return network


def host_network() -> nengo.Network:
    """The same with a Python function in the loop."""
    network = neural_network()
    with network:
        network.node = nengo.Node(lambda t, x: 2 * x, size_in=2, size_out=2)
        nengo.Connection(network.post, network.node)
        nengo.Connection(network.node, network.pre, transform=0.1)
    return network


BOTH = pytest.mark.parametrize(
    "make", [neural_network, host_network], ids=["device", "host"]
)


# -- running


@BOTH
def test_all_ways_to_run_give_the_same(make):
    network = make()
    steps = 30
    with on_reference(network) as reference:
        reference.run_steps(steps)
    with simulator(network) as sim:
        sim.step()
        sim.run(0.005)
        sim.run_steps(1)
        for _ in range(3):
            sim.step()
        sim.run(0.0096)  # rounded to 10 steps
        sim.run_steps(np.int64(10))
        assert sim.n_steps == steps
        for probe in network.probes:
            assert_close(sim.data[probe], reference.data[probe], probe)


@pytest.mark.parametrize("steps", [1, 2, 3, 99, 100, 101, 999, 1001, 2500])
def test_number_of_steps_is_exact(steps):
    network, probe = ramp_network()
    with simulator(network, dtype="float32") as sim:
        sim.run_steps(steps)
        assert sim.n_steps == steps
        assert sim.time == steps * 0.001
        assert sim.data[probe].shape == (steps, 2)
        assert len(sim.trange()) == steps


def test_no_steps():
    network, probe = ramp_network()
    with simulator(network) as sim:
        sim.run_steps(0)
        with pytest.warns(UserWarning, match="0 timesteps"):
            sim.run(0.0004)
        assert sim.n_steps == 0
        assert len(sim.data[probe]) == 0


def test_clock():
    network, _ = ramp_network()
    with simulator(network, dt=0.003) as sim, on_reference(network, dt=0.003) as ref:
        for steps in (0, 1, 10):
            if steps:
                sim.run_steps(steps)
                ref.run_steps(steps)
            assert (sim.dt, sim.n_steps, sim.time) == (ref.dt, ref.n_steps, ref.time)
            assert type(sim.n_steps) is int
            assert type(sim.time) is float
            assert np.isscalar(sim.time)
            assert np.array_equal(sim.trange(), ref.trange())
        with pytest.raises(ReadonlyError):
            sim.dt = 0.1
        with pytest.warns(DeprecationWarning, match="sample_every"):
            old = sim.trange(dt=0.006)
        assert np.array_equal(old, sim.trange(sample_every=0.006))


def test_seed():
    network, _ = ramp_network()
    with simulator(network) as sim:
        assert sim.seed == network.seed + 1
    with simulator(network, seed=17) as sim:
        assert sim.seed == 17
        sim.reset()
        assert sim.seed == 17
        sim.reset(seed=18)
        assert sim.seed == 18
    network.seed = None
    with simulator(network) as sim:
        assert 0 <= sim.seed < 2**32


def test_attributes():
    network, _ = ramp_network()
    with simulator(network, optimize=False, minibatch_size=2) as sim:
        assert sim.optimize is False
        assert sim.minibatch_size == 2
        assert sim.progress_bar is False
        assert isinstance(sim.model, Model)
        assert sim.model.toplevel is network
        assert sim.closed is False


def test_defaults_are_those_of_nengo():
    network = neural_network()
    sim = nengo_jax.Simulator(network, 0.002, 5, None, False, False)
    with sim:
        assert (sim.dt, sim.seed, sim.progress_bar, sim.optimize) == (
            0.002,
            5,
            False,
            False,
        )
        sim.run(0.01)
        assert sim.data[network.probe].dtype == np.float32
        assert sim.data[network.probe].shape == (5, 2)


# -- sampling

PERIODS = [None, 0.0005, 0.001, 0.002, 0.0025, 0.0033, 0.01, 0.0101, 1.0]


@pytest.mark.parametrize("dt", [0.001, 0.0007])
def test_sample_every(dt):
    with nengo.Network(seed=1) as network:
        node = nengo.Node(lambda t: t)
        probes = [nengo.Probe(node, sample_every=p) for p in PERIODS]
        probes += [nengo.Probe(node, sample_every=p, synapse=0.01) for p in PERIODS]
    with on_reference(network, dt=dt) as reference, simulator(network, dt=dt) as sim:
        for steps in (1, 3, 1, 60, 120):
            reference.run_steps(steps)
            sim.run_steps(steps)
            for probe in probes:
                assert_close(sim.data[probe], reference.data[probe], probe)
                period = probe.sample_every
                assert len(sim.trange(sample_every=period)) == len(sim.data[probe])


def test_sample_every_with_a_function_in_the_loop():
    with nengo.Network(seed=1) as network:
        node = nengo.Node(lambda t: t)
        again = nengo.Node(lambda t, x: x + t, size_in=1)
        nengo.Connection(node, again)
        for period in PERIODS:
            nengo.Probe(again, sample_every=period)
    compare_networks(network, 50)


def test_a_long_run_keeps_only_samples():
    network, _ = ramp_network()
    with network:
        probe = nengo.Probe(network.all_nodes[0], sample_every=0.5)
    with simulator(network) as sim:
        sim.run(2.0)
        assert len(sim.data.raw[probe]) == 4
        assert_close(sim.data[probe][:, 0], [0.5, 1.0, 1.5, 2.0])


# -- reset, clear_probes, close


@BOTH
def test_reset(make):
    network = make()
    with simulator(network) as sim:
        sim.run_steps(20)
        first = {p: np.array(sim.data[p]) for p in network.probes}
        sim.reset()
        assert (sim.n_steps, sim.time) == (0, 0)
        assert all(len(sim.data[p]) == 0 for p in network.probes)
        sim.run_steps(12)
        sim.run_steps(8)
        for probe, values in first.items():
            assert np.array_equal(sim.data[probe], values)


def test_clear_probes():
    network = neural_network()
    with simulator(network) as sim:
        sim.run_steps(20)
        whole = np.array(sim.data[network.probe])
        sim.reset()
        sim.run_steps(13)
        kept = sim.data[network.probe]
        sim.clear_probes()
        assert sim.n_steps == 13
        assert len(sim.data[network.probe]) == 0
        sim.run_steps(7)
        assert np.array_equal(sim.data[network.probe], whole[13:])
        assert np.array_equal(kept, whole[:13])


def test_close():
    network = neural_network()
    sim = simulator(network)
    with sim as entered:
        assert entered is sim
        sim.run_steps(3)
    assert sim.closed
    assert sim.signals is None
    assert sim.data[network.probe].shape == (3, 2)
    assert sim.data[network.pre].encoders.shape == (12, 2)
    assert (sim.n_steps, sim.time) == (3, 0.003)
    sim.close()
    with pytest.raises(SimulatorClosed), sim:
        pass
    for call in (
        sim.step,
        sim.reset,
        lambda: sim.run(0.1),
        lambda: sim.run_steps(1),
        lambda: sim.run(0),
    ):
        with pytest.raises(SimulatorClosed):
            call()


def test_open_simulator_warns_when_it_is_deleted():
    network, _ = ramp_network()
    simulators = [simulator(network)]
    with pytest.warns(ResourceWarning, match="while open"):
        simulators.clear()
    gc.collect()


def test_closed_or_unfinished_simulator_does_not_warn():
    network, _ = ramp_network()
    sim = simulator(network)
    sim.close()
    del sim
    with pytest.raises(nengo.exceptions.ValidationError):
        simulator(network, dtype="int8")
    gc.collect()


def test_an_error_in_the_with_statement_closes():
    network, _ = ramp_network()
    with pytest.raises(ZeroDivisionError), simulator(network) as sim:
        raise ZeroDivisionError
    assert sim.closed


# -- data


def test_data():
    network = neural_network()
    with simulator(network) as sim, on_reference(network) as reference:
        ours, theirs = sim.data[network.learned], reference.data[network.learned]
        assert np.array_equal(ours.weights, theirs.weights)
        sim.run_steps(4)
        for obj in (network.pre, network.post):
            ours, theirs = sim.data[obj], reference.data[obj]
            assert type(ours) is type(theirs)
            for a, b in zip(ours, theirs, strict=True):
                assert np.array_equal(a, b)
        learned = sim.signals[sim.model.sig[network.learned]["weights"]]
        assert np.array_equal(sim.data[network.learned].weights, learned)
        assert sim.data[network.stimulus] is reference.data[network.stimulus] is None
        assert network.probe in sim.data
        assert network.pre in sim.data
        assert set(sim.data) == set(sim.data.keys())
        assert len(sim.data) == len(reference.data)
        values = sim.data[network.probe]
        assert values is sim.data[network.probe]
        assert not values.flags.writeable
        sim.run_steps(1)
        assert len(sim.data[network.probe]) == 5
        assert values.shape == (4, 2)


def test_objects_that_are_not_in_the_network_are_not_in_data():
    network = neural_network()
    other = neural_network()
    with simulator(network) as sim:
        assert other.probe not in sim.data
        assert sim.data.get(other.probe) is None


def test_raw_data_are_lists():
    """nengo_gui takes what it has shown out of them."""
    network = neural_network()
    with simulator(network) as sim:
        sim.run_steps(5)
        raw = sim.data.raw[network.probe]
        assert type(raw) is list
        assert len(raw) == 5
        assert raw[0].shape == (2,)
        whole = np.array(sim.data[network.probe])
        del raw[:3]
        assert np.array_equal(sim.data[network.probe], whole[3:])
        sim.run_steps(2)
        assert len(sim.data[network.probe]) == 4
        raw = sim.data.raw[network.weights]
        assert raw[0].shape == (2, 12)


@pytest.mark.parametrize("size", [None, 1, 3])
@BOTH
def test_shapes_of_batches(make, size):
    network = make()
    lead = () if size is None else (size,)
    with simulator(network, minibatch_size=size) as sim:
        assert len(sim.data[network.probe]) == 0
        sim.step()
        assert sim.data[network.probe].shape == (*lead, 1, 2)
        sim.run_steps(4)
        assert sim.data[network.probe].shape == (*lead, 5, 2)
        assert sim.data[network.spikes].shape == (*lead, 5, 12)
        assert sim.data[network.weights].shape == (*lead, 2, 2, 12)
        assert sim.data.raw[network.probe][0].shape == (*lead, 2)
        assert sim.data[network.pre].encoders.shape == (12, 2)
        if size is not None:
            values = sim.data[network.probe]
            assert np.all(values == values[:1])
        signals = sim.model.sig
        learned = signals[network.learned]["weights"]
        assert sim.signals[learned].shape == (*lead, 2, 12)
        encoders = signals[network.post]["encoders"]
        assert sim.signals[encoders].shape == (10, 2)


# -- data for input nodes


@BOTH
def test_data_for_input_nodes(make):
    """Data take the place of what a node gives; afterwards it gives it again."""
    network = make()
    with network:
        clock = nengo.Node(lambda t: [t, 2 * t])
        nengo.Connection(clock, network.pre, transform=3)
        for node in (network.stimulus, clock):
            nengo.Probe(node)
    rng = np.random.RandomState(0)
    steps = {}
    for node in (network.stimulus, clock):
        steps[node] = rng.uniform(-1, 1, size=(30, 2))

    def table(node, otherwise):
        def output(t):
            k = round(t * 1000) - 1
            inside = 5 <= k < 20 if node is clock else 5 <= k < 10
            return steps[node][k] if inside else otherwise(t)

        return output

    with simulator(network) as sim:
        sim.run_steps(5)
        sim.run_steps(5, data={n: steps[n][5:10] for n in steps})
        sim.run_steps(10, {clock: steps[clock][None, 10:20]})
        sim.run_steps(10)
        recorded = {p: np.array(sim.data[p]) for p in network.probes}
    constant = network.stimulus.output
    with network:
        network.stimulus.output = table(network.stimulus, lambda t: constant)
        clock.output = table(clock, lambda t: [t, 2 * t])
    with on_reference(network) as reference:
        reference.run_steps(30)
        for probe, values in recorded.items():
            assert_close(values, reference.data[probe], probe)


def test_functions_are_not_called_when_data_are_given():
    calls = []
    with nengo.Network() as network:
        node = nengo.Node(lambda t: calls.append(t) or 0.0)
        probe = nengo.Probe(node)
    with simulator(network) as sim:
        sim.run_steps(2)
        before = len(calls)
        sim.run_steps(3, {node: np.ones((3, 1))})
        assert len(calls) == before
        sim.run_steps(1)
        assert calls[-1] == 6 * 0.001
        assert_close(sim.data[probe][:, 0], [0, 0, 1, 1, 1, 0])


@BOTH
def test_batch_is_each_example_on_its_own(make):
    network = make()
    data = np.random.RandomState(0).uniform(-1, 1, size=(3, 25, 2))
    batch = run_jax(network, 25, {network.stimulus: data}, minibatch_size=3)
    for k in range(3):
        alone = run_jax(network, 25, {network.stimulus: data[k]})
        for probe in network.probes:
            assert_close(batch[probe][k], alone[probe], probe)
    assert not np.array_equal(batch[network.weights][0], batch[network.weights][1])


def test_data_of_single_precision():
    network = neural_network()
    data = np.random.RandomState(0).uniform(-1, 1, size=(1, 5, 2)).astype(np.float32)
    with simulator(network, dtype="float32") as sim:
        sim.run_steps(5, {network.stimulus: data})
        sim.step({network.stimulus: data[:, :1]})
        sim.run(0.003, {network.stimulus: data[:, :3].tolist()})
        assert sim.n_steps == 9


# -- signals


@BOTH
def test_signals_have_the_values_of_the_reference(make):
    """All that the reference's mapping has, after any number of steps."""
    network = make()
    with on_reference(network) as reference, simulator(network) as sim:
        operators = zip(reference.model.operators, sim.model.operators, strict=True)
        pairs = [
            pair
            for theirs, ours in operators
            for pair in zip(theirs.all_signals, ours.all_signals, strict=True)
        ]
        for steps in (0, 1, 5):
            if steps:
                reference.run_steps(steps)
                sim.run_steps(steps)
            for theirs, ours in pairs:
                assert_close(sim.signals[ours], reference.signals[theirs], theirs)
        assert sim.signals[sim.model.step].item() == 6
        assert sim.signals[sim.model.time].item() == 0.006
        assert all(np.array_equal(v, sim.signals[k]) for k, v in sim.signals.items())
        bases = {s.base for op in sim.model.operators for s in op.all_signals}
        assert bases <= set(sim.signals)
        assert len(sim.signals) == len(list(sim.signals))
        assert sim.model.step in sim.signals


@pytest.mark.parametrize(
    ("make", "size"),
    [(neural_network, None), (host_network, 2)],
    ids=["device", "host, batch"],
)
def test_values_that_nobody_uses_can_be_looked_at(make, size):
    """They are those of the last step: before its updates, not after."""
    network = make()
    with network:
        unused = nengo.Node(size_in=2)
        further = nengo.Node(size_in=2)
        nengo.Connection(network.pre, unused, synapse=0.01, function=np.square)
        nengo.Connection(unused, further, synapse=None, transform=-2)
    with (
        on_reference(network) as reference,
        simulator(network, minibatch_size=size) as sim,
    ):
        pairs = [
            (reference.model.sig[node]["in"], sim.model.sig[node]["in"])
            for node in (unused, further)
        ]
        for steps in (1, 7, 1):
            reference.run_steps(steps)
            sim.run_steps(steps)
            for theirs, ours in pairs:
                expected = np.broadcast_to(reference.signals[theirs], (size or 1, 2))
                actual = np.reshape(sim.signals[ours], (size or 1, 2))
                assert_close(actual, expected, theirs)


def test_signals_of_others_are_not_in_it():
    network, other = neural_network(), neural_network()
    with simulator(network) as sim, simulator(other) as another:
        foreign = another.model.sig[other.pre]["encoders"]
        assert foreign not in sim.signals
        with pytest.raises(KeyError):
            sim.signals[foreign]
        with pytest.raises(KeyError):
            sim.signals[Signal(np.zeros(2), name="new")]
        with pytest.raises(KeyError):
            sim.signals["encoders"]


@BOTH
def test_ablated_neurons_are_silent(make):
    """As in nengo's example: take away the encoders, and pull down the bias."""
    network = make()
    with on_reference(network) as reference, simulator(network) as sim:
        for s in (reference, sim):
            encoders = s.signals[s.model.sig[network.pre]["encoders"]]
            bias = s.signals[s.model.sig[network.pre.neurons]["bias"]]
            encoders.setflags(write=True)
            bias.setflags(write=True)
            s.run_steps(10)
            encoders[:4] = 0
            bias[:4] = -1000
            s.run_steps(30)
            bias[4] = -1000
            s.run_steps(30)
        for probe in network.probes:
            assert_close(sim.data[probe], reference.data[probe], probe)
        spikes = sim.data[network.spikes] > 0
        assert not spikes[11:, :4].any()
        assert not spikes[41:, 4].any()
        assert spikes[11:, 5:].any()
        assert_close(sim.signals[sim.model.sig[network.pre.neurons]["bias"]][4], -1000)
        sim.reset()
        sim.run_steps(10)
        assert_close(sim.data[network.probe], reference.data[network.probe][:10])
        assert np.any(sim.signals[sim.model.sig[network.pre]["encoders"]][:4])


@BOTH
def test_learned_weights_and_states_can_be_written(make):
    network = make()
    rng = np.random.RandomState(3)
    weights, voltage = rng.uniform(-0.1, 0.1, (2, 12)), rng.uniform(0, 1, 12)
    with on_reference(network) as reference, simulator(network) as sim:
        for s in (reference, sim):
            sig = s.model.sig
            s.run_steps(7)
            s.signals[sig[network.learned]["weights"]][...] = weights
            s.run_steps(7)
            s.signals[sig[network.pre.neurons]["voltage"]][3:9] = voltage[3:9]
            s.signals[sig[network.learned]["weights"]][1, ::2] *= -2
            s.signals[sig[network.learned]["weights"]][0] += 0.01
            s.run_steps(1)
            s.run_steps(7)
        for probe in network.probes:
            assert_close(sim.data[probe], reference.data[probe], probe)
        sig = sim.model.sig[network.learned]["weights"]
        assert_close(sim.signals[sig], sim.data[network.weights][-1])


def test_views_follow_the_simulation():
    """An array that was taken once shows the values after each run."""
    network = neural_network()
    with simulator(network) as sim:
        signal = sim.model.sig[network.learned]["weights"]
        live = sim.signals[signal]
        row = sim.signals[signal[1]]
        before = np.array(live)
        sim.run_steps(10)
        assert not np.array_equal(live, before)
        assert np.array_equal(np.ravel(row), live[1])
        assert np.array_equal(live, sim.signals[signal])
        row[...] = 7
        assert np.all(live[1] == 7)
        assert np.all(sim.signals[signal][1] == 7)
        sim.signals[signal] = np.zeros((2, 12))
        assert np.all(live == 0)
        assert np.all(row == 0)
        sim.run_steps(1)
        assert np.abs(live).max() < 1e-3
        sim.reset()
        assert np.array_equal(live, before)


def test_one_example_of_a_batch_can_be_written():
    network = neural_network()
    with simulator(network, minibatch_size=3) as sim:
        sim.run_steps(3)
        signal = sim.model.sig[network.learned]["weights"]
        sim.signals[signal][1] = 0
        sim.run_steps(20)
        values = sim.data[network.probe]
        assert np.array_equal(values[0], values[2])
        assert not np.array_equal(values[0], values[1])


@BOTH
def test_constant_nodes_can_be_written(make):
    network = make()
    with on_reference(network) as reference, simulator(network) as sim:
        for s in (reference, sim):
            output = s.signals[s.model.sig[network.stimulus]["out"]]
            s.run_steps(5)
            output[...] = [-1, 0.2]
            s.run_steps(5)
            s.run_steps(1)
            output[0] = 0.9
            s.run_steps(5)
        for probe in network.probes:
            assert_close(sim.data[probe], reference.data[probe], probe)
        sim.reset()
        assert_close(sim.signals[sim.model.sig[network.stimulus]["out"]], [0.5, -0.3])


def test_matrices_stored_by_column():
    """Large weights lie transposed in memory; nobody sees it."""
    rng = np.random.RandomState(1)
    values = rng.uniform(-1e-3, 1e-3, size=(1000, 1002))
    with nengo.Network(seed=1) as network:
        pre = nengo.Ensemble(
            1002, 1, gain=np.ones(1002), bias=np.linspace(1.5, 20, 1002)
        )
        post = nengo.Ensemble(1000, 1, gain=np.ones(1000), bias=np.full(1000, 1.1))
        learned = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=values,
            learning_rule_type=nengo.Oja(1e-6),
        )
        weights = nengo.Probe(learned, "weights", sample_every=0.01)
        output = nengo.Probe(post.neurons, "voltage")
    with on_reference(network) as reference, simulator(network) as sim:
        for s in (reference, sim):
            signal = s.model.sig[learned]["weights"]
            s.run_steps(5)
            s.signals[signal][17] = 0.01
            s.signals[signal][:, 1000] = 0.02
            s.run_steps(5)
        for probe in (weights, output):
            assert_close(sim.data[probe], reference.data[probe], probe)
        signal = sim.model.sig[learned]["weights"]
        assert_close(sim.signals[signal], sim.data[weights][-1])
        assert_close(sim.signals[signal[10:12]], sim.data[weights][-1][10:12])
        assert_close(sim.signals[signal[5:700:3]], sim.data[weights][-1][5:700:3])


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("with_python", [False, True])
def test_inputs_show_what_was_fed(batch, with_python):
    """As in the reference, signals of functions of time hold their last value."""
    with nengo.Network(seed=0) as network:
        ramp = nengo.Node(lambda t: [t, 2 * t])
        sink = (
            nengo.Node(lambda t, x: x, size_in=2)
            if with_python
            else nengo.Ensemble(5, 2)
        )
        nengo.Connection(ramp, sink)
    with nengo_jax.Simulator(network, minibatch_size=batch, progress_bar=False) as sim:
        shown = sim.signals[sim.model.sig[ramp]["out"]]
        assert not np.any(shown)
        for steps in (1, 6):
            sim.run_steps(steps)
            expected = np.array([sim.time, 2 * sim.time])
            now = sim.signals[sim.model.sig[ramp]["out"]]
            np.testing.assert_allclose(now, expected + 0 * shown, rtol=1e-6)
        sim.reset()
        assert not np.any(sim.signals[sim.model.sig[ramp]["out"]])


def test_sparse_weights_can_be_read():
    """Writing them either works or, as on the reference, is an error."""
    with nengo.Network(seed=1) as network:
        stimulus = nengo.Node([1.0, 2.0, 3.0])
        target = nengo.Node(size_in=2)
        connection = nengo.Connection(
            stimulus,
            target,
            transform=nengo.Sparse((2, 3), indices=[[0, 0], [1, 2]], init=[5.0, 7.0]),
            synapse=None,
        )
        probe = nengo.Probe(target)
    with simulator(network) as sim:
        sim.step()
        weights = sim.signals[sim.model.sig[connection]["weights"]]
        assert np.array_equal(weights.toarray(), [[5, 0, 0], [0, 0, 7]])
        assert_close(sim.data[probe], [[5.0, 21.0]])
        try:
            weights.data[1] = -1
        except ValueError:
            return
        sim.step()
        assert_close(sim.data[probe], [[5.0, 21.0], [5.0, -3.0]])


# -- copies


@BOTH
@pytest.mark.parametrize(("way", "size"), [("deepcopy", None), ("copy", 2)])
def test_copy_goes_on_from_where_it_was_made(make, way, size):
    network = make()
    with simulator(network, minibatch_size=size) as sim:
        sim.run_steps(10)
        with getattr(copy, way)(sim) as twin:
            assert (twin.n_steps, twin.seed, twin.dt) == (10, sim.seed, sim.dt)
            assert twin.minibatch_size == size
            assert twin.dtype == sim.dtype
            twin.run_steps(10)
            probes = twin.model.probes
            recorded = [np.array(twin.data[p]) for p in probes]
    expected = run_jax(network, 20, minibatch_size=size)
    for values, probe in zip(recorded, network.probes, strict=True):
        assert_close(values, expected[probe], probe)


def pickled_function(t):
    return [np.sin(30 * t), t]


class PickledWalk(nengo.Process):
    """State in a signal, which is what a pickle keeps of a process."""

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        return {"place": np.zeros(shape_out)}

    def make_step(self, shape_in, shape_out, dt, rng, state):
        place = state["place"]

        def step(t):
            place[...] += 1
            return place

        return step


@pytest.mark.parametrize("close", [False, True])
def test_pickle(close):
    with nengo.Network(seed=1) as network:
        stimulus = nengo.Node(pickled_function)
        walk = nengo.Node(PickledWalk(), size_out=1)
        ensemble = nengo.Ensemble(10, 2)
        nengo.Connection(stimulus, ensemble)
        nengo.Connection(ensemble, ensemble, synapse=nengo.Alpha(0.02))
        probes = [nengo.Probe(ensemble, synapse=0.01), nengo.Probe(ensemble.neurons)]
        probes += [nengo.Probe(walk), nengo.Probe(stimulus, sample_every=0.002)]
    with simulator(network, seed=5) as sim:
        sim.run_steps(10)
        if close:
            sim.close()
        text = pickle.dumps(sim)
    twin = pickle.loads(text)
    assert twin.closed is close
    assert (twin.n_steps, twin.seed, twin.dtype) == (10, 5, np.dtype("float64"))
    expected = run_jax(network, 20, seed=5)
    if not close:
        with twin:
            twin.run_steps(10)
    for probe, original in zip(twin.model.probes, probes, strict=True):
        values = expected[original]
        values = values[: len(values) // 2] if close else values
        assert_close(twin.data[probe], values, original)


def test_simulators_that_share_a_model():
    """Each has memory of its own, and data of its own."""
    network = neural_network()
    whole = run_jax(network, 20)
    model = Model(dt=0.001)
    with simulator(network, model=model) as first:
        first.run_steps(10)
        with simulator(None, model=model, seed=2) as second:
            second.run_steps(5)
            first.run_steps(10)
            second.run_steps(15)
            for probe in network.probes:
                assert_close(first.data[probe], whole[probe], probe)
                assert_close(second.data[probe], whole[probe], probe)


def test_model_without_network():
    network = neural_network()
    model = Model(dt=0.002)
    model.build(network)
    with simulator(None, model=model, dt=0.5) as sim:
        assert sim.dt == 0.002
        sim.run_steps(10)
        expected = run_jax(network, 10, dt=0.002)
        for probe in network.probes:
            assert_close(sim.data[probe], expected[probe], probe)


def test_network_built_into_a_model():
    network, probe = ramp_network()
    model = Model(dt=0.005, label="mine")
    with simulator(network, model=model, dt=0.001) as sim:
        assert sim.model is model
        assert sim.dt == 0.005
        sim.run_steps(2)
        assert sim.data[probe].shape == (2, 2)


def test_empty_network():
    with nengo.Network() as network:
        pass
    with simulator(network) as sim:
        sim.run_steps(5)
        sim.step()
        assert sim.n_steps == 6
        sim.reset()
        assert sim.n_steps == 0


def test_the_network_is_not_changed():
    network = neural_network()
    with on_reference(network):
        pass
    before = pickle.dumps([o.seed for o in network.all_objects])
    with simulator(network) as sim:
        sim.run_steps(3)
    assert pickle.dumps([o.seed for o in network.all_objects]) == before


# -- compiling


@BOTH
def test_runs_of_any_length_share_what_was_compiled(make):
    network = make()
    with simulator(network) as sim:
        sim.run_steps(20)
        sim.step()
        with count_compilations() as compiled:
            for steps in (3, 1, 20, 57, 101, 1, 2, 250):
                sim.run_steps(steps)
            sim.run(0.1)
            sim.reset()
            sim.run_steps(13)
            sim.step()
            sim.clear_probes()
            sim.run_steps(1)
    assert not compiled


@BOTH
def test_a_longer_run_compiles_no_more_than_a_short_one(make):
    counts = []
    for steps in (2, 300):
        with count_compilations() as compiled, simulator(make()) as sim:
            sim.run_steps(steps)
        counts.append(len(compiled))
    assert counts[0] == counts[1] > 0


@BOTH
def test_writing_signals_compiles_nothing(make):
    """Values are arguments of what was compiled, weights and constant inputs too."""
    network = make()
    with simulator(network) as sim:
        sig = sim.model.sig

        def write(value):
            sim.signals[sig[network.pre.neurons]["bias"]][...] = value
            sim.signals[sig[network.learned]["weights"]][...] = value
            sim.signals[sig[network.stimulus]["out"]][...] = value

        sim.run_steps(5)
        write(0.5)
        sim.run_steps(5)
        with count_compilations() as compiled:
            for value in (1, 2, 3):
                write(value)
                sim.run_steps(5)
    assert not compiled


# -- progress bars


class Recording(ProgressBar):
    """Remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.seen: list[tuple[str, int, int | None]] = []
        self.finished = 0

    def update(self, progress):
        self.seen.append((progress.name_during, progress.n_steps, progress.max_steps))
        self.finished += progress.finished


@BOTH
def test_progress_bars(make):
    bar = Recording()
    with nengo_jax.Simulator(make(), progress_bar=bar) as sim:
        names = {name for name, _, _ in bar.seen}
        assert any("Build" in name for name in names)
        assert bar.finished > 0
        for run in (
            lambda b: sim.run_steps(250, progress_bar=b),
            lambda b: sim.run(0.25, progress_bar=b),
            lambda b: sim.run(0.25, b),
            lambda b: sim.run_steps(250, b),
        ):
            own = Recording()
            run(own)
            steps = [n for _, n, _ in own.seen]
            assert steps == sorted(steps)
            assert steps[-1] == 250
            assert {m for _, _, m in own.seen} == {250}
            assert own.finished
        bar.seen.clear()
        sim.run_steps(10)
        assert bar.seen[-1][1:] == (10, 10)
        bar.seen.clear()
        sim.run_steps(10, progress_bar=False)
        assert not bar.seen


def test_default_progress_bar(capsys):
    network, _ = ramp_network()
    with nengo_jax.Simulator(network) as sim:
        sim.run_steps(5)


# -- Python functions

LENGTHS = pytest.mark.parametrize(
    "runs", [[30], [1, 1, 5, 1, 22], [10, 10, 10]], ids=str
)


@LENGTHS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_time_are_called_once_per_step(runs, dtype):
    calls = []
    with nengo.Network() as network:
        node = nengo.Node(lambda t: calls.append(t) or t)
        nengo.Node(lambda t: calls.append(-t), size_out=0)
        nengo.Probe(node)
    with simulator(network, dt=0.0013, dtype=dtype) as sim:
        calls.clear()  # nengo tries a function once to find out the size of its output
        for steps in runs:
            sim.run_steps(steps)
            assert len(calls) == 2 * sim.n_steps
    assert all(type(t) is float for t in calls)
    first, second = calls[::2], calls[1::2]
    assert first == [-t for t in second]
    assert np.abs(first).tolist() == [k * 0.0013 for k in range(1, 31)]


@LENGTHS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_time_and_input(runs, dtype):
    calls = []
    kept = []

    def function(t, x):
        calls.append(t)
        kept.append(x)
        assert type(x) is np.ndarray
        assert x.dtype == np.float64
        assert x.shape == (2,)
        assert x.flags.writeable
        result = x + t
        x[...] = 99
        return result

    with nengo.Network() as network:
        stimulus = nengo.Node(lambda t: [t, 1])
        node = nengo.Node(function, size_in=2)
        nengo.Connection(stimulus, node, synapse=None)
        probe = nengo.Probe(node)
        before = nengo.Probe(stimulus)
    with simulator(network, dtype=dtype) as sim:
        calls.clear()
        kept.clear()
        for steps in runs:
            sim.run_steps(steps)
        assert calls == [k * 0.001 for k in range(1, 31)]
        assert all(type(t) is float for t in calls)
        assert len({id(x) for x in kept}) == 30, "x is a fresh array in each step"
        expected = np.stack([2 * sim.trange(), 1 + sim.trange()], axis=1)
        assert_close(sim.data[probe], expected, rtol=1e-6)
        assert_close(sim.data[before][:, 0], sim.trange(), rtol=1e-6)


def test_functions_that_talk_to_each_other():
    """One writes to a list what the other reads: the order within a step matters."""
    letters: list[float] = []

    def send(t):
        letters.append(t)
        return t

    def receive(t, x):
        assert len(letters) == round(t * 1000)
        return letters[-1]

    with nengo.Network() as network:
        sender = nengo.Node(send)
        receiver = nengo.Node(receive, size_in=1, size_out=1)
        nengo.Connection(sender, receiver, synapse=None)
        probe = nengo.Probe(receiver)
    with simulator(network) as sim:
        letters.clear()
        sim.run_steps(7)
        sim.run_steps(2)
        assert_close(sim.data[probe][:, 0], sim.trange())


def test_a_function_sees_the_past_of_the_simulation():
    """A closed loop through Python: a plant."""
    with nengo.Network(seed=1) as network:
        place = np.zeros(1)

        def plant(t, force):
            place[...] += 0.001 * force
            return place

        body = nengo.Node(plant, size_in=1, size_out=1)
        ensemble = nengo.Ensemble(20, 1)
        nengo.Connection(body, ensemble, transform=-1)
        nengo.Connection(ensemble, body, transform=30)
        nengo.Connection(nengo.Node(0.5), body, transform=100)
        probe = nengo.Probe(body)
    with on_reference(network) as reference:
        place[...] = 0
        reference.run_steps(60)
    with simulator(network) as sim:
        place[...] = 0
        sim.run_steps(60)
        assert_close(sim.data[probe], reference.data[probe])


def test_sinks_are_called_too():
    seen = []
    with nengo.Network() as network:
        stimulus = nengo.Node(lambda t: t)
        sink = nengo.Node(
            lambda t, x: seen.append((t, x.item())), size_in=1, size_out=0
        )
        nengo.Connection(stimulus, sink, synapse=None)
        nengo.Node(lambda t, x: seen.append(t), size_in=1)  # nothing is connected to it
    with simulator(network) as sim:
        seen.clear()
        sim.run_steps(4)
    pairs = [s for s in seen if isinstance(s, tuple)]
    assert [t for t, _ in pairs] == [k * 0.001 for k in range(1, 5)]
    assert all(t == x for t, x in pairs)
    assert len(seen) == 8


def failing_network(bad_step: int, error: BaseException, with_input: bool):
    """Make a network whose function fails in one step while ``state["armed"]``."""
    state = {"armed": True}

    def function(t, x=None):
        if state["armed"] and round(t * 1000) == bad_step:
            raise error
        return t if x is None else x[0] + t

    with nengo.Network(seed=1) as network:
        stimulus = nengo.Node(lambda t: np.sin(30 * t))
        if with_input:
            node = nengo.Node(lambda t, x: function(t, x), size_in=1, size_out=1)
            nengo.Connection(stimulus, node)
        else:
            node = nengo.Node(lambda t: function(t), size_out=1)
        ensemble = nengo.Ensemble(10, 1)
        nengo.Connection(node, ensemble)
        nengo.Connection(ensemble, ensemble, synapse=0.05)
        nengo.Probe(ensemble, synapse=0.01)
        nengo.Probe(node, sample_every=0.002)
        nengo.Probe(ensemble.neurons, "voltage")
    return network, state


@pytest.mark.parametrize("bad_step", [1, 2, 8, 20])
@pytest.mark.parametrize("with_input", [False, True], ids=["of time", "of input"])
@pytest.mark.parametrize(
    "error", [RuntimeError("mine"), KeyboardInterrupt()], ids=["error", "interrupt"]
)
def test_error_in_a_function(bad_step, with_input, error):
    """The steps before are kept; afterwards the simulation can go on or start anew."""
    network, state = failing_network(bad_step, error, with_input)
    state["armed"] = False
    whole = run_jax(network, 30)
    with simulator(network) as sim:
        state["armed"] = True
        with pytest.raises(type(error)) as caught:
            sim.run_steps(20)
        assert caught.value is error
        assert sim.n_steps == bad_step - 1
        assert sim.time == (bad_step - 1) * 0.001
        for probe in network.probes:
            kept = len(sim.trange(sample_every=probe.sample_every))
            assert len(sim.data[probe]) == kept
            if kept:
                assert_close(sim.data[probe], whole[probe][:kept], probe)
        with pytest.raises(type(error)):
            sim.step()
        assert sim.n_steps == bad_step - 1
        state["armed"] = False
        sim.run_steps(30 - sim.n_steps)
        for probe in network.probes:
            assert_close(sim.data[probe], whole[probe], probe)
        sim.reset()
        sim.run_steps(30)
        for probe in network.probes:
            assert_close(sim.data[probe], whole[probe], probe)


def test_error_in_a_batch():
    network, state = failing_network(6, RuntimeError("mine"), with_input=True)
    with simulator(network, minibatch_size=2) as sim:
        with pytest.raises(RuntimeError, match="mine"):
            sim.run_steps(10)
        assert sim.n_steps == 5
        assert sim.data[network.probes[0]].shape == (2, 5, 1)
        state["armed"] = False
        sim.run_steps(5)
        assert sim.data[network.probes[0]].shape == (2, 10, 1)


def test_invalid_numpy_operations_are_errors():
    """As in the reference, and only while the function runs."""
    with nengo.Network() as network:
        nengo.Node(lambda t, x: np.sqrt(x - 1) if t > 0.001 else x, size_in=1)
    with simulator(network) as sim:
        with pytest.raises(FloatingPointError):
            sim.run_steps(3)
        assert np.geterr()["invalid"] == "warn"


def test_functions_may_have_state_in_a_batch():
    """Each example has its own copy of what a function closes over."""

    def make():
        total = np.zeros(1)

        def add(t, x):
            total[...] += x
            return total

        return add

    class Adder:
        def __init__(self):
            self.total = np.zeros(1)

        def __call__(self, t, x):
            self.total += x
            return self.total

    with nengo.Network() as network:
        stimulus = nengo.Node([0.0])
        probes = []
        for function in (make(), Adder()):
            node = nengo.Node(function, size_in=1, size_out=1)
            nengo.Connection(stimulus, node, synapse=None)
            probes.append(nengo.Probe(node))
    data = np.arange(15.0).reshape(3, 5, 1)
    batch = run_jax(network, 5, {stimulus: data}, minibatch_size=3)
    for probe in probes:
        first = batch[probe][:, :1] - data[:, :1]  # what building has left behind
        assert_close(batch[probe] - first, np.cumsum(data, axis=1))


def test_a_function_may_step_another_simulator():
    inner_network, inner_probe = ramp_network()
    with simulator(inner_network) as inner, nengo.Network() as network:

        def function(t, x):
            inner.step()
            return inner.data[inner_probe][-1]

        node = nengo.Node(function, size_in=1, size_out=2)
        probe = nengo.Probe(node)
        with simulator(network, dtype="float32") as sim:
            inner.reset()
            sim.run_steps(5)
            assert_close(sim.data[probe], inner.data[inner_probe], rtol=1e-6)
            assert inner.data[inner_probe].dtype == np.float64


def test_function_that_returns_nothing_is_an_error():
    with nengo.Network() as network:
        nengo.Node(lambda t: None if t > 0.003 else t, size_out=1, label="empty")
    with simulator(network) as sim:
        with pytest.raises(SimulationError, match="lambda"):
            sim.run_steps(5)
        assert sim.n_steps == 3


# -- precision and device


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("f4")])
def test_dtype(dtype):
    network = neural_network()
    with simulator(network, dtype=dtype) as sim:
        sim.run_steps(3)
        assert sim.dtype == np.dtype(dtype)
        assert sim.data[network.probe].dtype == np.dtype(dtype)
        weights = sim.signals[sim.model.sig[network.learned]["weights"]]
        assert weights.dtype == np.dtype(dtype)


def test_global_precision_is_left_alone():
    network, probe = ramp_network()
    before = jax.config.jax_enable_x64
    double = run_jax(network, 5)[probe]
    assert jax.config.jax_enable_x64 == before
    single = run_jax(network, 5, dtype="float32")[probe]
    with jax.enable_x64(not before):
        assert np.array_equal(run_jax(network, 5)[probe], double)
        assert np.array_equal(run_jax(network, 5, dtype="float32")[probe], single)


def test_time_is_exact_in_single_precision():
    """A function is given t in double precision, after any number of steps."""
    last = []
    with nengo.Network() as network:
        nengo.Node(lambda t: last.append(t), size_out=0)
        nengo.Node(lambda t, x: last.append(t), size_in=1, size_out=0)
    with simulator(network, dtype="float32", dt=0.0001) as sim:
        last.clear()
        sim.run_steps(777)
    assert last == sorted(last)
    assert sorted(set(last)) == [k * 0.0001 for k in range(1, 778)]
    assert len(last) == 2 * 777


@pytest.mark.parametrize("device", ["cpu", "cpu:0", "device"])
def test_device(device):
    device = jax.devices("cpu")[0] if device == "device" else device
    network, probe = ramp_network()
    expected = run_jax(network, 5)[probe]
    assert np.array_equal(run_jax(network, 5, device=device)[probe], expected)
