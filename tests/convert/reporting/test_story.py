"""The known story: a convolutional model that is converted naively, and mended."""

import keras
import numpy as np
import pytest
from keras import layers
from reporting_cases import causes, finding, spiking

from nengo_jax.cli.digits import load, moved
from nengo_jax.convert import Converter, calibrate, report

TESTED = 300


def enlarge(images):
    """Return digits of 8 x 8 pixels as images of 28 x 28, three times as large."""
    large = np.kron(images.reshape(-1, 8, 8), np.ones((3, 3), "float32"))
    return np.pad(large, ((0, 0), (2, 2), (2, 2)))[..., None].astype("float32")


def train(data):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 5, strides=2, activation="relu", name="first"),
            layers.Conv2D(32, 3, activation="relu", name="second"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="third"),
            layers.Dense(10, name="answer"),
        ]
    )
    images, labels = moved(data.train_images, data.train_labels)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, 2120)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(enlarge(images), labels, epochs=20, batch_size=64, verbose=0)
    return model


@pytest.mark.slow
def test_the_report_names_the_cause_and_its_advice_helps():
    data = load(0)
    model = train(data)
    images = enlarge(data.test_images[:TESTED])
    labels = data.test_labels[:TESTED]

    def look(scale, n_steps, readout="last", synapse=None, voltage=0.0):
        converter = Converter(
            model,
            swap_activations={"relu": spiking(voltage=voltage)},
            scale_firing_rates=scale,
            synapse=synapse,
        )
        return report(converter, images, labels, n_steps=n_steps, readout=readout)

    # rates of some tens of Hz, 30 ms: the typical neuron does not spike once
    naive = look(20, 30)
    assert naive.ann_score >= 0.98
    assert naive.score < 0.5
    low = finding(naive, "rates_too_low")
    assert low.layers[0] == naive.origin == "first"
    assert "one spike takes" in low.problem
    # longer: then the first layer works, and the next cause comes to light
    steps = low.changes[1]["n_steps"]
    longer = look(20, steps)
    assert "rates_too_low" not in causes(longer)
    assert longer.layer("first").error < 0.3 * naive.layer("first").error
    assert longer.origin == "second"
    # with synapses, and the mean of the second half of the outputs
    (change,) = finding(longer, "unevenness").changes
    filtered = look(20, steps, "late", **change)
    assert "unevenness" not in causes(filtered)
    assert filtered.score > longer.score + 0.4
    # with better initial voltages
    (change,) = finding(filtered, "zero_start").changes
    started = look(20, steps, "late", 0.01, change["initial_voltages"])
    assert "zero_start" not in causes(started)
    assert started.layer("first").error < filtered.layer("first").error
    assert started.score > filtered.score
    # with higher rates
    faster = look(200, 200, "late", 0.005, 0.5)
    assert faster.score > started.score
    assert faster.loss < 0.01
    assert faster.findings == ()
    # or all at once
    calibrated = calibrate(
        model, enlarge(data.train_images[:256]), data.train_labels[:256], n_steps=32
    )
    mended = report(calibrated, images, labels)
    assert mended.loss <= 0.005
    assert mended.findings == ()
