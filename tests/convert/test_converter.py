"""The Converter as a whole: arguments, keys, training, files, other simulators."""

import keras
import nengo
import numpy as np
import pytest
from keras import layers

from nengo_jax.convert import Converter


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def image_model():
    image = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, activation="relu", bias_initializer="normal", name="first")(
        image
    )
    y = layers.Conv2D(4, 1, bias_initializer="normal", name="second")(x)
    z = layers.AveragePooling2D(2)(layers.Add()([x, y]))
    z = layers.Flatten()(z)
    return keras.Model(image, layers.Dense(3, activation="softmax", name="third")(z))


def test_verify_compares_before_and_after_training():
    converter = Converter(image_model())
    assert converter.verify(training=True)
    (output,) = converter.outputs.values()
    with converter.net:  # something that the model does not have
        shift = nengo.Node([0.001])
        nengo.Connection(shift, output.target, transform=[[1], [0], [0]], synapse=None)
    with pytest.raises(ValueError, match=r"'third.output'.*differs.*by up to"):
        converter.verify()


@pytest.mark.parametrize("scale", [10, [1, 2, 3, 10]])
def test_scales_do_not_matter_for_rates(scale):
    """In any layer, in training too, as biases are not scaled apart from weights."""
    model = image_model()
    converter = Converter(model, scale_firing_rates={model.get_layer("first"): scale})
    assert converter.verify(training=True)
    (first, *_) = converter.calls
    np.testing.assert_array_equal(
        np.unique(first.neurons.ensemble.gain), np.unique(scale)
    )
