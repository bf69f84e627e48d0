"""Legendre Memory Units: their matrices, their memory, and spikes inside."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax.test_util import check_grads
from nengo.exceptions import ValidationError
from numpy.polynomial.legendre import legval
from scipy.signal import cont2discrete

from nengo_jax.layers import LMU, LIFCell, LMUCell, SpikingActivationCell
from nengo_jax.layers.legendre import discretise, legendre_matrices


def test_matrices_of_the_paper():
    """Written out for order 3."""
    a, b = legendre_matrices(3)
    np.testing.assert_array_equal(a, [[-1, -1, -1], [3, -3, -3], [-5, 5, -5]])
    np.testing.assert_array_equal(b, [1, -3, 5])


@pytest.mark.parametrize("order", [1, 4, 12, 64])
@pytest.mark.parametrize("dt", [0.001, 0.01])
def test_discretised_as_scipy_does(order, dt):
    a, b = legendre_matrices(order)
    theta = 0.5
    system = (a / theta, b[:, None] / theta, np.eye(order), np.zeros((order, 1)))
    expected = cont2discrete(system, dt, method="zoh")
    exact = discretise(order, theta, dt, np.float64)
    np.testing.assert_allclose(exact[0], expected[0], atol=1e-12)
    np.testing.assert_allclose(exact[1], expected[1][:, 0], atol=1e-12)
    with jax.numpy_dtype_promotion("standard"):
        traced = jax.jit(lambda dt: discretise(order, theta, dt, "float32"))(dt)
    np.testing.assert_allclose(traced[0], expected[0], atol=2e-5)
    np.testing.assert_allclose(traced[1], expected[1][:, 0], atol=2e-5)


def memory_of(x, order, theta, **options):
    """What an LMU remembers whose memory gets the inputs, and whose output is it."""
    size = x.shape[-1]
    units = size * order
    off = {"hidden_to_memory": False, "input_to_hidden": False}
    layer = LMU(units, order, theta, size, "linear", **off, **options)
    layer.build(x.shape)
    layer.cell.input_encoders.assign(np.eye(size))
    layer.cell.memory_kernel.assign(np.eye(units))
    layer.cell.hidden_kernel.assign(np.zeros((units, units)))
    return np.reshape(layer(x), (*x.shape[:2], size, order))


def test_memory_holds_the_window():
    """Legendre polynomials give back the input of any time within theta."""
    theta, order, dt = 0.2, 8, 0.002
    times = dt * np.arange(250)
    x = np.stack([np.sin(9 * times), np.cos(6 * times)], axis=-1)[None]
    memory = memory_of(x.astype(np.float32), order, theta, dt=dt)
    for share in (0, 0.25, 0.5, 1):
        values = legval(2 * share - 1, np.eye(order))
        delayed = memory @ values
        # a held input is half a step late
        past = times + dt / 2 - share * theta
        expected = np.stack([np.sin(9 * past), np.cos(6 * past)], axis=-1)
        settled = times > 2 * theta
        error = delayed[0, settled] - expected[settled]
        assert np.sqrt(np.mean(error**2)) < 0.01


def by_hand(layer, x, function):
    """The equations of the paper in NumPy."""
    cell = layer.cell
    (units,) = cell.size
    order = cell.order
    a, b = discretise(order, cell.theta, float(layer.dt), np.float64)
    w = {v.name: np.asarray(v.value, np.float64) for v in cell.weights}
    hidden, memory = np.zeros((len(x), units)), np.zeros((len(x), cell.memory_d, order))
    outputs = []
    for k in range(x.shape[1]):
        flat = memory.reshape(len(x), -1)
        u = x[:, k] @ w["input_encoders"] + hidden @ w["hidden_encoders"]
        u = u + flat @ w["memory_encoders"]
        memory = np.einsum("ij,bdj->bdi", a, memory) + u[..., None] * b
        drive = x[:, k] @ w["input_kernel"] + hidden @ w["hidden_kernel"]
        drive = drive + memory.reshape(len(x), -1) @ w["memory_kernel"] + w["bias"]
        hidden = function(drive)
        outputs.append(hidden)
    return np.stack(outputs, axis=1)


def random_layer(x, **options):
    layer = LMU(5, 4, 0.05, 2, dt=0.005, use_bias=True, **options)
    layer.build(x.shape)
    random = np.random.RandomState(0)
    for weight in layer.weights:
        weight.assign(0.3 * random.normal(size=weight.shape))
    return layer


def test_equations_of_the_paper():
    x = np.random.RandomState(1).normal(size=(3, 20, 2)).astype(np.float32)
    layer = random_layer(x)
    np.testing.assert_allclose(layer(x), by_hand(layer, x, np.tanh), atol=1e-5)


def test_spikes_inside_the_cell():
    """The equations of the paper, with a function that integrates and fires."""
    x = np.random.RandomState(1).normal(size=(3, 40, 2)).astype(np.float32)
    spiking = SpikingActivationCell(5, "relu", dt=0.5, seed=0)
    layer = random_layer(x, activation=spiking)
    voltage = np.array(spiking.get_initial_state(3)[0], np.float64)

    def fire(drive):
        voltage[...] += np.maximum(drive, 0) * 0.5
        spikes = np.floor(voltage)
        voltage[...] -= spikes
        return spikes / 0.5

    actual = np.asarray(layer(x))
    np.testing.assert_allclose(actual, by_hand(layer, x, fire), atol=1e-4)
    assert np.count_nonzero(actual) > 20


def test_gradient_through_the_unit():
    with jax.enable_x64(True):
        x = np.random.RandomState(1).normal(size=(2, 10, 2))
        layer = random_layer(x, activation=jnp.tanh, dtype="float64")
        arguments = [v.value for v in layer.trainable_variables]

        def loss(x, *values):
            return jnp.sum(jnp.sin(layer.stateless_call(values, [], x)[0]))

        arguments = [jnp.asarray(x), *arguments]
        check_grads(loss, arguments, order=1, modes="rev", rtol=1e-6)


@pytest.mark.parametrize("kind", ["tanh", "spikes", "lif"])
def test_learns_to_remember(kind):
    """The first input of a sequence has to be named at its end."""
    cells = {
        "tanh": "tanh",
        "spikes": SpikingActivationCell(16, "relu", dt=1.0, seed=0),
        "lif": LIFCell(16, tau_rc=10, tau_ref=1, dt=1.0, seed=0),
    }
    random = np.random.RandomState(0)
    y = random.randint(0, 2, 128)
    x = 0.1 * random.normal(size=(128, 12, 1)).astype(np.float32)
    x[:, 0, 0] += 2.0 * y - 1
    keras.utils.set_random_seed(0)
    layer = LMU(16, 6, theta=12.0, activation=cells[kind], dt=1.0, use_bias=True)
    sequence = [keras.Input((None, 1)), layer, keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*sequence, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.fit(x, y, epochs=40, batch_size=64, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.9


@pytest.mark.parametrize("flag", ["hidden_to_memory", "memory_to_memory"])
def test_connections_can_be_left_out(flag):
    x = np.random.RandomState(1).normal(size=(3, 20, 2)).astype(np.float32)
    whole, part = LMU(5, 4, 0.05), LMU(5, 4, 0.05, **{flag: False})
    whole.build(x.shape)
    part.build(x.shape)
    left_out = {v.name for v in whole.weights} - {v.name for v in part.weights}
    assert left_out == {flag.split("_to_")[0] + "_encoders"}
    assert "input_kernel" not in {
        v.name for v in built(LMU(5, 4, 0.05, input_to_hidden=False), x).weights
    }


def built(layer, x):
    layer.build(x.shape)
    return layer


def test_dt_may_be_a_variable():
    x = np.random.RandomState(1).normal(size=(3, 20, 2)).astype(np.float32)
    dt = keras.Variable(0.005)
    layer = random_layer(x)
    following = LMU(5, 4, 0.05, 2, dt=dt, use_bias=True)
    following.build(x.shape)
    following.set_weights(layer.get_weights())
    np.testing.assert_allclose(following(x), layer(x), atol=1e-5)
    dt.assign(0.05)
    assert np.max(np.abs(following(x) - layer(x))) > 0.01


def test_states_and_cells():
    x = np.random.RandomState(1).normal(size=(3, 20, 2)).astype(np.float32)
    inner = SpikingActivationCell(5, "relu", seed=0)
    layer = LMU(5, 4, 0.05, activation=inner, return_state=True)
    outputs, *states = layer(x)
    assert [s.shape for s in states] == [(3, 5), (3, 4), (3, 5)]
    rnn = keras.layers.RNN(layer.cell, return_sequences=True)
    np.testing.assert_allclose(rnn(x), outputs)
    again = LMUCell.from_config(layer.cell.get_config())
    assert again.get_config() == layer.cell.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 0}, "order: Must be positive"),
        ({"theta": -1.0}, "theta: Must be positive"),
        ({"memory_d": 0}, "memory_d: Must be positive"),
        ({"activation": LIFCell(4)}, r"has the size \(4,\), but the unit has the size"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValidationError, match=message):
        LMU(**{"units": 5, "order": 3, "theta": 0.1, **arguments})


def test_inputs_of_several_axes_are_refused():
    with pytest.raises(ValidationError, match="must have one axis, of features"):
        LMU(5, 4, 0.1)(np.ones((2, 3, 4, 5)))
