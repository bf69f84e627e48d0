"""What a report measures, against the reference simulator and by counting."""

from dataclasses import replace

import keras
import nengo
import numpy as np
import pytest
from keras import layers
from reporting_cases import causes, classifier, convert, dense, digits, look, spiking

from nengo_jax.convert import TABLE, Converter, Rule
from nengo_jax.convert.calibration import calibrate
from nengo_jax.convert.parametric import convert_parametric
from nengo_jax.convert.reporting import CAUSES, report
from nengo_jax.convert.reporting.watch import Watch
from nengo_jax.energy import estimate
from nengo_jax.neurons.nir import LeakyIntegrateAndFire

STEPS = 25


def small():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((3,)), dense(6, "first"), dense(5, "second"), layers.Dense(2)]
    )


def inputs(count=4):
    return np.random.RandomState(0).rand(count, 3).astype("float32")


def test_against_the_reference_simulator():
    """Spikes counted in nengo.Simulator, and activations computed by hand."""
    model, data = small(), inputs()
    converter = Converter(
        model,
        swap_activations={"relu": spiking(voltage=0.4)},
        scale_firing_rates=180,
    )
    found = report(converter, data, n_steps=STEPS)
    populations = [call.neurons for call in converter.calls if call.neurons is not None]
    with converter.net:
        probes = [nengo.Probe(neurons) for neurons in populations]
    (output,) = converter.outputs.values()
    node = converter.inputs[model.inputs[0]]
    counts, means = [], []
    for example in data:
        node.output = example.astype(float)
        with nengo.Simulator(converter.net, progress_bar=False) as sim:
            sim.run_steps(STEPS)
        counts.append([sim.data[p] * 0.001 * 180 for p in probes])
        means.append(sim.data[output].mean(0))
    wanted = [np.asarray(model.layers[0](data))]
    wanted.append(np.asarray(model.layers[1](wanted[0])))
    for place, name in enumerate(("first", "second")):
        spikes = np.array([example[place] for example in counts]).round()
        neurons = found.layer(name).population
        rates = spikes.sum(1) / (STEPS * 0.001)
        assert neurons.rates.mean == pytest.approx(rates.mean())
        assert neurons.rates.largest == pytest.approx(rates.max())
        assert neurons.rates.zero == pytest.approx((rates == 0).mean())
        assert neurons.silent == pytest.approx((spikes.sum(1) == 0).mean())
        assert neurons.never == pytest.approx((spikes.sum((0, 1)) == 0).mean())
        active = wanted[place] > 0
        quiet = (spikes.sum(1) == 0)[active].mean()
        assert neurons.missed == pytest.approx(quiet)
        assert neurons.wanted.largest == pytest.approx(180 * wanted[place].max())
        assert neurons.wanted.mean == pytest.approx(180 * wanted[place].mean())
        shift = (spikes.sum(1) - 180 * wanted[place] * STEPS * 0.001)[active].mean()
        assert neurons.shift == pytest.approx(shift, abs=1e-5)
        first = np.sort((spikes > 0).argmax(1)[spikes.sum(1) > 0]) + 1
        median = first[(len(first) - 1) // 2]
        assert neurons.first[0] == pytest.approx(0.001 * median)
        assert neurons.start == (pytest.approx(0.4), pytest.approx(0.4))
        difference = spikes.sum(1) / (180 * STEPS * 0.001) - wanted[place]
        error = np.sqrt((difference**2).sum() / (wanted[place] ** 2).sum())
        assert found.layer(name).error == pytest.approx(error, rel=1e-4)
    expected = model.predict(data, verbose=0)
    distance = np.sqrt(((np.array(means) - expected) ** 2).mean())
    assert found.task == "regression"
    assert found.curve("mean").values[-1] == pytest.approx(distance, rel=1e-4)


def test_scales_for_each_channel():
    """The output of a layer is taken after each channel has been scaled back."""
    model, data = small(), inputs()
    scale = np.array([100, 150, 200, 250, 300, 350.0])
    converter = Converter(
        model,
        swap_activations={"relu": spiking(voltage=0.5)},
        scale_firing_rates={model.layers[0]: scale, model.layers[1]: 200},
    )
    found = report(converter, data, n_steps=200)
    neurons = found.layer("first").population
    assert neurons.scale == (100, 350)
    wanted = np.asarray(model.layers[0](data)) * scale
    assert neurons.wanted.largest == pytest.approx(wanted.max())
    assert found.layer("first").error < 0.03


def test_the_network_and_its_seed_stay_as_they_are():
    model = small()
    converter = convert(model, scale_firing_rates=200)
    before = list(converter.net.all_objects), converter.net.seed
    first = report(converter, inputs(), n_steps=20)
    assert (list(converter.net.all_objects), converter.net.seed) == before
    assert report(converter, inputs(), n_steps=20) == first
    assert report(converter, inputs(), n_steps=20, seed=1) != first


def test_pieces_do_not_matter(monkeypatch):
    """A network that is too large for the memory runs some examples at a time."""
    model = small()
    converter = convert(model, scale_firing_rates=200)
    whole = report(converter, inputs(7), n_steps=20)
    made = []

    class Small(Watch):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append((self.batch, self.chunk))

    monkeypatch.setattr("nengo_jax.convert.reporting.watch._SAMPLES", 500)
    monkeypatch.setattr("nengo_jax.convert.reporting.measure.Watch", Small)
    pieces = report(converter, inputs(7), n_steps=20)
    assert made[0][0] < 7
    assert made[0][1] < 20
    assert pieces.layer("second").population.first is not None
    for label in ("first", "second"):
        one, other = whole.layer(label), pieces.layer(label)
        assert other.error == pytest.approx(one.error, rel=1e-5)
        assert other.population.rates.mean == pytest.approx(one.population.rates.mean)
        assert other.population.first == one.population.first
    np.testing.assert_allclose(
        pieces.curve("last").values, whole.curve("last").values, rtol=1e-4
    )
    assert pieces.rasters == whole.rasters


@pytest.mark.parametrize("readout", ["mean", "last", "delayed", "filtered"])
def test_scores_of_calibrated_networks_are_their_own(readout):
    (images, labels), (test_images, test_labels) = digits()
    calibrated = calibrate(
        classifier(),
        images[:64],
        labels[:64],
        n_steps=6,
        readout=readout,
        measure=False,
        rate=800,
    )
    found = report(calibrated, test_images, test_labels)
    np.testing.assert_allclose(
        found.curve(found.readout).values,
        calibrated.accuracy(test_images, test_labels),
        atol=1e-9,
    )
    assert found.n_steps == 6


def test_softmax_at_the_end_is_applied_to_what_is_read():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((64,)), dense(30, "first"), layers.Dense(5, "softmax", name="end")]
    )
    (images, _), (test, _) = digits()
    calibrated = calibrate(model, images[:64], n_steps=64, measure=False)
    found = report(calibrated, test, model.predict(test, verbose=0))
    assert found.task == "regression"
    assert found.score == pytest.approx(0, abs=0.02)
    assert found.layer("end").error < 0.1  # before softmax, in both


