"""A frozen network does on nengo.Simulator what it did on nengo_jax."""

import pickle

import nengo
import numpy as np
import pytest
from helpers import assert_close, run_reference
from nengo.exceptions import ValidationError
from scipy.sparse import csr_matrix

import nengo_jax


def simulator(network, **options) -> nengo_jax.Simulator:
    options = {"progress_bar": False, "dtype": "float64", **options}
    return nengo_jax.Simulator(network, **options)


def shift_parameters(sim, scale: float = 0.05, seed: int = 0) -> None:
    """Change every parameter of a network, as training would."""
    rng = np.random.RandomState(seed)
    new = {}
    for obj in (*sim.model.toplevel.all_ensembles, *sim.model.toplevel.all_connections):
        signals = [sim.model.sig[obj].get(name) for name in ("encoders", "weights")]
        if isinstance(obj, nengo.Ensemble):
            signals.append(sim.model.sig[obj.neurons].get("bias"))
        for signal in signals:
            if signal is not None and not is_direct(obj):
                value = sim.signals.peek(signal)
                new[signal] = value * (1 + scale * rng.standard_normal(value.shape))
    sim.signals.assign(new)


def is_direct(obj) -> bool:
    return isinstance(getattr(obj, "neuron_type", None), nengo.Direct)


def check_frozen(network, steps: int = 20, **options) -> None:
    """Fail unless the frozen network records on nengo what nengo_jax recorded."""
    with simulator(network, **options) as sim:
        shift_parameters(sim)
        sim.run_steps(steps)
        expected = {probe: np.array(sim.data[probe]) for probe in sim.model.probes}
    with simulator(network, **options) as sim:
        shift_parameters(sim)
        sim.freeze_params(network)
    actual = run_reference(network, steps)
    for probe, values in expected.items():
        assert np.ptp(values) > 0, probe
        assert_close(actual[probe], values, probe)


def decoded_networks():
    """Name and network, each with another way from one ensemble to another."""
    rng = np.random.RandomState(1)
    connections = {
        "plain": {},
        "function": {"function": lambda x: [x[0] * x[1], x[0]]},
        "transform": {"transform": [[0, 1], [1, -1]], "function": np.sin},
        "scalar transform": {"transform": 0.5},
        "diagonal": {"transform": [1, -2]},
        "points": {
            "eval_points": rng.uniform(-1, 1, (30, 2)),
            "function": rng.uniform(-1, 1, (30, 2)),
        },
        "weights": {"solver": nengo.solvers.LstsqL2(weights=True)},
        "full weights": {
            "solver": nengo.solvers.LstsqDrop(weights=True, drop=0.2),
            "transform": 1,
        },
        "no synapse": {"synapse": None},
    }
    return connections.items()


def pair(**arguments) -> tuple[nengo.Network, nengo.Ensemble, nengo.Ensemble]:
    """An input, an ensemble, and another one with a radius and its own encoders."""
    with nengo.Network(seed=5) as network:
        stimulus = nengo.Node(lambda t: [np.sin(60 * t), 0.4])
        a = nengo.Ensemble(15, 2, neuron_type=nengo.LIFRate(), radius=2.0)
        b = nengo.Ensemble(
            12,
            2,
            neuron_type=nengo.LIF(),
            radius=0.7,
            encoders=nengo.dists.Uniform(-2, 2),
            normalize_encoders=False,
            gain=np.where(np.arange(12) % 3, 3.0, -2.0),
            bias=np.linspace(4, 6, 12),
        )
        nengo.Connection(stimulus, a)
        nengo.Connection(a, b, **arguments)
        nengo.Probe(b.neurons, synapse=0.01)
        nengo.Probe(b, synapse=0.01)
    return network, a, b


@pytest.mark.parametrize(
    "arguments",
    [a for _, a in decoded_networks()],
    ids=[n for n, _ in decoded_networks()],
)
def test_decoded_connections(arguments):
    check_frozen(pair(**arguments)[0])


