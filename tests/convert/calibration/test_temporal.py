"""Calibration of temporal models: each time step of the data is held for some steps."""

import keras
import nengo
import numpy as np
import pytest
from keras import layers

import nengo_jax
from nengo_jax.convert import Converter, load
from nengo_jax.convert.calibration import Readout, calibrate
from nengo_jax.convert.calibration.percentiles import BINS
from nengo_jax.neurons import SoftResetIntegrateAndFire
from nengo_jax.neurons.nir import IntegrateAndFire

QUICK = {"measure": False, "trial_examples": 64}
SWAPS = {"relu": nengo.SpikingRectifiedLinear()}
RNG = np.random.RandomState(0)
STEPS = 7


def sequences(*shape, examples=40, steps=STEPS):
    """Sequences in which each step is another one."""
    rng = np.random.RandomState(len(shape))
    return rng.normal(size=(examples, steps, *shape)).astype(np.float32)


def dense(steps=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((steps, 8)),
            layers.Dense(24, activation="relu", name="first"),
            layers.TimeDistributed(layers.Dense(24, activation="relu"), name="second"),
            layers.Dense(3, name="output"),
        ]
    )


def images():
    """Convolutions inside TimeDistributed, one of them with a normalisation after."""
    keras.utils.set_random_seed(0)
    distributed = layers.TimeDistributed
    x = inputs = keras.Input((STEPS, 6, 5, 2))
    x = distributed(layers.Conv2D(4, 3, padding="same"), name="conv")(x)
    x = layers.BatchNormalization(name="norm", moving_mean_initializer="ones")(x)
    x = layers.Activation("relu", name="relu")(x)
    x = layers.Dropout(0.5)(distributed(layers.AveragePooling2D(2))(x))
    inner_image = keras.Input((3, 2, 4))
    y = layers.Conv2D(5, 2, activation="relu", name="inside")(inner_image)
    inner = keras.Model(inner_image, layers.Flatten()(y), name="inner")
    y = distributed(inner, name="wrapped")(x)
    z = distributed(layers.GlobalAveragePooling2D())(x)
    y = layers.Concatenate()([y, layers.Dense(6, activation="relu", name="wide")(z)])
    wide = keras.initializers.RandomNormal(stddev=3)
    last = layers.Dense(3, activation="softmax", kernel_initializer=wide, name="last")
    return keras.Model(inputs, last(y))


def residual():
    keras.utils.set_random_seed(0)
    first, second = keras.Input((None, 8), name="a"), keras.Input((None, 8), name="b")
    x = layers.Dense(16, activation="relu", name="left")(first)
    y = layers.Dense(16, activation="relu", name="right")(second)
    z = layers.Dense(16, activation="relu", name="both")(layers.Add()([x, y]))
    out = layers.Dense(2, name="value")(layers.Add()([x, z]))
    yes = layers.Dense(1, activation="sigmoid", name="yes")(
        layers.PReLU(shared_axes=[1])(z)
    )
    return keras.Model([first, second], [out, yes])


def temporal(model, **changes):
    options = {"swap_activations": SWAPS, "inference_only": True} | changes
    return Converter(model, temporal_model=True, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        pytest.param(dense, [(8,)], id="dense"),
        pytest.param(images, [(6, 5, 2)], id="images"),
        pytest.param(residual, [(8,), (8,)], id="residual"),
    ],
)
def test_steps_that_are_held_for_long_give_what_the_model_gives(make, shapes):
    model, data = make(), [sequences(*shape) for shape in shapes]
    data = data[0] if len(data) == 1 else data
    expected = model.predict(data, verbose=0)
    converter = temporal(model, synapse=0.005)
    calibrated = calibrate(converter, data, n_steps=200, readout="delayed", **QUICK)
    found = [calibrated.predict(data, n_steps) for n_steps in (20, 200)]
    if isinstance(expected, list):
        for short, long, wanted in zip(*found, expected, strict=True):
            _compare(short, long, wanted)
    else:
        _compare(*found, expected)
    errors = calibrated.error(data, expected, 200)
    assert errors.shape == (200,)
    assert errors[-1] < 0.05 < errors[0]


