"""Each known cause, on a network that is broken on purpose, and mended.

What the finding suggests is applied, and the problem goes away. A network that is
converted as it should be has none of the findings.
"""

from functools import cache

import keras
import nengo
import numpy as np
import pytest
from keras import layers
from reporting_cases import (
    STEPS,
    causes,
    classifier,
    convert,
    dense,
    digits,
    finding,
    look,
    scales,
    solved,
    spiking,
)

from nengo_jax.convert.reporting import CAUSES

ENOUGH = 0.03  # of accuracy: what a network may lose that counts as mended


@cache
def healthy():
    return look(convert())


def test_a_healthy_network_has_no_findings():
    found = healthy()
    assert found.ann_score > 0.85
    assert found.loss <= ENOUGH
    assert found.findings == ()
    assert all(cause(found) is None for cause in CAUSES.values())


# -- rates


def test_rates_too_low():
    broken = look(convert(scale_firing_rates=None))
    assert broken.loss > 0.5
    assert broken.origin == "first"
    found = finding(broken, "rates_too_low")
    assert found.layers == ("first", "second")
    assert "No scale is set" in found.problem
    assert f"you present {STEPS} ms" in found.problem
    factors, longer = found.changes
    model = classifier()
    # a few spikes are no longer too few, and as coarse as the report then says
    scaled = {
        model.get_layer(name): factor
        for name, factor in factors["scale_firing_rates"].items()
    }
    mended = look(convert(scale_firing_rates=scaled), n_steps=STEPS)
    assert "rates_too_low" not in causes(mended)
    assert mended.layer("first").error < broken.layer("first").error / 10
    # the number of steps follows from the rates: ten spikes
    high = broken.layer("second").population.wanted.high
    assert longer["n_steps"] == pytest.approx(10 / high / 0.001, rel=0.06)


def test_a_longer_presentation_mends_low_rates_too():
    model = classifier()
    slow = {layer: scale / 50 for layer, scale in scales(model).items()}
    broken = look(convert(scale_firing_rates=slow), n_steps=100)
    (_, longer) = finding(broken, "rates_too_low").changes
    mended = look(convert(scale_firing_rates=slow), n_steps=longer["n_steps"])
    assert "rates_too_low" not in causes(mended)
    assert mended.layer("first").error < 0.3 * broken.layer("first").error


def test_quantisation():
    model = classifier()
    coarse = scales(model, rate=50)
    broken = look(convert(scale_firing_rates=coarse))
    found = finding(broken, "quantisation")
    assert found.layers[0] == "first"
    assert "rounded to steps of" in found.problem
    (factors, _) = found.changes
    finer = {
        layer: scale * factors["scale_firing_rates"].get(layer.name, 1)
        for layer, scale in coarse.items()
    }
    mended = look(convert(scale_firing_rates=finer))
    assert "quantisation" not in causes(mended)
    assert mended.layer("first").error < 0.8 * broken.layer("first").error


def test_clipping():
    """LIF neurons spike once in their refractory time at most."""

    def lif():
        return nengo.LIF(tau_ref=0.004)

    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, "relu", name="first"), layers.Dense(2)]
    )
    model.get_layer("first").set_weights([100 * np.eye(4), np.zeros(4)])
    inputs = np.random.RandomState(0).rand(20, 4)

    def run(scale):
        return look_at(model, inputs, {"relu": lif()}, {model.layers[0]: scale})

    with pytest.warns(UserWarning, match="not proportional"):
        broken = run(20.0)
    found = finding(broken, "clipping")
    assert found.layers == ("first",)
    assert "reach 250 Hz at most" in found.problem
    assert broken.layer("first").population.clipped > 0.5
    (change,) = found.changes
    with pytest.warns(UserWarning, match="not proportional"):
        mended = run(20 * change["scale_firing_rates"]["first"])
    assert "clipping" not in causes(mended)
    assert mended.layer("first").population.clipped == 0


