"""Training, evaluation and prediction by Keras' own methods on the Simulator."""

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.exceptions import (
    BuildError,
    ConfigError,
    SimulationError,
    ValidationError,
)

import nengo_jax

STEPS = 5
RATE = 2.0**-14  # exact in the single precision in which Keras keeps it


def rate_network(**settings):
    """Two inputs, an ensemble with feedback, two probes."""
    with nengo.Network(seed=2) as network:
        nengo_jax.configure_settings(**settings)
        network.a = nengo.Node([0.1, 0.2], label="a")
        network.b = nengo.Node([0.3])
        network.ensemble = nengo.Ensemble(12, 2, neuron_type=nengo.Sigmoid())
        network.out = nengo.Node(size_in=1, label="out")
        nengo.Connection(network.a, network.ensemble, synapse=None)
        nengo.Connection(network.b, network.ensemble[0], synapse=None)
        nengo.Connection(network.ensemble, network.ensemble[1], synapse=0, function=sum)
        network.decoded = nengo.Connection(
            network.ensemble, network.out, synapse=0.005, function=lambda x: x[0] ** 2
        )
        network.p = nengo.Probe(network.out, label="p")
        network.q = nengo.Probe(network.ensemble.neurons)
    return network


def simulator(network, **options):
    options = {"minibatch_size": 4, "dtype": "float64", **options}
    return nengo_jax.Simulator(network, progress_bar=False, **options)


@pytest.fixture(scope="module")
def network():
    return rate_network()


@pytest.fixture
def data():
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (10, STEPS, 2))
    return x, rng.uniform(0, 1, (10, STEPS, 1))


def test_predict_is_a_run(network, data):
    x, _ = data
    with simulator(network) as sim:
        outputs = sim.predict({network.a: x}, verbose=0)
        sim.run_steps(STEPS, data={network.a: x[:4]})
        for probe in (network.p, network.q):
            assert outputs[probe].shape == (10, STEPS, probe.size_in)
            assert_close(outputs[probe][:4], sim.data[probe])


def test_predict_changes_nothing_unless_stateful(network, data):
    x, _ = data
    with simulator(network) as sim:
        first = sim.predict_on_batch(x[:4])[network.p]
        assert_close(sim.predict_on_batch(x[:4])[network.p], first)
        assert sim.n_steps == 0
        kept = sim.predict_on_batch(x[:4], stateful=True)[network.p]
        assert sim.n_steps == STEPS
        on = sim.predict_on_batch(x[:4], stateful=True)[network.p]
        assert_close(kept, first)
        assert np.abs(on - first).max() > 1e-6
        sim.reset()
        twice = sim.predict_on_batch(np.concatenate([x[:4], x[:4]], axis=1))
    assert_close(twice[network.p], np.concatenate([first, on], axis=1))


def test_sgd_equals_plain_jax(data):
    """Three epochs of SGD give the parameters of a program written by hand."""
    x, y = data
    x, y = x[:4], y[:4]
    network = rate_network()
    with simulator(network) as sim:
        encoders, bias = (
            sim.signals[sim.model.sig[obj][key]].copy()
            for obj, key in (
                (network.ensemble, "encoders"),
                (network.ensemble.neurons, "bias"),
            )
        )
        feedback, decoders = (
            sim.signals[sim.model.sig[c]["weights"]].copy()
            for c in (network.connections[2], network.decoded)
        )
        sim.compile(keras.optimizers.SGD(RATE), loss={network.p: "mse"})
        sim.fit(x, {"p": y}, epochs=3, verbose=0)
        trained = [
            sim.signals[sim.model.sig[obj][key]]
            for obj, key in (
                (network.ensemble, "encoders"),
                (network.ensemble.neurons, "bias"),
                (network.connections[2], "weights"),
                (network.decoded, "weights"),
            )
        ]
    decay = np.exp(-0.001 / 0.005)

    def loss(params):
        encoders, bias, feedback, decoders = params

        def step(carry, now):
            fed_back, filtered = carry
            state = now + jnp.asarray([[0.3, 0]]) + fed_back * jnp.asarray([[0.0, 1]])
            rates = jax.nn.sigmoid(state @ encoders.T + bias[None]) / 0.0025
            filtered = decay * filtered + (1 - decay) * rates @ decoders.T
            return (rates @ feedback.T, filtered), carry[1]

        zero = jnp.zeros((4, 1))
        _, outputs = jax.lax.scan(step, (zero, zero), x.swapaxes(0, 1))
        return jnp.mean((outputs - y.swapaxes(0, 1)) ** 2)

    with jax.enable_x64(True):
        params = [jnp.asarray(v) for v in (encoders, bias, feedback, decoders)]
        for _ in range(3):
            gradient = jax.grad(loss)(params)
            params = [p - RATE * g for p, g in zip(params, gradient, strict=True)]
    for value, expected, start in zip(
        trained, params, (encoders, bias, feedback, decoders), strict=True
    ):
        # Keras works out the mean of a loss with a factor in single precision
        assert_close(value, expected, rtol=1e-7)
        assert np.abs(value - start).max() > 0