def test_effects_of_the_calibration_are_part_of_the_report():
    (images, labels), (test_images, test_labels) = digits()
    calibrated = calibrate(classifier(), images[:64], labels[:64], n_steps=8)
    found = report(calibrated, test_images[:20], test_labels[:20])
    assert found.effects == calibrated.effects != ()


def test_energy_has_three_numbers():
    found = look(convert())
    energy = found.energy
    assert set(energy.devices) == {"loihi", "spinnaker2", "cpu", "gpu", "arm"}
    # dense layers on "cpu": 8.6 nJ for each weight and each neuron
    operations = 64 * 120 + 120 * 120 + 120 * 10
    neurons = 120 + 120 + 10
    assert energy.devices["cpu"] == pytest.approx(8.6e-9 * (operations + neurons), 0.01)
    assert energy.spiking > 0
    assert energy.quantised > 0
    assert "Spikes cost" in energy.verdict


# -- data and labels


def binary():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((3,)), dense(6, "first"), layers.Dense(1, "sigmoid")]
    )


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (np.array([0, 1, 1, 0]), "classification"),
        (np.array([[0], [1], [1], [0]]), "classification"),
        (np.eye(2)[[0, 1, 1, 0]], "classification"),
        (np.eye(2, dtype=bool)[[0, 1, 1, 0]], "classification"),
        (np.random.RandomState(0).rand(4, 2), "regression"),
        (None, "regression"),
    ],
)
def test_tasks_follow_from_labels(labels, task):
    found = report(
        convert(small(), scale_firing_rates=100), inputs(), labels, n_steps=5
    )
    assert found.task == task
    assert found.labelled == (labels is not None)


