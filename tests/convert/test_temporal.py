"""Models with an axis of time, which the simulation unrolls."""

import keras
import nengo
import numpy as np
import pytest
from keras import layers
from keras_cases import randomize

import nengo_jax
from nengo_jax.convert import Converter
from nengo_jax.layers import LMU, Alpha, Lowpass, SpikingActivation

pytestmark = pytest.mark.usefixtures("seeded")

STEPS = 50


def temporal(model, **options):
    return Converter(model, temporal_model=True, **options)


def simulate(converter, x):
    """Run a batch of sequences; return what the only probe recorded."""
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=len(x), progress_bar=False, seed=0
    ) as sim:
        sim.run_steps(x.shape[1], {node: x.reshape(*x.shape[:2], -1)})
        return sim.data[probe].reshape(*x.shape[:2], -1)


def test_layers_that_look_at_one_step():
    image = keras.Input((None, 3, 2, 1))
    inner = keras.Sequential(
        [
            keras.Input((3, 2, 1)),
            layers.Conv2D(2, 2, activation="relu"),
            layers.AveragePooling2D((2, 1)),
            layers.Flatten(),
        ]
    )
    x = layers.TimeDistributed(inner)(image)
    x = layers.Dense(3, activation="tanh")(x)
    y = layers.TimeDistributed(layers.Dense(3, activation="relu"))(x)
    z = layers.Concatenate()([x, layers.LayerNormalization()(y)])
    z = layers.BatchNormalization(trainable=False)(layers.Add()([z, z]))
    model = keras.Model(image, layers.Softmax()(z))
    randomize(model)
    converter = temporal(model, allow_fallback=False)
    assert converter.verify(training=True)
    assert converter.layers[model.layers[1]].label == "average_pooling2d"


@pytest.mark.filterwarnings("ignore:.*becomes a TensorNode")
def test_recurrent_layers():
    x = keras.Input((None, 3))
    y = layers.LSTM(4, return_sequences=True)(x)
    z = layers.GRU(3, return_sequences=True)(y)
    z = LMU(2, 4, 0.1)(z)
    model = keras.Model(x, z)
    converter = temporal(model)
    assert [made.native for made in converter.calls] == [False] * 3
    assert converter.verify(training=True)
    with pytest.raises(TypeError, match=r"lstm \(LSTM\) cannot be converted"):
        temporal(model, allow_fallback=False)


def test_spiking_activations_become_neurons():
    x = keras.Input((None, 3))
    spiking = SpikingActivation("relu", seed=0)
    model = keras.Model(x, spiking(layers.Dense(4)(x)))
    randomize(model)
    model.layers[1].kernel.assign(400 * model.layers[1].kernel)
    converter = temporal(model, inference_only=True, allow_fallback=False)
    (ensemble,) = converter.net.all_ensembles
    assert ensemble.neuron_type == nengo.RegularSpiking(nengo.RectifiedLinear())
    data = np.random.RandomState(0).uniform(size=(2, STEPS, 3)).astype(np.float32)
    expected = model.predict(data, verbose=0)
    found = simulate(converter, data)
    # as many spikes up to the two voltages that they start from
    assert np.all(np.abs(np.sum(found - expected, axis=1)) * 0.001 <= 1.001)
    assert np.all(found[found > 0] >= 999)
    assert np.mean(expected) > 50


def test_spikes_in_training_stay_as_in_keras():
    x = keras.Input((None, 3))
    model = keras.Model(x, SpikingActivation("relu", seed=0)(layers.Dense(4)(x)))
    with pytest.warns(UserWarning, match=r"spikes in training.*inference_only"):
        converter = temporal(model)
    assert converter.verify(training=True)
    with pytest.raises(TypeError, match="spikes in training"):
        temporal(model, allow_fallback=False)