def test_slices():
    network, a, b = pair()
    with network:
        nengo.Connection(a[1], b[0], function=lambda x: x**2)
        nengo.Connection(a[[1, 0]], b, transform=0.3)
        nengo.Connection(a[0], b[1], solver=nengo.solvers.LstsqL2(weights=True))
        nengo.Connection(a.neurons[3:5], b.neurons[:4:2], transform=0.01)
        nengo.Connection(a, b.neurons[[4, 1]], transform=[[1, 0], [1, 1]])
        nengo.Probe(a[1])
    check_frozen(network)


def test_other_transforms_and_direct_ensembles():
    convolution = nengo.Convolution(2, (5, 4, 1), strides=(2, 1), padding="same")
    transposed = nengo.ConvolutionTranspose(
        1, (3, 4, 2), strides=(2, 1), padding="same"
    )
    indices = [(k, (3 * k) % 20) for k in range(20)]
    sparse = nengo.Sparse((20, 20), indices, init=nengo.dists.Uniform(-1, 1))
    matrix = nengo.Sparse((20, 20), init=csr_matrix(np.eye(20)[::-1]))
    rates = {"neuron_type": nengo.RectifiedLinear(), "gain": nengo.dists.Choice([2.0])}
    rates["bias"] = nengo.dists.Uniform(0, 1)
    with nengo.Network(seed=1) as network:
        picture = nengo.Node(lambda t: np.sin(np.arange(20) + 100 * t))
        filters = nengo.Ensemble(24, 1, **rates)
        back = nengo.Ensemble(20, 1, **rates)
        nengo.Connection(picture, filters.neurons, transform=convolution, synapse=None)
        nengo.Connection(filters.neurons, back.neurons, transform=transposed)
        nengo.Connection(back.neurons, back.neurons, transform=sparse)
        nengo.Connection(back.neurons, back.neurons, transform=matrix)
        direct = nengo.Ensemble(1, 2, neuron_type=nengo.Direct())
        nengo.Connection(picture[:2], direct, function=lambda x: x + 1, transform=2)
        nengo.Connection(direct, back.neurons[:2], function=np.cos, transform=0.1)
        nengo.Probe(back.neurons)
        nengo.Probe(direct)
    check_frozen(network)


def learning_networks():
    rules = {
        "PES": nengo.PES(1e-2),
        "RLS": nengo.RLS(1e-2),
        "Voja": nengo.Voja(learning_rate=1e-1),
        "BCM": nengo.BCM(1e-6),
        "Oja": nengo.Oja(1e-6),
        "both": [nengo.PES(1e-2), nengo.Voja(learning_rate=1e-1)],
    }
    return rules.items()


