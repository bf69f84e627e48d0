"""Models with these layers are saved and loaded, in Keras's safe mode."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import nengo_jax
from nengo_jax import layers
from nengo_jax.layers import constraints, regularizers


@keras.saving.register_keras_serializable(package="tests")
def doubled(x):
    return keras.ops.relu(2 * x)


def make_model(activation="softplus"):
    """A model with each kind of layer, and options that are not the defaults."""
    spiking = layers.SpikingActivation(
        activation,
        dt=0.05,
        activity_regularizer=regularizers.Percentile(90, (0, 1), (1, 2), l2=1e-3),
    )
    lowpass = layers.Lowpass(
        keras.initializers.RandomUniform(0.01, 0.2),
        dt=0.05,
        tau_constraint=constraints.Mean(),
        level_initializer="random_normal",
    )
    inner = layers.SpikingActivationCell(6, "relu", dt=0.05)
    surrogate = nengo_jax.surrogates.Triangle(0.4)
    return keras.Sequential(
        [
            keras.Input((None, 4)),
            keras.layers.Dense(6),
            spiking,
            lowpass,
            layers.LIF(0.1, 0.01, -1, 0.1, dt=0.05, surrogate=surrogate),
            layers.LMU(6, 3, 0.3, 2, inner, memory_to_memory=False, dt=0.05),
            layers.Alpha(0.1, dt=0.05, apply_during_training=False),
        ]
    )


def data(batch=4, steps=12):
    x = np.random.RandomState(0).normal(size=(batch, steps, 4)).astype(np.float32)
    return x, np.zeros((batch, steps, 6))


def test_trained_model_is_loaded_and_trained_further(tmp_path):
    model = make_model()
    model.compile("adam", "mse")
    model.fit(*data(), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x, y = data()
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    assert np.any(expected != 0)
    losses = [
        m.fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"]
        for m in (model, loaded)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_in_another_process(tmp_path):
    """Nothing but the import of the layers is needed."""
    model = make_model()
    model.save(tmp_path / "model.keras")
    x, _ = data()
    np.save(tmp_path / "x.npy", x)
    program = (
        "import nengo_jax.layers, keras, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "np.save('y.npy', model.predict(np.load('x.npy'), verbose=0))\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    predicted = model.predict(x, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), predicted, atol=1e-6)


@pytest.mark.parametrize("activation", [doubled, keras.layers.LeakyReLU(0.3), "tanh"])
def test_activations(tmp_path, activation):
    model = make_model(activation)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x, _ = data()
    np.testing.assert_array_equal(loaded(x), model(x))


def test_a_lambda_is_not_loaded_in_safe_mode(tmp_path):
    layer = layers.SpikingActivation(lambda x: x * x)
    model = keras.Sequential([keras.Input((None, 4)), layer])
    with pytest.warns(UserWarning, match="includes a `lambda`"):
        model.save(tmp_path / "model.keras")
    with pytest.raises((ValueError, TypeError), match=r"deserialization of a .*lambda"):
        keras.models.load_model(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=False)
    x, _ = data()
    np.testing.assert_array_equal(loaded(x), model(x))


def test_a_variable_is_saved_as_its_value(tmp_path):
    """And weights fit models of another dt."""
    dt = keras.Variable(0.1)
    layer = layers.SpikingActivation("relu", dt=dt, seed=0)
    model = keras.Sequential([keras.Input((None, 4)), layer, layers.Lowpass(0.1)])
    dt.assign(0.02)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].dt == pytest.approx(0.02)
    x = 20 * data()[0]
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-5)
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras.Sequential(
        [
            keras.Input(batch_shape=(4, None, 4)),
            layers.SpikingActivation("relu", dt=0.001, stateful=True),
            layers.Lowpass(0.5, stateful=True),
        ]
    )
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.layers[1].cell.tau, model.layers[1].cell.tau)


def test_stateful_models(tmp_path):
    inputs = keras.Input(batch_shape=(4, None, 4))
    layer = layers.LIF(dt=0.01, stateful=True, return_sequences=False)
    model = keras.Model(inputs, layer(10 * inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x, _ = data()
    for _ in range(2):
        np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
def test_policies(tmp_path, policy):
    layer = layers.Lowpass(0.1, dtype=policy)
    model = keras.Sequential([keras.Input((None, 4)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].dtype_policy.name == policy
    assert loaded.layers[0].cell.dtype_policy.name == policy
    x, _ = data()
    np.testing.assert_array_equal(loaded(x), model(x))
