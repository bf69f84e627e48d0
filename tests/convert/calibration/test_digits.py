"""The known story, with convolutional networks that read real digits."""

import keras
import nengo
import numpy as np
import pytest
from calibration_cases import SIDE, accuracy_of, enlarge, fit, load
from keras import layers

from nengo_jax.cli import digits
from nengo_jax.convert import Converter
from nengo_jax.convert.calibration import calibrate
from nengo_jax.layers import QCFS
from nengo_jax.neurons import SoftResetIntegrateAndFire

pytestmark = pytest.mark.slow

ZERO = {"voltage": nengo.dists.Choice([0])}
OFF = {"scale": False, "voltage": None, "bias": False, "measure": False}


@pytest.fixture(scope="module")
def data():
    """Images of 28 x 28 pixels; those to train with are moved around."""
    found = load()
    images, labels = digits.moved(found.train_images, found.train_labels)
    return {
        "train": (enlarge(images), labels),
        "data": (enlarge(found.train_images[:1000]), found.train_labels[:1000]),
        "test": (enlarge(found.test_images), found.test_labels),
    }


def train(model, data, logits=False):
    """Train a model until it reads at least 98% of the digits."""
    fit(model, *data["train"], 12, logits=logits)
    assert accuracy_of(model, *data["test"]) >= 0.98
    return model


def convolutional(activation):
    """Two convolutions and a hidden layer; ``activation`` makes a layer."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Conv2D(8, 3, strides=2),
            activation(),
            layers.Conv2D(16, 3, strides=2),
            activation(),
            layers.Flatten(),
            layers.Dense(32),
            activation(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def deep_model():
    """Eight convolutions with BatchNormalization, pooling, and one dense layer."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((SIDE, SIDE, 1))
    for filters, count in ((8, 3), (16, 3), (16, 2)):
        x = layers.AveragePooling2D(2)(x)
        for _ in range(count):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10)(x))


@pytest.fixture(scope="module")
def model(data):
    return train(convolutional(layers.ReLU), data)


def test_naive_conversion_collapses(model, data):
    """One unit of activation is one spike in a second, and it has 30 ms."""
    neurons = nengo.SpikingRectifiedLinear(initial_state=ZERO)
    converter = Converter(model, True, True, swap_activations={"relu": neurons})
    naive = calibrate(converter, data["data"][0], n_steps=30, **OFF)
    assert naive.accuracy(*data["test"])[-1] < 0.5


@pytest.mark.parametrize(
    "neurons",
    [nengo.SpikingRectifiedLinear(initial_state=ZERO), SoftResetIntegrateAndFire()],
    ids=lambda neurons: type(neurons).__name__,
)
@pytest.mark.parametrize(("n_steps", "points"), [(32, 0.5), (8, 1.5)])
def test_calibrated_it_reads_as_before(model, data, neurons, n_steps, points):
    converter = Converter(model, True, True, swap_activations={"relu": neurons})
    calibrated = calibrate(converter, *data["data"], n_steps=n_steps)
    found = calibrated.accuracy(*data["test"])[-1]
    assert found >= accuracy_of(model, *data["test"]) - points / 100


def test_nine_layers(data):
    """Scaled by its largest activations, the classical recipe, it does not read."""
    model = train(deep_model(), data, logits=True)
    expected = accuracy_of(model, *data["test"])
    converter = Converter(
        model, True, True, swap_activations={"relu": nengo.SpikingRectifiedLinear()}
    )
    classical = {"percentile": 100, "rate": 1000, "voltage": "zero", "bias": False}
    for arguments in (OFF, classical | {"measure": False}):
        broken = calibrate(converter, data["data"][0], n_steps=16, **arguments)
        assert broken.accuracy(*data["test"])[-1] < expected - 0.2
    for given in (converter, model):
        calibrated = calibrate(given, *data["data"], n_steps=16)
        assert calibrated.accuracy(*data["test"])[-1] > expected - 0.02


def test_a_model_that_is_trained_for_few_steps(data):
    model = train(convolutional(lambda: QCFS(8, keras.initializers.Constant(2))), data)
    expected = accuracy_of(model, *data["test"])
    calibrated = calibrate(model, *data["data"], n_steps=8)
    found = calibrated.accuracy(*data["test"])
    assert found[7] >= expected - 0.01
    assert found[3] >= expected - 0.03
    images = data["test"][0]
    assert np.mean(np.abs(calibrated.predict(images) - model.predict(images))) < 0.02
