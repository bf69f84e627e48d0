"""LIF layers equal nengo.LIF, and their surrogate gradients go through time."""

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax.layers import LIF, LIFCell
from nengo_jax.surrogates import FastSigmoid, RateDerivative, SuperSpike, Triangle


@keras.saving.register_keras_serializable(package="tests")
def box(x):
    return (jnp.abs(x) < 0.5).astype(x.dtype)


def _name(surrogate) -> str:
    """Name a case, not by an address in memory: workers compare the names."""
    return getattr(surrogate, "__name__", str(surrogate))


PARAMETERS = [
    {},
    {"tau_rc": 0.05, "tau_ref": 0.01, "amplitude": 0.3},
    {"min_voltage": -2, "tau_ref": 0},
    {"tau_rc": 0.004, "tau_ref": 0.0005, "min_voltage": -1},
]


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("dt", [0.001, 0.005])
def test_equals_nengos_neurons(parameters, dt):
    """Step by step, for currents that change."""
    x = np.random.RandomState(0).uniform(-3, 6, (2, 300, 8))
    with jax.enable_x64(True):
        layer = LIF(**parameters, dt=dt, seed=1, dtype="float64", return_state=True)
        actual, voltage, refractory = (np.asarray(value) for value in layer(x))
        begin = np.array(layer.cell.get_initial_state(2)[0])
    neurons = nengo.LIF(**parameters)
    state = {"voltage": begin.copy(), "refractory_time": np.zeros((2, 8))}
    output = np.zeros((2, 8))
    for k in range(x.shape[1]):
        neurons.step(dt, x[:, k], output, **state)
        np.testing.assert_allclose(actual[:, k], output, atol=1e-9)
    np.testing.assert_allclose(voltage, state["voltage"], atol=1e-11)
    np.testing.assert_allclose(refractory, state["refractory_time"], atol=1e-12)
    assert np.count_nonzero(actual) > 50


def test_single_precision_has_the_firing_rates():
    x = np.broadcast_to(np.linspace(0.5, 10, 20), (1, 2000, 20))
    expected = nengo.LIF().rates(x[0, 0], gain=1, bias=0).ravel()
    actual = np.mean(LIF(seed=0)(x), axis=(0, 1))
    np.testing.assert_allclose(actual, expected, atol=1.1)  # two spikes in 2 s


def slopes_by_hand(
    x, voltage, surrogate, weights, dt=0.001, tau_rc=0.02, tau_ref=0.002
):
    """Back-propagation through time of one neuron, written out.

    Returns the derivatives of the weighted sum of outputs by the currents ``x``, with
    resets and refractory times held fixed.
    """
    steps = len(x)
    refractory, kept = 0.0, []
    for now in x:
        refractory -= dt
        share = -np.expm1(-np.clip(dt - refractory, 0, dt) / tau_rc)
        voltage = voltage + (now - voltage) * share
        spiked = voltage > 1
        kept.append((share, voltage, spiked))
        if spiked:
            refractory = tau_ref + dt + tau_rc * np.log1p(-(voltage - 1) / (now - 1))
            voltage = 0.0
        voltage = max(voltage, 0.0)
    slopes, back = np.zeros(steps), 0.0  # back: derivative by the voltage afterwards
    for k in reversed(range(steps)):
        share, voltage, spiked = kept[k]
        through = 0.0 if spiked or voltage <= 0 else back
        by_voltage = through + weights[k] / dt * surrogate(voltage - 1)
        slopes[k] = by_voltage * share
        back = by_voltage * (1 - share)
    return slopes


@pytest.mark.parametrize(
    "surrogate", [FastSigmoid(), SuperSpike(20), Triangle(0.7), box], ids=_name
)
def test_surrogate_gradient_goes_through_time(surrogate):
    random = np.random.RandomState(3)
    x, weights = random.uniform(-1, 4, (1, 60, 1)), random.normal(size=(1, 60, 1))
    with jax.enable_x64(True):
        layer = LIF(surrogate=surrogate, seed=0, dtype="float64")
        actual = jax.grad(lambda x: jnp.sum(layer(x) * weights))(jnp.asarray(x))
        begin = float(layer.cell.get_initial_state(1)[0][0, 0])
        expected = slopes_by_hand(
            x[0, :, 0],
            begin,
            lambda d: float(surrogate(jnp.asarray(d))),
            weights[0, :, 0],
        )
    np.testing.assert_allclose(actual[0, :, 0], expected, rtol=1e-9, atol=1e-12)
    assert np.count_nonzero(expected) > 30


