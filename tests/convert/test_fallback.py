"""Layers that stay Keras layers, and what is left away in inference."""

import keras
import numpy as np
import pytest
from keras import layers
from keras_cases import randomize

import nengo_jax
from nengo_jax.convert import TABLE, Converter, Rule
from nengo_jax.convert.fallback import convert_exact
from nengo_jax.nodes import TensorNode

pytestmark = pytest.mark.usefixtures("seeded")

# -- falling back


@keras.saving.register_keras_serializable("tests")
class Gate(keras.layers.Layer):
    """A layer of the user's own, with several inputs and outputs, and a weight."""

    def build(self, shapes):
        self.kernel = self.add_weight(shape=(3,), name="kernel")

    def call(self, inputs):
        first, second = inputs
        return first * self.kernel, keras.ops.sum(first * second, axis=-1)


def gate_model():
    x, y = keras.Input((3,)), keras.Input((3,))
    gated, total = Gate(name="gate")([layers.Dense(3)(x), layers.Dense(3)(y)])
    total = layers.Reshape((1,))(total)
    model = keras.Model([x, y], [layers.ReLU()(gated), total])
    randomize(model)
    return model


def test_a_layer_with_several_inputs_and_outputs():
    with pytest.warns(UserWarning, match=r"gate \(Gate\) becomes a TensorNode"):
        converter = Converter(gate_model())
    assert converter.verify(training=True)
    (gate,) = [c for c in converter.calls if c.label == "gate"]
    assert (gate.native, len(gate.outputs)) == (False, 2)
    with pytest.raises(TypeError, match=r"gate \(Gate\) cannot be converted"):
        Converter(gate_model(), allow_fallback=False)


def test_a_larger_table():
    table = {**TABLE, Gate: Rule(convert_exact)}
    assert Converter(gate_model(), allow_fallback=False, table=table).verify()


def test_registered_rules(monkeypatch):
    monkeypatch.setattr(Converter, "_registered", {})
    assert Converter.register(Gate)(convert_exact) is convert_exact
    assert Converter(gate_model(), allow_fallback=False).verify()
    with pytest.warns(UserWarning, match="rule for Gate layers is replaced"):
        Converter.register(Gate)(Rule(convert_exact))


def test_subclasses():
    class Same(layers.Dense):
        """Computes what its parent computes."""

    class Other(layers.Dense):
        def call(self, inputs):
            return super().call(inputs) + 1

    x = keras.Input((3,))
    assert Converter(keras.Model(x, Same(2)(x)), allow_fallback=False).verify()
    with pytest.warns(UserWarning, match="knows no Other layers"):
        assert Converter(keras.Model(x, Other(2)(x))).verify()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.Dense(2, kernel_regularizer="l2"), "kernel_regularizer"),
        (lambda: layers.Dense(2, bias_constraint="non_neg"), "bias_constraint"),
        (lambda: layers.PReLU(alpha_constraint="non_neg"), "alpha_constraint"),
        (lambda: layers.MaxPooling1D(2), "max_to_avg_pool"),
        (lambda: layers.GlobalMaxPooling1D(), "max_to_avg_pool"),
        (lambda: layers.Conv1DTranspose(2, 2, 2, output_padding=1), "output_padding"),
        (lambda: layers.LSTM(2), "recurrent"),
        (lambda: layers.Bidirectional(layers.GRU(2)), "knows no Bidirectional"),
        (lambda: layers.TimeDistributed(layers.Dense(2)), "knows no TimeDistributed"),
        (lambda: layers.Concatenate(axis=0), "examples of a batch"),
        (lambda: layers.MultiHeadAttention(2, 2), "knows no MultiHeadAttention"),
    ],
)
def test_layers_that_fall_back(make, match):
    x = keras.Input((4, 3))
    layer = make()
    joins = isinstance(layer, layers.Concatenate)
    attends = isinstance(layer, layers.MultiHeadAttention)
    y = layer([x, x]) if joins else layer(x, x) if attends else layer(x)
    model = keras.Model(x, y)
    with pytest.raises(TypeError, match=match):
        Converter(model, allow_fallback=False)
    if joins:
        return
    with pytest.warns(UserWarning, match=match):
        converter = Converter(model)
    assert isinstance(converter.layers[layer], TensorNode)
    assert converter.verify(training=True, rtol=1e-4)


def test_functions_that_fall_back():
    x = keras.Input((4, 3))
    model = keras.Model(x, [keras.ops.sort(x), keras.ops.sort(x, axis=1)])
    with pytest.raises(TypeError, match=r"sort.*knows no Sort functions"):
        Converter(model, allow_fallback=False)
    with pytest.warns(UserWarning, match=r"\(Sort\) become TensorNodes that"):
        assert Converter(model).verify()


def test_inference_only_leaves_training_away():
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1"),
            layers.ActivityRegularization(0.1),
            layers.Dropout(0.5),
            layers.GaussianNoise(0.5),
        ]
    )
    with pytest.raises(TypeError, match=r"dense.*activity_regularizer.*inference_only"):
        Converter(model)
    converter = Converter(model, inference_only=True, allow_fallback=False)
    assert converter.verify()
    assert [node.label for node in converter.net.nodes if node.size_in] == ["dense"]


def test_maxima_become_averages():
    x = keras.Input((4, 6, 2))
    maxima = layers.GlobalMaxPooling2D()(layers.MaxPooling2D(2)(x))
    means = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(2)(x))
    image = np.random.RandomState(0).uniform(size=(2, 4, 6, 2)).astype(np.float32)
    converter = Converter(
        keras.Model(x, maxima), max_to_avg_pool=True, allow_fallback=False
    )
    (probe,) = converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=2, progress_bar=False
    ) as sim:
        found = sim.predict(image.reshape(2, 1, -1), verbose=0)[probe][:, 0]
    expected = keras.Model(x, means).predict(image, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_layers_that_take_the_input_of_a_nested_model():
    """Its tensor is not the one that the nested model is called with."""
    image = keras.Input((4,))
    weighted = layers.Multiply()([image, layers.Softmax()(image)])
    inner = keras.Model(image, weighted)
    outer = keras.Input((4,))
    outputs = layers.Dense(2)(inner(layers.Dense(4)(outer)))
    assert Converter(keras.Model(outer, outputs)).verify()