def look_at(model, inputs, swaps, scale=None, **changes):
    from nengo_jax.convert.reporting import report

    converter = convert(
        model, swap_activations=swaps, scale_firing_rates=scale, synapse=None
    )
    return report(converter, inputs, **({"n_steps": 100, "readout": "late"} | changes))


def test_zero_start():
    swaps = {"relu": spiking(voltage=0)}
    broken = look(convert(swap_activations=swaps), n_steps=40)
    found = finding(broken, "zero_start")
    assert "first" in found.layers
    neurons = broken.layer("first").population
    assert neurons.shift == pytest.approx(-0.5, abs=0.05)  # theory: half a spike
    (change,) = found.changes
    swaps = {"relu": spiking(voltage=change["initial_voltages"])}
    mended = look(convert(swap_activations=swaps), n_steps=40)
    assert "zero_start" not in causes(mended)
    assert abs(mended.layer("first").population.shift) < 0.05
    assert mended.layer("first").error < broken.layer("first").error


def test_not_homogeneous():
    model = keras.Sequential(
        [keras.Input((64,)), layers.Dense(30, "sigmoid", name="first"), layers.Dense(3)]
    )
    swaps = {"sigmoid": nengo.RegularSpiking(nengo.Sigmoid(tau_ref=1))}
    _, (images, _) = digits()
    with pytest.warns(UserWarning, match="not proportional"):
        broken = look_at(model, images, swaps, {model.layers[0]: 200})
    found = finding(broken, "not_homogeneous")
    assert "scale of 200 changes the result" in found.problem
    # the same rates without a scale: a smaller amplitude of faster neurons
    fast = nengo.RegularSpiking(nengo.Sigmoid(tau_ref=0.005), amplitude=0.005)
    mended = look_at(model, images, {"sigmoid": fast})
    assert "not_homogeneous" not in causes(mended)
    assert mended.layer("first").error < 0.1


def test_not_spiking():
    broken = look(convert(swap_activations=None))
    found = finding(broken, "not_spiking")
    assert found.layers == ("first", "second")
    assert "RectifiedLinear" in found.problem


# -- layers


def pooled(pooling):
    """Pixels, smoothed by a convolution, pooled, and read out."""
    keras.utils.set_random_seed(1)
    convolution = layers.Conv2D(
        8, 3, activation="relu", padding="same", name="convolution"
    )
    body = [layers.Reshape((8, 8, 1)), convolution, pooling, layers.Flatten()]
    return solved([*body, dense(60, "second")])


def test_max_pooling():
    model = pooled(layers.MaxPooling2D(2, name="pooling"))
    scale = scales(model)
    with pytest.warns(UserWarning, match="maximum"):
        broken = look(convert(model, scale_firing_rates=scale, synapse=None))
    found = finding(broken, "max_pooling")
    assert found.layers == ("pooling",)
    assert broken.origin == "pooling"
    assert found.changes[0] == {"max_to_avg_pool": True}
    mended = look(convert(model, scale_firing_rates=scale, **found.changes[0]))
    assert "max_pooling" not in causes(mended)
    # exact for a model that was trained with averages
    model = pooled(layers.AveragePooling2D(2, name="pooling"))
    mended = look(convert(model, scale_firing_rates=scales(model)))
    assert mended.layer("pooling").error < 0.1 < broken.layer("pooling").error
    assert "max_pooling" not in causes(mended)


def test_fallback():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            dense(20, "first"),
            layers.Reshape((20, 1)),
            layers.SimpleRNN(5, name="recurrent"),
            layers.Dense(3),
        ]
    )
    _, (images, _) = digits()
    with pytest.warns(UserWarning, match="recurrent"):
        broken = look_at(model, images, {"relu": spiking()}, scale=200)
    found = finding(broken, "fallback")
    assert found.layers == ("recurrent",)
    assert "SimpleRNN" in found.problem