def test_last_batch_is_smaller(network, data):
    """Ten examples in batches of four: all of them count."""
    x, y = data
    with simulator(network) as sim:
        sim.compile(keras.optimizers.SGD(0.0), loss={network.p: "mse"})
        outputs = sim.predict(x, verbose=0)[network.p]
        losses = sim.evaluate(x, {network.p: y}, verbose=0)
        history = sim.fit(x, {network.p: y}, verbose=0)
    expected = np.mean((outputs - y) ** 2)
    assert set(losses) == {"loss", "p_loss"}
    assert losses["loss"] == pytest.approx(expected, rel=1e-6)
    assert history.history["loss"] == pytest.approx([expected], rel=1e-6)


def test_losses_metrics_and_weights_per_probe(data):
    x, y = data
    network = rate_network()
    rates = np.full((10, STEPS, 12), 100.0)
    with simulator(network) as sim:
        sim.compile(
            "sgd",
            loss={network.p: "mse", sim.get_name(network.q): "mae"},
            loss_weights={network.p: 2.0, network.q: 0.01},
            metrics={network.p: ["mae", "mse"]},
        )
        results = sim.evaluate(x, {"p": y, network.q: rates}, verbose=0)
        outputs = sim.predict(x, verbose=0)
    p = np.mean((outputs[network.p] - y) ** 2)
    q = np.mean(np.abs(outputs[network.q] - rates))
    assert results["p_loss"] == pytest.approx(p, rel=1e-6)
    assert results["probe_loss"] == pytest.approx(q, rel=1e-6)
    assert results["loss"] == pytest.approx(2 * p + 0.01 * q, rel=1e-6)
    mae = np.mean(np.abs(outputs[network.p] - y))
    assert results["p_mae"] == pytest.approx(mae, rel=1e-6)


def test_one_step_is_held(network, data):
    x, _ = data
    with simulator(network) as sim:
        held = sim.predict(x[:, :1], n_steps=STEPS, verbose=0)[network.p]
        tiled = sim.predict(np.tile(x[:, :1], (1, STEPS, 1)), verbose=0)[network.p]
    assert_close(held, tiled)


@pytest.mark.parametrize("form", ["array", "list", "by node", "by name"])
def test_forms_of_inputs(network, data, form):
    x, _ = data
    b = np.full((10, STEPS, 1), -0.4)
    forms = {
        "array": x,
        "list": [x, b],
        "by node": {network.a: x, network.b: b},
        "by name": {"a": x, "node": b},
    }
    with simulator(network) as sim:
        outputs = sim.predict(forms[form], verbose=0)[network.p]
        given = {network.a: x[:4]}
        if form != "array":
            given[network.b] = b[:4]
        sim.run_steps(STEPS, data=given)
        assert_close(outputs[:4], sim.data[network.p])


def test_own_values_of_inputs():
    """Functions and noise that are not given are as in a run."""
    with nengo.Network(seed=1) as network:
        nodes = [
            nengo.Node(lambda t: 100 * t),
            nengo.Node(nengo.processes.WhiteNoise()),
            nengo.Node(0.5),
        ]
        probes = [nengo.Probe(node) for node in nodes]
    with simulator(network) as sim:
        outputs = sim.predict(n_steps=STEPS, verbose=0)
        sim.run_steps(STEPS)
        for probe in probes:
            assert_close(outputs[probe], sim.data[probe])


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        here = slice(4 * index, 4 * index + 4)
        return self.x[here], {"p": self.y[here]}