@pytest.mark.parametrize("kind", [Lowpass, Alpha])
def test_filters_become_synapses(kind):
    """Their output comes one step later."""
    x = keras.Input((None, 3))
    model = keras.Model(x, kind(0.01)(layers.Dense(2)(x)))
    converter = temporal(model, inference_only=True, allow_fallback=False)
    synapse = {Lowpass: nengo.Lowpass, Alpha: nengo.Alpha}[kind](0.01)
    found = converter.net.all_connections[-1].synapse
    assert type(found) is type(synapse)
    assert found.tau == pytest.approx(0.01)
    data = np.random.RandomState(0).uniform(size=(2, STEPS, 3)).astype(np.float32)
    expected = model.predict(data, verbose=0)
    np.testing.assert_allclose(
        simulate(converter, data)[:, 1:], expected[:, :-1], atol=1e-5
    )


def test_filters_that_are_no_synapse():
    x = keras.Input((None, 3))
    trained = keras.Model(x, Lowpass(0.01)(x))
    with pytest.warns(UserWarning, match="time constants are trained"):
        assert temporal(trained).verify()
    various = keras.Model(x, Lowpass(keras.initializers.RandomUniform(0.01, 0.1))(x))
    with pytest.warns(UserWarning, match="different time constants"):
        assert temporal(various, inference_only=True).verify()
    raised = keras.Model(x, Lowpass(0.01, level_initializer="ones")(x))
    with pytest.warns(UserWarning, match="initial level"):
        assert temporal(raised, inference_only=True).verify()


def test_another_length_of_the_step():
    x = keras.Input((None, 3))
    model = keras.Model(x, Lowpass(0.1, dt=0.01)(x))
    with pytest.warns(UserWarning, match=r"Simulator\(net, dt=0.01\)"):
        temporal(model, inference_only=True)


def test_without_temporal_model():
    """The whole sequence is the input of each step."""
    x = keras.Input((5, 3))
    model = keras.Model(x, layers.GRU(2)(Lowpass(0.01)(x)))
    with (
        pytest.warns(UserWarning, match="temporal_model=True gives it one step"),
        pytest.warns(UserWarning, match="recurrent"),
    ):
        assert Converter(model).verify()


def normalization(axis):
    """Normalize with numbers for the axis of time, or that of channels, of (4, 3)."""
    size = 4 if axis == 1 else 3
    return layers.Normalization(axis, mean=np.arange(size), variance=np.full(size, 2))


def test_normalization_of_each_step():
    model = sequence(normalization(axis=-1), layers.Dense(2))
    assert temporal(model, allow_fallback=False).verify()


def sequence(*chain):
    x = keras.Input((4, 3))
    y = x
    for layer in chain:
        y = layer(y)
    return keras.Model(x, y)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: sequence(layers.Conv1D(2, 3)), "would join time steps.*TimeDistribut"),
        (lambda: sequence(layers.Permute((2, 1))), "would join time steps"),
        (lambda: sequence(layers.Softmax(axis=1)), "would join time steps"),
        (lambda: sequence(normalization(axis=1)), "normalization .* join time steps"),
        (
            lambda: sequence(layers.BatchNormalization(axis=1, trainable=False)),
            "batch_normalization .* join time steps",
        ),
        (lambda: sequence(layers.Lambda(lambda x: x - x[:, :1])), "would join time"),
        (lambda: sequence(lambda x: keras.ops.cumsum(x, axis=1)), "would join time"),
        (lambda: sequence(layers.LSTM(2)), "return_sequences=False"),
        (
            lambda: sequence(
                layers.Dense(2), layers.GRU(2, return_sequences=True, go_backwards=True)
            ),
            "go_backwards",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*becomes a TensorNode")
def test_what_needs_all_steps(make, match):
    with pytest.raises(TypeError, match=match):
        temporal(make())


@pytest.mark.parametrize("shape", [(None, None, 3), ()])
def test_shapes_that_are_not_known(shape):
    x = keras.Input(shape)
    with pytest.raises(ValueError, match=r"temporal_model|not known"):
        temporal(keras.Model(x, layers.ReLU()(x)))
