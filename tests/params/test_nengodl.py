"""Files of NengoDL: arrays by position, several parameters in one."""

import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.exceptions import SimulationError, ValidationError

import nengo_jax


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
    """Two ensembles, whose biases NengoDL joins, and a probe."""
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
# rows of the biases of b come first; then weights of the probe, which is not trained
DOUBLE = [np.arange(9.0), np.arange(5.0)[:, None], np.arange(8.0).reshape(4, 2)]
DOUBLE += [np.full((1, 4), 2.0), np.full((1, 5), 3.0), np.full((1, 5), 4.0)]


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
        assert "what they hold: arr_0 (9,), arr_4 (1, 5), arr_5 (1, 5)." not in message
        assert "what they hold: arr_0 (9,)." in message
        assert "without an array: a/bias (5,), b/bias (4,)." in message
        after = values_of(sim)
        assert all(np.array_equal(after[name], before[name]) for name in before)


def test_the_user_can_tell(double, tmp_path):
    path = save(tmp_path / "params", DOUBLE)
    with simulator(double) as sim:
        loaded = sim.load_nengodl(path, order={"arr_0": ["b/bias", "a/bias"]})
        values = values_of(sim)
    assert set(loaded) == values.keys() | {"probe/weights"}
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
