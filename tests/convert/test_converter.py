"""The Converter as a whole: verify, graphs, keys, and what it refuses."""

import keras
import nengo
import numpy as np
import pytest
from keras import layers
from keras_cases import image_model, randomize, small_model
from nengo.exceptions import ValidationError

from nengo_jax.convert import Converter

pytestmark = pytest.mark.usefixtures("seeded")

RELU = keras.activations.relu


# -- verify


def test_verify_sees_a_difference():
    converter = Converter(image_model())
    (output,) = converter.outputs.values()
    with converter.net:  # something that the model does not have
        shift = nengo.Node([0.001])
        nengo.Connection(shift, output.target, transform=[[1], [0], [0]], synapse=None)
    with pytest.raises(ValueError, match=r"'third.output'.*differs.*by up to"):
        converter.verify()


def test_verify_leaves_the_model_as_it_is():
    model = small_model()
    before = model.get_weights()
    assert Converter(model).verify(training=True)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_verify_counts_what_is_trained():
    model = small_model()
    converter = Converter(model)
    (_, bias, *_) = converter.net.all_connections
    converter.net.config[bias].trainable = False
    with pytest.raises(ValueError, match="26 trainable parameters, but the network"):
        converter.verify(training=True)


def test_verify_with_inputs():
    converter = Converter(small_model())
    assert converter.verify(inputs=np.ones((5, 3), np.float32))
    with pytest.raises(ValueError, match=r"shapes \[\(5, 4\)\].*takes \[\(None, 3\)\]"):
        converter.verify(inputs=np.ones((5, 4), np.float32))


# -- graphs


def test_nested_models():
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(3)],
        name="inner",
    )
    x = keras.Input((3,))
    middle = keras.Model(x, layers.Add()([inner(x), x]), name="middle")
    y = keras.Input((3,))
    model = keras.Model(y, [middle(layers.Dense(3)(y)), y])
    randomize(model)
    converter = Converter(model)
    assert converter.verify(training=True)
    (outer,) = converter.net.networks
    assert (outer.label, outer.networks[0].label) == ("middle", "inner")
    assert [e.label for e in outer.networks[0].ensembles] == ["dense"]
    assert converter.layers[middle] is converter.outputs[model.outputs[0]].target
    assert converter.layers[inner.layers[0]].ensemble is outer.networks[0].ensembles[0]


def test_structures_and_operations():
    """A dictionary of inputs, functions of keras.ops, and an output that is used."""
    ops = keras.ops
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((2,), name="a")}
    x = layers.Dense(3)(inputs["a"])
    y = ops.exp(x) * inputs["b"] + 1.0
    model = keras.Model(inputs, {"x": x, "y": ops.concatenate([y, x], axis=-1)})
    converter = Converter(model, allow_fallback=False)
    assert converter.verify(training=True)
    nodes = converter.inputs[model.input]
    assert {name: node.size_out for name, node in nodes.items()} == {"a": 2, "b": 3}
    probes = converter.outputs[model.output]
    assert {name: probe.size_in for name, probe in probes.items()} == {"x": 3, "y": 6}


def test_weights_that_are_shared():
    shared = layers.Dense(3, name="shared")
    x = keras.Input((3,))
    first = shared(x)
    model = keras.Model(x, shared(layers.ReLU()(first)))
    with pytest.raises(ValueError, match=r"'shared' is called 2 times.*split_shared"):
        Converter(model, allow_fallback=True)
    converter = Converter(model, split_shared_weights=True)
    assert converter.verify()
    assert [c.label for c in converter.calls] == ["shared", "re_lu", "shared.1"]
    with pytest.raises(KeyError, match=r"called 2 times.*Use the tensors"):
        converter.layers[shared]
    assert converter.layers[first].label == "shared"


def test_layers_without_weights_may_be_called_again():
    relu = layers.ReLU()
    x = keras.Input((3,))
    assert Converter(keras.Model(x, relu(layers.Dense(3)(relu(x))))).verify()


# -- keys


