"""Calibration: each measure where it must matter, and what is refused."""

from itertools import pairwise

import keras
import nengo
import numpy as np
import pytest
from calibration_cases import accuracy_of, dense_model, load
from keras import layers

import nengo_jax
from nengo_jax.convert import Converter
from nengo_jax.convert.calibration import Readout, calibrate
from nengo_jax.convert.calibration.files import load as load_network
from nengo_jax.convert.curves import (
    decode_curve,
    encode_curve,
    fit_curve,
    join_curves,
)
from nengo_jax.convert.scaling import replace
from nengo_jax.neurons import SoftResetIntegrateAndFire
from nengo_jax.neurons.nir import IntegrateAndFire, LeakyIntegrateAndFire

DT = 0.001
QUICK = {"measure": False, "trial_examples": 64}
COPIED = "ignore:'Node.size_out' is being overwritten"  # by copies of networks
BUILT = "ignore:divide by zero encountered in log1p"  # by nengo, for LIF with gain 1
OFF = {"scale": False, "voltage": None, "bias": False}


def rectified(**changes):
    state = {"voltage": nengo.dists.Choice([0])}
    arguments = {
        "swap_activations": {"relu": nengo.SpikingRectifiedLinear(initial_state=state)},
        "inference_only": True,
    }
    return Converter(dense_model(), **arguments | changes)


@pytest.fixture(scope="module")
def calibrated():
    data = load()
    return calibrate(rectified(), data.train_images, data.train_labels, n_steps=16)