def normalised():
    keras.utils.set_random_seed(2)
    body = [
        layers.Dense(80, name="first"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
    ]
    model = solved(body)
    return model


def test_batch_normalization():
    model = normalised()
    scale = {model.get_layer("relu"): 100}
    with pytest.warns(UserWarning, match="norm"):
        broken = look(convert(model, scale_firing_rates=scale))
    found = finding(broken, "batch_normalization")
    assert found.layers == ("norm",)
    (change,) = found.changes
    mended = look(convert(model, scale_firing_rates=scale, **change))
    assert "batch_normalization" not in causes(mended)
    assert mended.layer("first").folded == ("norm",)


def test_unevenness():
    broken = look(convert(synapse=None))
    found = finding(broken, "unevenness")
    assert found.layers == ("second",)
    assert broken.origin == "second"
    (change,) = found.changes
    mended = look(convert(**change))
    assert "unevenness" not in causes(mended)
    assert mended.layer("second").error < 0.3 * broken.layer("second").error
    assert mended.score > broken.score + 0.2


# -- time


def test_synapse_too_long():
    broken = look(convert(synapse=0.1))
    found = finding(broken, "synapse_too_long")
    assert "200 ms" in found.problem  # two of them on the way
    longer, shorter = found.changes
    mended = look(convert(synapse=0.1 * shorter["synapse_factor"]))
    assert "synapse_too_long" not in causes(mended)
    assert mended.loss <= ENOUGH
    assert longer["n_steps"] == 1000


def test_noisy_readout():
    converter = convert()
    broken = look(converter, readout="last")
    found = finding(broken, "noisy_readout")
    (change,) = found.changes
    mended = look(converter, **change)
    assert "noisy_readout" not in causes(mended)
    assert mended.loss <= ENOUGH < broken.loss


def test_late_spikes():
    converter = convert(synapse=0.008)
    broken = look(converter, readout="mean", n_steps=30)
    found = finding(broken, "late_spikes")
    assert found.layers == ("second",)
    first = broken.layer("second").population.first[0]
    assert f"after {1000 * first:g} ms" in found.problem
    (change,) = found.changes
    mended = look(converter, n_steps=30, **change)
    assert "late_spikes" not in causes(mended)
    assert mended.score > broken.score


# -- the model and its data


def test_accuracy_at_chance():
    _, (_, labels) = digits()
    broken = look(convert(), labels=(labels + 1) % 10)
    found = finding(broken, "ann_at_chance")
    assert "The Keras model itself is right in" in found.problem
    assert found.changes == ()


@pytest.mark.parametrize("labels", [None, True])
def test_inputs_that_are_not_scaled(labels):
    """With labels for which the model works, the data are what it wants."""
    model = classifier()
    broken = look(convert(), labels=None, scale=255)
    found = finding(broken, "input_range")
    assert "255" in found.problem
    (change,) = found.changes
    mended = look(convert(), labels=labels, scale=255 * change["input_scale"])
    assert "input_range" not in causes(mended)
    assert model is classifier()


def test_a_dead_layer():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((64,)), dense(20, "first"), dense(20, "second"), layers.Dense(3)]
    )
    weights, bias = model.get_layer("second").get_weights()
    model.get_layer("second").set_weights([-np.abs(weights), bias - 1])
    _, (images, _) = digits()
    broken = look_at(model, images, {"relu": spiking()}, scale=200)
    found = finding(broken, "dead_layer")
    assert found.layers == ("second",)
    assert found.problem.startswith("100% of the neurons of layer second")


def test_a_loss_without_a_known_cause():
    """Weights of the network that are not those of the model."""
    converter = convert()
    (connection,) = [
        c for c in converter.net.connections if c.label == "readout.kernel"
    ]
    connection.transform = nengo.Dense(
        connection.transform.shape, init=-connection.transform.init
    )
    broken = look(converter)
    found = finding(broken, "unexplained")
    assert found.layers == ("readout",)