def _generator(x, y):
    return (Batches(x, y)[k] for k in range(3))


class Loader:
    """Like a PyTorch loader: has a length, and can be iterated over again."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


@pytest.mark.parametrize("kind", ["dataset", "generator", "loader"])
def test_sources_of_batches(data, kind):
    x, y = data
    results = []
    for source in (kind, "arrays"):
        network = rate_network()
        with simulator(network) as sim:
            sim.compile(keras.optimizers.SGD(0.1), loss={network.p: "mse"})
            if source == "arrays":
                sim.fit(x, {"p": y}, shuffle=False, verbose=0)
            else:
                made = {
                    "dataset": Batches(x, y),
                    "generator": _generator(x, y),
                    "loader": Loader([Batches(x, y)[k] for k in range(3)]),
                }[source]
                options = {"steps_per_epoch": 3} if source == "generator" else {}
                sim.fit(made, shuffle=False, verbose=0, **options)
            results.append(sim.data[network.decoded].weights.copy())
    assert_close(results[0], results[1])


class Unsized:
    """Can be iterated over again and again, and does not know its length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


@pytest.mark.parametrize("kind", [Loader, Unsized])
def test_sources_in_several_epochs(data, kind):
    """All batches are seen once in each epoch, in training and in validation."""
    x, y = data
    batches = [Batches(x, y)[k] for k in range(3)]
    histories = []
    for source in (kind(batches), None):
        network = rate_network()
        with simulator(network) as sim:
            sim.compile(keras.optimizers.SGD(0.01), loss={network.p: "mse"})
            options = {"epochs": 3, "verbose": 0, "validation_data": source}
            if source is None:
                options |= {"validation_data": (x, {"p": y}), "shuffle": False}
                histories.append(sim.fit(x, {"p": y}, **options).history)
            else:
                histories.append(sim.fit(source, **options).history)
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values, rel=1e-6)


def test_a_source_that_is_too_short(data):
    x, y = data

    class Short(Loader):
        def __len__(self):
            return 5

    loader = Short([Batches(x, y)[k] for k in range(3)])
    network = rate_network()
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        with pytest.raises(ValidationError, match="only 3 batches, but promised 5"):
            sim.fit(loader, verbose=0)


def test_validation(data):
    x, y = data
    network = rate_network()
    with simulator(network) as sim:
        sim.compile(keras.optimizers.SGD(0.0), loss={network.p: "mse"})
        split = sim.fit(x, {"p": y}, validation_split=0.3, verbose=0).history
        given = sim.fit(
            x, {"p": y}, validation_data=(x[7:], {"p": y[7:]}), verbose=0
        ).history
        expected = sim.evaluate(x[7:], {"p": y[7:]}, verbose=0)["loss"]
    assert split["val_loss"] == pytest.approx([expected], rel=1e-6)
    assert given["val_loss"] == pytest.approx([expected], rel=1e-6)


def test_online_rules_beside_backpropagation(data):
    """PES changes its own decoders in runs; training changes the others."""
    x, y = data
    with nengo.Network(seed=1) as network:
        nengo_jax.configure_settings(online_rules=False)
        a = nengo.Node([0.0, 0.0])
        ensemble = nengo.Ensemble(20, 2, neuron_type=nengo.LIFRate())
        out, learned_out = nengo.Node(size_in=1), nengo.Node(size_in=1)
        nengo.Connection(a, ensemble, synapse=None)
        fixed = nengo.Connection(ensemble, out, function=sum, synapse=None)
        learned = nengo.Connection(
            ensemble,
            learned_out,
            function=lambda x: 0,
            learning_rule_type=nengo.PES(),
            synapse=None,
        )
        nengo.Connection(learned_out, learned.learning_rule, synapse=None)
        nengo.Connection(nengo.Node([-1]), learned.learning_rule, synapse=None)
        p = nengo.Probe(out)
        nengo.Probe(learned_out)
    with simulator(network) as sim:
        weights = sim.signals[sim.model.sig[learned]["weights"]]
        sim.compile(keras.optimizers.SGD(RATE), loss={p: "mse"})
        before = sim.data[fixed].weights.copy()
        sim.fit(x, {p: y}, verbose=0)
        assert np.all(weights == 0)
        assert np.abs(sim.data[fixed].weights - before).max() > 0
        sim.predict(x, verbose=0)  # stateless: what rules learn is forgotten
        assert np.all(weights == 0)
        after = sim.data[fixed].weights.copy()
        sim.run_steps(STEPS)
        assert np.abs(weights).max() > 0
        assert_close(sim.data[fixed].weights, after)