def one_layer(units=64, seed=0):
    """A hidden layer with a linear output: its current does not change over time."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(units, activation="relu", name="hidden"),
            layers.Dense(2, name="output"),
        ]
    )


def activations(model, name, x):
    return keras.Model(model.inputs, model.get_layer(name).output).predict(x, verbose=0)


def mean_output(network, node, x, obj, n_steps):
    """Mean output of an object over all steps, from a simulator of its own."""
    with network:
        probe = nengo.Probe(obj)
    with nengo_jax.Simulator(network, minibatch_size=len(x), progress_bar=False) as sim:
        sim.run_steps(n_steps, {node: np.repeat(x[:, None], n_steps, axis=1)})
        return sim.data[probe].mean(axis=1)


NORMAL = np.random.RandomState(1).normal(size=(100, 8)).astype(np.float32)


# -- the whole


def test_calibration_mends_what_conversion_breaks(calibrated):
    data, model = load(), dense_model()
    expected = accuracy_of(model, data.test_images, data.test_labels)
    naive = calibrate(rectified(), data.train_images, n_steps=16, **QUICK, **OFF)
    broken = naive.accuracy(data.test_images, data.test_labels)
    mended = calibrated.accuracy(data.test_images, data.test_labels)
    assert expected > 0.95
    assert broken[-1] < 0.5
    assert mended[-1] > expected - 0.01
    assert mended.shape == (16,)


def test_effects_are_those_of_the_network(calibrated):
    """They join, and the last is what the network itself gives on the same data."""
    data = load()
    effects = calibrated.effects
    names = [effect.name for effect in effects]
    assert names == ["scales", "voltages", "bias", "readout"]
    assert {effect.metric for effect in effects} == {"accuracy"}
    for before, after in pairwise(effects[:3]):
        assert before.after == after.before
    first = slice(256)
    found = calibrated.accuracy(data.train_images[first], data.train_labels[first])
    assert effects[-1].after == pytest.approx(found[-1], abs=0.005)
    assert effects[0].before < 0.5 < effects[0].after


def test_results_are_what_the_model_gives(calibrated):
    """Probabilities, as softmax is applied to the mean instead of to single spikes."""
    data, model = load(), dense_model()
    images = data.test_images[:100]
    expected = model.predict(images, verbose=0)
    found = calibrated.predict(images, n_steps=100)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, expected, atol=0.2)
    assert np.mean(np.abs(found - expected)) < 0.01
    (probe,) = calibrated.outputs.values()
    assert not isinstance(probe.target, nengo_jax.TensorNode)


def test_pieces_are_one_run(calibrated):
    """More steps than a piece has, and a batch that is not full."""
    images = load().test_images[:70]
    (node,), (probe,) = calibrated.assembled.nodes, calibrated.assembled.probes
    found = calibrated.predict(images, n_steps=150)
    with calibrated.simulator(70) as sim:
        sim.run_steps(150, {node: np.repeat(images[:, None], 150, axis=1)})
        logits = sim.data[probe].mean(axis=1)
    expected = keras.activations.softmax(logits.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_nothing_given_is_changed():
    data, model = load(), dense_model()
    converter = rectified()
    weights = [np.array(value) for value in model.get_weights()]
    connections = list(converter.net.all_connections)
    types = [ensemble.neuron_type for ensemble in converter.net.all_ensembles]
    calibrate(converter, data.train_images[:64], n_steps=4, fine_tune=1, **QUICK)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert converter.net.all_connections == connections
    assert [e.neuron_type for e in converter.net.all_ensembles] == types


@pytest.mark.filterwarnings(COPIED)
def test_other_simulators_give_the_same(calibrated):
    """The network runs in nengo.Simulator as it is."""
    (node,), (probe,) = calibrated.assembled.nodes, calibrated.assembled.probes
    image = load().test_images[3]
    network = calibrated.net.copy()
    place = calibrated.net.all_probes.index(probe)
    network.all_nodes[calibrated.net.all_nodes.index(node)].output = image
    with nengo.Simulator(network, progress_bar=False, optimize=False) as reference:
        reference.run_steps(20)
    with nengo_jax.Simulator(network, dtype="float64", progress_bar=False) as sim:
        sim.run_steps(20)
    expected = reference.data[network.all_probes[place]]
    assert np.any(expected)
    np.testing.assert_allclose(
        sim.data[network.all_probes[place]], expected, rtol=1e-9, atol=1e-9
    )


# -- scales


def test_percentile_gets_the_rate():
    model = one_layer()
    result = calibrate(
        model,
        NORMAL,
        n_steps=100,
        rate=500,
        percentile=100,
        voltage="half",
        bias=False,
        **QUICK,
    )
    expected = activations(model, "hidden", NORMAL)
    assert result.scales["hidden"] == pytest.approx(500 / expected.max(), rel=1e-5)
    (hidden,) = [p for p in result.assembled.parts if p.label == "hidden"]
    (node,) = result.assembled.nodes
    found = mean_output(result.net, node, NORMAL, hidden.source, 100)
    # one spike in 0.1 s is 10 Hz, which is 2% of the largest activation
    np.testing.assert_allclose(found, expected, atol=0.011 * expected.max())


def test_scale_by_channel_helps_small_channels():
    model = one_layer()
    kernel, bias = model.get_layer("hidden").get_weights()
    kernel[:, ::2] /= 100
    model.get_layer("hidden").set_weights([kernel, bias])
    readout, shift = model.get_layer("output").get_weights()
    readout[::2] *= 100
    model.get_layer("output").set_weights([readout, shift])
    expected = model.predict(NORMAL, verbose=0)
    errors = [
        calibrate(
            model, NORMAL, n_steps=16, rate=1000, per_channel=wanted, **QUICK
        ).error(NORMAL, expected)[-1]
        for wanted in (False, True)
    ]
    assert errors[1] < 0.1 < errors[0]


def test_percentile_leaves_outliers_aside():
    model = one_layer()
    x = NORMAL.copy()
    x[0] *= 1000
    expected = model.predict(NORMAL[1:], verbose=0)
    errors = [
        calibrate(
            model, x, n_steps=16, rate=1000, percentile=p, bias=False, **QUICK
        ).error(NORMAL[1:], expected)[-1]
        for p in (100, 95)
    ]
    assert errors[1] < 0.1 < errors[0]


@pytest.mark.filterwarnings(BUILT)
def test_what_cannot_be_scaled_is_left_with_a_warning():
    x = keras.Input((64,))
    hidden = keras.layers.Dense(5, activation="sigmoid", name="hidden")(x)
    model = keras.Model(x, keras.layers.Dense(2)(hidden))
    swaps = {"sigmoid": nengo.LIF()}
    converter = Converter(model, swap_activations=swaps)
    with pytest.warns(UserWarning, match=r"hidden: firing rates of LIF.*relu") as seen:
        result = calibrate(converter, load().train_images, n_steps=4, **QUICK)
    assert not result.scales
    assert not result.settings.curves
    assert seen[0].filename == __file__  # where calibrate was called


@pytest.mark.slow
@pytest.mark.filterwarnings(BUILT)
def test_neurons_with_curved_rates_stand_for_relu(tmp_path):
    """LIF neurons get the gain, bias and amplitude that come nearest to relu."""
    data = load()
    swaps = {"relu": nengo.LIF(tau_ref=0.001)}
    with pytest.warns(UserWarning, match="not proportional"):
        converter = Converter(
            dense_model(), swap_activations=swaps, scale_firing_rates=2
        )
    images = data.train_images[:200]
    naive = calibrate(converter, images, scale=False, n_steps=32, **QUICK)
    result = calibrate(converter, images, n_steps=32, **QUICK)
    assert list(result.settings.curves) == ["hidden0", "hidden1", "hidden2"]
    test, labels = data.test_images[:200], data.test_labels[:200]
    before = naive.accuracy(test, labels)[-1]
    after = result.accuracy(test, labels)[-1]
    assert before < 0.6
    assert after > accuracy_of(dense_model(), test, labels) - 0.06
    again = load_network(result.save(tmp_path / "network"))
    np.testing.assert_array_equal(again.predict(test), result.predict(test))
    with pytest.raises(ValueError, match=r"hidden0 cannot fire at rate=1000 Hz: LIF"):
        calibrate(converter, images, rate=1000, **QUICK)


def test_the_percentile_has_the_wanted_rate():
    """And the curve comes nearer to relu than one that begins at zero."""
    for kind in (nengo.LIF(amplitude=2), LeakyIntegrateAndFire(0.01)):
        curve = fit_curve(kind, 4.0, 200.0)
        activations = np.linspace(0, 4, 50)
        gain, bias = np.array([curve.gain / curve.top]), np.array([curve.bias])
        twin = replace(kind, amplitude=1)
        rates = twin.rates(activations[:, None], gain, bias)[:, 0]
        assert rates[-1] == pytest.approx(200)
        outputs = replace(kind, amplitude=curve.amplitude).rates(
            activations[:, None], gain, bias
        )[:, 0]
        error = np.sqrt(np.mean((outputs - activations) ** 2)) / 4
        assert error == pytest.approx(curve.error, rel=0.1)
        gain, bias = twin.gain_bias(np.array([200]), np.array([0]))
        steep = twin.rates(activations[:, None] / 4, gain, bias)[:, 0] / 50
        assert error < 0.5 * np.sqrt(np.mean((steep - activations) ** 2)) / 4


def test_neurons_that_differ_have_a_gain_each():
    """One type with several time constants is like one type for each of them."""
    taus, tops = np.array([0.004, 0.02, 0.1]), np.array([1.0, 4.0, 2.0])
    curve = fit_curve(LeakyIntegrateAndFire(taus, amplitude=3), tops, 200.0)
    for place, tau in enumerate(taus):
        alone = fit_curve(LeakyIntegrateAndFire(tau, amplitude=3), tops[place], 200.0)
        np.testing.assert_allclose([row[place] for row in curve], alone)
    assert len(set(curve.gain)) == 3
    again = decode_curve(encode_curve(curve))
    for row, expected in zip(again, curve, strict=True):
        np.testing.assert_array_equal(row, expected)


@pytest.mark.filterwarnings("ignore:.*not proportional")
def test_a_layer_of_neurons_that_differ(tmp_path):
    model = one_layer()
    expected = model.predict(NORMAL, verbose=0)
    taus = np.geomspace(0.005, 0.1, 64)
    swaps = {"relu": LeakyIntegrateAndFire(taus)}
    converter = Converter(model, inference_only=True, swap_activations=swaps)
    result = calibrate(converter, NORMAL, n_steps=200, **QUICK)
    assert result.settings.curves["hidden"].shape == (5, 64)
    assert result.error(NORMAL, expected)[-1] < 0.15
    again = load_network(result.save(tmp_path / "network"))
    np.testing.assert_array_equal(again.predict(NORMAL), result.predict(NORMAL))


@pytest.mark.filterwarnings("ignore:.*not proportional")
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_type_for_another_number_of_neurons(per_channel):
    wrong = {"relu": LeakyIntegrateAndFire(np.geomspace(0.005, 0.1, 5))}
    converter = Converter(one_layer(), inference_only=True, swap_activations=wrong)
    with pytest.raises(ValueError, match=r"hidden has 64 neurons, but .* is for 5"):
        calibrate(converter, NORMAL, per_channel=per_channel, **QUICK)


@pytest.mark.slow
@pytest.mark.filterwarnings(BUILT)
@pytest.mark.parametrize("rule", ["dense", "channels"])
def test_curves_by_channel_help_small_channels(rule, tmp_path):
    """Also where several neurons share a channel."""
    keras.utils.set_random_seed(0)
    wide = layers.Conv1D(16, 1, activation="relu", name="hidden")
    body = [wide, layers.GlobalAveragePooling1D()]
    model = keras.Sequential(
        [
            keras.Input((8,)),
            *([layers.Reshape((2, 4)), *body] if rule == "channels" else []),
            *([layers.Dense(16, "relu", name="hidden")] if rule == "dense" else []),
            layers.Dense(2, name="output"),
        ]
    )
    factors = np.where(np.arange(16) % 2, 1, 100.0)
    kernel, bias = model.get_layer("hidden").get_weights()
    model.get_layer("hidden").set_weights([kernel / factors, bias])
    kernel, bias = model.get_layer("output").get_weights()
    model.get_layer("output").set_weights([kernel * factors[:, None], bias])
    expected = model.predict(NORMAL, verbose=0)
    converter = Converter(
        model, inference_only=True, swap_activations={"relu": nengo.LIF(tau_ref=0.001)}
    )
    results = [
        calibrate(converter, NORMAL, n_steps=100, per_channel=wanted, **QUICK)
        for wanted in (False, True)
    ]
    errors = [result.error(NORMAL, expected)[-1] for result in results]
    assert errors[1] < 0.15
    assert errors[1] < 0.3 * errors[0]
    again = load_network(results[1].save(tmp_path / "network"))
    np.testing.assert_array_equal(again.predict(NORMAL), results[1].predict(NORMAL))


def test_a_layer_that_is_called_twice_has_the_larger_curve():
    small = encode_curve(fit_curve(nengo.LIF(), 1.0, 200.0))
    large = encode_curve(fit_curve(nengo.LIF(), 3.0, 200.0))
    for pair in ((small, large), (large, small)):
        np.testing.assert_array_equal(join_curves(*pair), large)
    tops = np.array([2.0, 0.5])
    several = encode_curve(fit_curve(nengo.LIF(), tops, 200.0))
    joined = decode_curve(join_curves(several, small))
    np.testing.assert_array_equal(joined.top, [2, 1])
    expected = fit_curve(nengo.LIF(), np.array([2.0, 1.0]), 200.0)
    np.testing.assert_allclose(joined.amplitude, expected.amplitude)


@pytest.mark.filterwarnings(BUILT)
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("kind", [nengo.LIF, nengo.SpikingRectifiedLinear])
def test_calls_of_other_sizes_are_not_scaled_by_channel(kind, silent):
    keras.utils.set_random_seed(0)
    relu, inputs = layers.ReLU(name="shared"), keras.Input((8,))
    wide, narrow = layers.Dense(16, name="wide"), layers.Dense(4, name="narrow")
    model = keras.Model(inputs, layers.Dense(2)(relu(narrow(relu(wide(inputs))))))
    if silent:
        narrow.set_weights([0 * narrow.kernel, narrow.bias - 1])
    swaps = {"relu": kind(), keras.activations.relu: kind()}
    converter = Converter(model, inference_only=True, swap_activations=swaps)
    with pytest.raises(
        ValueError, match=r"shared.*(16|4).*per_channel=False|layer has"
    ):
        calibrate(converter, NORMAL, per_channel=True, **QUICK)
    calibrate(converter, NORMAL, **QUICK)


def test_neurons_that_spike_once_in_a_step_are_not_driven_to_their_limit():
    data = load()
    swaps = {"relu": IntegrateAndFire()}
    converter = Converter(dense_model(), inference_only=True, swap_activations=swaps)
    result = calibrate(converter, data.train_images[:200], n_steps=32, **QUICK)
    test, labels = data.test_images[:200], data.test_labels[:200]
    assert result.accuracy(test, labels)[-1] > 0.85  # at 4 spikes in a step: 0.1


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_model_alone_becomes_neurons_that_spike(per_channel):
    """Of all kinds that can be scaled; bounds are scaled, too."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(30, activation="relu", name="first"),
            layers.Dense(30, activation="relu6", name="second"),
            layers.Dense(30, name="third"),
            layers.LeakyReLU(negative_slope=0.3, name="leaky"),
            layers.Dense(2),
        ]
    )
    model.layers[1].set_weights([5 * w for w in model.layers[1].get_weights()])
    assert activations(model, "second", NORMAL).max() == 6
    result = calibrate(model, NORMAL, n_steps=32, per_channel=per_channel, **QUICK)
    assert set(result.scales) == {"first", "second", "leaky"}
    assert np.ndim(result.scales["second"]) == 0
    assert result.error(NORMAL, model.predict(NORMAL, verbose=0))[-1] < 0.1


