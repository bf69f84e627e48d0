"""Losses against NumPy, their gradients, and their way through Keras."""

from nengo_jax.losses import Regularize, nan_mse  # before Keras, to set its backend

# isort: split
import jax
import keras
import numpy as np
import pytest
from helpers import assert_close
from nengo.exceptions import ValidationError

RTOL = 1e-5  # float32


def random(*shape, seed=0):
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


def with_gaps(values):
    """Replace a third of the values by NaN, and all of one example."""
    gaps = np.array(values)
    gaps.reshape(-1)[::3] = np.nan
    gaps[0] = np.nan
    return gaps


def test_nan_mse_counts_unknown_targets_as_met():
    target, output = with_gaps(random(4, 5, 3)), random(4, 5, 3, seed=1)
    errors = np.nan_to_num(target - output) ** 2
    assert_close(nan_mse(target, output), errors.mean(axis=-1), rtol=RTOL)


def test_nan_mse_without_gaps_is_the_mean_squared_error():
    target, output = random(4, 5, 3), random(4, 5, 3, seed=1)
    expected = keras.losses.mean_squared_error(target, output)
    assert_close(nan_mse(target, output), expected, rtol=RTOL)


@pytest.mark.parametrize("output_is_known", [True, False])
def test_gradient_of_nan_mse_has_no_nan(output_is_known):
    target, output = with_gaps(random(4, 5, 3)), random(4, 5, 3, seed=1)
    if not output_is_known:
        output[np.isnan(target)] = np.nan
    gradient = jax.grad(lambda values: nan_mse(target, values).mean())(output)
    expected = np.nan_to_num(2 * (output - target) / target.size)
    assert_close(gradient, expected, rtol=RTOL)


def test_nan_mse_keeps_nan_of_the_output():
    assert np.isnan(nan_mse(np.zeros(2), np.array([np.nan, 1.0])))


def test_targets_may_be_of_another_type():
    output = random(2, 3, 1)
    assert nan_mse(np.ones((2, 3, 1)), output).dtype == output.dtype
    assert_close(nan_mse(np.ones((2, 3, 1), int), output), (output[..., 0] - 1) ** 2)


def test_shapes_of_targets_and_outputs_must_agree():
    with pytest.raises(ValidationError, match=r"\(2, 1, 3\).*\(2, 5, 3\)"):
        nan_mse(np.zeros((2, 1, 3)), np.zeros((2, 5, 3)))


@pytest.mark.parametrize("order", [1, 2, "euclidean", 3, 1.5, 0.5, np.inf])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_regularize_takes_the_norm_of_the_signal(order, axis):
    output = random(2, 3, 4, 5)
    number = 2 if order == "euclidean" else order
    if axis is None:
        norms = np.linalg.norm(output.reshape(6, -1), number, axis=-1)
    else:
        norms = np.linalg.norm(output, number, axis=axis % 2 + 2)
    loss = Regularize(order, axis)(np.zeros(1), output)
    assert_close(loss, norms.mean(), rtol=RTOL)


def test_regularize_ignores_targets():
    output = random(2, 3, 4)
    targets = (output, np.nan * output)
    losses = [float(Regularize()(target, output)) for target in targets]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("order", [0.5, 1, 1.5, 2, 3, np.inf])
def test_gradient_of_regularize(order):
    def loss(values):
        return Regularize(order)(values, values)

    output = random(1, 1, 4) + 3 * np.arange(1, 5, dtype=np.float32)
    change = np.float32(1e-2)
    numeric = [
        (loss(output + step) - loss(output - step)) / (2 * change)
        for step in change * np.eye(4, dtype=np.float32)
    ]
    assert_close(jax.grad(loss)(output)[0, 0], np.array(numeric), rtol=1e-2)


@pytest.mark.parametrize("order", [0.5, 1, 1.5, 2, 3, np.inf])
def test_silence_has_no_gradient(order):
    def loss(values):
        return Regularize(order)(values, values)

    silent = np.zeros((2, 3, 4), np.float32)
    assert_close(jax.grad(loss)(silent), silent)
    one = silent.copy()
    one[..., 0] = 2.0
    expected = np.where(one > 0, np.float32(1 / 6), np.float32(0))
    assert_close(jax.grad(loss)(one), expected, rtol=RTOL)


@pytest.mark.parametrize("order", [0, -1, -np.inf, np.nan, "fro", None, True, [2]])
def test_wrong_order(order):
    with pytest.raises(ValidationError, match=r"order: .*positive number"):
        Regularize(order=order)


@pytest.mark.parametrize("axis", [1.0, "last", True, (0, 1)])
def test_wrong_axis(axis):
    with pytest.raises(ValidationError, match=r"axis: .*integer"):
        Regularize(axis=axis)


@pytest.mark.parametrize("axis", [1, -2])
def test_axis_that_the_signal_lacks(axis):
    with pytest.raises(ValidationError, match=rf"axis={axis}, but .* 1 axes"):
        Regularize(axis=axis)(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)))


def test_regularize_needs_steps():
    with pytest.raises(ValidationError, match=r"\(2, 3\).*\(batch, steps"):
        Regularize()(np.zeros((2, 3)), np.zeros((2, 3)))


@pytest.mark.parametrize("order", [1.5, np.inf])
def test_regularize_goes_through_its_configuration(order):
    loss = Regularize(order, axis=0, name="quiet", reduction="sum")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, Regularize)
    assert again.get_config() == loss.get_config()
    assert (again.order, again.axis, again.name) == (order, 0, "quiet")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@jax.numpy_rank_promotion("allow")  # of the biases of Keras
def test_losses_are_saved_with_a_model(tmp_path):
    inputs = keras.Input((5, 3))
    outputs = keras.layers.Dense(2, name="outputs")(inputs)
    rates = keras.layers.Dense(4, name="rates")(inputs)
    model = keras.Model(inputs, {"outputs": outputs, "rates": rates})
    model.compile("sgd", loss={"outputs": nan_mse, "rates": Regularize(1)})
    data = random(4, 5, 3)
    targets = {"outputs": with_gaps(random(4, 5, 2)), "rates": random(4, 5, 4)}
    model.fit(data, targets, batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    losses = [m.evaluate(data, targets, verbose=0) for m in (model, again)]
    assert_close(losses[1], losses[0], rtol=RTOL)
