"""Second-order optimizers of any Keras model."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from nengo.exceptions import SimulationError, ValidationError

from nengo_jax.losses import nan_mse
from nengo_jax.optimizers import (
    HessianFree,
    HessianFreeSettings,
    NaturalGradient,
    hessian_free,
    second_order,
)

RNG = np.random.RandomState(5)
X = RNG.standard_normal((24, 3)).astype("float32")
Y = np.tanh(X @ np.array([[1.0], [-2.0], [0.5]], "float32"))
NUMBERS = {
    "damping",
    "cg_iterations",
    "backtracked",
    "reduction_ratio",
    "step_length",
    "update_norm",
    "gradient_norm",
}


@pytest.fixture(autouse=True)
def _layers():
    """Layers of Keras add arrays of different ranks."""
    with jax.numpy_rank_promotion("allow"):
        keras.utils.set_random_seed(0)
        yield


def perceptron(**options):
    return second_order(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, "tanh", name="first", **options),
                keras.layers.Dense(1, name="second"),
            ]
        )
    )


def fit(model, epochs=1, y=Y, **options):
    options = {"batch_size": 24, "verbose": 0, "shuffle": False, **options}
    return model.fit(X, y, epochs=epochs, **options).history


def weights(model):
    return [np.array(w) for w in model.get_weights()]


def test_does_what_the_pure_functions_do():
    model = perceptron()
    params = [jnp.asarray(w) for w in model.get_weights()]

    def predict(p, x):
        return jnp.tanh(x @ p[0] + p[1]) @ p[2] + p[3]

    method = hessian_free(
        predict, lambda z, x: jnp.mean((z - Y) ** 2), HessianFreeSettings(damping=0.1)
    )
    state = method.init(params)
    model.compile(HessianFree(damping=0.1), loss="mse", metrics=["mae"])
    history = fit(model, 4)
    for epoch in range(4):
        params, state, report = method.update(state, params, X)
        np.testing.assert_allclose(history["loss"][epoch], report.loss, rtol=1e-3)
        np.testing.assert_allclose(history["damping"][epoch], report.damping, rtol=1e-5)
    for found, expected in zip(weights(model), params, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3)
    assert set(history) == {"loss", "mae", *NUMBERS}
    assert int(model.optimizer.iterations) == 4
    assert history["loss"][-1] < 0.1 * history["loss"][0]


def test_natural_gradient():
    model = perceptron()
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.9)
    model.compile(NaturalGradient(radius=0.05, learning_rate=schedule), loss="mse")
    history = fit(model, 20)
    assert history["loss"][-1] < 0.05 * history["loss"][0]
    lengths = np.array(history["update_norm"])
    assert np.all(lengths > 0)
    assert {"squared_norm", "step_length", "cg_iterations"} < set(history)


def test_frozen_parameters_stay():
    model = perceptron()
    model.get_layer("first").trainable = False
    model.compile(HessianFree(), loss="mse")
    before = weights(model)
    fit(model, 2)
    after = weights(model)
    for k in (0, 1):
        np.testing.assert_array_equal(after[k], before[k])
    assert np.any(after[2] != before[2])


def test_regularizers_constraints_and_validation():
    model = perceptron(
        kernel_regularizer=keras.regularizers.L2(0.1),
        kernel_constraint=keras.constraints.NonNeg(),
        activity_regularizer=keras.regularizers.L2(1e-3),
    )
    model.compile(HessianFree(), loss="mse")
    history = fit(model, 6, validation_data=(X, Y))
    # At an epoch's end the loss is that of the next beginning, penalties included.
    np.testing.assert_allclose(history["val_loss"][:-1], history["loss"][1:], rtol=1e-4)
    assert np.all(weights(model)[0] >= 0)
    assert history["loss"][-1] < history["loss"][0]


def test_penalty_has_curvature():
    """With weight decay alone on a linear model, one step is ridge regression."""
    model = second_order(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(
                    1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.5)
                ),
            ]
        )
    )
    model.compile(HessianFree(damping=1e-6), loss="mse")
    fit(model)
    ridge = np.linalg.solve(X.T @ X / 24 + 0.5 * np.eye(3), X.T @ Y / 24)
    np.testing.assert_allclose(weights(model)[0], ridge, rtol=1e-3, atol=1e-5)


def test_missing_targets():
    y = np.where(np.arange(24)[:, None] < 20, Y, np.nan)
    model = perceptron()
    model.compile(HessianFree(), loss=nan_mse)
    history = fit(model, 5, y)
    assert history["loss"][-1] < 0.2 * history["loss"][0]


def test_several_outputs_weights_and_structural_damping():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, "tanh", name="hidden")(inputs)
    output = keras.layers.Dense(1, name="output")(hidden)
    model = second_order(keras.Model(inputs, {"output": output, "hidden": hidden}))
    start = weights(model)
    moved = []
    for strength in (0.0, 1000.0):
        model.set_weights(start)
        model.compile(
            HessianFree(
                damping=0.1,
                structural_damping=strength,
                damped_outputs=["hidden"],
                curvature_share=0.5,
                preconditioner=4,
            ),
            loss={"output": "mse", "hidden": None},
        )
        before = model.predict(X, verbose=0)["hidden"]
        model.fit(X, {"output": Y}, batch_size=24, verbose=0)
        after = model.predict(X, verbose=0)["hidden"]
        moved.append(np.linalg.norm(after - before))
    assert 0 < moved[1] < 0.5 * moved[0]
    model.compile(
        HessianFree(structural_damping=1.0, damped_outputs=["nothing"]),
        loss={"output": "mse", "hidden": None},
    )
    with pytest.raises(ValidationError, match="'nothing' is no output of the model"):
        model.fit(X, {"output": Y}, verbose=0)


def test_restart_from_a_file(tmp_path):
    def compiled():
        keras.utils.set_random_seed(1)
        model = perceptron()
        model.compile(HessianFree(damping=0.5), loss="mse")
        return model

    straight = compiled()
    expected = fit(straight, 6)
    model = compiled()
    fit(model, 3)
    model.save(tmp_path / "model.keras")
    loaded = second_order(keras.models.load_model(tmp_path / "model.keras"))
    assert isinstance(loaded.optimizer, HessianFree)
    found = fit(loaded, 3)
    np.testing.assert_allclose(found["damping"], expected["damping"][3:], rtol=1e-6)
    np.testing.assert_allclose(found["loss"], expected["loss"][3:], rtol=1e-4)


@pytest.mark.parametrize("kind", [HessianFree, NaturalGradient])
def test_configuration_makes_the_same_optimizer(kind):
    optimizer = kind(damping=0.3, iterations=7, curvature_share=0.25, learning_rate=0.5)
    again = kind.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.settings == optimizer.settings


def test_other_optimizers_work_as_before():
    model = perceptron()
    start = weights(model)
    model.compile("sgd", loss="mse")
    expected = fit(model)["loss"]
    plain = keras.models.clone_model(model)
    plain.set_weights(start)
    plain.compile("sgd", loss="mse")
    np.testing.assert_allclose(fit(plain)["loss"], expected, rtol=1e-6)
    assert second_order(model) is model


def test_compiling_again_changes_the_optimizer():
    """JAX keeps compiled functions; a step must not be that of an optimizer before."""
    model = perceptron()
    start = weights(model)
    found = []
    for optimizer in (HessianFree(1.0), HessianFree(1e3), keras.optimizers.SGD(1e-9)):
        model.set_weights(start)
        model.compile(optimizer, loss="mse")
        fit(model)
        found.append(np.linalg.norm(weights(model)[0] - start[0]))
    assert 1e-6 < found[1] < 0.01 * found[0]
    assert found[2] < 1e-6


def plain_model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def test_needs_second_order():
    model = plain_model()
    model.compile(HessianFree(), loss="mse")
    with pytest.raises(ValidationError, match=r"second_order\(model\)"):
        fit(model)


def test_model_with_its_own_step():
    class Own(keras.Model):
        def train_step(self, state, data):
            raise NotImplementedError

    with pytest.raises(ValidationError, match="Own has a training step of its own"):
        second_order(Own())


def check_error(model, error, message, y=Y):
    """Raises, and the weights are still there."""
    before = weights(model)
    with pytest.raises(error, match=message):
        fit(model, 1, y)
    for found, expected in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_loss_without_targets():
    model = perceptron()
    model.compile(HessianFree(), loss="mse")
    check_error(model, ValidationError, "no targets", None)


def test_no_loss():
    model = perceptron()
    model.compile(HessianFree())
    check_error(model, ValidationError, "depends on none of the parameters")


def test_loss_that_is_nan():
    model = perceptron()
    model.compile(HessianFree(), loss="mse")
    y = np.where(np.arange(24)[:, None] == 3, np.nan, Y)
    check_error(model, SimulationError, "loss is nan in epoch 1, batch 1", y)


def test_path_without_derivative():
    model = second_order(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, name="first"),
                keras.layers.Lambda(keras.ops.sign),
                keras.layers.Dense(1, name="second"),
            ]
        )
    )
    model.compile(HessianFree(), loss="mse")
    check_error(
        model, ValidationError, "depends on .*first/bias, .*first/kernel only along"
    )


@pytest.mark.parametrize("share", [0, 1.5, "half"])
def test_share_of_a_batch(share):
    with pytest.raises(ValidationError, match="curvature_share"):
        HessianFree(curvature_share=share)


def test_callbacks_of_keras(tmp_path):
    model = perceptron()
    model.compile(HessianFree(iterations=5), loss="mse")
    file = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.EarlyStopping(patience=9),
        keras.callbacks.ModelCheckpoint(file),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.TerminateOnNaN(),
    ]
    history = fit(model, 3, validation_data=(X, Y), callbacks=callbacks)
    assert len(history["val_loss"]) == 3
    assert history["val_loss"][-1] < history["loss"][0]
    assert np.all(history["step_length"] <= 0.5 ** np.arange(3))
    columns = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert {*NUMBERS, "val_loss"} < set(columns)
    again = second_order(keras.models.load_model(file))
    resumed = fit(again, 1)
    assert resumed["loss"][0] == pytest.approx(history["val_loss"][-1], rel=1e-4)
    assert resumed["damping"][0] == pytest.approx(
        float(model.optimizer._damping.value), rel=1e-6
    )


IMAGES, SEQUENCES = (6, 6, 1), (5, 3)
MODELS = {
    "convolution": (IMAGES, lambda x: keras.layers.Conv2D(3, 3, activation="relu")(x)),
    "GRU": (SEQUENCES, keras.layers.GRU(4)),
    "LSTM": (SEQUENCES, keras.layers.LSTM(4)),
    "attention": (SEQUENCES, lambda x: keras.layers.MultiHeadAttention(2, 4)(x, x)),
    "batch normalization": ((3,), keras.layers.BatchNormalization()),
    "dropout": ((3,), keras.layers.Dropout(0.1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_layers_of_keras(name):
    shape, layer = MODELS[name]
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs)))
    model = second_order(keras.Model(inputs, outputs))
    model.compile(HessianFree(iterations=10), loss="mse")
    x = RNG.standard_normal((24, *shape)).astype("float32")
    y = np.tanh(x.reshape(24, -1)[:, :1])
    history = model.fit(x, y, batch_size=24, epochs=8, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert np.isfinite(model.predict(x, verbose=0)).all()


@pytest.mark.parametrize("kind", [HessianFree, NaturalGradient])
@pytest.mark.parametrize("option", ["run_eagerly", "jit_compile"])
def test_is_compiled_once_however_keras_runs(kind, option):
    traced = []

    def activation(x):
        traced.append(x)
        return keras.ops.tanh(x)

    found = []
    for options in ({}, {option: option == "run_eagerly"}):
        keras.utils.set_random_seed(0)
        hidden = keras.layers.Dense(4, activation)
        model = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(1)])
        second_order(model).compile(kind(iterations=5), loss="mse", **options)
        found.append(fit(model, 1)["loss"])
        count = len(traced)
        found[-1] += fit(model, 3)["loss"]
        assert len(traced) == count
    np.testing.assert_allclose(*found, rtol=1e-4)


@pytest.mark.parametrize("kind", [HessianFree, NaturalGradient])
def test_outputs_that_are_no_floats_are_constants(kind):
    """Their shares of the loss have no derivative."""
    inputs = keras.Input((3,))
    logits = keras.layers.Dense(3, name="logits")(inputs)
    choice = keras.layers.Lambda(lambda z: keras.ops.argmax(z, -1), name="choice")
    start, found = None, []
    for outputs in ({"logits": logits}, {"logits": logits, "choice": choice(logits)}):
        model = second_order(keras.Model(inputs, outputs))
        start = model.get_weights() if start is None else start
        model.set_weights(start)
        model.compile(kind(iterations=10), loss={"logits": "mse"})
        model.fit(X, {"logits": np.tile(Y, 3)}, batch_size=24, epochs=2, verbose=0)
        found.append(weights(model))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": -1}, "learning_rate: Must be a number, at least 0"),
        ({"adapt": "no"}, "adapt: Must be True or False"),
    ],
    ids=["learning rate", "adapt"],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ValidationError, match=message):
        HessianFree(**options)


def test_one_damped_output():
    assert HessianFree(damped_outputs="place").damped_outputs == ("place",)
    assert HessianFree(damped_outputs=0).damped_outputs == (0,)
