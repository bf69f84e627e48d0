"""Parameters in files: what is saved, what is loaded, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.exceptions import SimulationError, ValidationError
from safetensors.numpy import load_file, save_file

import nengo_jax
from nengo_jax.params import load_params, save_params, store


def simulator(network, **options) -> nengo_jax.Simulator:
    options = {"progress_bar": False, "dtype": "float64", **options}
    return nengo_jax.Simulator(network, **options)


def record(sim, steps: int = 20) -> list[np.ndarray]:
    """What the probes record in some more steps."""
    sim.clear_probes()
    sim.run_steps(steps)
    return [np.array(sim.data[probe]) for probe in sim.model.probes]


def same(one, other, rtol: float = 1e-9) -> None:
    for actual, expected in zip(one, other, strict=True):
        assert_close(actual, expected, rtol=rtol)


ENSEMBLE = ("encoders", "bias", "gain")


def rich_network(seed: int, neurons: int = 10) -> nengo.Network:
    """Weights of every kind; all that is random depends on the seed."""
    convolution = nengo.Convolution(2, (3, 3, 1), kernel_size=(2, 2))
    sparse = nengo.Sparse(
        (8, 8), [(k, 7 - k) for k in range(8)], nengo.dists.Gaussian(0, 1)
    )
    with nengo.Network(seed=seed) as network:
        stimulus = nengo.Node([0.4, -0.3], label="stimulus")
        picture = nengo.Node(np.linspace(-1, 1, 9), label="picture")
        with nengo.Network(label="inner") as inner:
            a = nengo.Ensemble(neurons, 2, label="a", radius=1.5)
        features = nengo.Ensemble(8, 1, neuron_type=nengo.RectifiedLinear())
        output = nengo.Ensemble(8, 1, label="output", neuron_type=nengo.LIFRate())
        nengo.Connection(stimulus, a)
        nengo.Connection(picture, features.neurons, transform=convolution)
        nengo.Connection(
            features.neurons, output.neurons, transform=sparse, label="sparse"
        )
        learned = nengo.Connection(
            a,
            output,
            function=lambda x: x[0] * x[1],
            learning_rule_type=nengo.PES(1e-2),
            label="learned",
        )
        nengo.Connection(output, learned.learning_rule)
        nengo.Connection(
            a,
            output,
            function=lambda x: x[0],
            solver=nengo.solvers.LstsqL2(weights=True),
        )
        nengo.Probe(inner.ensembles[0], synapse=0.01, label="seen")
        nengo.Probe(output.neurons, label="rates")
    return network


NAMES = {
    *(f"{e}/{v}" for e in ("inner.a", "Ensemble0", "output") for v in ENSEMBLE),
    *(f"{c}/weights" for c in ("Connection1", "sparse", "learned")),
    *(f"{c}/weights" for c in ("Connection4", "Connection5", "seen")),
}


def test_a_network_of_another_seed_becomes_the_same(tmp_path):
    with simulator(rich_network(1)) as sim:
        sim.run_steps(30)
        path = sim.save_params(tmp_path / "network")
        saved = {k: np.array(v) for k, v in load_file(path).items()}
        sim.save_params(path, include_state=True)
        expected = record(sim)
    assert path == tmp_path / "network.safetensors"
    assert set(store.part(saved, "")) == NAMES
    assert saved["constants//inner.a/tau_rc"] == 0.02
    assert saved["constants//sparse/coordinates"].shape == (8, 2)
    assert "state//n_steps" not in saved
    with simulator(rich_network(2)) as other:
        different = record(other)
        assert np.max(np.abs(different[0] - expected[0])) > 1e-3
        other.load_params(path, include_state=True)
        assert other.n_steps == 30
        same(record(other), expected)
        for label in ("a", "output"):
            one, two = (s.data[sim_ensemble(s, label)] for s in (sim, other))
            assert_close(two.gain, one.gain)
            assert_close(two.max_rates, one.max_rates)


def test_state_does_not_depend_on_merging(tmp_path):
    with simulator(rich_network(1)) as sim:
        sim.run_steps(7)
        path = sim.save_params(tmp_path / "a", include_state=True)
        expected = record(sim)
    names = set(store.part(load_file(path), store.STATE))
    assert {"n_steps", "inner.a/neurons.voltage", "learned/rule.delta.rows"} <= names
    assert not [name for name in names if "0x" in name or "operator" in name]
    with simulator(rich_network(1), optimize=False) as sim:
        sim.load_params(path, include_state=True)
        same(record(sim), expected)


def small_network(neurons: int = 5, extra: bool = False) -> nengo.Network:
    with nengo.Network(seed=3) as network:
        a = nengo.Ensemble(neurons, 1, label="a", neuron_type=nengo.LIFRate())
        b = nengo.Ensemble(4, 1, label="b", neuron_type=nengo.LIFRate())
        nengo.Connection(a, b, label="weights", synapse=None)
        if extra:
            nengo.Ensemble(4, 1, label="c", neuron_type=nengo.LIFRate())
    return network


def values_of(sim) -> dict[str, np.ndarray]:
    return {s.name: np.array(sim.signals.peek(s)) for s in sim.signals if not s.sparse}


def test_all_that_does_not_fit_is_named_and_nothing_changes(tmp_path):
    with simulator(small_network(extra=True)) as sim:
        path = sim.save_params(tmp_path / "params")
    arrays = load_file(path)
    del arrays["b/bias"], arrays["a/gain"]
    arrays["a/bias"] = np.zeros(6)
    arrays["b/gain"] = np.arange(4)
    store.write(path, arrays)
    with simulator(small_network()) as sim:
        before = values_of(sim)
        with pytest.raises(SimulationError) as caught:
            sim.load_params(path)
        assert all(np.array_equal(v, before[k]) for k, v in values_of(sim).items())
        message = str(caught.value)
        assert "Missing in the file: b/bias, a/gain." in message
        assert "Not in the network: c/bias, c/encoders, c/gain." in message
        assert "a/bias (float64 (6,) in the file, float64 (5,) here)" in message
        assert "b/gain (int64 (4,) in the file, float64 (4,) here)" in message
        sim.load_params(path, partial=True)
        assert_close(
            sim.signals[sim.model.sig[sim_ensemble(sim, "b")]["encoders"]],
            arrays["b/encoders"],
        )
        with pytest.raises(SimulationError, match=r"Missing in the file: .*n_steps"):
            sim.load_params(path, include_state=True)


def sim_ensemble(sim, label):
    return next(e for e in sim.model.toplevel.all_ensembles if e.label == label)


def test_gains_and_coordinates_take_part(tmp_path):
    def network(indices):
        with nengo.Network(seed=1) as network:
            node = nengo.Node([1.0, 2.0])
            end = nengo.Node(size_in=2)
            transform = nengo.Sparse((2, 2), indices, init=1.0)
            nengo.Connection(node, end, transform=transform, label="s")
        return network

    with simulator(network([(0, 0), (1, 1)])) as sim:
        path = sim.save_params(tmp_path / "params")
    with (
        simulator(network([(0, 1), (1, 0)])) as sim,
        pytest.raises(SimulationError, match=r"s/weights .its elements lie elsewhere"),
    ):
        sim.load_params(path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_may_differ(tmp_path, dtype):
    with simulator(small_network(), dtype="float32") as sim:
        path = sim.save_params(tmp_path / "params")
    with simulator(small_network(), dtype=dtype) as sim:
        sim.load_params(path)
        bias = sim.signals[sim.model.sig[sim_ensemble(sim, "a").neurons]["bias"]]
        assert bias.dtype == dtype
        assert np.array_equal(bias, load_file(path)["a/bias"])


def learning_network() -> nengo.Network:
    """Examples of a batch learn differently, as their noise differs."""
    with nengo.Network(seed=3) as network:
        pre = nengo.Ensemble(6, 1, label="pre", neuron_type=nengo.LIFRate())
        end = nengo.Node(size_in=1)
        learned = nengo.Connection(
            pre, end, label="learned", learning_rule_type=nengo.PES(1e-2)
        )
        noise = nengo.Node(nengo.processes.WhiteNoise(seed=None))
        nengo.Connection(noise, learned.learning_rule, synapse=None)
    return network


def test_what_examples_learned(tmp_path):
    network = learning_network()
    learned = network.connections[0]
    with simulator(network, minibatch_size=3) as sim:
        fresh = sim.save_params(tmp_path / "fresh")
        assert load_file(fresh)["learned/weights"].shape == (1, 6)
        sim.run_steps(5)
        weights = sim.data[learned].weights
        everything = sim.save_params(tmp_path / "all")
        one = sim.save_params(tmp_path / "one", example=1)
        assert np.array_equal(load_file(everything)["learned/weights"], weights)
        assert np.array_equal(load_file(one)["learned/weights"], weights[1])
        with pytest.raises(ValidationError, match="no example 3: the batch has 3"):
            sim.save_params(one, example=3)
        sim.load_params(one)
        assert_close(sim.data[learned].weights, np.tile(weights[1], (3, 1, 1)))
        sim.load_params(everything)
        assert np.array_equal(sim.data[learned].weights, weights)
    with simulator(network) as sim:
        with pytest.raises(SimulationError, match=r"learned/weights .*\(3, 1, 6\)"):
            sim.load_params(everything)
        sim.load_params(everything, example=2)
        assert np.array_equal(sim.data[learned].weights, weights[2])


@pytest.mark.parametrize("batch", [None, 2])
def test_going_on_from_a_file_is_exact(tmp_path, batch):
    """Random neurons, a filter with several state variables, and Python with state."""
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(lambda t: np.sin(50 * t))
        ensemble = nengo.Ensemble(
            6, 1, neuron_type=nengo.PoissonSpiking(nengo.LIFRate()), label="e"
        )
        nengo.Connection(stimulus, ensemble, synapse=nengo.Alpha(0.01))
        nengo.Probe(ensemble.neurons, synapse=nengo.synapses.Triangle(0.005))
    with simulator(network, minibatch_size=batch) as sim:
        sim.run_steps(9)
        path = sim.save_params(tmp_path / "state", include_state=True)
        expected = record(sim)
    with simulator(network, minibatch_size=batch) as sim:
        sim.load_params(path, include_state=True)
        assert sim.time == pytest.approx(0.009)
        actual = record(sim)
    assert all(map(np.array_equal, actual, expected))
    assert np.any(expected[0])


def test_extra_arrays_come_back(tmp_path):
    extra = {"adam/momentum": np.arange(6.0).reshape(2, 3).T, "iterations": np.array(7)}
    with simulator(small_network()) as sim:
        path = save_params(sim._live, tmp_path / "v1.0", extra=extra)
        found = load_params(sim._live, path)
    assert path.name == "v1.0"
    assert found.keys() == extra.keys()
    assert all(np.array_equal(found[name], extra[name]) for name in extra)


def scaled_network(scale: float) -> nengo.Network:
    """Neurons that fire more and count for less, without and with an encoder."""
    with nengo.Network(seed=1) as network:
        node = nengo.Node([0.5])
        neurons = nengo.RectifiedLinear(amplitude=1 / scale)
        gain = nengo.dists.Choice([scale])
        options = {"gain": gain, "neuron_type": neurons}
        a = nengo.Ensemble(4, 1, bias=scale * np.arange(4), label="a", **options)
        b = nengo.Ensemble(4, 1, bias=np.zeros(4), label="b", **options)
        nengo.Connection(node, a, synapse=None)
        transform = nengo.dists.Uniform(0, 1)
        nengo.Connection(a.neurons, b.neurons, transform=transform, synapse=None)
        nengo.Connection(
            b, node_of(network), solver=nengo.solvers.NoSolver(np.ones((4, 1)))
        )
        nengo.Probe(b.neurons)
    return network


def node_of(network):
    with network:
        return nengo.Node(size_in=1)


def test_gains_of_the_network_can_be_kept(tmp_path):
    with simulator(scaled_network(1)) as sim:
        sim.signals[sim.model.sig[sim_ensemble(sim, "a").neurons]["bias"]][...] += 0.5
        sim.signals[sim.model.sig[sim_ensemble(sim, "a")]["encoders"]][...] *= 1.5
        path = sim.save_params(tmp_path / "params")
        expected = record(sim)
    with simulator(scaled_network(10)) as sim:
        sim.load_params(path, keep_gain=True)
        assert_close(sim.data[sim_ensemble(sim, "b")].gain, np.full(4, 10))
        same(record(sim), expected)
        with pytest.warns(
            UserWarning, match=r"a/amplitude \(1.0 in the file, 0.1 here"
        ):
            sim.load_params(path)
        assert_close(sim.data[sim_ensemble(sim, "b")].gain, np.ones(4))


def test_gains_in_a_rule_cannot_be_replaced(tmp_path):
    def network(seed):
        with nengo.Network(seed=seed) as network:
            a = nengo.Ensemble(4, 1, label="a")
            b = nengo.Ensemble(4, 1, label="b")
            nengo.Connection(a, b, learning_rule_type=nengo.Voja())
        return network

    with simulator(network(1)) as sim:
        path = sim.save_params(tmp_path / "params")
        sim.load_params(path)
    with (
        simulator(network(2)) as sim,
        pytest.raises(SimulationError, match=r"Built into a Voja rule, .*: b/gain\."),
    ):
        sim.load_params(path)


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    with simulator(small_network()) as sim:
        path = sim.save_params(tmp_path / "params")
        old = path.read_bytes()

        def fail(*args):
            raise OSError("disk full")

        monkeypatch.setattr(os, "replace", fail)
        sim.signals[sim.model.sig[sim_ensemble(sim, "a")]["encoders"]][...] = 0
        with pytest.raises(OSError, match="disk full"):
            sim.save_params(path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_others_are_refused(tmp_path):
    with simulator(small_network()) as sim:
        with pytest.raises(FileNotFoundError, match=r"no file .*nowhere.safetensors"):
            sim.load_params(tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match="no folder"):
            sim.save_params(tmp_path / "missing" / "params")
        (tmp_path / "text.safetensors").write_text("hello")
        with pytest.raises(ValidationError, match="not a safetensors file"):
            sim.load_params(tmp_path / "text")
        save_file({"a": np.zeros(1)}, tmp_path / "other.safetensors")
        with pytest.raises(ValidationError, match="not one of nengo_jax"):
            sim.load_params(tmp_path / "other")
        metadata = {"format": "nengo_jax parameters", "format_version": "99"}
        metadata["nengo_jax"] = "9.0"
        save_file({"a": np.zeros(1)}, tmp_path / "new.safetensors", metadata)
        with pytest.raises(ValidationError, match=r"nengo_jax 9\.0, which is newer"):
            sim.load_params(tmp_path / "new")
    with (
        simulator(None, model=nengo.builder.Model()) as sim,
        pytest.raises(ValidationError, match="not built from a network"),
    ):
        sim.save_params(tmp_path / "params")


def test_a_new_process_goes_on(tmp_path):
    network = small_network()
    with network:
        nengo.Probe(network.ensembles[0], synapse=0.01, label="p")
    with simulator(network) as sim:
        signal = sim.model.sig[network.ensembles[0].neurons]["bias"]
        sim.signals[signal][...] += 0.1
        sim.run_steps(4)
        sim.save_params(tmp_path / "params", include_state=True)
        (expected,) = record(sim, 5)
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
import conftest, nengo, numpy, test_files
network = test_files.small_network()
with network:
    nengo.Probe(network.ensembles[0], synapse=0.01, label="p")
with test_files.simulator(network) as sim:
    sim.load_params({str(tmp_path / "params")!r}, include_state=True)
    numpy.save({str(tmp_path / "actual.npy")!r}, test_files.record(sim, 5)[0])
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert np.array_equal(np.load(tmp_path / "actual.npy"), expected)