def test_a_single_output_answers_yes_or_no():
    model, data = binary(), inputs(20)
    outputs = model.predict(data, verbose=0)[:, 0]
    middle = float(np.median(outputs))
    weights, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([weights, bias - np.log(middle / (1 - middle))])
    labels = (outputs > middle).astype(int)
    converter = convert(model, scale_firing_rates={model.layers[0]: 500})
    found = report(converter, data, labels, n_steps=100, readout="late")
    assert "not_spiking" not in causes(found)  # an output is a value
    assert found.ann_score == 1
    assert found.score > 0.8


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (np.zeros((4, 5)), None, r"data for the input .* has shape \(4, 5\)"),
        (np.zeros((0, 3)), None, "at least one example"),
        (np.full((4, 3), np.nan), None, "not all finite"),
        (np.zeros((4, 3)), np.array([0, 1, 2, 1]), "labels go from 0 to 2, but .* 2"),
        (np.zeros((4, 3)), np.array([0, -1, 1, 1]), "labels go from -1 to 1"),
        (np.zeros((4, 3)), np.array([0, 1]), "labels must be 4 numbers"),
        (np.zeros((4, 3)), np.array(["a", "b", "a", "b"]), "labels must be 4 numbers"),
        (np.zeros((4, 3)), np.full(4, 0.5), r"labels are not whole numbers"),
        (np.zeros((4, 3)), np.zeros((4, 7)), r"labels have shape \(4, 7\)"),
        (np.zeros((4, 3)), np.full(4, np.nan), "not finite"),
    ],
)
def test_wrong_data_and_labels(data, labels, message):
    converter = convert(small(), scale_firing_rates=100)
    with pytest.raises(ValueError, match=message):
        report(converter, data, labels, n_steps=5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number"),
        ({"n_steps": None}, "n_steps must be a whole number"),
        ({"readout": "first"}, "readout must be one of last, mean, late"),
        ({"dt": -1}, "positive number of seconds"),
    ],
)
def test_wrong_arguments(changes, message):
    converter = convert(small(), scale_firing_rates=100)
    with pytest.raises(ValueError, match=message):
        report(converter, inputs(), **({"n_steps": 5} | changes))


def test_what_is_no_converted_network():
    with pytest.raises(TypeError, match="report takes a Converter"):
        report(small(), inputs(), n_steps=5)
    temporal = Converter(
        keras.Sequential([keras.Input((5, 3)), dense(4, "first")]), temporal_model=True
    )
    data = np.random.RandomState(0).rand(2, 5, 3)
    with pytest.raises(ValueError, match=r"no temporal models.*Calibrated\.error"):
        report(temporal, data, n_steps=5)
    swaps = {"relu": spiking()}
    temporal = Converter(temporal.model, swap_activations=swaps, temporal_model=True)
    calibrated = calibrate(temporal, data, n_steps=2, measure=False, bias=False)
    with pytest.raises(ValueError, match=r"no temporal models.*Calibrated\.error"):
        report(calibrated, data)