def test_rate_derivative():
    """Spikes forward, the derivative of the rate backward, none through time."""
    x = jnp.asarray(np.random.RandomState(0).uniform(1.1, 4, (2, 30, 3)), jnp.float32)
    layer = LIF(tau_rc=0.03, surrogate=RateDerivative(), seed=0)
    np.testing.assert_array_equal(layer(x), LIF(tau_rc=0.03, seed=0)(x))

    def rate(x):
        return 1 / (0.002 + 0.03 * jnp.log1p(1 / (x - 1)))

    actual = jax.grad(lambda x: jnp.sum(layer(x)))(x)
    expected = jax.grad(lambda x: jnp.sum(rate(x)))(x)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_two_layers_learn():
    """Exclusive or, by the number of spikes in 30 ms."""
    keras.utils.set_random_seed(0)
    x = np.random.RandomState(0).uniform(-1, 1, (256, 1, 2)).astype(np.float32)
    y = (x[:, 0, 0] * x[:, 0, 1] > 0).astype(int)
    spiking = [LIF(seed=k, amplitude=0.01) for k in range(2)]
    dense = [keras.layers.Dense(n, bias_initializer="ones") for n in (32, 16)]
    layers = [dense[0], spiking[0], dense[1], spiking[1]]
    readout = [keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((None, 2)), *layers, *readout])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    x = np.repeat(x, 30, axis=1)
    assert model.evaluate(x, y, verbose=0)[1] < 0.7
    model.fit(x, y, epochs=30, batch_size=64, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.9


def test_masked_and_last_step():
    x = np.random.RandomState(0).uniform(0, 4, (2, 30, 3)).astype(np.float32)
    every = LIF(seed=0)(x[:, :20])
    mask = np.arange(30)[None].repeat(2, 0) < 20
    last = LIF(seed=0, return_sequences=False)(x, mask=mask)
    np.testing.assert_array_equal(last, every[:, -1])


def test_cell_in_rnns_of_keras():
    x = np.random.RandomState(0).uniform(0, 4, (2, 30, 3)).astype(np.float32)
    rnn = keras.layers.RNN(LIFCell(3, seed=0), return_sequences=True)
    np.testing.assert_allclose(rnn(x), LIF(seed=0)(x))


def test_several_axes_and_precision():
    layer = LIF(dtype="mixed_float16", seed=0)
    x = np.random.RandomState(0).uniform(0, 9, (2, 30, 2, 3))
    assert layer(x).dtype == "float16"
    assert set(np.unique(layer(x))) == {0, 1000}
    slopes = jax.grad(lambda x: jnp.sum(layer(x)).astype("float32"))(jnp.asarray(x))
    assert np.all(np.isfinite(slopes))
    assert slopes.shape == x.shape


@pytest.mark.parametrize("surrogate", [Triangle(0.3), RateDerivative(), box], ids=_name)
def test_config(surrogate):
    layer = LIF(0.03, 0.001, -1, 0.5, dt=0.002, surrogate=surrogate)
    again = LIF.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.surrogate == surrogate
    cell = LIFCell(4, surrogate=surrogate)
    assert LIFCell.from_config(cell.get_config()).get_config() == cell.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau_rc": 0}, "tau_rc: Must be positive, got 0"),
        ({"tau_ref": -1}, "tau_ref: Must be zero or positive"),
        ({"min_voltage": 2}, "min_voltage: Must be at most 1"),
        ({"amplitude": 0}, "amplitude: Must be positive"),
        ({"surrogate": "relu"}, "surrogate: Must be one of nengo_jax.surrogates"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValidationError, match=message):
        LIF(**arguments)


def test_surrogates_are_those_of_the_package():
    assert LIF().surrogate == nengo_jax.surrogates.FastSigmoid()
