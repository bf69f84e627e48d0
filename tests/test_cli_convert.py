"""The command nengo-jax convert: what it prints and writes, and how it fails."""

import json
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import jax
import keras
import numpy as np
import pytest
from keras import layers

from nengo_jax.cli import main

CLASSES, COUNT = 3, 60


@pytest.fixture(autouse=True)
def lenient():
    with jax.numpy_rank_promotion("allow"):
        yield


@cache
def points():
    """Points around three centres."""
    rng = np.random.RandomState(0)
    labels = np.arange(COUNT) % CLASSES
    centres = np.array([[1, 0, 0, 0.5], [0, 1, 0, 0.5], [0, 0, 1, 0.5]])
    inputs = centres[labels] + 0.1 * rng.randn(COUNT, 4)
    return np.abs(inputs).astype("float32"), labels


@cache
def classifier():
    """Chooses the largest of the first three inputs, exactly."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,), name="point"),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(CLASSES, name="answer"),
        ],
        name="points",
    )
    model.layers[0].set_weights([np.tile(np.eye(4), 2), np.zeros(8)])
    model.layers[1].set_weights([np.tile(np.eye(4, 3), (2, 1)), np.zeros(3)])
    return model


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A model and data, in the present folder."""
    monkeypatch.chdir(tmp_path)
    classifier().save("points.keras")
    inputs, labels = points()
    np.savez("test.npz", x=inputs, y=labels)
    return tmp_path


def run(*arguments):
    return main(["convert", "points.keras", "--data", "test.npz", *arguments])


def fails(capsys, *arguments):
    """Run a command that fails, and return its one line."""
    assert main(["convert", *map(str, arguments)]) == 2
    _, error = capsys.readouterr()
    assert error.startswith("nengo-jax convert: ")
    assert error.count("\n") == 1
    return error


def test_convert_calibrates_writes_and_tells_how_to_run(files, capsys):
    arguments = ["--report", "out.html", "--json", "out.json", "--out", "network"]
    assert run("--steps", "16", *arguments) == 0
    printed = capsys.readouterr().out
    # a quarter is for the calibration
    assert "45 examples, read out as mean" in printed
    assert re.search(r"Keras model +100.0%", printed)
    assert "Nothing to mend" in printed
    page = Path("out.html").read_text(encoding="utf-8")
    assert "points as a spiking network" in page
    assert "What calibration did" in page
    numbers = json.loads(Path("out.json").read_text(encoding="utf-8"))
    (row,) = re.findall(r"right answers +(.*)", printed)
    shown = row.split()
    assert shown[-1] == f"{numbers['scores'][1]['values'][-1]:.1%}"
    assert numbers["n_steps"] == 16
    # the lines that were printed run the network
    program = printed[printed.index("    from nengo_jax") :]
    inputs, labels = points()
    variables = {"x": inputs}
    exec("\n".join(line.strip() for line in program.splitlines()), variables)
    results = variables["results"]
    assert results.shape == (COUNT, CLASSES)
    assert (results.argmax(-1) == labels).mean() > 0.95


def test_convert_without_calibration_names_the_cause(files, capsys):
    assert run("--no-calibration", "--steps", "30") == 0
    printed = capsys.readouterr().out
    assert "60 examples, read out as last" in printed
    assert "What to change:\n1. Layer hidden fires at most" in printed
    assert "one spike takes" in printed
    assert "-> Scale the firing rates of hidden by" in printed
    # which helps
    assert run("--no-calibration", "--steps", "30", "--rate", "1000") == 0
    assert "fires at most" not in capsys.readouterr().out


def test_calibration_on_other_examples(files, capsys):
    inputs, labels = points()
    np.savez("train.npz", x=inputs[:20], y=labels[:20])
    assert run("--steps", "8", "--calibration-data", "train.npz") == 0
    assert "60 examples" in capsys.readouterr().out


def test_data_without_labels_and_by_the_name_of_the_input(files, capsys):
    np.savez("test.npz", point=points()[0])
    assert run("--no-calibration", "--steps", "5") == 0
    assert re.search(r"difference +\d", capsys.readouterr().out)


def test_max_pooling_and_softmax(files, capsys):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 1)),
            layers.Conv1D(4, 2, activation="relu", name="convolution"),
            layers.MaxPooling1D(2, name="pooling"),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax", name="answer"),
        ]
    )
    model.save("points.keras")
    np.savez("test.npz", x=points()[0][..., None], y=points()[1])
    assert run("--no-calibration", "--steps", "5", "--rate", "300") == 0
    printed = capsys.readouterr().out
    assert printed.count("Note: pooling (MaxPooling1D) becomes a TensorNode") == 1
    assert "Layer pooling takes the maximum in each step" in printed
    assert run("--no-calibration", "--steps", "5", "--max-to-avg-pool") == 0
    assert "maximum" not in capsys.readouterr().out
    error = fails(
        capsys, "points.keras", "--data", "test.npz", "--no-fallback", "--steps", 5
    )
    assert "pooling (MaxPooling1D) cannot be converted" in error


@pytest.mark.slow
def test_all_kinds_of_rectified_linear_units_spike(files, capsys):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, activation="relu", name="plain"),
            layers.ReLU(max_value=6, negative_slope=0.1, name="bounded"),
            layers.LeakyReLU(negative_slope=0.2, name="leaky"),
            layers.Dense(CLASSES, name="answer"),
        ]
    )
    model.save("points.keras")
    assert run("--steps", "5", "--json", "out.json") == 0
    assert "Values, not spikes" not in capsys.readouterr().out
    found = json.loads(Path("out.json").read_text(encoding="utf-8"))["layers"]
    spiking = [x["population"]["spiking"] for x in found if x["population"]]
    assert spiking == [True, True, True]


