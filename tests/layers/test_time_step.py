"""The length of a step: default, variables, and DtScheduler."""

import keras
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_jax import layers
from nengo_jax.layers.callbacks import DtScheduler

KINDS = {
    "SpikingActivation": lambda **options: layers.SpikingActivation("relu", **options),
    "Lowpass": lambda **options: layers.Lowpass(0.1, **options),
    "Alpha": lambda **options: layers.Alpha(0.1, **options),
    "LIF": lambda **options: layers.LIF(**options),
    "LMU": lambda **options: layers.LMU(3, 2, 0.1, **options),
}
CELLS = {
    "SpikingActivation": lambda: layers.SpikingActivationCell(3, "relu"),
    "Lowpass": lambda: layers.LowpassCell(3, 0.1),
    "Alpha": lambda: layers.AlphaCell(3, 0.1),
    "LIF": lambda: layers.LIFCell(3),
    "LMU": lambda: layers.LMUCell(3, 2, 0.1),
}
EACH = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def default():
    yield layers.default
    layers.default.dt = 0.001


@EACH
def test_default(kind, default):
    """It counts for what is made afterwards, layers and cells."""
    before = KINDS[kind]()
    default.dt = 0.05
    assert before.dt == 0.001
    x = np.random.RandomState(0).uniform(0, 90, (2, 9, 3))
    layer, given = KINDS[kind](), KINDS[kind](dt=0.05)
    assert layer.dt == given.dt == CELLS[kind]().dt == 0.05
    default.dt = 0.2
    layer.build(x.shape)
    assert layer.cell.dt == 0.05
    assert KINDS[kind](dt=0.001).dt == 0.001


@pytest.mark.parametrize("dt", [0, -1, None, "0.1"])
def test_wrong_default(dt, default):
    with pytest.raises(ValidationError, match="dt: Must be a positive"):
        default.dt = dt
    assert default.dt == 0.001


@EACH
def test_layers_follow_a_variable(kind):
    keras.utils.set_random_seed(0)
    x = np.random.RandomState(0).uniform(0, 90, (2, 9, 3)).astype(np.float32)
    dt = keras.Variable(0.1)
    layer = KINDS[kind](dt=dt)
    model = keras.Sequential([keras.Input((None, 3)), layer])
    for value in (0.1, 0.02):
        dt.assign(value)
        keras.utils.set_random_seed(0)
        fixed = KINDS[kind](dt=value, **seed_of(layer))
        fixed.build(x.shape)
        fixed.set_weights(layer.get_weights())
        expected = fixed(x)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4)
    assert all(variable is not dt for variable in model.trainable_variables)
    assert any(variable is dt for variable in model.non_trainable_variables)
    assert all(variable is not dt for variable in model.weights)


def seed_of(layer):
    config = layer.get_config()
    return {"seed": config["seed"]} if "seed" in config else {}


def test_variable_is_not_trained():
    dt = keras.Variable(0.1)
    model = keras.Sequential([keras.Input((None, 3)), layers.Lowpass(0.1, dt=dt)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(np.ones((4, 5, 3)), np.zeros((4, 5, 3)), verbose=0)
    assert float(dt.value) == np.float32(0.1)


@pytest.mark.parametrize("value", [0.0, -0.1, [0.1, 0.2]])
def test_wrong_variables(value):
    with pytest.raises(ValidationError, match=r"Must be a positive|must hold one"):
        layers.Lowpass(0.1, dt=keras.Variable(value))


# -- DtScheduler


def make_model(dt, traces):
    def activation(x):
        traces.append(1)
        return keras.ops.relu(x)

    spiking = [layers.SpikingActivation(activation, dt=dt, seed=k) for k in range(2)]
    dense = keras.layers.Dense(4, kernel_initializer="ones")
    return keras.Sequential([keras.Input((None, 3)), spiking[0], dense, spiking[1]])


def test_scheduler_sets_each_batch(capsys):
    dt, seen, traces = keras.Variable(1.0, trainable=False), [], []
    schedule = keras.optimizers.schedules.PolynomialDecay(1.0, 10, 0.1)
    model = make_model(dt, traces)

    def look(batch, logs):
        model.jax_state_sync()
        seen.append(float(dt.value))

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=look)
    model.compile("sgd", "mse")
    callback = DtScheduler(dt, schedule, verbose=True)
    x, y = np.ones((16, 5, 3)), np.ones((16, 5, 4))
    model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[callback, watch])
    expected = [float(schedule(k)) for k in range(12)]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    assert float(dt.value) == pytest.approx(0.1)  # it stays
    printed = capsys.readouterr().out
    assert "Batch 3: dt = 0.73 s" in printed
    assert printed.count("Batch") == 12
    # compiled once: as often as without a callback
    first, traces[:] = len(traces), []
    model = make_model(0.1, traces)
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=4, epochs=3, verbose=0)
    assert len(traces) == first


def test_the_scheduled_length_is_the_one_used_in_training():
    """The loss of each batch is that of a model of this dt."""
    dt, losses = keras.Variable(1.0), []
    x, y = np.random.RandomState(0).uniform(0, 3, (4, 5, 3)), np.ones((4, 5, 4))
    model = make_model(dt, [])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    lengths = [1.0, 0.3, 0.1]
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(logs["loss"])
    )
    schedule = DtScheduler(dt, lambda batch: lengths[batch])
    model.fit(x, y, epochs=3, verbose=0, shuffle=False, callbacks=[schedule, watch])
    for length, loss in zip(lengths, losses, strict=True):
        fixed = make_model(length, [])
        fixed.compile("sgd", "mse")
        assert fixed.evaluate(x, y, verbose=0) == pytest.approx(loss, rel=1e-4)
    assert len(set(np.round(losses, 3))) == 3


def test_number_of_batches_unknown_ahead():
    dt, seen = keras.Variable(1.0), []

    def schedule(batch):
        seen.append(batch)
        return 0.1

    class Counted(keras.utils.PyDataset):
        def __getitem__(self, index):
            return np.ones((2, 3, 3)), np.ones((2, 3, 4))

        def __len__(self):
            return 3

    def generate():
        for _ in range(6):
            yield np.ones((2, 3, 3)), np.ones((2, 3, 4))

    model = make_model(dt, [])
    model.compile("sgd", "mse")
    callback = DtScheduler(dt, schedule)
    with pytest.warns(UserWarning, match="ran out of data"):
        model.fit(generate(), verbose=0, shuffle=False, callbacks=[callback])
    assert seen[:6] == list(range(6))
    seen.clear()
    data = Counted()
    model.fit(data, epochs=2, initial_epoch=1, verbose=0, callbacks=[callback])
    assert seen == [3, 4, 5]


@pytest.mark.parametrize("dt", [0.1, np.array(0.1), None])
def test_scheduler_needs_a_variable(dt):
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5)
    with pytest.raises(TypeError, match=r"dt must be the keras\.Variable"):
        DtScheduler(dt, schedule)