def test_rules_act_if_wanted(data):
    """With rules that act, a longer call sees what was learned earlier in it."""
    outputs = {}
    for acts in (True, False):
        with nengo.Network(seed=1) as network:
            nengo_jax.configure_settings(online_rules=acts, learning_phase=True)
            ensemble = nengo.Ensemble(20, 1, neuron_type=nengo.LIFRate())
            out = nengo.Node(size_in=1)
            learned = nengo.Connection(
                ensemble, out, learning_rule_type=nengo.PES(0.01), synapse=None
            )
            nengo.Connection(nengo.Node([1]), learned.learning_rule, synapse=None)
            p = nengo.Probe(out)
        with simulator(network) as sim:
            outputs[acts] = sim.predict(n_steps=20, verbose=0)[p]
    assert np.ptp(outputs[False][0]) < 1e-12
    assert np.ptp(outputs[True][0]) > 1e-3


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        ("nothing", None, {"bias", "encoders", "weights"}),
        ("type", False, {"weights"}),
        ("instance", False, {"weights"}),
        ("neurons", False, {"encoders", "weights"}),
        ("connections", False, {"bias", "encoders"}),
    ],
)
def test_trainable(where, value, expected):
    network = rate_network(trainable=None)
    config = network.config
    if where == "type":
        config[nengo.Ensemble].trainable = value
    elif where == "instance":
        config[network.ensemble].trainable = value
    elif where == "neurons":
        config[nengo.ensemble.Neurons].trainable = value
    elif where == "connections":
        config[nengo.Connection].trainable = value
    net_names = {name.split("/")[1] for name in nengo_jax.functional(network).params}
    assert net_names == expected


def test_inner_networks_come_first():
    with nengo.Network() as network:
        nengo_jax.configure_settings(trainable=False)
        with nengo.Network(label="inner") as inner:
            nengo_jax.configure_settings(trainable=True)
            a, b = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
            nengo.Connection(a, b)
            nengo.Probe(b)
        nengo.Connection(b, nengo.Ensemble(5, 1))
    inner.config[a].trainable = False
    names = set(nengo_jax.functional(network).params)
    assert names == {
        "inner.Ensemble1/encoders",
        "inner.Ensemble1/bias",
        "inner.Connection0/weights",
    }


def test_keep_history(data):
    x, _ = data
    network = rate_network(keep_history=True)
    network.config[network.q].keep_history = False
    with simulator(network) as sim:
        outputs = sim.predict(x, verbose=0)
    assert outputs[network.p].shape == (10, STEPS, 1)
    assert outputs[network.q].shape == (10, 1, 12)


def test_gradients_are_checked(network, data):
    x, _ = data
    with simulator(network, dtype="float32") as sim:
        result = sim.check_gradients({network.a: x[:1]}, outputs=[network.p])
    assert set(result) == {network.p}
    assert result[network.p]["analytic"].shape == (STEPS, STEPS * 2)
    assert np.abs(result[network.p]["numeric"]).max() > 1e-3


def test_gradients_of_surrogates_cannot_be_checked():
    network = rate_network(training="surrogate")
    with simulator(network) as sim, pytest.raises(SimulationError, match="on purpose"):
        sim.check_gradients()