# -- bad input


class Squares(layers.Layer):
    def call(self, x):
        return x * x


def save_list(name):
    Path(name).write_text("[1, 2]", encoding="utf-8")


def save_zip(name):
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("config.json", "{}")


def save_custom(name):
    model = keras.Sequential([keras.Input((4,)), Squares(), layers.Dense(CLASSES)])
    model.save(name)


def save_lambda(name):
    square = layers.Lambda(lambda x: x * x, output_shape=(4,))
    keras.Sequential([keras.Input((4,)), square, layers.Dense(CLASSES)]).save(name)


def save_without_spikes(name):
    keras.Sequential([keras.Input((4,)), layers.Dense(CLASSES)]).save(name)


@pytest.mark.parametrize(
    ("name", "save", "message"),
    [
        ("none.keras", lambda name: None, "there is no such file"),
        ("list.keras", save_list, "is no Keras model, as model.save"),
        ("list.txt", save_list, "is no Keras model, as model.save"),
        ("zip.keras", save_zip, "is no Keras model, as model.save"),
        ("old.h5", save_list, "old HDF5 format, which Keras cannot load safely"),
        ("custom.keras", save_custom, "custom objects that this command does not know"),
        ("code.keras", save_lambda, "the model has code in it"),
        ("linear.keras", save_without_spikes, "nothing in the model"),
    ],
)
def test_files_that_are_no_models(files, capsys, name, save, message):
    save(name)
    error = fails(capsys, name, "--data", "test.npz")
    assert name.split(".")[0] in error or "nothing" in error
    assert message in error


def test_code_in_a_model_runs_only_if_it_is_asked_for(files, capsys, monkeypatch):
    square = layers.Lambda(lambda x: x * x, output_shape=(4,), name="squares")
    model = keras.Sequential(
        [keras.Input((4,)), square, layers.Dense(CLASSES, activation="relu")]
    )
    model.save("points.keras")
    assert "--unsafe" in fails(capsys, "points.keras", "--data", "test.npz")
    assert run("--no-calibration", "--steps", "3", "--unsafe") == 0
    assert "Note: squares (Lambda)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((5, 4))}, "has no array x for the inputs (found: a)"),
        ({"x": np.zeros((5, 7))}, "shape (5, 7)"),
        ({"x": np.zeros((5, 4)), "y": np.zeros(4)}, "x 5, y 4"),
        ({"x": np.zeros((0, 4))}, "has no examples"),
        ({"x": np.zeros(())}, "x is a single number"),
        ({"x": np.zeros((5, 4)), "y": np.full(5, 3)}, "labels go from 3 to 3"),
        ({"x": np.array([None] * 5)}, "no .npz file of arrays of numbers"),
        ({"x": np.array(["a"] * 5)}, "must be numbers"),
        ({"x": np.full((5, 4), np.inf)}, "not all finite"),
        ({"x": np.zeros((5, 4)), "y": np.zeros((5, 9))}, "labels have shape (5, 9)"),
    ],
)
def test_data_that_do_not_fit(files, capsys, arrays, message):
    np.savez("test.npz", **arrays)
    error = fails(capsys, "points.keras", "--data", "test.npz", "--no-calibration")
    assert "test.npz" in error
    assert message in error


def test_files_that_are_no_data(files, capsys):
    assert "no such file" in fails(capsys, "points.keras", "--data", "none.npz")
    Path("text.npz").write_text("1, 2", encoding="utf-8")
    assert "no .npz file" in fails(capsys, "points.keras", "--data", "text.npz")
    np.save("one.npy", np.zeros(3))
    assert "single array" in fails(capsys, "points.keras", "--data", "one.npy")
    np.savez("few.npz", x=np.zeros((2, 4)))
    assert "too few" in fails(capsys, "points.keras", "--data", "few.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "network", "--no-calibration"], "leave out --no-calibration"),
        (["--report", "no_such/out.html"], "there is no folder"),
        (["--json", "no_such/out.json"], "there is no folder"),
        (["--out", "no_such/network"], "there is no folder"),
    ],
)
def test_outputs_are_checked_first(files, capsys, arguments, message):
    assert message in fails(capsys, "points.keras", "--data", "test.npz", *arguments)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--steps", "0"), ("--rate", "-1"), ("--dt", "inf"), ("--neurons", "none")],
)
def test_wrong_options(files, capsys, option, value):
    with pytest.raises(SystemExit, match=r"^2$"):
        run(option, value)
    assert option in capsys.readouterr().err


def test_what_is_in_the_way_of_the_network_stays(files, capsys):
    Path("network").mkdir()
    Path("network", "notes.txt").write_text("mine", encoding="utf-8")
    assert run("--steps", "4", "--out", "network") == 2
    assert "network" in capsys.readouterr().err
    assert Path("network", "notes.txt").read_text(encoding="utf-8") == "mine"


def test_matplotlib_is_needed_for_the_page(files):
    program = (
        "import sys\n"
        "sys.modules['matplotlib'] = None  # as if it were not installed\n"
        "from nengo_jax.cli import main\n"
        "sys.exit(main(['convert', 'points.keras', '--data', 'test.npz', '--report', "
        "'out.html']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("nengo-jax convert: matplotlib, which draws")