# -- voltages


@pytest.mark.parametrize(
    ("voltage", "low", "high"),
    [("zero", -0.6, -0.4), ("half", -0.05, 0.05), ("random", -0.1, 0.1)],
)
def test_voltage_at_half_the_threshold_is_right_on_average(voltage, low, high):
    """In units of a spike: rounding down loses half of one, rounding loses none."""
    model, n_steps = one_layer(), 10
    result = calibrate(
        model, NORMAL, n_steps=n_steps, rate=1000, voltage=voltage, bias=False, **QUICK
    )
    expected = activations(model, "hidden", NORMAL)
    (hidden,) = [p for p in result.assembled.parts if p.label == "hidden"]
    (node,) = result.assembled.nodes
    found = mean_output(result.net, node, NORMAL, hidden.source, n_steps)
    spike = 1 / (n_steps * DT * result.scales["hidden"])
    active = expected > spike
    assert low < np.mean((found - expected)[active]) / spike < high


# -- biases


def test_shifts_make_means_right():
    """Rectifying an uneven current makes deep layers too active without them."""
    data = load()
    images = data.train_images[:256]
    results = [
        calibrate(
            rectified(),
            images,
            n_steps=16,
            rate=1000,
            bias=bias,
            measure=False,
            trial_examples=256,
        )
        for bias in (False, True)
    ]
    last = activations(dense_model(), "hidden2", images).mean(axis=0)
    deviations = []
    for result in results:
        (part,) = [p for p in result.assembled.parts if p.label == "hidden2"]
        (node,) = result.assembled.nodes
        found = mean_output(result.net, node, images, part.source, 16).mean(axis=0)
        deviations.append(np.mean(np.abs(found - last)) / np.mean(last))
    assert deviations[1] < 0.6 * deviations[0]
    expected = dense_model().predict(data.test_images, verbose=0)
    errors = [result.error(data.test_images, expected)[-1] for result in results]
    assert errors[1] < 0.8 * errors[0]


