"""What the Keras model computes, against the model and NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

from nengo_jax.convert import Converter
from nengo_jax.convert.calibration.keras_subject import KerasSubject
from nengo_jax.convert.calibration.percentiles import BINS
from nengo_jax.convert.calibration.records import Settings
from nengo_jax.neurons import SoftResetIntegrateAndFire

X = np.random.RandomState(0).normal(size=(150, 6, 5, 2)).astype(np.float32)
SWAPS = {"relu": SoftResetIntegrateAndFire()}


def nested_model():
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 5, 2))
    inner_image = keras.Input((6, 5, 2))
    x = layers.Conv2D(3, 2, name="conv")(inner_image)
    x = layers.BatchNormalization(name="norm", moving_mean_initializer="ones")(x)
    inner = keras.Model(inner_image, layers.ReLU(name="relu")(x), name="inner")
    x = layers.Dense(4, activation="relu", name="wide")(inner(image))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    outputs = layers.Dense(3, activation="softmax", name="probabilities")(x)
    return keras.Model(image, outputs), inner


@pytest.fixture(scope="module")
def models():
    return nested_model()


@pytest.mark.parametrize("per_channel", [True, False])
def test_outputs_means_and_percentiles(models, per_channel):
    """In batches of which the last is not full, and means of the first examples."""
    model, inner = models
    converter = Converter(model, True, True, swap_activations=SWAPS)
    subject = KerasSubject(model, converter.options)
    reference = subject.measure([X], 98, per_channel=per_channel, mean_examples=100)
    relu = inner.predict(X, verbose=0)
    wide = model.get_layer("wide")
    expected = {
        "inner/relu": relu,
        "wide": np.asarray(wide(relu)),
    }
    np.testing.assert_allclose(
        reference.outputs[0], model.predict(X, verbose=0), atol=1e-6
    )
    for label, values in expected.items():
        flat = values.reshape(-1, values.shape[-1])
        means = values[:100].mean(axis=(0, 1, 2))
        np.testing.assert_allclose(reference.means[label], means, rtol=1e-4)
        axis = 0 if per_channel else None
        top = np.percentile(flat, 98, axis=axis, method="inverted_cdf")
        np.testing.assert_allclose(
            reference.tops[label], np.atleast_1d(top), atol=1.01 * flat.max() / BINS
        )


def test_outputs_that_are_not_linear_are_measured_before(models):
    """As the network ends before softmax."""
    model, _ = models
    converter = Converter(model, True, True, swap_activations=SWAPS)
    subject = KerasSubject(model, converter.options)
    reference = subject.measure([X], 98, per_channel=False, mean_examples=150)
    before = keras.Model(model.inputs, model.layers[-1].input)
    kernel, bias = model.layers[-1].get_weights()
    logits = before.predict(X, verbose=0) @ kernel + bias
    np.testing.assert_allclose(
        reference.means["probabilities"], logits.mean(axis=0), atol=1e-5
    )
    (final,) = subject.finals.functions.values()
    assert final is keras.activations.softmax
    assert model.layers[-1].activation is keras.activations.softmax


@pytest.mark.parametrize("last", ["softmax", "sigmoid", None, "layer", "inside"])
def test_which_functions_are_applied_at_the_end(last):
    inputs = keras.Input((4,))
    x = layers.Dense(3, activation="relu")(inputs)
    if last == "inside":
        x = layers.Dense(3, activation="softmax")(x)
    if last == "layer":
        outputs = layers.Softmax(name="last")(layers.Dense(3)(x))
    else:
        activation = "softmax" if last == "inside" else last
        outputs = layers.Dense(3, activation=activation, name="last")(x)
    model = keras.Model(inputs, outputs)
    converter = Converter(model, True, True, swap_activations=SWAPS)
    subject = KerasSubject(model, converter.options)
    expected = {"last"} if last in ("softmax", "sigmoid", "layer") else set()
    assert set(subject.finals.functions) == expected


def test_scales_of_layers_that_are_called_twice():
    layer = layers.Dense(4, activation="relu", name="twice")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(layer(layer(inputs))))
    converter = Converter(
        model, True, True, split_shared_weights=True, swap_activations=SWAPS
    )
    subject = KerasSubject(model, converter.options)
    assembled = subject.assemble(Settings(scales={"twice": 30.0, "twice.1": 20.0}))
    scales = [c.scale for c in assembled.converter.calls if c.neurons is not None]
    assert scales == [20, 20]
