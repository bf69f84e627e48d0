"""A small classifier that works, and networks made of it that do not."""

from functools import cache

import keras
import nengo
import numpy as np
from keras import layers

from nengo_jax.cli.digits import load
from nengo_jax.convert import Converter
from nengo_jax.convert.reporting import report

EXAMPLES = 100
STEPS = 120
RATE = 250.0  # Hz, of the most active neurons


@cache
def digits():
    """Images from 0 to 1 with their labels: for the readout, and for the test."""
    data = load(0)
    test = data.test_images.astype("float32")[:EXAMPLES], data.test_labels[:EXAMPLES]
    return (data.train_images.astype("float32"), data.train_labels), test


def solved(body, units=10):
    """Add a linear readout to layers with random weights, solved by least squares."""
    (images, labels), _ = digits()
    features = keras.Sequential([keras.Input((64,)), *body])
    found = features.predict(images, verbose=0)
    found = np.hstack([found, np.ones((len(found), 1))])
    targets = np.eye(10)[labels][:, :units]
    weights = np.linalg.lstsq(
        found.T @ found + 30 * np.eye(found.shape[1]), found.T @ targets, rcond=None
    )[0]
    readout = layers.Dense(units, name="readout")
    model = keras.Sequential([keras.Input((64,)), *body, readout])
    readout.set_weights([weights[:-1], weights[-1]])
    return model


def dense(units, name, activation="relu"):
    return layers.Dense(
        units, activation, bias_initializer=keras.initializers.Constant(0.1), name=name
    )


@cache
def classifier():
    """Two hidden layers; right for most digits."""
    keras.utils.set_random_seed(0)
    return solved([dense(120, "first"), dense(120, "second")])


def scales(model, rate=RATE):
    """Return scales for which the most active neurons fire at a rate in Hz."""
    (images, _), _ = digits()
    values, found = images, {}
    for layer in model.layers[:-1]:
        values = layer(values)
        if isinstance(layer, layers.Dense | layers.Conv2D):
            found[layer] = rate / float(np.quantile(values, 0.999))
    return found


def spiking(**state):
    if state:
        state = {"voltage": nengo.dists.Choice([state["voltage"]])}
    return nengo.SpikingRectifiedLinear(initial_state=state or None)


def convert(model=None, **changes):
    """Convert as it should be done, but for some changes."""
    model = classifier() if model is None else model
    options = {
        "swap_activations": {"relu": spiking()},
        "synapse": 0.005,
    }
    if "scale_firing_rates" not in changes:
        changes["scale_firing_rates"] = scales(model)
    return Converter(model, **(options | changes))


def look(converter, labels=True, scale=1.0, **changes):
    """Report as it should be done, but for some changes."""
    _, (images, wanted) = digits()
    options = {"n_steps": STEPS, "readout": "late"} | changes
    return report(
        converter, scale * images, wanted if labels is True else labels, **options
    )


def causes(found):
    return {finding.cause for finding in found.findings}


def finding(found, cause):
    (one,) = [f for f in found.findings if f.cause == cause]
    return one
