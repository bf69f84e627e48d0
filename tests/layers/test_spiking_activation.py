"""SpikingActivation: spikes, gradients, shapes, states, and what it refuses."""

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError, ValidationError

from nengo_jax.layers import SpikingActivation, SpikingActivationCell

DT = 0.001


def rates(steps=200, units=6, batch=2):
    """Inputs that do not change over time."""
    x = np.random.RandomState(0).uniform(-30, 150, (batch, 1, units))
    return np.repeat(x, steps, axis=1).astype(np.float32)


# -- spikes


def test_equals_nengos_regular_spiking_neurons():
    """With a relu, voltage and spikes are those of SpikingRectifiedLinear."""
    with jax.enable_x64(True):
        layer = SpikingActivation("relu", seed=3, dtype="float64")
        x = np.random.RandomState(1).uniform(-50, 900, (1, 300, 5))
        actual = np.asarray(layer(x))[0]
        voltage = np.array(layer.cell.get_initial_state(1)[0])[0]
    neurons, output = nengo.SpikingRectifiedLinear(), np.zeros(5)
    for now, spikes in zip(x[0], actual, strict=True):
        neurons.step(DT, now, output, voltage)
        np.testing.assert_allclose(spikes, output, atol=1e-9)
    assert np.count_nonzero(actual) > 100


@pytest.mark.parametrize("activation", ["relu", "tanh", keras.ops.square, "softmax"])
@pytest.mark.parametrize("dt", [0.001, 0.05])
def test_the_sum_of_spikes_is_that_of_the_rates(activation, dt):
    x = rates(units=4) / 30
    layer = SpikingActivation(activation, dt=dt, seed=0)
    expected = np.asarray(keras.activations.get(activation)(jnp.asarray(x)))
    difference = np.asarray(layer(x) - expected).cumsum(1) * dt
    assert np.abs(difference).max() < 1.001  # one spike
    assert set(np.unique(np.round(layer(x) * dt, 4)) % 1) == {0}


def test_negative_rates_give_negative_spikes():
    spikes = SpikingActivation("linear")(np.full((1, 1000, 1), -20.0, np.float32))
    assert set(np.unique(spikes)) == {-1000, 0}
    assert np.count_nonzero(spikes) == pytest.approx(20, abs=1)


def test_initial_voltages_are_uniform_and_differ():
    cell = SpikingActivationCell(500, "relu", seed=0)
    (voltage,) = cell.get_initial_state(20)
    assert voltage.shape == (20, 500)
    assert len(np.unique(voltage)) > 9000
    assert np.mean(voltage) == pytest.approx(0.5, abs=0.01)
    assert 0 <= np.min(voltage) < np.max(voltage) < 1


def test_seeds():
    x = rates()
    first, again = (SpikingActivation("relu", seed=5)(x) for _ in range(2))
    other = SpikingActivation("relu", seed=6)(x)
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    keras.utils.set_random_seed(1)
    drawn = SpikingActivation("relu")
    keras.utils.set_random_seed(1)
    assert (
        SpikingActivation("relu").seed == drawn.seed != SpikingActivation("relu").seed
    )
    np.testing.assert_array_equal(drawn(x), drawn(x))


# -- gradients


@pytest.mark.parametrize("activation", ["tanh", "softplus", keras.ops.sin])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("masked", [False, True])
def test_gradient_is_that_of_the_activation(activation, training, masked):
    """In each step for itself: nothing goes through the voltage."""
    function = keras.activations.get(activation)
    layer = SpikingActivation(activation, dt=0.3, seed=0)
    x = jnp.asarray(np.random.RandomState(0).normal(size=(2, 7, 3)), jnp.float32)
    weights = jnp.asarray(np.random.RandomState(1).normal(size=x.shape), jnp.float32)
    mask = np.ones(x.shape[:2], bool) if masked else None

    def loss(x):
        return jnp.sum(layer(x, mask=mask, training=training) * weights)

    expected = jax.grad(lambda x: jnp.sum(function(x) * weights))(x)
    np.testing.assert_allclose(jax.grad(loss)(x), expected, rtol=1e-6)
    step = 1e-3  # and against finite differences of the activation
    differences = (function(x + step) - function(x - step)) / (2 * step) * weights
    np.testing.assert_allclose(jax.grad(loss)(x), differences, atol=2e-3)


