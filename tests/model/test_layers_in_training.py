"""Keras layers inside a network, trained, saved and loaded with it."""

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


def make_network(*layers):
    with nengo.Network(seed=1) as network:
        network.x = nengo.Node(np.zeros(4), label="x")
        hidden = network.x
        for layer in layers:
            hidden = nengo_jax.Layer(layer)(hidden)
        network.p = nengo.Probe(hidden)
    return network


def simulator(network):
    return nengo_jax.Simulator(network, minibatch_size=8, progress_bar=False)


@pytest.fixture
def data():
    rng = np.random.RandomState(0)
    x = rng.normal(3, 2, (16, 5, 4)).astype("float32")
    return x, x.sum(axis=-1, keepdims=True)


def test_dense_learns(data, tmp_path):
    x, y = data
    keras.utils.set_random_seed(1)
    network = make_network(keras.layers.Dense(6), keras.layers.Dense(1))
    with simulator(network) as sim:
        sim.compile(keras.optimizers.Adam(0.05), loss="mse")
        losses = sim.fit(x, y, epochs=40, verbose=0).history["loss"]
        assert losses[-1] < 0.05 * losses[0]
        expected = sim.predict(x, verbose=0)[network.p]
        path = sim.save_params(tmp_path / "net")
    keras.utils.set_random_seed(2)
    other = make_network(keras.layers.Dense(6), keras.layers.Dense(1))
    with simulator(other) as sim:
        assert np.abs(sim.predict(x, verbose=0)[other.p] - expected).max() > 0.1
        sim.load_params(path)
        np.testing.assert_allclose(
            sim.predict(x, verbose=0)[other.p], expected, rtol=1e-5, atol=1e-5
        )


def test_batch_normalization_follows_the_data(data):
    """Statistics move in training, once a step, and not in inference."""
    x, y = data
    network = make_network(keras.layers.BatchNormalization(momentum=0.5))
    with simulator(network) as sim:
        before = sim.predict(x, verbose=0)[network.p]
        np.testing.assert_allclose(before, x / np.sqrt(1 + 1e-3), rtol=1e-5)
        sim.compile(keras.optimizers.SGD(0.0), loss="mse")
        sim.fit(x, np.tile(y, (1, 1, 4)), shuffle=False, verbose=0)
        after = sim.predict(x, verbose=0)[network.p]
    mean, variance = np.zeros(4), np.ones(4)
    for batch in (x[:8], x[8:]):
        for step in range(5):
            mean = 0.5 * mean + 0.5 * batch[:, step].mean(axis=0)
            variance = 0.5 * variance + 0.5 * batch[:, step].var(axis=0)
    expected = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Nothing in the network is trained")
def test_dropout_drops_in_training_only(data):
    x, _ = data
    network = make_network(keras.layers.Dropout(0.3))
    with simulator(network) as sim:
        np.testing.assert_array_equal(sim.predict(x, verbose=0)[network.p], x)
        sim.compile(keras.optimizers.SGD(0.0), loss="mse")
        losses = [sim.train_on_batch(x[:8], x[:8])["loss"] for _ in range(2)]
    assert losses[0] > 1
    assert losses[1] != losses[0]


def test_regularizers_count(data):
    x, _ = data
    dense = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))
    network = make_network(dense)
    with simulator(network) as sim:
        sim.compile(keras.optimizers.SGD(0.0), loss="mse")
        target = sim.predict(x, verbose=0)[network.p]
        loss = sim.evaluate(x, target, verbose=0)["loss"]
    kernel = np.array(dense.kernel)
    assert loss == pytest.approx(0.1 * np.sum(kernel**2), rel=1e-4)


def test_constraints_hold(data):
    x, y = data
    dense = keras.layers.Dense(4, use_bias=False, kernel_constraint="non_neg")
    network = make_network(dense, keras.layers.Dense(1))
    with simulator(network) as sim:
        sim.compile(keras.optimizers.SGD(1e-3), loss="mse")
        sim.fit(x, -y, epochs=3, verbose=0)
        weights = sim.keras_model.network_layer.layer_weights
        blocks = {n: v.value for n, v in sim.keras_model.network_layer.blocks.items()}
        (kernel,) = (w.read(blocks) for w in weights if w.constraint is not None)
    assert np.min(kernel) == 0
    assert np.min(dense.kernel.value) < 0  # as it was initialised


def test_activity_regularizers_are_refused():
    layer = keras.layers.Dense(4, activity_regularizer="l2")
    with pytest.raises(ValidationError, match="activity_regularizer"):
        make_network(layer)


def test_freezing_writes_into_layers(data):
    """A new simulator starts with what the layers have learned, statistics too."""
    x, y = data
    network = make_network(
        keras.layers.BatchNormalization(momentum=0.5), keras.layers.Dense(1)
    )
    with simulator(network) as sim:
        before = sim.predict(x, verbose=0)[network.p]
        sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        sim.fit(x, y, epochs=2, verbose=0)
        expected = sim.predict(x, verbose=0)[network.p]
        sim.freeze_params(network)
    assert np.abs(before - expected).max() > 0.1
    with simulator(network) as sim:
        now = sim.predict(x, verbose=0)[network.p]
    np.testing.assert_allclose(now, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [None, 3])
def test_several_batches_in_a_call_train_layers_alike(data, count):
    """States of layers, and what they draw, go from one batch to the next."""
    x, y = (value[:, :1] for value in data)
    x, y = np.tile(x, (4, 1, 1)), np.tile(y, (4, 1, 1))
    found = []
    for number in (1, count):
        keras.utils.set_random_seed(1)
        network = make_network(
            keras.layers.Dense(6),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(1),
        )
        options = {} if number is None else {"steps_per_execution": number}
        with simulator(network) as sim:
            sim.compile(keras.optimizers.Adam(0.01), loss="mse", **options)
            assert sim.keras_model.can_group()
            losses = sim.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"]
            found.append((losses, sim.predict(x, verbose=0)[network.p]))
    (losses, said), (losses_wanted, said_wanted) = found
    np.testing.assert_allclose(losses, losses_wanted, rtol=1e-5)
    np.testing.assert_allclose(said, said_wanted, rtol=1e-4, atol=1e-5)