# -- BatchNormalization


def normalized():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, use_bias=False, name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Dense(2),
        ]
    )
    rng = np.random.RandomState(0)
    model.get_layer("norm").set_weights(
        [rng.uniform(0.5, 2, 16), *rng.normal(size=(2, 16)), rng.uniform(0.5, 2, 16)]
    )
    return model


def test_folding_leaves_no_layer_of_keras():
    model = normalized()
    swaps = {"relu": SoftResetIntegrateAndFire()}
    with pytest.warns(UserWarning, match="norm"):
        converter = Converter(model, swap_activations=swaps)
    folded = calibrate(converter, NORMAL, n_steps=16)
    left = calibrate(converter, NORMAL, n_steps=16, fold=False)
    kinds = [
        [node for node in c.net.all_nodes if isinstance(node, nengo_jax.TensorNode)]
        for c in (folded, left)
    ]
    assert [len(nodes) for nodes in kinds] == [0, 1]
    assert folded.effects[0].name == "folding"
    assert "folding" not in [e.name for e in left.effects]
    folding = folded.effects[0]
    assert folding.before == pytest.approx(folding.after, rel=1e-3)
    np.testing.assert_allclose(folded.predict(NORMAL), left.predict(NORMAL), atol=1e-3)
    assert folded.effects[-1].after < 0.05


