"""Converted networks train, are saved, and are frozen into the reference."""

import keras
import numpy as np
import pytest
from helpers import run_jax, run_reference
from keras import layers
from keras_cases import randomize

import nengo_jax
from nengo_jax.convert import Converter

pytestmark = pytest.mark.usefixtures("seeded")

# -- training, files, other simulators


def batch_norm_model():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    randomize(model)
    return model


def test_a_converted_model_trains_saves_and_freezes(tmp_path):
    with pytest.warns(UserWarning, match="batch_normalization.*inference_only=True"):
        converter = Converter(batch_norm_model())
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(8, 1, 36)), rng.uniform(size=(8, 1, 2))
    (probe,) = converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=4, progress_bar=False
    ) as sim:
        sim.compile(keras.optimizers.Adam(0.01), loss="mse")
        losses = sim.fit(x, y, epochs=30, verbose=0).history["loss"]
        assert losses[-1] < 0.5 * losses[0]
        expected = sim.predict(x, verbose=0)[probe]
        sim.save_params(tmp_path / "weights")
    with nengo_jax.Simulator(
        converter.net, minibatch_size=4, progress_bar=False
    ) as sim:
        assert np.any(sim.predict(x, verbose=0)[probe] != expected)
        sim.load_params(tmp_path / "weights")
        np.testing.assert_allclose(
            sim.predict(x, verbose=0)[probe], expected, rtol=1e-5
        )


def test_freezing_for_the_reference():
    model = batch_norm_model()
    model.get_layer("batch_normalization").trainable = False
    converter = Converter(model, allow_fallback=False)
    rng = np.random.RandomState(0)
    x, y = rng.uniform(size=(8, 1, 36)), rng.uniform(size=(8, 1, 2))
    (node,), (probe,) = converter.inputs.values(), converter.outputs.values()
    with nengo_jax.Simulator(
        converter.net, minibatch_size=4, progress_bar=False, dtype="float64"
    ) as sim:
        sim.compile("sgd", loss="mse")
        sim.fit(x, y, epochs=2, verbose=0)
        expected = sim.predict(x, verbose=0)[probe][0, 0]
        sim.freeze_params(converter.net)
    node.output = x[0, 0]
    for simulate in (run_reference, run_jax):
        np.testing.assert_allclose(simulate(converter.net, 1)[probe][0], expected)


# -- BatchNormalization


def test_batch_normalization_trains_as_in_keras():
    with pytest.warns(UserWarning, match="statistics change"):
        converter = Converter(batch_norm_model())
    assert converter.verify(training=True)


@pytest.mark.parametrize("first", [True, False])
def test_batch_normalization_is_folded(first):
    order = "channels_first" if first else "channels_last"
    axis = 1 if first else -1
    norm = layers.BatchNormalization

    def options(**more):
        return {"data_format": order, **more}

    image = keras.Input((2, 6, 6) if first else (6, 6, 2))
    x = layers.Conv2D(3, 2, **options())(image)
    x = norm(axis=axis, name="a")(x)
    x = norm(axis=axis, name="b", scale=False)(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(2, **options(use_bias=False))(x)
    x = norm(axis=axis, name="c", center=False)(x)
    x = layers.SeparableConv2D(3, 2, **options())(x)
    x = norm(axis=axis, name="d")(x)
    x = layers.Conv2DTranspose(2, 2, **options())(x)
    y = norm(axis=axis, name="e")(x)  # twice used, so it stays
    x = layers.Add()([norm(axis=axis, name="f")(layers.Activation("tanh")(x)), y])
    x = layers.Dense(2)(x)
    model = keras.Model(image, norm(name="g")(x))
    randomize(model)
    converter = Converter(model, inference_only=True, allow_fallback=False)
    assert converter.verify()
    folded = [norm.name for made in converter.calls for norm in made.call.folded]
    assert folded == ["a", "b", "c", "d", "g"]
    conv = converter.calls[0]
    assert converter.layers[model.get_layer("b")] is conv.obj
    with pytest.raises(KeyError, match=r"conv2d.*part of.*'b'"):
        converter.layers[conv.layer]
