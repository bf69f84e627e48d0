"""Activations that are swapped, scaled and made to spike."""

import keras
import nengo
import numpy as np
import pytest
from keras import layers
from keras_cases import image_model, randomize, small_model

import nengo_jax
from nengo_jax.convert import Converter
from nengo_jax.neurons import BoundedReLU, LeakyReLU
from nengo_jax.nodes import TensorNode

pytestmark = pytest.mark.usefixtures("seeded")

RELU = keras.activations.relu


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


def test_functions_that_are_called():
    """Activations and sums are converted, whichever way they are written."""
    functions, x = keras.activations, keras.Input((4,))
    names = ["relu", "sigmoid", "tanh", "relu6", "elu", "selu", "gelu", "silu"]
    names += ["softplus", "softsign", "hard_sigmoid", "leaky_relu", "exponential"]
    parts = [getattr(functions, name)(x) for name in names]
    parts.append(functions.relu(x, negative_slope=0.1, max_value=2.0))
    parts.append(keras.ops.relu(x))
    y = (parts[0] + parts[1]) - parts[2] + 1.0
    converter = Converter(keras.Model(x, [y, *parts]))
    assert converter.verify()
    assert len(converter.net.all_ensembles) == len(parts)
    exact = [n.label for n in converter.net.all_nodes if isinstance(n, TensorNode)]
    assert len(exact) == 1  # that which adds a constant


@pytest.mark.parametrize("name", ["relu6", "leaky_relu", "elu", "gelu"])
def test_swapped_functions_that_are_called(name):
    """By their names, whichever way they are written."""
    function, x = getattr(keras.activations, name), keras.Input((4,))
    for written in (function, layers.Activation(name)):
        model = keras.Model(x, written(x))
        converter = Converter(model, swap_activations={name: nengo.LIFRate()})
        (ensemble,) = converter.net.all_ensembles
        assert ensemble.neuron_type == nengo.LIFRate()


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


def test_scales_of_layers_without_neurons():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, name="kernel"),
            layers.ReLU(name="rectified"),
            layers.Dense(2, activation="relu", name="last"),
        ]
    )
    match = "no neurons: kernel. Scale .* instead: last, rectified"
    with pytest.warns(UserWarning, match=match):
        Converter(model, scale_firing_rates={model.get_layer("kernel"): 100})
    Converter(model, scale_firing_rates={model.get_layer("rectified"): 100})


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
