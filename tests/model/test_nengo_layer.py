"""A Nengo network as a layer of a Keras model."""

import jax
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_jax


@pytest.fixture(autouse=True)
def _ranks_may_differ():
    """Keras' own layers add biases to arrays of higher rank."""
    with jax.numpy_rank_promotion("allow"):
        yield


@keras.saving.register_keras_serializable("tests")
def make_network():
    with nengo.Network(seed=1) as network:
        a = nengo.Node(np.zeros(3), label="a")
        ensemble = nengo.Ensemble(20, 3, neuron_type=nengo.LIFRate())
        out = nengo.Node(size_in=2)
        nengo.Connection(a, ensemble, synapse=None)
        nengo.Connection(ensemble, out, function=lambda x: x[:2] ** 2, synapse=0.005)
        nengo.Probe(out, label="p")
    return network


def make_model(source, **options):
    return keras.Sequential(
        [
            keras.layers.Input((4, 5)),
            keras.layers.Dense(3, activation="tanh"),
            nengo_jax.NengoLayer(source, **options),
            keras.layers.Dense(1),
        ]
    )


@pytest.fixture
def x():
    return np.random.RandomState(0).uniform(-1, 1, (6, 4, 5)).astype("float32")


def test_trains_with_the_model(x):
    model = make_model(make_network)
    assert model.output_shape == (None, 4, 1)
    model.compile(keras.optimizers.Adam(1e-3), loss="mse")
    layer = model.layers[1]
    before = [np.array(v.value) for v in layer.trainable_variables]
    assert len(before) == 3
    y = np.ones((6, 4, 1))
    losses = model.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for old, new in zip(before, layer.trainable_variables, strict=True):
        assert np.abs(old - np.array(new.value)).max() > 0


def test_is_the_simulator(x):
    network = make_network()
    layer = nengo_jax.NengoLayer(network)
    outputs = layer(x[..., :3])
    with nengo_jax.Simulator(network, minibatch_size=6, progress_bar=False) as sim:
        expected = sim.predict(x[..., :3], verbose=0)[network.all_probes[0]]
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_is_saved_and_loaded(x, tmp_path):
    model = make_model(make_network)
    model.layers[1].trainable_variables[0].assign_add(
        0.1 * np.ones(model.layers[1].trainable_variables[0].shape)
    )
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )


def test_a_pickle_needs_trust(x, tmp_path):
    with nengo.Network(seed=1) as network:
        a = nengo.Node(np.zeros(3))
        nengo.Probe(a)
    model = keras.Sequential(
        [keras.layers.Input((4, 3)), nengo_jax.NengoLayer(network)]
    )
    path = tmp_path / "model.keras"
    model.save(path)
    with pytest.raises(ValueError, match="safe_mode=False"):
        keras.models.load_model(path)
    loaded = keras.models.load_model(path, safe_mode=False)
    np.testing.assert_array_equal(loaded.predict(x[..., :3], verbose=0), x[..., :3])


def test_held_inputs(x):
    layer = nengo_jax.NengoLayer(make_network, n_steps=7)
    outputs = layer(x[:, 0, :3])
    assert outputs.shape == (6, 7, 2)
    np.testing.assert_allclose(
        outputs, layer(np.repeat(x[:, :1, :3], 7, axis=1)), atol=1e-6
    )
    with pytest.raises(ValidationError, match="n_steps"):
        nengo_jax.NengoLayer(make_network)(x[:, 0, :3])


def test_several_inputs_and_outputs(x):
    with nengo.Network() as network:
        for name, size in (("a", 2), ("b", 1)):
            nengo.Probe(nengo.Node(np.zeros(size), label=name), label=f"{name}_out")
    layer = nengo_jax.NengoLayer(network)
    outputs = layer({"a": x[..., :2], "b": x[..., 2:3]})
    np.testing.assert_array_equal(outputs["a_out"], x[..., :2])
    np.testing.assert_array_equal(outputs["b_out"], x[..., 2:3])


def test_networks_that_are_no_layer():
    with nengo.Network() as network:
        a = nengo.Node([0.0])
    with pytest.raises(ValidationError, match="no probe"):
        nengo_jax.NengoLayer(network)
    with nengo.Network() as network:
        nengo.Probe(nengo.Ensemble(5, 1))
    with pytest.raises(ValidationError, match="no input node"):
        nengo_jax.NengoLayer(network)
    del a


@pytest.mark.parametrize("functional", [False, True])
def test_held_inputs_inside_a_model(functional):
    layer = nengo_jax.NengoLayer(make_network, n_steps=6)
    if functional:
        symbol = keras.Input((3,))
        model = keras.Model(symbol, keras.layers.Flatten()(layer(symbol)))
    else:
        flat = keras.layers.Flatten()
        model = keras.Sequential([keras.layers.Input((3,)), layer, flat])
    x = np.random.RandomState(0).uniform(-1, 1, (5, 3))
    model.compile("sgd", loss="mse")
    model.fit(x, np.zeros((5, 12)), verbose=0)
    held = np.repeat(x[:, None], 6, axis=1)
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(found, np.reshape(layer(held), (5, 12)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (2, 4, 2), (2, 1, 4, 3)])
def test_wrong_shapes(shape):
    layer = nengo_jax.NengoLayer(make_network)
    with pytest.raises(ValidationError, match="should have shape"):
        layer(np.zeros(shape))


def test_python_cannot_be_in_a_model():
    network = make_network()
    with network:
        node = nengo.Node(lambda t, x: x, size_in=2)
        nengo.Connection(network.ensembles[0][:2], node)
        nengo.Probe(node)
    with pytest.raises(ValidationError, match="only run as Python"):
        nengo_jax.NengoLayer(network)


def test_what_cannot_be_pickled(tmp_path):
    network = make_network()
    network.nodes[0].output = lambda t: [t, t, t]
    model = keras.Sequential([keras.Input((4, 3)), nengo_jax.NengoLayer(network)])
    with pytest.raises(ValueError, match="from a function that is registered"):
        model.save(tmp_path / "model.keras")
