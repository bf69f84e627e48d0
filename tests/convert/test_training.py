"""Model and network trained alike: repeated outputs, noise, lower precision."""

import keras
import nengo
import numpy as np
import pytest
from keras import layers
from keras_cases import randomize

from nengo_jax.convert import Converter

pytestmark = [
    pytest.mark.usefixtures("seeded"),
    pytest.mark.filterwarnings("ignore:.*as in Keras, without neurons"),
]


def chain(*parts, shape=(6,)):
    model = keras.Sequential([keras.Input(shape), *parts])
    randomize(model)
    return model


def test_outputs_that_are_there_several_times():
    x = keras.Input((3,))
    y = layers.Dense(2)(x)
    model = keras.Model(x, [y, layers.Dense(4)(y), y, x])
    converter = Converter(model)
    assert len(converter.outputs) == 3
    assert converter.verify(training=True)


NOISY = {
    "layers": lambda: chain(
        layers.Dense(5, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(4),
        layers.GaussianNoise(0.3, seed=2),
        layers.Dense(3),
    ),
    "recurrent": lambda: chain(layers.GRU(4, dropout=0.3), shape=(5, 2)),
}


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_the_same_in_both(name):
    model = NOISY[name]()
    before = [np.array(variable.value) for variable in model.variables]
    assert Converter(model).verify(training=True)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new.value)


def test_noise_in_a_layer_that_is_called_twice():
    """It trains, with a copy; but numbers cannot be those of the model."""
    x = keras.Input((6,))
    dropout = layers.Dropout(0.5, seed=1, name="dropout")
    y = dropout(layers.Dense(6)(dropout(x)))
    converter = Converter(keras.Model(x, y))
    assert converter.verify()
    with pytest.raises(ValueError, match=r"dropout of the Keras model.*several times"):
        converter.verify(training=True)
    first, second = (c.obj.tensor_func for c in converter.calls if c.layer is dropout)
    assert first is dropout
    assert (second.rate, second.seed) == (0.5, None)  # not the same numbers again


def test_noise_in_a_temporal_model():
    model = chain(layers.Dense(3), layers.Dropout(0.5, name="off"), shape=(None, 2))
    converter = Converter(model, temporal_model=True)
    assert converter.verify()
    with pytest.raises(ValueError, match=r"off of the Keras model.*for all steps"):
        converter.verify(training=True)


def test_statistics_of_a_layer_that_is_called_twice():
    x = keras.Input((6,))
    normalization = layers.BatchNormalization()
    model = keras.Model(x, normalization(layers.Dense(6)(normalization(x))))
    randomize(model)
    assert Converter(model, split_shared_weights=True).verify()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    def part(kind, *arguments, **options):
        return kind(*arguments, dtype=policy, **options)

    model = chain(
        part(layers.Conv1D, 4, 3, activation="relu"),
        part(layers.BatchNormalization),
        part(layers.Flatten),
        part(layers.Dense, 3, activation="softmax"),
        shape=(5, 2),
    )
    converter = Converter(model)
    assert converter.verify(training=True)
    with pytest.raises(ValueError, match=f"compute in {policy[6:]}.*rtol=None"):
        converter.verify(rtol=1e-6)
    shifted = Converter(model)
    with shifted.net:  # more than rounding
        (output,) = shifted.outputs.values()
        shift = nengo.Node([2.0])
        nengo.Connection(shift, output.target[0], synapse=None)
    with pytest.raises(ValueError, match="differs"):
        shifted.verify()