# -- readout


def test_a_mean_is_better_than_the_last_step(calibrated):
    effect = calibrated.effects[-1]
    assert effect.name == "readout"
    assert effect.after > effect.before + 0.1


def test_delayed_and_filtered_readouts():
    """With synapses the first steps say nothing, so a mean should leave them out."""
    model = one_layer()
    converter = Converter(
        model, swap_activations={"relu": SoftResetIntegrateAndFire()}, synapse=0.01
    )
    expected = model.predict(NORMAL, verbose=0)
    errors = {
        name: calibrate(
            converter, NORMAL, n_steps=60, readout=readout, bias=False, **QUICK
        ).error(NORMAL, expected)[-1]
        for name, readout in {
            "mean": "mean",
            "delayed": Readout("delayed", start=40),
            "filtered": Readout("filtered", synapse=nengo.Lowpass(0.005)),
        }.items()
    }
    assert errors["delayed"] < 0.5 * errors["mean"]
    assert errors["filtered"] < 0.5 * errors["mean"]


# -- fine-tuning


@pytest.mark.slow
def test_fine_tuning_makes_few_spikes_enough():
    data = load()
    result = calibrate(
        rectified(),
        data.train_images,
        data.train_labels,
        n_steps=6,
        rate=500,
        fine_tune=6,
        learning_rate=1e-3,
    )
    effect = result.effects[-1]
    assert effect.name == "fine_tuning"
    assert effect.after > effect.before + 0.05
    found = result.accuracy(data.test_images, data.test_labels)[-1]
    assert found > effect.before + 0.03