def test_gradient_of_the_last_step_alone():
    layer = SpikingActivation("tanh", return_sequences=False, dt=0.3)
    x = jnp.asarray(np.random.RandomState(0).normal(size=(2, 7, 3)), jnp.float32)
    slope = jax.grad(lambda x: jnp.sum(layer(x)))(x)
    assert np.all(slope[:, :-1] == 0)
    np.testing.assert_allclose(slope[:, -1], 1 - jnp.tanh(x[:, -1]) ** 2, rtol=1e-5)


def test_gradient_of_masked_steps_is_that_of_the_step_before():
    mask = np.array([[0, 1, 0, 1, 0, 0, 1]], bool)
    shown = np.array([-1, 1, 1, 3, 3, 3, 6])  # the step whose output is shown in each
    layer = SpikingActivation("tanh", dt=0.3)
    x = jnp.asarray(np.random.RandomState(0).normal(size=(1, 7, 3)), jnp.float32)
    weights = np.arange(1, 8, dtype=np.float32)
    slope = jax.grad(lambda x: jnp.sum(layer(x, mask=mask) * weights[None, :, None]))(x)
    total = np.array([weights[shown == k].sum() for k in range(7)], np.float32)
    expected = total[None, :, None] * (1 - np.tanh(x) ** 2)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_states_have_no_gradient():
    layer = SpikingActivation("relu", return_state=True)
    x = jnp.asarray(rates(steps=5))
    begin = jnp.full((2, 6), 0.4)
    by_input = jax.grad(lambda x: jnp.sum(layer(x)[1]))(x)
    by_state = jax.grad(lambda v: jnp.sum(layer(x, initial_state=[v])[0]))(begin)
    assert np.all(by_input == 0)
    assert np.all(by_state == 0)


def test_without_spiking_aware_training():
    x = rates()
    layer = SpikingActivation("relu", spiking_aware_training=False)
    np.testing.assert_array_equal(layer(x, training=True), np.maximum(x, 0))
    assert set(np.unique(layer(x, training=False) * DT)) <= {0, 1}
    aware = SpikingActivation("relu")(x, training=True)
    assert set(np.unique(aware * DT)) <= {0, 1}


def test_fit_uses_rates_and_predict_spikes():
    """One step in training, many afterwards, with the same layer."""
    inputs = keras.Input((None, 3))
    spiking = SpikingActivation("relu", spiking_aware_training=False)
    dense = keras.layers.Dense(4, bias_initializer="ones", kernel_initializer="zeros")
    model = keras.Model(inputs, spiking(dense(inputs)))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    x = np.random.RandomState(0).uniform(0, 1, (32, 1, 3))
    y = np.full((32, 1, 4), 50.0)
    history = model.fit(x, y, epochs=200, verbose=0).history
    assert history["loss"][-1] < 1  # spikes are wrong by 50 or 950
    spikes = model.predict(np.repeat(x, 400, axis=1), verbose=0)
    assert set(np.unique(spikes.round())) == {0, 1000}
    np.testing.assert_allclose(spikes.mean(axis=1), 50, atol=5)
    assert model.evaluate(np.repeat(x, 20, 1), np.repeat(y, 20, 1), verbose=0) > 1000


# -- shapes, masks, states


@pytest.mark.parametrize(
    "options", [{}, {"return_sequences": False}, {"unroll": True}, {"seed": 4}]
)
def test_time_major_is_the_same_transposed(options):
    options = {"seed": 0, **options}
    x = rates(steps=30)
    usual = SpikingActivation("relu", **options)(x)
    transposed = SpikingActivation("relu", time_major=True, **options)(x.swapaxes(0, 1))
    if options.get("return_sequences", True):
        transposed = np.swapaxes(transposed, 0, 1)
    np.testing.assert_array_equal(usual, transposed)


def test_unrolled_and_last_step_are_the_same():
    x = rates(steps=20)
    expected = SpikingActivation("relu", seed=0)(x)
    unrolled = SpikingActivation("relu", seed=0, unroll=True)(x)
    last = SpikingActivation("relu", seed=0, return_sequences=False)(x)
    np.testing.assert_array_equal(unrolled, expected)
    np.testing.assert_array_equal(last, expected[:, -1])


