"""Calibrated networks on disk: the same in a fresh process, and without code."""

import json
import shutil
import subprocess
import sys

import keras
import nengo
import numpy as np
import pytest
from keras import layers

from nengo_jax.convert import Converter
from nengo_jax.convert.calibration import Readout, calibrate, load
from nengo_jax.convert.calibration.encoding import (
    decode_activation,
    decode_object,
    encode_activation,
    encode_object,
)
from nengo_jax.layers import QCFS
from nengo_jax.neurons import BoundedReLU, SoftResetIntegrateAndFire, nir

X = np.random.RandomState(0).normal(size=(40, 6, 6, 1)).astype(np.float32)
QUICK = {"trial_examples": 32, "n_steps": 6}

SCRIPT = """
import sys
import numpy as np
from nengo_jax.convert.calibration import load
calibrated = load(sys.argv[1])
np.save(sys.argv[3], calibrated.predict(np.load(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def model():
    """Layers of the same name in a nested model, and all that is folded."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, use_bias=False, name="first"),
            layers.BatchNormalization(),
            layers.ReLU(name="relu"),
        ],
        name="inner",
    )
    image = keras.Input((6, 6, 1))
    x = layers.Flatten()(inner(image))
    x = layers.Dense(12, activation="relu", name="first")(x)
    x = QCFS(4, "ones", name="quantized")(layers.Dense(8)(x))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def converter(model):
    return Converter(
        model,
        swap_activations={"relu": nengo.SpikingRectifiedLinear()},
        scale_firing_rates={model.get_layer("first"): 20},
        synapse=nengo.Alpha(0.001),
        inference_only=True,
    )


@pytest.mark.slow
def test_a_fresh_process_gives_the_same(converter, tmp_path):
    calibrated = calibrate(
        converter,
        X,
        per_channel=True,
        measure=False,
        voltage="random",
        readout=Readout("filtered", synapse=0.01),
        fine_tune=1,
        **QUICK,
    )
    assert "inner/relu" in calibrated.scales
    assert calibrated.settings.weights
    folder = calibrated.save(tmp_path / "saved")
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.json",
        "model.keras",
        "parameters.safetensors",
    ]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert folder.stat().st_mode == plain.stat().st_mode
    np.save(tmp_path / "x.npy", X)
    script = [sys.executable, "-c", SCRIPT, folder, tmp_path / "x.npy"]
    subprocess.run([*map(str, script), str(tmp_path / "y.npy")], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), calibrated.predict(X))
    again = load(folder)
    assert again.readout == calibrated.readout
    assert again.converter.options.synapse == nengo.Alpha(0.001)
    again.save(folder)  # over the old one
    np.testing.assert_array_equal(load(folder).predict(X), calibrated.predict(X))


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrated") / "saved"
    calibrated = calibrate(model, X, bias=False, **QUICK)
    assert calibrated.effects
    assert load(calibrated.save(path)).effects == calibrated.effects
    return path


def change(folder, path, **changes):
    shutil.copytree(folder, path)
    record = json.loads((path / "calibration.json").read_text())
    (path / "calibration.json").write_text(json.dumps(record | changes))
    return path


def test_what_is_not_a_calibration(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="no calibrated network at"):
        load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no calibration of nengo_jax"):
        load(change(saved, tmp_path / "other", format="other"))
    with pytest.raises(ValueError, match="newer"):
        load(change(saved, tmp_path / "newer", format_version=99))
    broken = change(saved, tmp_path / "broken")
    (broken / "calibration.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        load(broken)
    calibrated = load(saved)
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="no calibrated network"):
        calibrated.save(tmp_path / "mine")
    with pytest.raises(FileNotFoundError, match="no folder"):
        calibrated.save(tmp_path / "no" / "folder")


def test_files_of_before_there_were_temporal_models(saved, tmp_path):
    options = json.loads((saved / "calibration.json").read_text())["options"]
    assert options.pop("temporal") is False
    old = load(change(saved, tmp_path / "old", options=options))
    np.testing.assert_array_equal(old.predict(X), load(saved).predict(X))


def test_a_model_that_was_trained_since_is_not_saved(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4, activation="relu", name="hidden")]
    )
    calibrated = calibrate(
        model, X.reshape(40, 36)[:, :6], scale=False, bias=False, measure=False
    )
    model.layers[0].kernel.assign_add(np.ones((6, 4)))
    with pytest.raises(ValueError, match=r"changed since.*hidden/kernel differs"):
        calibrated.save(tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_files_make_no_other_objects(saved, tmp_path):
    record = json.loads((saved / "calibration.json").read_text())
    options = record["options"] | {"synapse": {"type": "Popen", "arguments": {}}}
    with pytest.raises(ValueError, match="'Popen' is no neuron type or synapse"):
        load(change(saved, tmp_path / "code", options=options))
    swaps = [["os.system", "relu"]]
    with pytest.raises(ValueError, match="Keras does not know"):
        load(
            change(
                saved, tmp_path / "more", options=record["options"] | {"swaps": swaps}
            )
        )


def test_lambda_layers_need_the_word_of_the_user(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Lambda(lambda x: 2 * x, output_shape=(6,)),
            layers.Dense(4, activation="relu"),
        ]
    )
    with pytest.warns(UserWarning, match="lambda"):
        calibrated = calibrate(
            model, X.reshape(40, 36)[:, :6], scale=False, bias=False, measure=False
        )
    path = calibrated.save(tmp_path / "lambda")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        load(path)


@pytest.mark.parametrize(
    "value",
    [
        nengo.LIF(tau_rc=0.03, amplitude=0.5),
        nengo.RegularSpiking(BoundedReLU(3.0)),
        SoftResetIntegrateAndFire(max_spikes=1),
        nengo.SpikingRectifiedLinear(
            initial_state={"voltage": nengo.dists.Choice([0.25])}
        ),
        nir.IntegrateAndFire(),
        nir.LeakyIntegrateAndFire([0.02, 0.01], method="euler"),
        nir.CurrentBased(0.005, tau=[0.02, 0.01]),
        nengo.Alpha(0.01),
        None,
    ],
    ids=str,
)
def test_objects_as_json(value):
    text = json.dumps(encode_object(value))
    again = decode_object(json.loads(text))
    assert again == value
    assert type(again) is type(value)


def test_activations_as_json():
    relu = keras.activations.relu
    assert decode_activation(encode_activation(relu)) is relu
    with pytest.raises(ValueError, match="register_keras_serializable"):
        encode_activation(lambda x: x)
    with pytest.raises(ValueError, match="cannot be saved"):
        encode_object(object())