# -- plain networks


def layered(seed=1):
    """Two populations that are connected by weights, and a decoded ensemble."""
    rng = np.random.RandomState(0)
    with nengo.Network(seed=seed) as network:
        network.config[nengo.Ensemble].neuron_type = nengo.SpikingRectifiedLinear()
        stimulus = nengo.Node([0, 0], label="stimulus")
        first = nengo.Ensemble(
            40, 1, gain=np.ones(40), bias=np.zeros(40), label="first"
        )
        second = nengo.Ensemble(
            30, 1, gain=np.ones(30), bias=rng.normal(size=30), label="second"
        )
        weights = [rng.normal(size=shape) for shape in [(40, 2), (30, 40), (1, 30)]]
        nengo.Connection(stimulus, first.neurons, transform=weights[0], synapse=None)
        nengo.Connection(
            first.neurons, second.neurons, transform=weights[1] / 40, synapse=None
        )
        output = nengo.Node(size_in=1, label="output")
        nengo.Connection(second.neurons, output, transform=weights[2], synapse=None)
        nengo.Probe(output)
    return network


@pytest.mark.filterwarnings(COPIED)
def test_a_network_of_ensembles():
    network = layered()
    x = np.random.RandomState(1).normal(size=(80, 2))
    before = [ensemble.gain.copy() for ensemble in network.all_ensembles]
    result = calibrate(network, x, n_steps=32)
    assert [effect.name for effect in result.effects] == [
        "scales",
        "voltages",
        "bias",
        "readout",
    ]
    assert {effect.metric for effect in result.effects} == {"error"}
    assert result.effects[0].before > 0.5
    assert result.effects[-1].after < 0.05
    with network.copy() as rates:
        for ensemble in rates.all_ensembles:
            ensemble.neuron_type = nengo.RectifiedLinear()
    with nengo_jax.Simulator(rates, minibatch_size=80, progress_bar=False) as sim:
        sim.run_steps(1, {rates.all_nodes[0]: x[:, None]})
        expected = sim.data[rates.all_probes[0]][:, -1]
    assert result.error(x, expected)[-1] < 0.05
    for ensemble, gain in zip(network.all_ensembles, before, strict=True):
        np.testing.assert_array_equal(ensemble.gain, gain)
    (stimulus, _), (probe,) = network.all_nodes, network.all_probes
    assert result.inputs[stimulus] in result.net.all_nodes
    assert result.outputs[probe] in result.net.all_probes