def test_training_in_single_precision_of_spikes(data):
    """Spiking neurons learn a product in surrogate mode."""
    with nengo.Network(seed=1) as network:
        nengo_jax.configure_settings(training="surrogate")
        a = nengo.Node([0.0, 0.0])
        ensemble = nengo.Ensemble(50, 2, max_rates=nengo.dists.Choice([200]))
        out = nengo.Node(size_in=1)
        nengo.Connection(a, ensemble, synapse=None)
        nengo.Connection(ensemble, out, function=lambda x: 0)
        nengo.Probe(out, synapse=0.01)
    x = np.random.RandomState(1).uniform(-1, 1, (32, 1, 2))
    y = np.tile(np.prod(x, axis=-1, keepdims=True), (1, 40, 1))
    with simulator(network, minibatch_size=16, dtype="float32") as sim:
        sim.compile(keras.optimizers.Adam(3e-4), loss="mse")
        losses = sim.fit(x, y, n_steps=40, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_training_goes_on_from_a_file(data, tmp_path):
    """Two epochs and two more after loading are four epochs."""
    x, y = data
    weights = []
    for parts in ((4,), (2, 2)):
        path = tmp_path / f"{len(parts)}.safetensors"
        for part, epochs in enumerate(parts):
            network = rate_network()
            with simulator(network) as sim:
                sim.compile(keras.optimizers.Adam(1e-3), loss={network.p: "mse"})
                if part:
                    sim.load_params(path, include_optimizer=True)
                sim.fit(x, {"p": y}, epochs=epochs, shuffle=False, verbose=0)
                sim.save_params(path, include_optimizer=True)
        weights.append(sim.data[network.decoded].weights)
    assert np.array_equal(*weights)
    with simulator(rate_network()) as sim:
        sim.compile("sgd", loss="mse")
        decoded = sim.model.toplevel.decoded
        initial = sim.data[decoded].weights.copy()
        with pytest.raises(SimulationError, match="not that of this optimizer"):
            sim.load_params(path, include_optimizer=True)
        assert_close(sim.data[decoded].weights, initial)


def test_trained_network_runs_in_nengo(data):
    """What was trained, frozen, gives the same in nengo.Simulator."""
    x, y = data
    network = rate_network()
    with simulator(network) as sim:
        sim.compile(keras.optimizers.Adam(1e-2), loss={network.p: "mse"})
        before = sim.predict(x, verbose=0)[network.p][0]
        sim.fit(x, {"p": y}, epochs=3, verbose=0)
        expected = sim.predict(x, verbose=0)[network.p][0]
        sim.freeze_params(network)
    network.a.output = nengo.processes.PresentInput(x[0], 0.001)
    with nengo.Simulator(network, progress_bar=False) as reference:
        reference.run_steps(STEPS)
    assert_close(reference.data[network.p], expected)
    assert np.abs(expected - before).max() > 1e-4


BAD = [
    (lambda x, y: ({"nothing": x}, {"p": y}), "no input node"),
    (lambda x, y: (x[..., :1], {"p": y}), "last axis should be 2"),
    (lambda x, y: (x[:, 0], {"p": y}), "three axes"),
    (lambda x, y: ([x, y[:3]], {"p": y}), "number of examples"),
    (lambda x, y: ([x, y[:, :3]], {"p": y}), "number of steps"),
    (lambda x, y: ([x, y, y], {"p": y}), "3 values for 2 objects"),
    (lambda x, y: (x.astype(str), {"p": y}), "must be numbers"),
    (lambda x, y: (x * np.nan, {"p": y}), "NaN or infinite"),
    (lambda x, y: (x[:0], {"p": y}), "no values"),
    (lambda x, y: (x, {"p": y[:3]}), "has 3 examples"),
    (lambda x, y: (x, {"q": y}), "no probe of this network"),
    (lambda x, y: (x, {"probe": y}), "metric for p, but no target"),
    (lambda x, y: (x, {"p": y[:, 0]}), "three axes"),
    (lambda x, y: (x, {"p": np.tile(y, (1, 1, 3))}), "size 1"),
    (lambda x, y: (x, {"p": y[:, :2]}), "steps"),
]


@pytest.mark.parametrize(("spoil", "match"), BAD, ids=[match for _, match in BAD])
def test_bad_data(network, data, spoil, match):
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        x, y = spoil(*data)
        with pytest.raises(ValidationError, match=match):
            sim.fit(x, y, verbose=0)


def test_nan_is_named(data):
    x, y = data
    network = rate_network()
    y[5:] = np.nan
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        with pytest.raises(
            SimulationError, match="loss of p is nan in epoch 1, batch 2"
        ):
            sim.fit(x, {"p": y}, shuffle=False, verbose=0)


def test_other_batch_size(network, data):
    x, y = data
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        with pytest.raises(ValidationError, match="minibatch_size"):
            sim.fit(x, {"p": y}, batch_size=5)
        with pytest.raises(ValidationError, match="10 examples"):
            sim.predict_on_batch(x)
        with pytest.raises(ValidationError, match="n_steps"):
            sim.predict(x, n_steps=0)


def test_unknown_probe(network):
    other = rate_network()
    with simulator(network) as sim:
        with pytest.raises(ValidationError, match="no probe of this network"):
            sim.compile("sgd", loss={other.p: "mse"})
        with pytest.raises(ValidationError, match="no input node or probe"):
            sim.get_name(other.p)


def test_without_probes():
    with nengo.Network() as network:
        nengo.Ensemble(5, 1)
    with simulator(network) as sim, pytest.raises(ValidationError, match="no probes"):
        sim.compile("sgd", loss="mse")


def test_inference_only(data):
    x, y = data
    network = rate_network(inference_only=True)
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        sim.evaluate(x, {"p": y}, verbose=0)
        with pytest.raises(SimulationError, match="inference_only"):
            sim.fit(x, {"p": y})


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"planner": 1}, ConfigError, "one planner"),
        ({"use_loop": False}, ConfigError, "compiled loop"),
        ({"unknown": 1}, ConfigError, "not an option"),
        ({"training": "magic"}, ValidationError, "'rate' or 'surrogate'"),
        ({"lif_smoothing": -1}, ValidationError, "positive"),
        ({"truncation": 0}, ValidationError, "number of steps"),
        ({"surrogate": 3}, ValidationError, "function of the distance"),
        ({"surrogate": lambda x: np.exp(-np.abs(x))}, ValidationError, "jax.numpy"),
        ({"surrogate": lambda x: x.sum()}, ValidationError, "array of the shape"),
    ],
)
def test_bad_settings(settings, error, match):
    with nengo.Network(), pytest.raises(error, match=match):
        nengo_jax.configure_settings(**settings)