def test_nested_models_and_two_inputs():
    """Labels tell calls apart, and each input gets its own data."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((3,)), dense(4, "deep")], name="inner")
    first, second = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate(name="joined")([inner(first), inner(second)])
    model = keras.Model([first, second], layers.Dense(2, name="end")(joined))
    converter = convert(
        model, scale_firing_rates=400, split_shared_weights=True, synapse=None
    )
    data = {"a": inputs(), "b": 1 - inputs()}
    found = report(converter, data, n_steps=100)
    assert [layer.label for layer in found.layers] == [
        "deep",
        "deep.1",
        "joined",
        "end",
    ]
    assert all(layer.error < 0.1 for layer in found.layers)
    swapped = report(converter, {"a": data["b"], "b": data["a"]}, n_steps=100)
    assert (
        swapped.layer("deep").population.wanted
        == found.layer("deep.1").population.wanted
    )


def test_models_inside_with_layers_of_the_same_name():
    """Each population is compared with its own activations, and has its own rate."""
    keras.utils.set_random_seed(0)
    x, parts = keras.Input((3,)), []
    for name, bias in (("one", 0.1), ("two", 3.0)):
        large = keras.initializers.Constant(bias)
        deep = layers.Dense(4, "relu", bias_initializer=large, name="deep")
        parts.append(keras.Sequential([keras.Input((3,)), deep], name=name)(x))
    joined = layers.Concatenate(name="joined")(parts)
    model = keras.Model(x, layers.Dense(2, name="end")(joined))
    found = report(convert(model, scale_firing_rates=400), inputs(), n_steps=100)
    names = ["one/deep", "two/deep", "joined", "end"]
    assert [layer.label for layer in found.layers] == names
    assert {raster.label for raster in found.rasters} == set(names[:2])
    assert all(layer.error < 0.1 for layer in found.layers)
    for name in ("one", "two"):
        rates = found.layer(f"{name}/deep").population.rates
        wanted = 400 * np.mean(model.get_layer(name).predict(inputs(), verbose=0))
        assert rates.mean == pytest.approx(wanted, rel=0.1)


@pytest.mark.filterwarnings("ignore:divide by zero encountered in log1p")
@pytest.mark.filterwarnings("ignore:.*not proportional")
@pytest.mark.parametrize(
    ("kind", "per_channel"),
    [
        (nengo.LIF(tau_ref=0.001), True),
        (LeakyIntegrateAndFire(np.geomspace(0.005, 0.1, 12)), False),
    ],
    ids=["channels", "neurons"],
)
def test_neurons_with_curves_of_their_own(kind, per_channel):
    """Their outputs are multiplied one by one, which is no scale of the user's."""
    keras.utils.set_random_seed(0)
    conv = layers.Conv1D(4, 1, activation="relu", name="hidden")
    body = [layers.Reshape((3, 2)), conv, layers.Flatten(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((6,)), *body])
    data = np.random.RandomState(0).rand(20, 6).astype("float32")
    converter = Converter(model, inference_only=True, swap_activations={"relu": kind})
    calibrated = calibrate(
        converter, data, n_steps=100, per_channel=per_channel, measure=False
    )
    found = report(calibrated, data).layer("hidden")
    (call,) = [c for c in calibrated.converter.calls if c.neurons is not None]
    factors = calibrated.settings.curves["hidden"][3]  # amplitudes
    assert len(set(factors)) > 1
    with calibrated.net:
        probe = nengo.Probe(call.obj)
    (node,) = calibrated.inputs.values()
    with calibrated.simulator(20) as sim:
        sim.run_steps(100, {node: data[:, None].repeat(100, axis=1)})
        means = sim.data[probe].mean(axis=1)
    wanted = np.asarray(conv(data.reshape(-1, 3, 2))).reshape(20, -1)
    error = np.sqrt(((means - wanted) ** 2).sum() / (wanted**2).sum())
    assert found.error == pytest.approx(error, rel=1e-4)
    assert found.population.scale == (1, 1)
    assert found.population.wanted.mean == pytest.approx((wanted / factors).mean())
    assert found.population.rates.mean == pytest.approx((means / factors).mean())
    poor = replace(report(calibrated, data), layers=(replace(found, error=0.5),))
    finding = CAUSES["not_homogeneous"](poor)
    assert "something else" in finding.problem
    assert finding.changes == ()


def negative_halves():
    """A model with PReLU, whose negative half matters."""
    keras.utils.set_random_seed(0)
    slopes = keras.initializers.Constant(0.5)
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(6),
            layers.PReLU(alpha_initializer=slopes, name="halves"),
            layers.Dense(2),
        ]
    )


@pytest.mark.slow
def test_both_halves_of_a_layer_are_measured():
    """PReLU is two populations, whose sum is what the layer gives."""
    data = inputs(20) - 0.5
    calibrated = calibrate(negative_halves(), data, n_steps=64, measure=False)
    found = report(calibrated, data)
    assert found.layer("halves").error < 0.05
    (call,) = [c for c in calibrated.converter.calls if c.opposite is not None]
    populations = [call.neurons, call.opposite]
    with calibrated.net:
        probes = [nengo.Probe(neurons) for neurons in populations]
    (node,) = calibrated.inputs.values()
    with calibrated.simulator(20) as sim:
        sim.run_steps(64, {node: data[:, None].repeat(64, axis=1)})
        rates = {
            neurons.ensemble: sim.data[probe].mean()
            / neurons.ensemble.neuron_type.amplitude
            for neurons, probe in zip(populations, probes, strict=True)
        }
    assert all(rate > 0 for rate in rates.values())
    expected = estimate(calibrated.net, rates, "loihi", n_steps=64)
    assert found.energy is not None
    assert found.energy.devices["loihi"] == pytest.approx(expected.energy, rel=1e-3)


def test_neurons_that_are_not_watched_have_no_energy(tmp_path):
    """As those inside a layer that a rule of the user's own converts."""

    def unwatched(call, sources, options):
        return replace(convert_parametric(call, sources, options), opposite=None)

    table = {**TABLE, layers.PReLU: Rule(unwatched)}
    calibrated = calibrate(
        negative_halves(), inputs(), n_steps=8, measure=False, table=table
    )
    found = report(calibrated, inputs())
    assert found.energy is None
    found.to_html(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Energy of one inference" not in text