def test_decoders_stay_what_they_are():
    """Gains are scaled, amplitudes divided: a decoded function is the same."""
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node([0])
        ensemble = nengo.Ensemble(
            100, 1, neuron_type=nengo.SpikingRectifiedLinear(), label="ensemble"
        )
        square = nengo.Node(size_in=1)
        nengo.Connection(stimulus, ensemble, synapse=None)
        nengo.Connection(ensemble, square, function=np.square, synapse=None)
        nengo.Probe(square)
    x = np.linspace(-1, 1, 50)[:, None]
    result = calibrate(network, {stimulus: x}, n_steps=20)
    assert result.effects[-1].after < 0.05
    assert result.error({stimulus: x}, x**2)[-1] < 0.1


# -- what is refused

X = np.zeros((4, 64), np.float32)


@pytest.mark.parametrize(
    ("data", "labels", "arguments", "message"),
    [
        (np.zeros((4, 63)), None, {}, r"data have shape \(4, 63\)"),
        (np.zeros((0, 64)), None, {}, "no examples"),
        (np.full((4, 64), np.nan), None, {}, "NaN"),
        (np.full((4, 64), "a"), None, {}, "must be numbers"),
        ({"wrong": X}, None, {}, "inputs of the model"),
        (X, [0, 1, 2], {}, r"labels have shape \(3,\).*4 examples"),
        (X, [0, 1, 2, 10], {}, "from 0 to 9.*10 for example 3"),
        (X, [0, 1, 2, -1], {}, "-1 for example 3"),
        (X, [0, 1, 2, 0.5], {}, "whole numbers"),
        (X, None, {"percentile": 0}, "percentile must be"),
        (X, None, {"percentile": 100.1}, "percentile must be"),
        (X, None, {"rate": -5}, "rate must be a positive number"),
        (X, None, {"n_steps": 0}, "n_steps must be a whole number"),
        (X, None, {"n_steps": 2.5}, "n_steps must be a whole number"),
        (X, None, {"dt": 0}, "dt must be a positive number"),
        (X, None, {"voltage": "full"}, "voltage must be one of"),
        (X, None, {"readout": "median"}, "no readout 'median'"),
        (X, None, {"readout": Readout("delayed", start=40)}, "only 32 steps"),
        (X, None, {"fine_tune": -1}, "fine_tune must be"),
        (X, None, {"readout": "filtered", "n_steps": 1}, r"filter nothing.*synapse="),
    ],
)
def test_bad_input(data, labels, arguments, message, monkeypatch):
    monkeypatch.setattr(nengo_jax.Simulator, "__init__", None)  # nothing is compiled
    with pytest.raises(ValueError, match=message):
        calibrate(rectified(), data, labels, **arguments)