def test_settings_need_a_network():
    with pytest.raises(nengo.exceptions.NetworkContextError, match="inside a network"):
        nengo_jax.configure_settings(trainable=True)


def test_neurons_without_a_rate_form_can_be_looked_at(data):
    x, y = data
    with nengo.Network(seed=1) as network:
        source = nengo.Node([0.0, 0.0])
        ensemble = nengo.Ensemble(10, 2, neuron_type=nengo.Izhikevich())
        nengo.Connection(source, ensemble)
        probe = nengo.Probe(ensemble[0], synapse=0.01)
    with simulator(network) as sim:
        sim.compile("sgd", loss="mse")
        outputs = sim.predict(x, verbose=0)[probe]
        found = sim.evaluate(x, y, verbose=0)
        with pytest.raises(BuildError, match=r"Izhikevich.*training='surrogate'"):
            sim.fit(x, y, verbose=0)
        sim.run_steps(STEPS, data={source: x[:4]})
        assert_close(outputs[:4], sim.data[probe])
    assert found["loss"] == pytest.approx(np.mean((outputs - y) ** 2), rel=1e-6)


def test_names_with_one_target(network, data):
    """Losses and metrics have the name of their probe, however many there are."""
    x, y = data
    with simulator(network) as sim:
        sim.compile(
            "sgd", loss={network.p: "mse"}, loss_weights={"p": 3.0}, metrics=["mae"]
        )
        outputs = sim.predict(x, verbose=0)[network.p]
        found = sim.evaluate(x, {"p": y}, verbose=0)
        history = sim.fit(x, {"p": y}, validation_data=(x, {"p": y}), verbose=0)
    expected = np.mean((outputs - y) ** 2)
    assert set(found) == {"loss", "p_loss", "p_mae"}
    assert found["p_loss"] == pytest.approx(expected, rel=1e-6)
    assert found["loss"] == pytest.approx(3 * expected, rel=1e-6)
    assert found["p_mae"] == pytest.approx(np.mean(np.abs(outputs - y)), rel=1e-6)
    assert {"p_loss", "val_p_loss", "val_p_mae"} < set(history.history)


