"""QCFS: levels, derivatives, files, and spikes that give the same."""

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from keras import layers
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax.convert import Converter
from nengo_jax.layers import QCFS

THRESHOLD = 1.5


def make(levels, threshold=THRESHOLD, shape=(50,)):
    layer = QCFS(levels, keras.initializers.Constant(threshold))
    layer.build((None, *shape))
    return layer


def formula(x, levels, threshold=THRESHOLD):
    share = np.floor(x * levels / threshold + 0.5) / levels
    return threshold * np.clip(share, 0, 1)


@pytest.mark.parametrize("levels", [1, 4, 7, 16])
def test_values_are_those_of_the_formula(levels):
    x = np.random.RandomState(levels).uniform(-1, 3, size=(8, 50)).astype(np.float32)
    found = np.asarray(make(levels)(x))
    np.testing.assert_allclose(found, formula(x, levels), atol=1e-6)
    steps = np.unique(np.round(found * levels / THRESHOLD, 4))
    np.testing.assert_array_equal(steps, np.arange(levels + 1))


def test_derivatives_are_those_of_the_formula():
    levels, x = 4, jnp.array([-0.5, 0.2, 0.7, 1.4, 2.0], jnp.float32)
    layer = make(levels, shape=(5,))

    def total(threshold, x):
        variables = [(layer.threshold, threshold)]
        with keras.StatelessScope(state_mapping=variables):
            return jnp.sum(layer(x[None]) * weights)

    weights = jnp.array([1.0, 2, 3, 4, 5], jnp.float32)
    by_threshold, by_x = jax.grad(total, (0, 1))(jnp.float32(THRESHOLD), x)
    inside = np.array([0, 1, 1, 1, 0], np.float32)
    np.testing.assert_allclose(by_x, inside * weights, rtol=1e-6)
    level = formula(np.asarray(x), levels) / THRESHOLD
    expected = np.where(inside, level - x / THRESHOLD, level)
    np.testing.assert_allclose(by_threshold, np.sum(expected * weights), rtol=1e-5)


def test_the_threshold_is_learned():
    """A model of one layer finds the largest value that it has to give."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), QCFS(8, "ones")])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    x = np.random.RandomState(0).uniform(0, 3, (512, 1)).astype(np.float32)
    model.fit(x, x, epochs=20, verbose=0)
    assert 2.5 < float(model.layers[0].threshold.value) < 3.5


def test_save_and_load(tmp_path):
    model = keras.Sequential(
        [keras.Input((3, 4)), QCFS(5, "ones", threshold_regularizer="l2")]
    )
    model.layers[0].threshold.assign(0.7)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.RandomState(0).normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(again(x), model(x))
    assert again.layers[0].levels == 5
    assert float(again.losses[0]) == pytest.approx(0.01 * 0.7**2)
    assert again.output_shape == (None, 3, 4)


@pytest.mark.parametrize("levels", [0, -1, 2.5, True, "4"])
def test_wrong_levels(levels):
    with pytest.raises(ValidationError, match="whole number of at least 1"):
        QCFS(levels)


@pytest.mark.parametrize("levels", [4, 9])
def test_spikes_give_the_same_after_as_many_steps(levels):
    """The published equivalence, for a current that does not change over time."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            layers.Conv2D(5, 3, bias_initializer="normal"),
            QCFS(levels, keras.initializers.Constant(0.8), name="quantized"),
        ]
    )
    x = np.random.RandomState(0).normal(size=(6, 4, 4, 2)).astype(np.float32)
    expected = model.predict(x, verbose=0)
    converter = Converter(model)
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=6, progress_bar=False
    ) as sim:
        sim.run_steps(levels, {node: np.repeat(x.reshape(6, 1, -1), levels, axis=1)})
        found = sim.data[probe].mean(axis=1).reshape(expected.shape)
    assert len(np.unique(np.round(expected, 4))) > 3
    np.testing.assert_allclose(found, expected, atol=1e-5)
    (neurons,) = converter.net.all_ensembles
    assert neurons.neuron_type.spiking
    assert neurons.neuron_type.amplitude == pytest.approx(0.8 * 0.001)
    assert isinstance(converter.layers[model.layers[1]], nengo.ensemble.Neurons)


def test_scales_by_the_user_count():
    model = keras.Sequential([keras.Input((3,)), QCFS(4, "ones", name="quantized")])
    for scale in (50, [10, 20, 30]):
        converter = Converter(model, scale_firing_rates={model.layers[0]: scale})
        (ensemble,) = converter.net.all_ensembles
        np.testing.assert_array_equal(ensemble.gain, np.broadcast_to(scale, 3))