def _compare(short, long, wanted):
    assert short.shape == long.shape == wanted.shape
    errors = [np.sqrt(np.mean((a - wanted) ** 2)) for a in (short, long)]
    assert errors[1] < 0.05 * np.std(wanted)
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.slow
def test_one_time_step_is_calibrated_like_an_example():
    """Scales, voltages, shifts, effects and results are the same."""
    data = sequences(8, examples=70, steps=1)
    labels = RNG.randint(3, size=70)
    model = dense(1)
    flat = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(24, activation="relu", name="first"),
            layers.Dense(24, activation="relu", name="second"),
            layers.Dense(3, name="output"),
        ]
    )
    flat.set_weights(model.get_weights())
    plain = Converter(flat, inference_only=True, swap_activations=SWAPS)
    one = calibrate(temporal(model), data, labels[:, None], n_steps=8, per_channel=True)
    other = calibrate(plain, data[:, 0], labels, n_steps=8, per_channel=True)
    assert one.effects == other.effects
    for name in ("scales", "voltages", "shifts"):
        a, b = getattr(one.settings, name), getattr(other.settings, name)
        assert list(a) == list(b)
        for label in a:
            np.testing.assert_allclose(a[label], b[label], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        one.predict(data)[:, 0], other.predict(data[:, 0]), atol=1e-6
    )
    np.testing.assert_array_equal(
        one.accuracy(data, labels[:, None]), other.accuracy(data[:, 0], labels)
    )


@pytest.mark.slow
def test_activations_of_all_time_steps_count():
    """Percentiles and means are those of the model on the same vectors, unordered."""
    model, data = images(), sequences(6, 5, 2, examples=70)
    subject = calibrate(temporal(model), data, n_steps=4, **QUICK).subject
    reference = subject.measure([data], 98, per_channel=True, mean_examples=50)
    inside = model.get_layer("wrapped").layer.get_layer("inside")
    pooled = keras.Model(model.inputs, model.get_layer("wrapped").input)
    values = {
        "relu": keras.Model(model.inputs, model.get_layer("relu").output),
        "wide": keras.Model(model.inputs, model.get_layer("wide").output),
    }
    values = {label: part.predict(data, verbose=0) for label, part in values.items()}
    frames = pooled.predict(data, verbose=0).reshape(-1, 3, 2, 4)
    values["wrapped/inside"] = np.asarray(inside(frames)).reshape(70, -1, 5)
    for label, value in values.items():
        rows = value.reshape(-1, value.shape[-1])
        means = value[:50].reshape(-1, value.shape[-1]).mean(axis=0)
        np.testing.assert_allclose(reference.means[label], means, rtol=1e-4)
        top = np.percentile(rows, 98, axis=0, method="inverted_cdf")
        np.testing.assert_allclose(
            reference.tops[label], top, atol=1.01 * rows.max() / BINS
        )


@pytest.mark.slow
def test_a_filter_follows_data_that_change_slowly():
    """With one step for each time step, as the network runs in a loop."""
    model, steps = dense(), 1500
    phases = RNG.uniform(0, 2 * np.pi, size=(4, 1, 8))
    times = np.linspace(0, 2 * np.pi, steps)[None, :, None]
    data = np.sin(times + phases).astype(np.float32)
    expected = model.predict(data, verbose=0)
    errors = {}
    converter = temporal(model, synapse=0.005)
    for readout in (Readout("filtered", synapse=0.005), "mean"):
        calibrated = calibrate(
            converter, data, n_steps=1, rate=1000, readout=readout, **QUICK
        )
        found = calibrated.predict(data)
        assert found.shape == expected.shape
        late = np.s_[:, 100:]  # the filter begins at zero
        errors[str(readout)] = np.sqrt(np.mean((found - expected)[late] ** 2))
    filtered, single = (error / np.std(expected) for error in errors.values())
    assert filtered < 0.1
    assert single > 1.5 * filtered


@pytest.mark.slow
def test_labels_of_each_time_step():
    model, data = images(), sequences(6, 5, 2)
    labels = model.predict(data, verbose=0).argmax(axis=-1)
    calibrated = calibrate(temporal(model), data, labels, n_steps=16)
    assert {effect.metric for effect in calibrated.effects} == {"accuracy"}
    right = calibrated.accuracy(data, labels)
    assert right.shape == (16,)
    found = calibrated.predict(data).argmax(axis=-1)
    assert right[-1] == pytest.approx(np.mean(found == labels))
    assert right[-1] > 0.9
    with pytest.raises(ValueError, match="40 examples of 7 time steps and 3 classes"):
        calibrate(temporal(model), data, labels[:, 0])


