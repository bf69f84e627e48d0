"""Files of NengoDL: arrays by position, several parameters in one.

Those in ``data`` were written by NengoDL itself; ``nengodl_cases.py`` tells how.
"""

from pathlib import Path

import jax
import keras
import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.exceptions import SimulationError, ValidationError
from nengodl_cases import CASES, SHOWN, STEPS

import nengo_jax

DATA = Path(__file__).parent / "data"
RTOL = 1e-5  # of the largest value: single precision, other orders of summation


def simulator(network) -> nengo_jax.Simulator:
    return nengo_jax.Simulator(network, progress_bar=False)


@pytest.fixture(scope="module")
def single() -> nengo.Network:
    """One parameter of each shape."""
    with nengo.Network(seed=1) as network:
        node = nengo.Node(np.zeros(9))
        a = nengo.Ensemble(8, 1, label="a", neuron_type=nengo.RectifiedLinear())
        convolution = nengo.Convolution(2, (3, 3, 1), kernel_size=(2, 2))
        nengo.Connection(node, a.neurons, transform=convolution, label="convolution")
        end = nengo.Node(size_in=3)
        transform = np.ones((3, 8))
        nengo.Connection(a.neurons, end, transform=transform, label="dense")
    return network


@pytest.fixture(scope="module")
def double() -> nengo.Network:
    """Two ensembles, whose biases NengoDL joins, and a probe that is in no file."""
    with nengo.Network(seed=1) as network:
        a = nengo.Ensemble(5, 1, label="a")
        b = nengo.Ensemble(4, 2, label="b")
        nengo.Connection(a, b[0], label="forward")
        nengo.Connection(b[0], a, label="back")
        nengo.Probe(a, label="probe")
    return network


SINGLE = {
    "convolution/weights": np.arange(8.0).reshape(2, 2, 1, 2),
    "a/bias": np.arange(8.0),
    "dense/weights": np.arange(24.0).reshape(3, 8),
    "a/encoders": np.arange(8.0)[:, None],
}
# rows of the biases of b come first
DOUBLE = [np.arange(9.0), np.arange(5.0)[:, None], np.arange(8.0).reshape(4, 2)]
DOUBLE += [np.full((1, 4), 2.0), np.full((1, 5), 3.0)]


def save(path, arrays):
    np.savez(path, *arrays)
    return path.with_suffix(".npz")


def values_of(sim) -> dict[str, np.ndarray]:
    model = sim.model
    labels = {obj.label: obj for obj in model.params if getattr(obj, "label", None)}
    found = {}
    for label, obj in labels.items():
        owners = {"encoders": obj, "weights": obj, "bias": getattr(obj, "neurons", obj)}
        for attribute, owner in owners.items():
            signal = model.sig[owner].get(attribute)
            if signal is not None:
                found[f"{label}/{attribute}"] = np.array(sim.signals.peek(signal))
    return found


def test_shapes_that_occur_once(single, tmp_path):
    path = save(tmp_path / "params", SINGLE.values())
    with simulator(single) as sim:
        sim.load_params(path)
        values = values_of(sim)
        assert_close(sim.data[single.ensembles[0]].bias, np.arange(8.0))
    for name, value in SINGLE.items():
        assert_close(values[name], value, name)


def test_what_cannot_be_told_is_named_and_nothing_changes(double, tmp_path):
    path = save(tmp_path / "params", DOUBLE)
    with simulator(double) as sim:
        before = values_of(sim)
        with pytest.raises(SimulationError) as caught:
            sim.load_params(path)
        message = str(caught.value)
        assert "what they hold: arr_0 (9,)." in message
        assert "without an array: a/bias (5,), b/bias (4,) = [" in message
        assert "Neither do sizes and initial values tell beyond doubt" in message
        after = values_of(sim)
        assert all(np.array_equal(after[name], before[name]) for name in before)


def test_the_user_can_tell(double, tmp_path):
    path = save(tmp_path / "params", DOUBLE)
    with simulator(double) as sim:
        loaded = sim.load_nengodl(path, order={"arr_0": ["b/bias", "a/bias"]})
        values = values_of(sim)
    assert set(loaded) == values.keys()
    assert_close(values["b/bias"], np.arange(4.0))
    assert_close(values["a/bias"], np.arange(4.0, 9.0))
    assert_close(values["b/encoders"], np.arange(8.0).reshape(4, 2))
    assert_close(values["forward/weights"], np.full((1, 5), 3.0))