def test_metrics_of_a_probe_without_loss(network, data):
    x, y = data
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"}, metrics={network.q: "mae"})
        rates = sim.predict(x, verbose=0)[network.q]
        found = sim.evaluate(x, {"p": y, network.q: 0 * rates}, verbose=0)
        with pytest.raises(ValidationError, match="metric for probe, but no target"):
            sim.evaluate(x, {"p": y}, verbose=0)
    assert found["probe_mae"] == pytest.approx(np.mean(np.abs(rates)), rel=1e-6)


def test_compiling_again_forgets_losses_and_metrics(network, data):
    x, y = data
    with simulator(network) as sim:
        rates = sim.predict(x, verbose=0)[network.q]
        losses = {network.p: "mse", network.q: "mse"}
        sim.compile("sgd", loss=losses, metrics={network.p: "mae"})
        sim.evaluate(x, {"p": y, network.q: rates}, verbose=0)
        sim.compile("sgd", loss={network.q: "mae"})
        found = sim.evaluate(x, {network.q: 0 * rates}, verbose=0)
        sim.compile("sgd", metrics={network.q: "mae"})
        without_loss = sim.evaluate(x, {network.q: 0 * rates}, verbose=0)
    expected = pytest.approx(np.mean(np.abs(rates)), rel=1e-6)
    assert found == {"loss": expected, "probe_loss": expected}
    assert without_loss == {"loss": 0, "probe_mae": expected}


@pytest.mark.parametrize("form", ["array", "probe", "name", "steps", "batches"])
def test_sample_weight(network, data, form):
    x, y = data
    weight = np.arange(10.0)
    given = {
        "array": weight,
        "probe": {network.p: weight},
        "name": {"p": weight},
        "steps": np.tile(weight[:, None], (1, STEPS)),
        "batches": None,
    }[form]
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        errors = np.mean((sim.predict(x, verbose=0)[network.p] - y) ** 2, axis=2)
        if form == "batches":
            batches = ((x[i : i + 4], y[i : i + 4], weight[i : i + 4]) for i in (0, 4))
            found, count = sim.evaluate(batches, steps=2, verbose=0), 8
        else:
            found = sim.evaluate(x, {"p": y}, sample_weight=given, verbose=0)
            count = 10
    expected = np.mean((errors * weight[:, None])[:count])
    assert found["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "weight", [np.ones(9), np.ones((10, 2)), {"probe": np.ones(10)}, "a"]
)
def test_wrong_sample_weight(network, data, weight):
    x, y = data
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        with pytest.raises(ValidationError, match="weights for"):
            sim.fit(x, {"p": y}, sample_weight=weight, verbose=0)


def test_one_callback_needs_no_list(network, data):
    x, y = data
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch)
    )
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        sim.fit(x, {"p": y}, callbacks=callback, verbose=0)
        together = keras.callbacks.CallbackList([callback])
        sim.fit(x, {"p": y}, callbacks=together, verbose=0)
    assert seen == [0, 0]


def test_batches_of_nengo_dl(network, data):
    """Its generators give the number of steps as an input."""
    x, y = data
    steps = np.full((4, 1), STEPS)
    batch = {"a": x[:4], "n_steps": steps}, {"p": y[:4]}
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        found = sim.evaluate((batch for _ in range(2)), steps=2, verbose=0)
        expected = sim.evaluate(x[:4], {"p": y[:4]}, verbose=0)
        assert found == pytest.approx(expected)
        with pytest.raises(ValidationError, match="same number for all"):
            sim.predict({"a": x[:4], "n_steps": steps + steps.cumsum(0)}, verbose=0)


def test_batches_that_are_too_large(network, data):
    x, y = data
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        with pytest.raises(ValidationError, match="minibatch_size is 4"):
            sim.fit(((x, {"p": y}) for _ in range(2)), verbose=0)


def test_nothing_to_train_for(network, data):
    x, y = data
    with simulator(network) as sim:
        sim.compile("sgd")
        with pytest.raises(ValidationError, match="no loss to train for"):
            sim.fit(x, {"p": y}, verbose=0)
        sim.compile("sgd", loss={network.p: "mse"})
        with pytest.raises(ValidationError, match="Must be \\(x, y\\)"):
            sim.fit(x, {"p": y}, validation_data=x, verbose=0)