@pytest.mark.slow
def test_fine_tuning_compares_each_time_step():
    model, data = dense(), sequences(8)
    rough = {"n_steps": 4, "rate": 500, "bias": False}
    expected = model.predict(data, verbose=0)
    before, after = (
        calibrate(
            temporal(model),
            data,
            fine_tune=epochs,
            learning_rate=1e-3,
            minibatch_size=8,
            **rough,
            **QUICK,
        ).error(data, expected)[-1]
        for epochs in (0, 8)
    )
    assert after < 0.9 * before


def test_a_saved_network_is_temporal(tmp_path):
    model, data = images(), sequences(6, 5, 2)
    calibrated = calibrate(temporal(model), data, n_steps=8, **QUICK)
    again = load(calibrated.save(tmp_path / "network"))
    np.testing.assert_array_equal(again.predict(data), calibrated.predict(data))


def test_the_network_runs_as_it_is():
    """Each time step repeated, in one run without a reset."""
    model, data = dense(), sequences(8)
    calibrated = calibrate(temporal(model), data, n_steps=5, **QUICK)
    (node,), (probe,) = calibrated.inputs.values(), calibrated.outputs.values()
    with nengo_jax.Simulator(
        calibrated.net, minibatch_size=len(data), progress_bar=False
    ) as sim:
        sim.run_steps(5 * STEPS, {node: data.repeat(5, axis=1)})
        means = sim.data[probe].reshape(len(data), STEPS, 5, -1).mean(axis=2)
    np.testing.assert_allclose(calibrated.predict(data), means, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*TensorNode")
@pytest.mark.filterwarnings("ignore:.*has dt=")
@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (layers.LSTM(4, return_sequences=True, name="memory"), r"memory \(LSTM\)"),
        (nengo_jax.layers.Lowpass(0.1, name="slow"), r"slow \(Lowpass\)"),
        (
            nengo_jax.layers.SpikingActivation("relu", name="spikes"),
            r"spikes \(SpikingActivation\)",
        ),
    ],
    ids=["recurrent", "filter", "spikes"],
)
def test_layers_that_remember_are_refused(layer, named):
    model = keras.Sequential(
        [
            keras.Input((None, 8)),
            layers.Dense(4, activation="relu"),
            layer,
            layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match=f"{named} of this temporal model cannot be"):
        calibrate(temporal(model), sequences(8))


@pytest.mark.filterwarnings("ignore:.*TensorNode")
def test_a_recurrent_layer_inside_a_time_step_remembers_nothing():
    keras.utils.set_random_seed(0)
    whole = layers.TimeDistributed(layers.SimpleRNN(4), name="whole")
    model = keras.Sequential(
        [
            keras.Input((None, 3, 2)),
            whole,
            layers.Dense(16, activation="relu"),
            layers.Dense(2),
        ]
    )
    data = sequences(3, 2)
    calibrated = calibrate(temporal(model), data, n_steps=64, **QUICK)
    assert calibrated.error(data, model.predict(data, verbose=0))[-1] < 0.05


@pytest.mark.parametrize("kind", [SoftResetIntegrateAndFire, IntegrateAndFire])
def test_neurons_that_remember_are_refused(kind):
    """With what is wrong with them: silence after a negative current."""
    voltage, output = np.zeros(1), np.zeros(1)
    for current in (-5000.0, 900.0, 900.0):
        kind().step(0.001, np.array([current]), output, voltage)
    assert output == 0
    assert voltage < -1
    converter = temporal(dense(), swap_activations={"relu": kind()})
    with pytest.raises(ValueError, match=f"{kind.__name__} neurons, as in second"):
        calibrate(converter, sequences(8))


@pytest.mark.parametrize("kind", [nengo.AdaptiveLIF, nengo.Izhikevich])
@pytest.mark.filterwarnings("ignore:.*not proportional")
def test_neurons_that_adapt_are_refused(kind):
    converter = temporal(dense(), swap_activations={"relu": kind()})
    with pytest.raises(ValueError, match=f"{kind.__name__} neurons, as in second.*ada"):
        calibrate(converter, sequences(8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((4, 8)), r"\(None, None, 8\).*or of time steps"),
        (np.zeros((4, 3, 7)), r"\(None, None, 8\).*or of time steps"),
        (np.zeros((4, 0, 8)), "no examples or no time steps"),
    ],
    ids=["no steps", "wrong size", "empty"],
)
def test_data_that_do_not_fit(data, message):
    with pytest.raises(ValueError, match=message):
        calibrate(temporal(dense()), data)


def test_a_delayed_mean_needs_several_steps():
    with pytest.raises(ValueError, match="only 1 steps"):
        calibrate(temporal(dense()), sequences(8), n_steps=1, readout="delayed")