def test_what_can_be_told_is_loaded_on_request(double, tmp_path):
    path = save(tmp_path / "params", [*DOUBLE[:3], np.zeros((2, 2, 2))])
    with simulator(double) as sim:
        before = values_of(sim)
        sim.load_params(path, partial=True)
        values = values_of(sim)
    assert_close(values["a/encoders"], np.arange(5.0)[:, None])
    assert np.array_equal(values["a/bias"], before["a/bias"])
    assert np.array_equal(values["forward/weights"], before["forward/weights"])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"arr_9": ["a/bias"]}, "no array 'arr_9'"),
        ({"arr_0": ["c/bias"]}, "no parameters c/bias. It has: a/encoders, a/bias"),
        (
            {"arr_0": ["a/bias"]},
            r"arr_0 has shape \(9,\), but a/bias \(5,\) have 5 rows",
        ),
        ({"arr_0": ["a/bias", "a/encoders"]}, r"arr_0 has shape \(9,\)"),
    ],
)
def test_what_the_user_tells_is_checked(double, tmp_path, order, message):
    path = save(tmp_path / "params", DOUBLE)
    with simulator(double) as sim, pytest.raises(ValidationError, match=message):
        sim.load_nengodl(path, order=order)


def test_files_of_others_are_refused(double, tmp_path):
    np.savez(tmp_path / "named.npz", weights=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", np.array([{"a": 1}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    with simulator(double) as sim:
        with pytest.raises(ValidationError, match="has arrays weights, but"):
            sim.load_params(tmp_path / "named.npz")
        for name in ("pickled", "text"):
            with pytest.raises(ValidationError, match=r"not an \.npz file of arrays"):
                sim.load_params(tmp_path / f"{name}.npz")
        with pytest.raises(FileNotFoundError):
            sim.load_params(tmp_path / "nowhere.npz")


def built(name: str, **keywords) -> nengo_jax.Simulator:
    """A simulator of one of the networks of which there are files."""
    network = CASES[name].build(nengo_jax, keras, **keywords)
    return nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False)


def outputs_of(name: str, sim: nengo_jax.Simulator) -> tuple[list, list]:
    """Outputs of a simulator for all probes, and those of NengoDL."""
    network = sim.model.toplevel
    sim.compile(loss={network.probes[0]: "mse"})
    with np.load(DATA / f"{name}_outputs.npz") as file:
        x, *expected = (file[key] for key in file.files)
    with jax.numpy_rank_promotion("allow"):  # Keras's own layers rely on it
        outputs = sim.predict({network.all_nodes[0]: x}, n_steps=STEPS, verbose=0)
    return [outputs[probe][:, -SHOWN:] for probe in network.probes], expected