def test_several_axes_are_the_same_as_one():
    x = rates(steps=20, units=12)
    flat = SpikingActivation("relu", seed=0)(x)
    several = SpikingActivation("relu", seed=0)(x.reshape(2, 20, 2, 3, 2))
    np.testing.assert_array_equal(np.reshape(several, flat.shape), flat)


def test_after_convolutions():
    inputs = keras.Input((None, 8, 8, 1))
    convolution = keras.layers.TimeDistributed(keras.layers.Conv2D(3, 3))
    outputs = SpikingActivation("relu")(convolution(inputs))
    assert outputs.shape == (None, None, 6, 6, 3)
    model = keras.Model(inputs, outputs)
    assert model(np.ones((2, 5, 8, 8, 1))).shape == (2, 5, 6, 6, 3)


@pytest.mark.parametrize("last_only", [False, True])
def test_masked_steps_do_not_happen(last_only):
    """States stay, and the output is repeated, as in layers of Keras."""
    x = rates(steps=8)
    mask = np.array([[1, 0, 1, 1, 0, 0, 1, 0], [0, 1, 1, 1, 1, 1, 1, 1]], bool)
    layer = SpikingActivation(
        "linear", dt=0.01, seed=1, return_state=True, return_sequences=not last_only
    )
    outputs, voltage = layer(x, mask=mask)
    begin = np.array(layer.cell.get_initial_state(2)[0])
    for k in range(2):
        steps = np.flatnonzero(mask[k])
        alone = SpikingActivation("linear", dt=0.01, return_state=True)
        expected, end = alone(x[k : k + 1, steps], initial_state=begin[k : k + 1])
        np.testing.assert_allclose(voltage[k], end[0], rtol=1e-5)
        if last_only:
            np.testing.assert_array_equal(outputs[k], expected[0, -1])
            continue
        np.testing.assert_array_equal(outputs[k, steps], expected[0])
        repeated = np.flatnonzero(~mask[k])
        before = np.where(repeated[:, None] > 0, outputs[k, repeated - 1], 0)
        np.testing.assert_array_equal(outputs[k, repeated], before)


def test_masks_are_handed_on():
    inputs = keras.Input((None, 2))
    masked = keras.layers.Masking(-1.0)(inputs)
    mean = keras.layers.GlobalAveragePooling1D()
    model = keras.Model(inputs, mean(SpikingActivation("relu", dt=1.0)(masked)))
    x = np.full((1, 10, 2), 3.0, np.float32)
    x[:, 4:] = -1
    assert model.predict(x, verbose=0) == pytest.approx(3.0)


def test_return_state_and_initial_state():
    layer = SpikingActivation("relu", return_state=True, seed=0)
    x = rates()
    whole, end = layer(x)
    first, middle = layer(x[:, :50])
    second, again = layer(x[:, 50:], initial_state=middle)
    np.testing.assert_array_equal(np.concatenate([first, second], 1), whole)
    np.testing.assert_array_equal(end, again)
    inputs, begin = keras.Input((None, 6)), keras.Input((6,))
    model = keras.Model([inputs, begin], layer(inputs, initial_state=[begin])[0])
    predicted = model.predict([x[:, 50:], np.array(middle)], verbose=0)
    np.testing.assert_array_equal(predicted, second)


def test_stateful_layers_go_on():
    x = rates()
    expected = SpikingActivation("relu", seed=0)(x)
    inputs = keras.Input(batch_shape=(2, None, 6))
    layer = SpikingActivation("relu", seed=0, stateful=True)
    model = keras.Model(inputs, layer(inputs))
    for _ in range(2):
        parts = [model.predict(x[:, k : k + 50], verbose=0) for k in range(0, 200, 50)]
        np.testing.assert_array_equal(np.concatenate(parts, 1), expected)
        layer.reset_states()
    layer.reset_states(np.full((2, 6), 0.25))
    np.testing.assert_array_equal(layer.states[0], np.full((2, 6), 0.25))
    assert not layer.weights  # states are none, so other models can load them
    layer.reset_state()
    np.testing.assert_array_equal(layer.states[0], layer.cell.get_initial_state(2)[0])