def test_keys():
    model = image_model()
    converter = Converter(model)
    image, first = model.inputs[0], model.get_layer("first")
    node = converter.inputs[image]
    assert converter.inputs[model.layers[0]] is node
    assert converter.inputs[[image]] == [node]
    assert converter.layers[first] is converter.layers[first.output]
    assert converter.layers[first].ensemble.label == "first"
    assert converter.outputs[model.get_layer("third")].target.label == "third"
    assert list(converter.outputs) == model.outputs
    assert first in converter.layers
    assert first not in converter.outputs
    with pytest.raises(KeyError, match="not among the outputs"):
        converter.outputs[first]
    with pytest.raises(KeyError, match="no layer of the model"):
        converter.layers[layers.Dense(3)]
    with pytest.raises(KeyError, match="no tensor of the model"):
        converter.layers[keras.Input((3,))]
    with pytest.raises(KeyError, match="'first' is no key"):
        converter.layers["first"]


def test_tensors_of_a_sequential_model():
    model = small_model()
    converter = Converter(model)
    assert converter.inputs[model.inputs] == [converter.inputs[model.inputs[0]]]
    assert converter.outputs[model.outputs[0]] is converter.outputs[model.layers[-1]]
    hidden = model.layers[0]
    model.add(layers.Dense(1))  # makes the tensors anew
    again = Converter(model)
    assert again.layers[hidden.output] is again.layers[hidden]


def test_order_and_labels():
    converter = Converter(image_model())
    assert [c.label for c in converter.net.all_connections] == [
        *("first.bias", "first.kernel", "second.bias", "second.kernel"),
        *("add.input0", "add.input1", "pool.input", "third.bias", "third.kernel"),
    ]
    assert converter.net.all_nodes[0].label == "image"
    assert [e.label for e in converter.net.all_ensembles] == ["first"]
    first, *_ = converter.calls
    assert (first.shape, first.channel_axis) == ((4, 4, 4), -1)
    assert first.obj == first.neurons
    assert [c.label for c in first.incoming] == ["first.bias", "first.kernel"]
    assert first.weights.transform.init.shape == (3, 3, 2, 4)
    assert first.bias.transform.init.shape == (1, 1, 4)


# -- what cannot be converted


class Own(keras.Model):
    def call(self, inputs):
        return inputs


def masked():
    x = keras.Input((4,), dtype="int32")
    return keras.Model(x, layers.LSTM(2)(layers.Embedding(5, 3, mask_zero=True)(x)))


def unknown_shape():
    x = keras.Input((None, 3))
    return keras.Model(x, layers.Dense(2)(x))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: "model.keras", TypeError, r"str 'model.keras'.*load_model"),
        (lambda: 3, TypeError, "takes a Keras model"),
        (lambda: layers.Dense(3), TypeError, "takes a Keras model"),
        (Own, TypeError, "call method of its own"),
        (
            lambda: keras.Sequential([layers.Dense(3)]),
            ValueError,
            "has not been built",
        ),
        (unknown_shape, ValueError, "size of .*temporal_model=True"),
        (masked, TypeError, "lstm.*takes a mask"),
    ],
)
def test_models_that_cannot_be_converted(make, error, match):
    with pytest.raises(error, match=match):
        Converter(make())


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"swap_activations": [RELU]}, TypeError, "maps activations"),
        ({"swap_activations": {RELU: nengo.LIF}}, TypeError, r"LIF\(\)"),
        ({"swap_activations": {RELU: 3}}, TypeError, "got 3"),
        ({"scale_firing_rates": -1}, ValueError, "positive number"),
        ({"scale_firing_rates": "fast"}, ValueError, "positive number"),
        ({"scale_firing_rates": {"hidden": 2}}, ValueError, "no layer of the model"),
        ({"synapse": "slow"}, ValidationError, "synapse"),
    ],
)
def test_wrong_arguments(options, error, match):
    with pytest.raises(error, match=match):
        Converter(small_model(), **options)


@pytest.mark.parametrize("scale", [[1, 2, 3], [[1, 2, 3, 4]], [1, 2, 3, 0]])
def test_scales_of_the_wrong_shape(scale):
    model = small_model()
    with pytest.raises(ValueError, match="hidden"):
        Converter(model, scale_firing_rates={model.layers[0]: scale})