def test_a_model_with_a_fixed_batch_takes_any_number_of_examples():
    model = one_layer()
    free = calibrate(model, NORMAL, n_steps=8, **QUICK).predict(NORMAL)
    hidden, output = model.layers
    inputs = keras.Input((8,), batch_size=4)
    fixed = keras.Model(inputs, output(hidden(inputs)))
    result = calibrate(fixed, NORMAL, n_steps=8, **QUICK)
    np.testing.assert_allclose(result.predict(NORMAL), free, atol=1e-6)


def test_something_must_spike():
    converter = Converter(dense_model(), inference_only=True)
    with pytest.raises(ValueError, match=r"Nothing.*spikes.*swap_activations"):
        calibrate(converter, X)
    with nengo.Network() as network:
        nengo.Node([0])
    with pytest.raises(ValueError, match=r"spikes \(it has no neurons\)"):
        calibrate(network, np.zeros((2, 1)))


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"takes a Converter.*got int"):
        calibrate(3, X)


def test_networks_are_not_fine_tuned_or_saved(tmp_path):
    network = layered()
    with pytest.raises(ValueError, match="fine_tune is for converted Keras models"):
        calibrate(network, np.zeros((2, 2)), fine_tune=1)
    with network:
        nengo.Ensemble(10, 1, neuron_type=nengo.AdaptiveLIF(), label="adaptive")
    with pytest.raises(ValueError, match="adaptive: calibrate knows no rates"):
        calibrate(network, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="by input node"):
        calibrate(network, {network.all_ensembles[0]: np.zeros((2, 2))})


# -- other models


def test_functions_that_are_called_on_tensors(tmp_path):
    """They are operations of the model, and no layers."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8,))
    first = keras.activations.relu(layers.Dense(16)(x))
    second = keras.ops.relu(layers.Dense(16)(first))
    model = keras.Model(x, layers.Dense(2)(first + second))
    result = calibrate(model, NORMAL, n_steps=32, per_channel=True, **QUICK)
    assert len(result.scales) == 2
    assert result.error(NORMAL, model.predict(NORMAL, verbose=0))[-1] < 0.05
    again = load_network(result.save(tmp_path / "network"))
    np.testing.assert_array_equal(again.predict(NORMAL), result.predict(NORMAL))


@pytest.mark.slow
def test_several_inputs_and_outputs():
    keras.utils.set_random_seed(0)
    first, second = keras.Input((8,), name="first"), keras.Input((3,), name="second")
    x = layers.Concatenate()([first, second])
    x = layers.Dense(40, activation="relu")(x)
    probability = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model([first, second], [layers.Dense(2)(x), probability])
    data = {"second": NORMAL[:, :3], "first": NORMAL}
    result = calibrate(model, data, n_steps=16)
    found = result.predict([NORMAL, NORMAL[:, :3]])
    expected = model.predict([NORMAL, NORMAL[:, :3]], verbose=0)
    assert [f.shape for f in found] == [(100, 2), (100, 1)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=0.05)
    assert result.error(data, expected)[-1] < 0.1
    with pytest.raises(ValueError, match="one number for each class"):
        result.accuracy(data, np.zeros(100))
    with pytest.raises(ValueError, match="expected outputs have shape"):
        result.error(data, expected[::-1])


@pytest.mark.slow
def test_a_single_probability():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(40, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    labels = (model.predict(NORMAL, verbose=0)[:, 0] > 0.5).astype(int)
    assert 0 < labels.sum() < 100
    result = calibrate(model, NORMAL, labels, n_steps=16, fine_tune=1)
    assert result.effects[-1].after > 0.9
    assert result.accuracy(NORMAL, labels)[-1] > 0.9