def test_probes_of_weights_keep_their_shape(data):
    x, _ = data
    network = rate_network()
    with network:
        weights = nengo.Probe(network.decoded, "weights", label="w")
    with simulator(network) as sim:
        shape = sim.data[network.decoded].weights.shape
        assert sim.predict(x, verbose=0)[weights].shape == (10, STEPS, *shape)
        sim.compile(keras.optimizers.SGD(0.25), loss={weights: "mse"})
        before = sim.data[network.decoded].weights.copy()
        sim.fit(x[:4], {"w": np.zeros((4, STEPS, *shape))}, verbose=0)
        after = sim.data[network.decoded].weights
    assert_close(after, before * (1 - 0.25 * 2 / before.size), rtol=1e-6)


def test_an_error_in_the_first_step_is_seen(data):
    """And leaves the simulator as it was."""
    x, y = data
    traced = []  # once when it is set

    def fails(distance):
        if len(traced):
            raise ZeroDivisionError("in the surrogate")
        traced.append(distance)
        return distance

    with nengo.Network(seed=0) as network:
        nengo_jax.configure_settings(training="surrogate", surrogate=fails)
        a = nengo.Node(size_in=0, size_out=2, output=[0.1, 0.2])
        ensemble = nengo.Ensemble(10, 2)
        nengo.Connection(a, ensemble, synapse=None)
        probe = nengo.Probe(ensemble[0])
    with simulator(network) as sim:
        sim.compile("sgd", loss="mse")
        before = sim.data[ensemble].bias.copy()
        expected = sim.predict(x, verbose=0)[probe]
        with pytest.raises(ZeroDivisionError, match="in the surrogate"):
            sim.fit(x, y, verbose=0)
        assert_close(sim.data[ensemble].bias, before)
        assert_close(sim.predict(x, verbose=0)[probe], expected)


def test_a_class_is_no_surrogate():
    with nengo.Network(), pytest.raises(ValidationError, match=r"Arctan\(\)"):
        nengo_jax.configure_settings(surrogate=nengo_jax.surrogates.Arctan)


@pytest.mark.parametrize("form", ["name", "probe", "list"])
def test_probes_whose_gradients_are_checked(network, form):
    outputs = {"name": "p", "probe": network.p, "list": ["p"]}[form]
    with simulator(network) as sim:
        assert list(sim.check_gradients(outputs=outputs)) == [network.p]
        with pytest.raises(ValidationError, match="no probe of this network"):
            sim.check_gradients(outputs=["other"])


def test_what_is_written_into_the_keras_model_counts(data, tmp_path):
    x, y = data
    network = rate_network()
    path = tmp_path / "best.weights.h5"
    with simulator(network, dtype="float32") as sim:
        sim.compile(keras.optimizers.Adam(1e-3), loss={network.p: "mse"})
        sim.fit(x, {"p": y}, verbose=0)
        sim.keras_model.save_weights(path)
        best = np.array(sim.data[network.decoded].weights)
        expected = sim.predict(x, verbose=0)[network.p]
        sim.fit(x, {"p": y}, epochs=2, verbose=0)
        assert np.abs(sim.data[network.decoded].weights - best).max() > 0
        sim.keras_model.load_weights(path)
        assert_close(sim.data[network.decoded].weights, best)
        assert_close(sim.predict(x, verbose=0)[network.p], expected, rtol=1e-5)
        sim.run_steps(STEPS, data={network.a: x[:4]})
        assert_close(sim.data[network.p], expected[:4], rtol=1e-5)


def test_reset_may_keep_parameters(data):
    x, y = data
    network = rate_network()
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        initial = sim.data[network.decoded].weights.copy()
        sim.fit(x, {"p": y}, verbose=0)
        sim.run_steps(3)
        trained = sim.data[network.decoded].weights.copy()
        sim.reset(include_trainable=False, include_probes=False)
        assert sim.n_steps == 0
        assert sim.data[network.p].shape[1] == 3
        assert_close(sim.data[network.decoded].weights, trained)
        sim.reset()
        assert_close(sim.data[network.decoded].weights, initial)