def test_stateful_in_training():
    inputs = keras.Input(batch_shape=(2, None, 6))
    layer = SpikingActivation("relu", seed=0, stateful=True)
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse")
    model.fit(rates(), rates(), batch_size=2, verbose=0, shuffle=False)
    expected = SpikingActivation("relu", seed=0, return_state=True)(rates())[1]
    np.testing.assert_array_equal(layer.states[0], expected)


# -- activations, precision, cells


def test_a_layer_as_activation():
    layer = SpikingActivation(keras.layers.PReLU())
    x = rates(steps=10)
    layer(x)
    assert [w.shape for w in layer.trainable_weights] == [(6,)]
    layer.trainable_weights[0].assign(np.full(6, -1.0))  # the absolute value
    assert np.mean(layer(np.full((1, 1000, 6), -40.0))) == pytest.approx(40, abs=1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_low_precision(policy):
    """In mixed precision voltages stay exact, so no spike is lost."""
    layer = SpikingActivation("relu", dtype=policy, return_state=True, seed=0)
    outputs, voltage = layer(np.full((1, 2000, 2), 3.0))
    assert outputs.dtype == voltage.dtype == layer.compute_dtype
    if policy != "float16":
        assert np.count_nonzero(outputs) == pytest.approx(12, abs=2)
        assert layer.cell.get_initial_state(1)[0].dtype == "float32"


def test_double_precision():
    with jax.enable_x64(True):
        layer = SpikingActivation("tanh", dtype="float64")
        outputs = layer(np.ones((1, 3, 2)))
    assert outputs.dtype == "float64"


def test_cell_in_rnns_of_keras():
    x = rates(steps=30)
    cell = SpikingActivationCell(6, "relu", seed=2)
    rnn = keras.layers.RNN(cell, return_sequences=True)
    np.testing.assert_allclose(rnn(x), SpikingActivation("relu", seed=2)(x))
    cells = [keras.layers.SimpleRNNCell(6), SpikingActivationCell(6, "relu", seed=2)]
    stacked = keras.layers.RNN(cells, return_sequences=True)
    assert set(np.unique(np.round(stacked(x)))) <= {0, 1000}


def test_a_cell_keeps_its_config():
    cell = SpikingActivationCell((2, 3), "tanh", dt=0.1, spiking_aware_training=False)
    again = SpikingActivationCell.from_config(cell.get_config())
    assert again.get_config() == cell.get_config()
    assert again.size == (2, 3)


# -- what is refused


def test_no_time_axis():
    with pytest.raises(ValidationError, match=r"shape \(2, 3\), but needs a time axis"):
        SpikingActivation("relu")(np.ones((2, 3)))
    with pytest.raises(ValidationError, match="time axis"):
        keras.Sequential([keras.Input((3,)), SpikingActivation("relu")])


def test_unknown_size():
    with pytest.raises(ValidationError, match="only the numbers of examples and of"):
        SpikingActivation("relu")(keras.Input((None, None)))


@pytest.mark.parametrize("dt", [0, -0.1, float("nan"), float("inf"), "fast", True])
def test_wrong_dt(dt):
    with pytest.raises(ValidationError, match="dt: Must be a positive number"):
        SpikingActivation("relu", dt=dt)


def test_wrong_arguments():
    with pytest.raises(ValidationError, match="activation: Must be the name"):
        SpikingActivation(None)
    with pytest.raises(ValidationError, match="seed: Must be an integer"):
        SpikingActivation("relu", seed=0.5)
    with pytest.raises(ValidationError, match="size: Must be one or several positive"):
        SpikingActivationCell((2, 0), "relu")


def test_stateful_needs_a_batch_size():
    with pytest.raises(ValidationError, match="batch_shape="):
        SpikingActivation("relu", stateful=True)(keras.Input((None, 3)))


def test_wrong_states():
    layer = SpikingActivation("relu", stateful=True)
    with pytest.raises(SimulationError, match="keeps no states"):
        layer.reset_states()
    layer(np.ones((2, 4, 3)))
    with pytest.raises(ValueError, match=r"have the shapes \[\(2, 3\)\], but \[\(3,\)"):
        layer.reset_states(np.ones(3))
    with pytest.raises(ValueError, match="built for 2 examples, but got 5"):
        layer(np.ones((5, 4, 3)))
    with pytest.raises(ValueError, match="have the shapes"):
        layer(np.ones((2, 4, 3)), initial_state=[np.ones((2, 3))] * 2)