@pytest.mark.parametrize(
    "rule", [r for _, r in learning_networks()], ids=[n for n, _ in learning_networks()]
)
def test_learned_parameters_go_on_from_where_they_are(rule):
    full = isinstance(rule, (nengo.BCM, nengo.Oja))
    solver = nengo.solvers.LstsqL2(weights=full)
    with nengo.Network(seed=5) as network:
        stimulus = nengo.Node([0.5])
        a = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        b = nengo.Ensemble(8, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(stimulus, a, synapse=None)
        learned = nengo.Connection(a, b, solver=solver, learning_rule_type=rule)
        rules = learned.learning_rule
        for one in rules if isinstance(rules, list) else [rules]:
            if one.size_in:
                nengo.Connection(stimulus, one, synapse=None)
        nengo.Probe(b.neurons)
        nengo.Probe(learned, "weights")
        nengo.Probe(b, "scaled_encoders")
    with simulator(network) as sim:
        sim.run_steps(30)
        places = ((learned, "weights"), (b, "encoders"))
        signals = [sim.model.sig[obj][attribute] for obj, attribute in places]
        learned_values = {s: np.array(sim.signals.peek(s)) for s in signals}
        assert any(np.any(v != s.initial_value) for s, v in learned_values.items())
        sim.reset()
        sim.signals.assign(learned_values)
        sim.freeze_params(network)
        sim.run_steps(20)
    for probe, values in run_reference(network, 20).items():
        assert_close(sim.data[probe], values, probe)


def test_examples_of_a_batch():
    with nengo.Network(seed=3) as network:
        pre = nengo.Ensemble(6, 1, neuron_type=nengo.LIFRate())
        end = nengo.Node(size_in=1)
        rule = nengo.PES(1e-2)
        learned = nengo.Connection(pre, end, learning_rule_type=rule)
        noise = nengo.Node(nengo.processes.WhiteNoise(seed=None))
        nengo.Connection(noise, learned.learning_rule, synapse=None)
    with simulator(network, minibatch_size=2) as sim:
        sim.get_nengo_params(learned)  # they agree as yet
        sim.run_steps(5)
        with pytest.raises(
            ValidationError, match=r"learned different values.*example=0"
        ):
            sim.freeze_params(network)
        assert learned.solver == nengo.solvers.LstsqL2()
        values = sim.get_nengo_params(learned, example=1)["solver"].values
        assert_close(values.T, sim.data[learned].weights[1])
        sim.freeze_params([learned], example=0)
        assert_close(learned.solver.values.T, sim.data[learned].weights[0])


def test_arguments_make_the_same_objects():
    network, a, b = pair(solver=nengo.solvers.LstsqL2(weights=True))
    with network:
        a.label, b.label = "a", "b"
        network.connections[1].label = "c"
    with simulator(network) as sim:
        shift_parameters(sim)
        sim.run_steps(20)
        arguments = sim.get_nengo_params([a.neurons, b, network.connections[1]], True)
        listed = sim.get_nengo_params([a, b])
        assert sim.get_nengo_params(network.connections[0]) == {"transform": None}
    assert list(arguments) == ["a", "b", "c"]
    assert_close(listed[1]["bias"], arguments["b"]["bias"])
    with nengo.Network(seed=5) as twin:
        stimulus = nengo.Node(lambda t: [np.sin(60 * t), 0.4])
        new_a = nengo.Ensemble(
            15, 2, neuron_type=nengo.LIFRate(), radius=2.0, **arguments["a"]
        )
        new_b = nengo.Ensemble(12, 2, radius=0.7, **arguments["b"])
        nengo.Connection(stimulus, new_a)
        nengo.Connection(new_a, new_b, **pickle.loads(pickle.dumps(arguments["c"])))
        nengo.Probe(new_b.neurons, synapse=0.01)
    (values,) = run_reference(twin, 20).values()
    assert_close(values, sim.data[network.probes[0]])


def test_what_did_not_change_is_frozen_as_it_was_built():
    network, a, b = pair()
    with simulator(network, dtype="float32") as sim:
        sim.freeze_params(network)
        for ensemble in (a, b):
            built = sim.model.params[ensemble]
            assert np.array_equal(ensemble.encoders, built.encoders)
            assert np.array_equal(ensemble.gain, built.gain)
            assert np.array_equal(ensemble.bias, built.bias)


def test_errors():
    network, a, b = pair()
    with network:
        direct = nengo.Ensemble(1, 1, neuron_type=nengo.Direct(), label="direct")
    with nengo.Network() as other:
        foreign = nengo.Ensemble(3, 1)
    with simulator(network) as sim:
        former = a.encoders
        for obj in (other, foreign, [a, foreign]):
            with pytest.raises(ValueError, match="not part of the simulated network"):
                sim.freeze_params(obj)
        assert a.encoders is former
        for obj in (network.all_nodes[0], network.all_probes[0], "a", None):
            with pytest.raises(TypeError, match="Give an Ensemble"):
                sim.freeze_params([obj])
        with pytest.raises(TypeError, match="is a Network"):
            sim.get_nengo_params(network)
        with pytest.raises(ValueError, match="direct mode"):
            sim.get_nengo_params(direct)
        a.label = b.label = "same"
        with pytest.raises(ValueError, match="label same"):
            sim.get_nengo_params([a, b], as_dict=True)
        sim._live.gains[a] = np.zeros(15)
        with pytest.raises(ValueError, match=r"neurons \[0, 1, .* a gain of zero"):
            sim.freeze_params(a)