KEY = "recognized by their likeness"
FOUND = {
    "several": "arr_1: sub.c/bias, sub.d/bias, e/bias, a/bias, b/bias; arr_3: ",
    "array": "arr_0: array.array_0/bias, array.array_1/bias, array.array_2/bias",
    "dense": r"arr_\d: layer0/bias, layer1/bias, layer2/bias\.",
    "biases": "arr_0: Ensemble1/bias, Ensemble0/bias, Ensemble2/bias; arr_1: ",
    "keras_layers": r"arr_0: Ensemble0/bias, Ensemble1/bias\.",
}
BIASES = {  # in the order of rows
    "several": (20, 20, 24, 30, 25),
    "array": (20, 20, 20, 20, 40),
    "dense": (16, 16, 12),
    "biases": (20, 20, 35),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_file_of_nengodl_gives_the_same_outputs(name):
    with built(name) as sim:
        with pytest.warns(UserWarning, match=f"{KEY}.*{FOUND[name]}"):
            sim.load_params(DATA / f"{name}.npz")
        outputs, expected = outputs_of(name, sim)
    for actual, wanted in zip(outputs, expected, strict=True):
        assert np.ptp(wanted) > 0
        assert_close(actual, wanted, name, rtol=RTOL)


def test_equal_initial_values_need_an_order():
    path = DATA / "equal_tuning.npz"
    with built("equal_tuning") as sim:
        with pytest.raises(SimulationError, match=r"arr_\d \(44,\).*some are equal"):
            sim.load_params(path)
        array = next(n for n, value in np.load(path).items() if value.shape == (44,))
        sim.load_nengodl(path, order={array: ["one/bias", "two/bias"]})
        outputs, expected = outputs_of("equal_tuning", sim)
    assert_close(outputs[0], expected[0], rtol=RTOL)


def test_single_numbers_need_an_order_and_are_shown():
    path = DATA / "nodes.npz"
    with built("nodes") as sim:
        with pytest.raises(SimulationError, match="cannot be told") as caught:
            sim.load_params(path)
        message = str(caught.value)
        for name in ("twice", "two", "minus", "sparse"):
            assert f"{name}/weights (" in message
        assert "twice/weights () = 2.0" in message
        assert "arr_7 (2,) = [1.9995, -1.0], arr_8 (2,) = [0.4993, 0.7004]" in message
        assert "arr_20" not in message  # the state
        order = {"arr_6": ["sparse/weights"], "arr_8": ["two/weights"]}
        order["arr_7"] = ["twice/weights", "minus/weights"]
        online = "Online rules change Connection"
        with pytest.warns(UserWarning, match=KEY), pytest.warns(match=online):
            sim.load_nengodl(path, order=order)
        outputs, expected = outputs_of("nodes", sim)
    assert_close(outputs[0], expected[0], rtol=RTOL)


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("seed", [100, 101])
def test_another_seed_is_refused(name, seed):
    with built(name, seed=seed) as sim:
        before = values_of(sim)
        with pytest.raises(SimulationError, match="another seed"):
            sim.load_params(DATA / f"{name}.npz")
        after = values_of(sim)
    assert all(np.array_equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("name", ["several", "array", "biases"])
def test_without_a_seed_values_say_nothing(name):
    match = "no seed, so it started with other"
    with built(name, seed=None) as sim, pytest.raises(SimulationError, match=match):
        sim.load_params(DATA / f"{name}.npz")


@pytest.mark.parametrize("name", BIASES)
def test_rows_in_any_order_are_found(name, tmp_path):
    arrays = dict(np.load(DATA / f"{name}.npz"))
    with built(name) as sim:
        with pytest.warns(UserWarning, match=KEY):
            sim.load_params(DATA / f"{name}.npz")
        expected = values_of(sim)
        sizes = BIASES[name]
        biases = next(n for n, v in arrays.items() if v.shape == (sum(sizes),))
        parts = np.split(arrays[biases], np.cumsum(sizes)[:-1])
        arrays[biases] = np.concatenate(parts[::-1])
        np.savez(tmp_path / "turned.npz", **arrays)
        with pytest.warns(UserWarning, match=KEY):
            sim.load_params(tmp_path / "turned.npz")
        values = values_of(sim)
    assert all(np.array_equal(values[key], expected[key]) for key in expected)


def test_another_seed_is_noticed_where_sizes_suffice(tmp_path):
    def network(seed):
        with nengo.Network(seed=seed) as result:
            node = nengo.Node([0.0])
            ensemble = nengo.Ensemble(40, 1)
            nengo.Connection(node, ensemble.neurons, transform=np.ones((40, 1)))
        return result

    with simulator(network(1)) as sim:
        ensemble = sim.model.toplevel.ensembles[0]
        bias = sim.data[ensemble].bias
    path = save(tmp_path / "params", [bias, np.ones((40, 1))])
    with simulator(network(1)) as sim:
        sim.load_params(path)
    match = "biases in .* are nothing like"
    with simulator(network(2)) as sim, pytest.warns(UserWarning, match=match):
        sim.load_params(path)


def test_what_is_trained_must_agree(tmp_path):
    def network(trainable):
        with nengo.Network(seed=1) as result:
            nengo_jax.configure_settings(trainable=None)
            node = nengo.Node([0.0])
            for name in "ab":
                ensemble = nengo.Ensemble(20, 1, label=name)
                nengo.Connection(node, ensemble)
                result.config[ensemble].trainable = name == trainable
        return result

    with simulator(network("a")) as sim:
        records = [sim.data[ensemble] for ensemble in sim.model.toplevel.ensembles]
    encoders = [record.scaled_encoders for record in records]
    biases = [record.bias for record in records]
    path = save(tmp_path / "params", [encoders[0], biases[0], biases[1], encoders[1]])
    with simulator(network("a")) as sim:
        assert len(sim.load_nengodl(path)) == 4
    match = "other things are trained"
    with simulator(network("b")) as sim, pytest.raises(SimulationError, match=match):
        sim.load_nengodl(path)
