"""The Converter as a whole: arguments, keys, training, files, other simulators."""

import keras
import nengo
import numpy as np
import pytest
from helpers import run_jax, run_reference
from keras import layers
from keras_cases import randomize

import nengo_jax
from nengo_jax.convert import TABLE, Converter, Rule
from nengo_jax.convert.fallback import convert_exact
from nengo_jax.families.keras_layer import usual_promotion
from nengo_jax.neurons import BoundedReLU, LeakyReLU
from nengo_jax.nodes import TensorNode

RELU = keras.activations.relu


@pytest.fixture(autouse=True)
def seeded():
    """Names and weights that do not depend on other tests; Keras promotes ranks."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    with usual_promotion():
        yield


def image_model(last="softmax"):
    image = keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, activation="relu", name="first")(image)
    y = layers.Conv2D(4, 1, name="second")(x)
    z = layers.AveragePooling2D(2, name="pool")(layers.Add(name="add")([x, y]))
    z = layers.Flatten(name="flat")(z)
    model = keras.Model(image, layers.Dense(3, activation=last, name="third")(z))
    randomize(model)
    return model


def small_model(activation="relu"):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation=activation, name="hidden"),
            layers.Dense(2, name="out"),
        ]
    )
    randomize(model)
    return model


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


# -- activations


def test_swap_activations():
    spiking = nengo.SpikingRectifiedLinear(amplitude=0.5)
    for swaps in (
        {RELU: spiking},
        {"relu": spiking},
        {nengo.RectifiedLinear(): spiking},
    ):
        converter = Converter(small_model(), swap_activations=swaps)
        assert converter.net.all_ensembles[0].neuron_type == spiking
    converter = Converter(small_model("tanh"), swap_activations={"tanh": "relu"})
    assert converter.net.all_ensembles[0].neuron_type == nengo.RectifiedLinear()
    converter = Converter(small_model(), swap_activations={"relu": None})
    assert not converter.net.all_ensembles


def test_swapped_layers():
    model = keras.Sequential(
        [keras.Input((3,)), layers.LeakyReLU(0.1), layers.ReLU(6), layers.ReLU()]
    )
    swaps = {
        LeakyReLU(0.1): nengo.LIFRate(),
        keras.activations.relu6: nengo.RegularSpiking(BoundedReLU(6)),
        RELU: nengo.LIF(),
    }
    found = Converter(model, swap_activations=swaps).net.all_ensembles
    assert [ensemble.neuron_type for ensemble in found] == list(swaps.values())


def test_swaps_that_nothing_uses():
    with pytest.warns(UserWarning, match=r"No layer uses.*tanh, LIF\(\)"):
        Converter(small_model(), swap_activations={"tanh": RELU, nengo.LIF(): RELU})


def test_a_function_of_the_users_own():
    def square(x):
        return x * x

    model = small_model(square)
    with pytest.warns(UserWarning, match="hidden.*no neuron type for.*square"):
        converter = Converter(model)
    assert converter.verify(training=True)
    assert not converter.calls[0].native
    with pytest.raises(TypeError, match=r"hidden.*square.*allow_fallback"):
        Converter(model, allow_fallback=False)
    swaps = {square: nengo.RectifiedLinear()}
    assert Converter(model, allow_fallback=False, swap_activations=swaps).net


# -- scales and synapses


@pytest.mark.parametrize("scale", [10, [1, 2, 3, 10]])
def test_scales_do_not_matter_for_rates(scale):
    """In any layer, in training too, as biases are not scaled apart from weights."""
    model = image_model()
    converter = Converter(model, scale_firing_rates={model.get_layer("first"): scale})
    assert converter.verify(training=True)
    (first, *_) = converter.calls
    gains = np.unique(first.neurons.ensemble.gain)
    np.testing.assert_array_equal(gains, np.unique(scale))


@pytest.mark.parametrize("scale", [5, [1, 2, 3, 4]])
def test_two_populations_for_prelu(scale):
    """Both are swapped and scaled, and both spike."""
    x = keras.Input((3, 4))
    layer = layers.PReLU(name="prelu")
    model = keras.Model(x, layer(x))
    randomize(model)
    scales = {layer: scale}
    assert Converter(model, scale_firing_rates=scales).verify(training=True)
    spiking = nengo.SpikingRectifiedLinear()
    converter = Converter(
        model,
        swap_activations={"relu": spiking},
        scale_firing_rates=scales,
        synapse=0.01,
    )
    above, below = converter.net.all_ensembles
    assert above.neuron_type == below.neuron_type
    assert type(above.neuron_type) is type(spiking)
    from_neurons = [
        c for c in converter.net.all_connections if hasattr(c.pre_obj, "ensemble")
    ]
    assert len(from_neurons) == 2
    assert all(c.synapse is not None for c in from_neurons)


def test_bounded_neurons_keep_their_bound():
    model = small_model("relu6")
    big = 20 * np.ones((2, 3), np.float32)
    assert Converter(model, scale_firing_rates=7).verify(inputs=big)


def test_trained_parameters_fit_all_scales(tmp_path):
    """Dense and convolutional layers alike, once gains are kept."""
    model = image_model()
    plain = Converter(model)
    scaled = Converter(model, scale_firing_rates=50)
    x = np.random.RandomState(0).uniform(size=(2, 1, 72))
    results = []
    with nengo_jax.Simulator(plain.net, minibatch_size=2, progress_bar=False) as sim:
        sim.compile("sgd", loss="mse")
        sim.fit(x, np.ones((2, 1, 3)), verbose=0, epochs=2)
        sim.save_params(tmp_path / "weights")
        results.append(sim.predict(x, verbose=0))
    with nengo_jax.Simulator(scaled.net, minibatch_size=2, progress_bar=False) as sim:
        sim.load_params(tmp_path / "weights", keep_gain=True)
        results.append(sim.predict(x, verbose=0))
    first, second = (next(iter(result.values())) for result in results)
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_scales_that_change_the_result():
    with pytest.warns(UserWarning, match="hidden: firing rates of LIF.*not proportion"):
        Converter(
            small_model(), scale_firing_rates=2, swap_activations={RELU: nengo.LIF()}
        )
    with (
        pytest.warns(UserWarning, match="not proportional"),
        pytest.warns(UserWarning, match="has no amplitude"),
    ):
        Converter(small_model("sigmoid"), scale_firing_rates=2)


def test_synapses_are_on_neurons():
    model = image_model()
    converter = Converter(model, synapse=0.005)
    filtered = [c.label for c in converter.net.all_connections if c.synapse]
    assert filtered == ["second.kernel", "add.input0"]
    assert converter.outputs[model.outputs[0]].synapse is None
    model = small_model()
    model.pop()
    (probe,) = Converter(model, synapse=nengo.Alpha(0.1)).outputs.values()
    assert probe.synapse == nengo.Alpha(0.1)


@pytest.mark.parametrize("scale", [1, 20, [1, 2, 3, 4]])
def test_spikes_approach_the_rates(scale):
    """The mean over time T of rates times scale is wrong by 1 / (scale T) at most."""
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, activation="relu", name="hidden")]
    )
    randomize(model)
    model.layers[0].kernel.assign(100 * model.layers[0].kernel)
    converter = Converter(
        model,
        swap_activations={"relu": nengo.SpikingRectifiedLinear()},
        scale_firing_rates={model.layers[0]: scale},
    )
    x = np.random.RandomState(1).uniform(size=(8, 3)).astype(np.float32)
    expected = np.maximum(x @ model.layers[0].kernel + model.layers[0].bias, 0)
    data = np.repeat(x[:, None], 1000, axis=1)
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=8, progress_bar=False, seed=0
    ) as sim:
        sim.run_steps(1000, {node: data})
        spikes = sim.data[probe]
    errors = []
    for steps in (10, 100, 1000):
        error = np.abs(spikes[:, :steps].mean(axis=1) - expected)
        assert np.all(error * np.array(scale) * steps * 0.001 <= 1.001)
        errors.append(error.max())
    assert errors[0] > 0.3 / (np.min(scale) * 0.01)  # where it was expected to be bad
    assert errors[0] > 20 * errors[2]


def test_a_deep_spiking_network_approaches_keras():
    """About as 1 / T, in a convolutional network with pooling."""
    model = image_model(last=None)
    converter = Converter(
        model,
        swap_activations={"relu": nengo.SpikingRectifiedLinear()},
        scale_firing_rates=100,
    )
    x = np.random.RandomState(2).uniform(size=(4, 6, 6, 2)).astype(np.float32)
    expected = model.predict(x, verbose=0)
    data = np.repeat(x.reshape(4, 1, -1), 1600, axis=1)
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=4, progress_bar=False, seed=0
    ) as sim:
        sim.run_steps(1600, {node: data})
        output = sim.data[probe]
    errors = [
        np.sqrt(np.mean((output[:, :steps].mean(axis=1) - expected) ** 2))
        for steps in (25, 200, 1600)
    ]
    slopes = np.diff(np.log(errors)) / np.log(8)
    assert np.all((slopes < -0.6) & (slopes > -1.6))
    assert errors[-1] < 0.01 * np.abs(expected).max()


# -- training, files, other simulators


def batch_norm_model():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    randomize(model)
    return model


def test_a_converted_model_trains_saves_and_freezes(tmp_path):
    with pytest.warns(UserWarning, match="batch_normalization.*inference_only=True"):
        converter = Converter(batch_norm_model())
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(8, 1, 36)), rng.uniform(size=(8, 1, 2))
    (probe,) = converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=4, progress_bar=False
    ) as sim:
        sim.compile(keras.optimizers.Adam(0.01), loss="mse")
        losses = sim.fit(x, y, epochs=30, verbose=0).history["loss"]
        assert losses[-1] < 0.5 * losses[0]
        expected = sim.predict(x, verbose=0)[probe]
        sim.save_params(tmp_path / "weights")
    with nengo_jax.Simulator(
        converter.net, minibatch_size=4, progress_bar=False
    ) as sim:
        assert np.any(sim.predict(x, verbose=0)[probe] != expected)
        sim.load_params(tmp_path / "weights")
        np.testing.assert_allclose(
            sim.predict(x, verbose=0)[probe], expected, rtol=1e-5
        )


def test_freezing_for_the_reference():
    model = batch_norm_model()
    model.get_layer("batch_normalization").trainable = False
    converter = Converter(model, allow_fallback=False)
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(8, 1, 36)), rng.uniform(size=(8, 1, 2))
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=4, progress_bar=False, dtype="float64"
    ) as sim:
        sim.compile("sgd", loss="mse")
        sim.fit(x, y, epochs=2, verbose=0)
        expected = sim.predict(x, verbose=0)[probe][0, 0]
        sim.freeze_params(converter.net)
    node.output = x[0, 0]
    for simulate in (run_reference, run_jax):
        np.testing.assert_allclose(simulate(converter.net, 1)[probe][0], expected)


# -- BatchNormalization


def test_batch_normalization_trains_as_in_keras():
    with pytest.warns(UserWarning, match="statistics change"):
        converter = Converter(batch_norm_model())
    assert converter.verify(training=True)


@pytest.mark.parametrize("first", [True, False])
def test_batch_normalization_is_folded(first):
    order = "channels_first" if first else "channels_last"
    axis = 1 if first else -1
    norm = layers.BatchNormalization

    def options(**more):
        return {"data_format": order, **more}

    image = keras.Input((2, 6, 6) if first else (6, 6, 2))
    x = layers.Conv2D(3, 2, **options())(image)
    x = norm(axis=axis, name="a")(x)
    x = norm(axis=axis, name="b", scale=False)(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(2, **options(use_bias=False))(x)
    x = norm(axis=axis, name="c", center=False)(x)
    x = layers.SeparableConv2D(3, 2, **options())(x)
    x = norm(axis=axis, name="d")(x)
    x = layers.Conv2DTranspose(2, 2, **options())(x)
    y = norm(axis=axis, name="e")(x)  # twice used, so it stays
    x = layers.Add()([norm(axis=axis, name="f")(layers.Activation("tanh")(x)), y])
    x = layers.Dense(2)(x)
    model = keras.Model(image, norm(name="g")(x))
    randomize(model)
    converter = Converter(model, inference_only=True, allow_fallback=False)
    assert converter.verify()
    folded = [norm.name for made in converter.calls for norm in made.call.folded]
    assert folded == ["a", "b", "c", "d", "g"]
    conv = converter.calls[0]
    assert converter.layers[model.get_layer("b")] is conv.obj
    with pytest.raises(KeyError, match=r"conv2d.*part of.*'b'"):
        converter.layers[conv.layer]


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


def test_inference_only_leaves_training_away():
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1"),
            layers.Dropout(0.5),
            layers.GaussianNoise(0.5),
        ]
    )
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
        ({"synapse": "slow"}, Exception, "synapse"),
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
