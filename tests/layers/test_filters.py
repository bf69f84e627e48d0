"""Lowpass and Alpha equal nengo's synapses, and their parameters are trained."""

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from jax.test_util import check_grads
from nengo.exceptions import ValidationError

from nengo_jax.layers import Alpha, AlphaCell, Lowpass, LowpassCell
from nengo_jax.layers.constraints import Mean

FILTERS = [(Lowpass, nengo.Lowpass), (Alpha, nengo.Alpha)]
LAYERS = pytest.mark.parametrize("kind", [Lowpass, Alpha])


def noise(*shape):
    return np.random.RandomState(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("kind", "synapse"), FILTERS)
@pytest.mark.parametrize("dt", [0.001, 0.03])
@pytest.mark.parametrize("tau", [0.005, 0.1, 2.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_nengos_synapses(kind, synapse, dt, tau, dtype):
    x = noise(3, 300, 4).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        actual = np.asarray(kind(tau, dt=dt, dtype=dtype)(x))
    expected = synapse(tau).filt(x, axis=1, y0=0, dt=dt)
    scale = np.abs(expected).max()
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(actual, expected, atol=tolerance * scale)


@LAYERS
def test_precision_of_a_long_time_constant(kind):
    """A constant is reached, up to steps too small for single precision."""
    layer = kind(1.0, return_sequences=False)
    outputs = layer(np.full((1, 30_000, 1), 0.1, np.float32))
    np.testing.assert_allclose(outputs, 0.1, rtol=6e-5)


@LAYERS
def test_each_unit_has_its_time_constant_and_level(kind):
    taus = np.array([[0.01, 0.1], [0.5, 1.0]])
    levels = np.array([[1.0, 2.0], [3.0, 4.0]])
    layer = kind(0.1, level_initializer="ones")
    x = noise(1, 50, 2, 2)
    layer.build(x.shape)
    layer.cell.tau.assign(taus)
    layer.cell.initial_level.assign(levels)
    synapse = nengo.Lowpass if kind is Lowpass else nengo.Alpha
    for i in np.ndindex(2, 2):
        expected = synapse(taus[i]).filt(x[0, :, *i, None] - levels[i], y0=0)
        expected = expected[:, 0] + levels[i]
        np.testing.assert_allclose(layer(x)[0, :, *i], expected, atol=1e-4)


@LAYERS
def test_gradients(kind):
    """By inputs, time constants and levels, against finite differences."""
    with jax.enable_x64(True):
        layer = kind(0.1, dt=0.03, level_initializer="ones", dtype="float64")
        x = noise(2, 12, 3).astype(float)
        layer.build(x.shape)
        weights = np.random.RandomState(1).normal(size=x.shape)
        names = ["initial_level", "tau"]
        assert [w.name for w in layer.trainable_variables] == names

        def loss(x, *values):
            outputs, _ = layer.stateless_call(values, [], x)
            return jnp.sum(outputs * weights)

        begin = [jnp.asarray(v.value) for v in layer.trainable_variables]
        arguments = [jnp.asarray(x), *begin]
        check_grads(loss, arguments, order=1, modes="rev", rtol=1e-6)
        slopes = [np.asarray(s) for s in jax.grad(loss, argnums=(1, 2))(*arguments)]
    assert all(np.all(slope != 0) for slope in slopes)


@LAYERS
def test_time_constants_are_learned(kind):
    """The filter that made the targets is found."""
    x = noise(16, 100, 1)
    y = np.asarray(kind(0.03, level_initializer=keras.initializers.Constant(0.5))(x))
    layer = kind(0.1)
    model = keras.Sequential([keras.Input((None, 1)), layer])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(x, y, epochs=200, batch_size=16, verbose=0)
    assert float(layer.cell.tau[0]) == pytest.approx(0.03, rel=0.05)
    assert float(layer.cell.initial_level[0]) == pytest.approx(0.5, rel=0.05)


@LAYERS
def test_negative_time_constants_are_no_filter(kind):
    x = noise(1, 20, 2)
    layer = kind(0.1)
    layer.build(x.shape)
    layer.cell.tau.assign([-0.1, 0.0])
    np.testing.assert_allclose(layer(x), x, rtol=1e-5)
    slopes = jax.grad(lambda x: jnp.sum(layer(x)))(jnp.asarray(x))
    assert np.all(np.isfinite(slopes))


@LAYERS
def test_not_applied_during_training(kind):
    x = noise(2, 20, 3)
    layer = kind(0.1, apply_during_training=False)
    np.testing.assert_array_equal(layer(x, training=True), x)
    np.testing.assert_array_equal(layer(x, training=False), kind(0.1)(x))
    assert np.any(layer(x) != x)
    assert not layer.trainable_weights
    assert len(layer.weights) == 2


@LAYERS
def test_constraints_act_in_training(kind):
    layer = kind(
        keras.initializers.RandomUniform(0.01, 0.2, seed=0),
        tau_constraint=Mean(),
        initial_level_constraint="non_neg",
        level_initializer=keras.initializers.RandomUniform(-1, 1, seed=1),
    )
    model = keras.Sequential([keras.Input((None, 5)), layer])
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    assert len(np.unique(layer.cell.tau)) == 5
    model.fit(noise(4, 10, 5), noise(4, 10, 5), epochs=1, verbose=0)
    assert len(np.unique(layer.cell.tau)) == 1
    assert np.min(layer.cell.initial_level) == 0


@LAYERS
def test_state_is_handed_on(kind):
    x = noise(2, 40, 3)
    layer = kind(0.02, return_state=True)
    whole, *_ = layer(x)
    first, *middle = layer(x[:, :15])
    second, *_ = layer(x[:, 15:], initial_state=middle)
    joined = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(joined, whole, rtol=1e-6, atol=1e-7)
    symbolic = layer(keras.Input((None, 3)))
    assert [s.shape[1:] for s in symbolic[1:]] == [s.shape[1:] for s in middle]


@LAYERS
def test_stateful_begins_at_the_initial_level(kind):
    x = noise(2, 10, 3)
    layer = kind(0.02, stateful=True, level_initializer="ones")
    first = layer(x)
    assert np.any(layer(x) != first)
    layer.reset_states()
    np.testing.assert_array_equal(layer(x), first)


@LAYERS
def test_mixed_precision(kind):
    """The state is in single precision, so a small share of the input is not lost."""
    layer = kind(10.0, dtype="mixed_float16")
    outputs = layer(np.ones((1, 5000, 1)))
    assert outputs.dtype == "float16"
    expected = nengo.Lowpass(10.0) if kind is Lowpass else nengo.Alpha(10.0)
    filtered = expected.filt(np.ones((5000, 1)), y0=0)
    np.testing.assert_allclose(outputs[0], filtered, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "layer"), [(LowpassCell, Lowpass), (AlphaCell, Alpha)]
)
def test_cells_in_rnns_of_keras(cell, layer):
    x = noise(2, 30, 4)
    rnn = keras.layers.RNN(cell(4, 0.05), return_sequences=True)
    np.testing.assert_allclose(rnn(x), layer(0.05)(x), rtol=1e-6)
    made = cell(4, 0.05, apply_during_training=False, tau_constraint="non_neg")
    assert cell.from_config(made.get_config()).get_config() == made.get_config()


@LAYERS
@pytest.mark.parametrize("tau", [0, -0.1, True])
def test_wrong_time_constants(kind, tau):
    with pytest.raises(ValidationError, match="tau_initializer: Must be a positive"):
        kind(tau)
