"""ModelEnergy: published figures, formulas, rates against Keras, and bad input."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from nengo_jax import layers as nl
from nengo_jax.energy import DEVICES, INT8, ModelEnergy
from nengo_jax.energy.layer_table import LAYERS


@pytest.fixture(autouse=True)
def _tables_stay(monkeypatch):
    """What a test registers is forgotten."""
    monkeypatch.setattr(ModelEnergy, "devices", dict(DEVICES))
    monkeypatch.setattr(ModelEnergy, "rules", dict(LAYERS))


def dense_model(activation="relu"):
    return keras.Sequential([keras.Input((784,)), kl.Dense(128, activation=activation)])


def spiking_model(steps=None):
    x = inputs = keras.Input((steps, 6))
    x = kl.Dense(4, name="first", kernel_initializer="ones")(x)
    x = nl.SpikingActivation("relu", name="spikes", seed=0)(x)
    return keras.Model(inputs, kl.Dense(3, name="second")(x))


def test_reference_figure_of_a_dense_layer():
    energy = ModelEnergy(dense_model())
    parts = energy.layer_energy(energy.model.layers[0], "cpu")
    assert parts["synop_energy"] == pytest.approx(8.6e-9 * 100352)
    assert parts["neuron_energy"] == pytest.approx(8.6e-9 * 128)
    assert energy.total_energy("cpu") == pytest.approx(8.64e-4, rel=1e-3)


def test_reference_figure_of_a_registered_device():
    ModelEnergy.register_device("mine", 1e-10, 2e-9, False)
    energy = ModelEnergy(dense_model())
    assert energy.total_energy("mine") == pytest.approx(1.03e-5, rel=2e-3)


def test_reference_figure_of_a_registered_layer():
    @ModelEnergy.register_layer(kl.UpSampling2D)
    def count(layer, node):
        return {"connections": int(np.prod(node.output_shapes[1:]))}

    assert count is ModelEnergy.rules[kl.UpSampling2D]
    model = keras.Sequential([keras.Input((4, 4, 3)), kl.UpSampling2D(2)])
    energy = ModelEnergy(model)
    assert energy.total_energy("cpu") == pytest.approx(192 * 8.6e-9)
    ModelEnergy.rules = dict(LAYERS)  # the same without the rule
    assert ModelEnergy(model).total_energy("cpu") == pytest.approx(192 * 8.6e-9)


def test_a_linear_layer_has_no_neurons():
    energy = ModelEnergy(dense_model(None))
    assert energy.total_energy("cpu") == pytest.approx(8.6e-9 * 100352)


@pytest.mark.parametrize("steps", [1, 8])
@pytest.mark.parametrize("device", DEVICES)
def test_formulas(device, steps):
    rate, dt = 20.0, 0.002
    energy = ModelEnergy(dense_model(), np.full((3, 784), rate))
    synop, neuron = DEVICES[device].energy_per_synop, DEVICES[device].energy_per_neuron
    if DEVICES[device].spiking:
        expected = synop * 100352 * rate * dt * steps + neuron * 128 * steps
    else:
        expected = synop * 100352 + neuron * 128
    assert energy.total_energy(device, steps, dt) == pytest.approx(expected)


def test_default_dt(monkeypatch):
    energy = ModelEnergy(dense_model(), np.full((3, 784), 20.0))
    fine = energy.layer_energy(energy.model.layers[0], "loihi")["synop_energy"]
    monkeypatch.setattr(nl.default, "_dt", 0.01)
    coarse = energy.layer_energy(energy.model.layers[0], "loihi")["synop_energy"]
    assert coarse == pytest.approx(10 * fine)


def test_rates_are_those_of_keras():
    """All inputs of layers, in nested models too, and with more than one batch."""
    inner = keras.Sequential(
        [keras.Input((None, None, 2)), kl.Conv2D(3, 2), kl.ReLU(), kl.MaxPooling2D(2)]
    )
    first, second = keras.Input((5, 5, 2)), keras.Input((5, 5, 2))
    shared = inner(first)
    merged = kl.Subtract()([shared, inner(second)])
    model = keras.Model([first, second], kl.Dense(2)(kl.Flatten()(merged)))
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(40, 5, 5, 2)).astype("float32") for _ in range(2)]
    table = ModelEnergy(model, data)._rates

    conv, relu, pool = inner.layers
    expected = []
    for array in data:
        x = array
        for layer in (conv, relu, pool):
            expected.append(np.abs(x).mean())
            x = np.asarray(layer(x))
    both = np.stack([np.asarray(inner(array)) for array in data])
    difference = np.abs(both[0] - both[1]).mean()
    expected += [np.abs(both).mean(), difference, difference]
    # the two calls of the inner model may come in either order
    assert sorted(table) == pytest.approx(sorted(expected), rel=1e-4)


def test_energy_of_spikes():
    model = spiking_model()
    energy = ModelEnergy(model, np.full((2, 50, 6), 20.0))
    # six inputs of 20 Hz and weights of one are 120 Hz: 0.12 spikes a step, 6 in all
    rate = energy._rates[-1]
    assert rate == pytest.approx(120, abs=1 / 0.05)
    parts = energy.layer_energy(model.get_layer("second"), "loihi", 50)
    assert parts["synop_energy"] == pytest.approx(27.1e-12 * 12 * rate * 0.001 * 50)
    parts = energy.layer_energy(model.get_layer("spikes"), "loihi", 50)
    assert parts == {"synop_energy": 0, "neuron_energy": pytest.approx(81e-12 * 4 * 50)}


def test_energy_of_inputs_that_are_repeated():
    """60 products see spikes of 100 Hz each, and those of 0.5 Hz, which are 5."""
    wide, narrow = keras.Input((3, 4, 5)), keras.Input((1, 1, 5))
    model = keras.Model([wide, narrow], kl.Multiply()([wide, narrow]))
    data = [np.full((2, 3, 4, 5), 100.0), np.full((2, 1, 1, 5), 0.5)]
    energy = ModelEnergy(model, data)
    expected = 27.1e-12 * (60 * 100 + 60 * 0.5) * 0.001 * 10
    assert energy.total_energy("loihi", 10) == pytest.approx(expected)


def test_a_known_number_of_steps_is_taken():
    data = np.full((2, 50, 6), 20.0)
    fixed = ModelEnergy(spiking_model(50), data).total_energy("loihi")
    free = ModelEnergy(spiking_model(), data).total_energy("loihi", 50)
    assert fixed == pytest.approx(free)


def test_rates_of_a_reused_layer_are_added():
    dense = kl.Dense(5, activation="relu", kernel_initializer="ones")
    inputs = keras.Input((5,))
    model = keras.Model(inputs, dense(dense(inputs)))
    energy = ModelEnergy(model, np.full((1, 5), 1.0))
    # the first use sees 1, the second one five times that
    for device, active, times in [("cpu", 2, 2), ("loihi", 6 * 0.001, 2)]:
        parts = energy.layer_energy(dense, device)
        prices = DEVICES[device]
        expected = prices.energy_per_synop * 25 * active
        assert parts["synop_energy"] == pytest.approx(expected)
        neurons = prices.energy_per_neuron * 5 * times
        assert parts["neuron_energy"] == pytest.approx(neurons)
    text = energy.summary_string(["name", "connections", "neurons", "rate"])
    assert text.splitlines()[4].split() == [dense.name, "25", "10", "6"]


def test_uses_in_two_models_stay_apart():
    dense = kl.Dense(5)
    first = keras.Sequential([keras.Input((5,)), dense])
    keras.Sequential([keras.Input((5,)), dense, dense])
    assert ModelEnergy(first).total_energy("cpu") == pytest.approx(25 * 8.6e-9)


def test_time_distributed_models():
    inner = keras.Sequential(
        [keras.Input((4,)), kl.Dense(3, activation="relu"), kl.Dense(2)]
    )
    plain = ModelEnergy(inner, np.ones((3, 4)))
    for steps, times in [(None, 1), (7, 7)]:
        layer = kl.TimeDistributed(inner)
        inputs = keras.Input((steps, 4))
        model = keras.Model(inputs, layer(inputs))
        energy = ModelEnergy(model, np.ones((3, 7, 4)))
        for device in ("cpu", "loihi"):
            expected = times * plain.total_energy(device)
            assert energy.total_energy(device) == pytest.approx(expected)
            parts = energy.layer_energy(layer, device)
            assert sum(parts.values()) == pytest.approx(expected)
        assert energy.compare().workload.spiking_connections == 6 * times


def test_inputs_by_name():
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((3,), name="b")}
    model = keras.Model(inputs, kl.Dense(2)(kl.Subtract()([inputs["a"], inputs["b"]])))
    energy = ModelEnergy(model, {"b": np.ones((2, 3)), "a": np.full((2, 3), 3.0)})
    assert energy._rates == pytest.approx([2, 2])


def test_nothing_of_the_model_changes():
    inputs = keras.Input(batch_shape=(2, 5, 3))
    model = keras.Model(inputs, kl.LSTM(4, stateful=True)(inputs))
    before = [np.array(variable) for variable in model.variables]
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    ModelEnergy(model, np.ones((2, 5, 3))).total_energy("loihi")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes


def test_comparison_counts_what_spikes_drive():
    energy = ModelEnergy(spiking_model(), np.full((2, 50, 6), 20.0))
    both = energy.compare(50)
    work = both.workload
    assert (work.n_steps, work.dt) == (50, 0.001)
    assert work.held_connections == 24
    assert work.spiking_connections == 12
    assert work.neurons == 4
    assert work.spikes_per_step == pytest.approx(energy._rates[-1] * 0.001)
    expected = 24 * INT8.value_operation + 50 * (
        12 * work.spikes_per_step * INT8.synaptic_operation + 4 * INT8.neuron_update
    )
    assert both.spiking == pytest.approx(expected)


def test_comparison_without_data_tells_the_crossover():
    hidden = kl.Dense(128, activation="relu")
    model = keras.Sequential([keras.Input((784,)), hidden, kl.Dense(200)])
    both = ModelEnergy(model).compare(5)
    assert both.spiking is None
    assert both.spiking_at(both.crossover) == pytest.approx(both.quantised)
    assert 0.02 < both.crossover < 0.0835


def test_comparison_with_spiking_input():
    model = dense_model()
    assert ModelEnergy(model).compare(5).crossover is None
    both = ModelEnergy(model, spiking_input=True).compare(5)
    assert both.workload.spiking_connections == 100352
    assert both.crossover == pytest.approx(0.083, abs=0.001)


def test_layers_that_work_in_every_step():
    x = inputs = keras.Input((None, 3))
    x = nl.SpikingActivation("relu")(kl.Dense(4)(x))
    model = keras.Model(inputs, nl.Lowpass(0.1)(x))
    energy = ModelEnergy(model, np.zeros((1, 4, 3)))
    work = energy.compare(10).workload
    assert (work.spiking_connections, work.value_connections) == (0, 8)
    parts = energy.layer_energy(model.layers[-1], "loihi", 10)
    assert parts["synop_energy"] == pytest.approx(27.1e-12 * 8 * 10)


def test_summary():
    text = ModelEnergy(spiking_model(), np.full((2, 50, 6), 20.0)).summary_string(
        timesteps_per_inference=50
    )
    lines = text.splitlines()
    header = "Layer Output shape Params Connections Neurons cpu [J] loihi [J]"
    assert " ".join(lines[2].split()) == header
    assert lines[4].split()[:1] == ["first"]
    assert lines[4].split()[-5:-2] == ["28", "24", "0"]
    assert lines[8].split()[:4] == ["Total", "43", "36", "4"]
    assert "as spikes, 50 steps:" in text
    assert "the same network without spikes:" in text
    assert "Spikes cost more at any firing rate" in text
    assert "These are estimates" in text
    assert "do not spike" not in text  # all neurons of this model spike
    assert max(map(len, lines)) <= 98


def test_summary_of_a_model_that_does_not_spike(capsys):
    model = keras.Sequential(
        [
            keras.Input((20,)),
            kl.Dense(30, activation="relu", name="hidden"),
            kl.Dense(9),
        ]
    )
    energy = ModelEnergy(model)
    energy.summary(timesteps_per_inference=2)
    printed = capsys.readouterr().out
    assert "needs example_data" in printed
    assert "the rate of this network is not known" in " ".join(printed.split())
    assert "do not spike" not in printed  # nothing is said of spikes
    energy = ModelEnergy(model, np.ones((1, 20)))
    for columns in (["name", "energy loihi"], ["name"]):
        energy.summary(columns)
        assert "do not spike" in capsys.readouterr().out
    energy.summary(["name", "energy loihi"], print_warnings=False)
    printed = capsys.readouterr().out
    assert "do not spike" not in printed
    assert "These are estimates" not in printed
    assert "the same network without spikes" in printed


def test_columns():
    energy = ModelEnergy(spiking_model(), np.full((2, 50, 6), 20.0))
    columns = ["name", "rate", "synop_energy gpu", "neuron_energy gpu", "energy gpu"]
    lines = energy.summary_string(columns, line_length=80).splitlines()
    name, rate, synapses, neurons, both = lines[4].split()
    assert (name, rate) == ("first", "20")
    assert float(synapses) == pytest.approx(24 * 0.3e-9)
    assert (float(neurons), float(both)) == (0, float(synapses))
    assert lines[8].split()[-1] == f"{40 * 0.3e-9:.2e}"
    without = ModelEnergy(energy.model).summary_string(["name", "rate"]).splitlines()
    assert without[4].split() == ["first", "-"]


def test_long_names_are_cut():
    name = "a_very_long_name_" * 8
    model = keras.Sequential([keras.Input((3,)), kl.Dense(2, name=name)])
    lines = ModelEnergy(model).summary_string(line_length=80).splitlines()
    assert len(lines[4]) <= 80
    assert lines[4].startswith("..")


@pytest.mark.parametrize("column", ["joule", "energy", "energy tpu", "rate cpu"])
def test_unknown_columns(column):
    with pytest.raises(ValueError, match=f"There is no column '{column}'"):
        ModelEnergy(dense_model()).summary_string(["name", column])


def test_unknown_device():
    with pytest.raises(ValueError, match="no device 'tpu'"):
        ModelEnergy(dense_model()).total_energy("tpu")


def test_spiking_devices_need_data():
    energy = ModelEnergy(dense_model())
    with pytest.raises(ValueError, match="example_data"):
        energy.total_energy("loihi")
    with pytest.raises(ValueError, match="example_data"):
        energy.summary_string(["energy loihi"])


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "3"])
def test_steps_are_counted(steps):
    with pytest.raises(ValueError, match="timesteps_per_inference must be a whole"):
        ModelEnergy(dense_model()).total_energy("cpu", steps)


@pytest.mark.parametrize("dt", [0, -0.001, float("nan"), "1"])
def test_dt_is_positive(dt):
    with pytest.raises(ValueError, match="positive"):
        ModelEnergy(dense_model()).total_energy("cpu", dt=dt)


def test_layers_of_other_models():
    with pytest.raises(ValueError, match="'other' is not part of the model"):
        ModelEnergy(dense_model()).layer_energy(kl.Dense(3, name="other"), "cpu")


def test_unknown_layers_are_named():
    class Strange(kl.Layer):
        def call(self, x):
            return x

    x = inputs = keras.Input((3,))
    model = keras.Model(inputs, kl.Dense(2)(keras.ops.sort(Strange(name="odd")(x))))
    with pytest.warns(
        UserWarning, match=r"odd \(Strange\), sort\S* \(Sort\)"
    ) as caught:
        energy = ModelEnergy(model)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert energy.total_energy("cpu") == pytest.approx(6 * 8.6e-9)
    with pytest.warns(UserWarning, match="odd"):
        stats = ModelEnergy.compute_layer_stats(
            model.get_layer("odd"), model.get_layer("odd")._inbound_nodes[0]
        )
    assert stats["connections"] == 0


def test_rules_that_return_something_else():
    @ModelEnergy.register_layer(kl.Dense)
    def count(layer, node):
        return {"synapses": 3}

    with pytest.raises(TypeError, match="The rule for Dense must return a dictionary"):
        ModelEnergy(dense_model())
    with pytest.raises(TypeError, match="class of a layer, not 'Dense'"):
        ModelEnergy.register_layer("Dense")


def test_models_without_a_graph():
    class Sub(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="is a subclass of"):
        ModelEnergy(Sub())
    with pytest.raises(ValueError, match="has not been built"):
        ModelEnergy(keras.Sequential([kl.Dense(3)]))
    with pytest.raises(TypeError, match="not Dense"):
        ModelEnergy(kl.Dense(3))


def test_open_shapes():
    model = keras.Sequential([keras.Input((None, None, 3)), kl.Conv2D(2, 3)])
    with pytest.raises(ValueError, match=r"'conv.*' works on shape .* fixed shape"):
        ModelEnergy(model)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((2, 783)), r"has shape \(2, 783\), but the model takes \(None, 784\)"),
        (np.ones(784), r"has shape \(784,\)"),
        (np.ones((0, 784)), "at least one example"),
        (np.full((1, 784), np.nan), "not all finite"),
        (np.full((1, 784), "a"), "must be numbers"),
        ({"x": np.ones((1, 784))}, r"has the names \['x'\]"),
    ],
)
def test_wrong_data(data, message):
    with pytest.raises(ValueError, match=message):
        ModelEnergy(dense_model(), data)


def test_wrong_number_of_inputs():
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], kl.Add()([a, b]))
    with pytest.raises(ValueError, match=r"has 2 inputs .* but example_data has 1"):
        ModelEnergy(model, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"numbers of examples: \[2, 4\]"):
        ModelEnergy(model, [np.ones((2, 3)), np.ones((4, 3))])


PUBLISHED = [
    ("MobileNetV2", 300e6),  # Sandler et al. (2018), table 4
    ("ResNet50", 3.8e9),  # He et al. (2016), table 1
    ("EfficientNetB0", 0.39e9),  # Tan and Le (2019), table 2
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), PUBLISHED)
def test_published_numbers_of_multiplications(name, expected):
    model = getattr(keras.applications, name)(weights=None)
    ModelEnergy.register_device("count", 1, 0, False)
    energy = ModelEnergy(model)  # all layers are known: a warning would be an error
    products = (kl.Conv2D, kl.DepthwiseConv2D, kl.Dense)
    total = sum(
        energy.layer_energy(layer, "count")["synop_energy"]
        for layer in model.layers
        if isinstance(layer, products)
    )
    assert total == pytest.approx(expected, rel=0.03)
