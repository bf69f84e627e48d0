"""Exported networks: what NIR's equations make of the graph is what nengo computes."""

from collections import Counter

import keras
import nengo
import nir
import numpy as np
import pytest
from nengo.exceptions import BuildError, SimulationError, ValidationError
from nir_equations import evaluate

import nengo_jax
from nengo_jax.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
    export,
    load,
    verify,
)
from nengo_jax.transforms import DilatedConvolution

LIF = nengo.LIF(tau_ref=0, min_voltage=-np.inf)
STEPS = 150


def noise(size, scale=1.0, seed=0):
    """Values that are held for 5 steps."""
    values = np.random.RandomState(seed).uniform(-scale, scale, (STEPS // 5, size))
    return nengo.processes.PresentInput(values, 0.005)


def check(network, late=(), tolerance=1e-9, **kwargs):
    """Compare nengo with the equations, and with what is loaded. Return the graph."""
    nodes = [n for n in network.all_nodes if n.size_in == 0]
    with nengo.Simulator(network, progress_bar=False) as sim:
        graph = export(sim, **kwargs)
        values = []
        for _ in range(STEPS):
            sim.step()
            values.append(
                [np.array(sim.signals[sim.model.sig[n]["out"]]) for n in nodes]
            )
        by_label = {
            n.label: np.array(v)
            for n, v in zip(nodes, zip(*values, strict=True), strict=True)
        }
        inputs = {name: by_label[name] for name in graph.inputs}
        results = evaluate(graph, inputs, sim.dt, graph.metadata["method"], late)
        assert set(results) == {probe.label for probe in network.probes}
        for probe in network.probes:
            expected = sim.data[probe]
            assert np.abs(expected).max() > 0, probe
            np.testing.assert_allclose(
                results[probe.label],
                expected,
                atol=tolerance * np.abs(expected).max(),
                err_msg=str(probe),
            )
        differences = verify(sim, n_steps=STEPS)
    assert set(differences) == set(network.probes)
    assert max(differences.values()) < tolerance
    return graph


def types(graph):
    return Counter(type(node).__name__ for node in graph.nodes.values())


def ensemble(n_neurons=20, dimensions=1, neuron_type=LIF, **kwargs):
    return nengo.Ensemble(n_neurons, dimensions, neuron_type=neuron_type, **kwargs)


def test_decoded_connections():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(2), label="in")
        a = ensemble(30, 2, label="a", radius=1.5)
        b = ensemble(20, 1, label="b")
        nengo.Connection(stimulus, a, synapse=None)
        nengo.Connection(a, b, function=lambda x: x[0] * x[1], synapse=None)
        nengo.Probe(b, label="decoded")
        nengo.Probe(b.neurons, label="spikes")
    graph = check(network)
    # decoders and encoders are one matrix; spikes of nengo are 1000 high
    kinds = {"Input": 1, "Output": 2, "Linear": 1, "Affine": 2, "LIF": 2, "Scale": 1}
    assert types(graph) == kinds
    assert graph.nodes["b_encoders"].weight.shape == (20, 30)
    apart = check(network, compose=False)
    assert types(apart)["Linear"] == 4


def test_synapses():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(2), label="in")
        a = ensemble(30, 2)
        nengo.Connection(stimulus, a, synapse=0.003)
        nengo.Connection(a, a, synapse=0.1, transform=0.5)
        for name, synapse in {
            "lowpass": nengo.Lowpass(0.01),
            "alpha": nengo.Alpha(0.005),
            "two": nengo.LinearFilter([2], np.polymul([0.01, 1], [0.002, 1])),
            "equal": nengo.LinearFilter([1], np.polymul([0.01, 1], [0.01, 1])),
            "integrator": nengo.LinearFilter([3], [1, 0]),
            "delay": nengo.LinearFilter([1], [1, 0, 0, 0], analog=False),
            "step": nengo.Lowpass(0),
        }.items():
            nengo.Probe(a, synapse=synapse, label=name)
    found = types(check(network))
    assert found["LI"] == 3
    assert found["CubaLI"] == 3
    assert found["I"] == 1
    assert found["Delay"] == 2


def test_connections_with_one_synapse_share_its_node():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        a = ensemble(30, 1)
        nengo.Connection(stimulus, a, synapse=0.1, transform=0.1)
        nengo.Connection(a, a, synapse=0.1)
        nengo.Probe(a, label="out")
    assert types(check(network))["LI"] == 1


def test_neurons_slices_gains_and_biases():
    rng = np.random.RandomState(3)
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(3), label="in")
        constant = nengo.Node([0.3, -0.2], label="constant")
        relay = nengo.Node(size_in=4)
        a = ensemble(20, 2)
        b = ensemble(15, 1)
        nengo.Connection(stimulus[[0, 2]], relay[[3, 1]], synapse=None)
        nengo.Connection(constant, relay[1:3], synapse=None)
        nengo.Connection(relay[1:3], a, synapse=None)
        nengo.Connection(constant[0], b, synapse=0.01)
        nengo.Connection(constant, a, transform=[[1, 0.5], [0, 1]], synapse=None)
        nengo.Connection(
            a.neurons[5:],
            b.neurons[::3],
            transform=1e-3 * rng.randn(5, 15),
            synapse=0.01,
        )
        nengo.Connection(
            a.neurons,
            b,
            transform=nengo.Sparse((1, 20), [(0, 3), (0, 9)], [1e-3, 2e-3]),
            synapse=None,
        )
        nengo.Probe(b.neurons, label="spikes")
        nengo.Probe(a.neurons[:4], label="some", synapse=0.01)
        nengo.Probe(relay[[3, 1]], label="relay")
    graph = check(network, inputs=[stimulus])
    assert types(graph)["Input"] == 1


def test_full_weights():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        a, b = ensemble(), ensemble(15)
        nengo.Connection(stimulus, a, synapse=None)
        nengo.Connection(a, b, solver=nengo.solvers.LstsqL2(weights=True))
        nengo.Probe(b.neurons, label="spikes")
    check(network)


def test_constants_alone():
    """Ensembles that no input drives get zeros from one."""
    with nengo.Network(seed=0) as network:
        nengo.Probe(nengo.Node(noise(1), label="in"), label="through")
        constant = nengo.Node([0.9])
        a = ensemble()
        nengo.Connection(constant, a, synapse=0.01)
        nengo.Probe(a.neurons, label="spikes")
        lonely = ensemble()
        nengo.Probe(lonely, label="lonely", synapse=0.01)
    graph = check(network)
    assert sum("zero" in name for name in graph.nodes) == 2


@pytest.mark.parametrize("method", ["exact", "euler"])
def test_neuron_types(method):
    tau = np.random.RandomState(1).uniform(0.005, 0.03, 20)
    normal = nengo.dists.Uniform(-0.5, 0.9)
    kinds = {
        "leaky": LeakyIntegrateAndFire(tau, method),
        "start": LeakyIntegrateAndFire(0.02, method, 0.5, {"voltage": normal}),
        "current": CurrentBased(
            tau, 0.02, 0.1, method, initial_state={"voltage": normal}
        ),
        "integrate": IntegrateAndFire(initial_state={"voltage": normal}),
        "heaviside": Heaviside(2.0),
    }
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        for name, kind in kinds.items():
            rates = nengo.dists.Uniform(50, 100)
            a = ensemble(neuron_type=kind, label=name, max_rates=rates)
            nengo.Connection(stimulus, a, synapse=None)
            nengo.Probe(a.neurons, label=f"{name} output")
    graph = check(network)
    assert graph.metadata["method"] == method
    found = types(graph)
    assert (found["LIF"], found["CubaLIF"], found["IF"], found["Threshold"]) == (
        2,
        1,
        1,
        1,
    )


def test_initial_voltages_of_lif():
    """Those of nengo are random; NIR's begin at 0, so levels are shifted."""
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        a = ensemble()
        nengo.Connection(stimulus, a, synapse=None)
        nengo.Probe(a.neurons, label="spikes")
    node = check(network).nodes["ensemble"]
    assert np.ptp(node.v_reset) > 0.5
    np.testing.assert_allclose(node.v_threshold - node.v_reset, 1)


def recurrent(synapse):
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(2), label="in")
        a, b = ensemble(30, 2, label="a"), ensemble(20, 2, label="b")
        nengo.Connection(stimulus, a, synapse=None)
        nengo.Connection(a, b, synapse=None)
        nengo.Connection(b, a, synapse=synapse, label="back")
        nengo.Probe(a, label="out", synapse=0.01)
        nengo.Probe(b.neurons, label="spikes")
    return network


def test_circle_with_a_synapse():
    check(recurrent(0.05))


def test_circle_without_a_synapse_needs_no_delay():
    late = {("back", "a_encoders")}
    graph = check(recurrent(0), late=late)
    assert types(graph)["Delay"] == 0
    assert set(graph.edges) >= late


def test_delays_that_close_no_circle_stay():
    network = recurrent(0)
    with network:
        c = ensemble(10, 2, label="c")
        nengo.Connection(network.ensembles[0], c, synapse=0)
        nengo.Probe(c.neurons, label="late")
    graph = check(network, late={("back", "a_encoders")})
    assert types(graph)["Delay"] == 1


def image(channels_last, filters=4, groups=1):
    """A convolutional network; its probes are images only if channels come first."""
    rng = np.random.RandomState(2)

    def conv(shape, filters, size=3, **options):
        spatial, channels = shape[:2], shape[2]
        given = shape if channels_last else (channels, *spatial)
        kernel = rng.randn(size, size, channels // options.get("groups", 1), filters)
        return nengo.Convolution(
            filters,
            given,
            (size, size),
            channels_last=channels_last,
            init=kernel,
            **options,
        )

    gain = {"gain": nengo.dists.Choice([1]), "bias": nengo.dists.Uniform(0, 2)}
    kind = LeakyIntegrateAndFire(0.02)
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(7 * 6 * 2), label="in")
        first = nengo.Ensemble(5 * 4 * 3, 1, neuron_type=kind, label="first", **gain)
        nengo.Connection(
            stimulus, first.neurons, transform=conv((7, 6, 2), 3), synapse=None
        )
        size = 3 * 2 * filters
        second = nengo.Ensemble(size, 1, neuron_type=kind, label="second", **gain)
        scaled = nengo.Node(size_in=5 * 4 * 3)
        nengo.Connection(first.neurons, scaled, synapse=0.005, transform=0.02)
        nengo.Connection(
            scaled,
            second.neurons,
            transform=conv(
                (5, 4, 3), filters, strides=(2, 2), padding="same", groups=groups
            ),
            synapse=None,
        )
        out = nengo.Node(size_in=3)
        weights = rng.randn(3, size)
        nengo.Connection(second.neurons, out, transform=weights, synapse=0.01)
        nengo.Probe(out, label="out")
    return network


@pytest.mark.parametrize("channels_last", [False, True])
def test_convolutions(channels_last):
    network = image(channels_last)
    with nengo.Simulator(network, progress_bar=False) as sim:
        graph = export(sim)
        stimulus = network.nodes[0]
        shown = []
        for _ in range(STEPS):
            sim.step()
            shown.append(np.array(sim.signals[sim.model.sig[stimulus]["out"]]))
        shape = (STEPS, 7, 6, 2) if channels_last else (STEPS, 2, 7, 6)
        images = np.reshape(shown, shape)
        images = np.moveaxis(images, -1, 1) if channels_last else images
        result = evaluate(graph, {"in": images}, sim.dt)["out"]
        expected = sim.data[network.probes[0]]
        np.testing.assert_allclose(result, expected, atol=1e-9 * np.abs(expected).max())
        assert max(verify(sim, n_steps=STEPS).values()) < 1e-9
    found = types(graph)
    assert found["Conv2d"] == 2
    assert found["Flatten"] == 1
    assert graph.nodes["first"].tau.shape == (3, 5, 4)


def test_file_of_images(tmp_path):
    """Groups and strides of "same" padding, through a file that nir itself can read."""
    network = image(True, filters=6, groups=3)
    graph = export(network, tmp_path / "graph.nir")
    again = nir.read(tmp_path / "graph.nir")
    assert set(again.nodes) == set(graph.nodes)
    assert types(again)["Conv2d"] == 2
    loaded = load(tmp_path / "graph.nir")
    assert loaded.shapes["in"] == (2, 7, 6)


CONVOLUTIONS = {
    "valid": {},
    "strides": {"strides": (2, 2)},
    "same": {"padding": "same"},
    "same, strides": {"padding": "same", "strides": (2, 3)},
    "even kernel": {"padding": "same", "kernel_size": (2, 2)},
    "not square": {"padding": "same", "kernel_size": (3, 5)},
    "not square, valid": {"kernel_size": (3, 5)},
    "not square, one even": {"kernel_size": (3, 4)},  # becomes a matrix
    "groups": {"groups": 2},
    "dilation": {"dilation": (2, 2)},
    "dilation, same": {"dilation": (2, 2), "padding": "same", "groups": 2},
    "dilation, not square": {"dilation": (3, 2)},
    "dilation, matrix": {"dilation": (2, 1)},  # NIR pads it on both sides
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name):
    options = {"kernel_size": (3, 3), **CONVOLUTIONS[name]}
    kind = DilatedConvolution if "dilation" in options else nengo.Convolution
    transform = kind(
        4, (2, 7, 8), channels_last=False, init=nengo.dists.Gaussian(0, 1), **options
    )
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(2 * 7 * 8), label="in")
        out = nengo.Node(size_in=transform.size_out)
        nengo.Connection(stimulus, out, transform=transform, synapse=None)
        nengo.Probe(out, label="out")
    graph = export(network)
    kind = "Linear" if name == "not square, one even" else "Conv2d"
    assert types(graph)[kind] == 1
    assert max(verify(network, n_steps=10).values()) < 1e-12
    # against the equations: the graph's own, and nengo's
    with nengo.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(10)
    x = noise(2 * 7 * 8).inputs[:2].repeat(5, axis=0)
    x = x.reshape(10, *np.asarray(graph.input_type["in"]))
    result = evaluate(graph, {"in": x}, 0.001)["out"].reshape(10, -1)
    np.testing.assert_allclose(result, sim.data[network.probes[0]], atol=1e-12)


@pytest.mark.parametrize(
    ("value", "groups", "kind"),
    [(1.0, 3, nir.SumPool2d), (0.25, 3, nir.AvgPool2d), (0.25, 1, nir.AvgPool2d)],
)
def test_pooling(value, groups, kind):
    kernel = np.full((2, 2, 3 // groups, 3), value)
    if groups == 1:
        kernel *= np.eye(3)
    transform = nengo.Convolution(
        3, (6, 5, 3), (2, 2), strides=(2, 2), init=kernel, groups=groups
    )
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(6 * 5 * 3), label="in")
        out = nengo.Node(size_in=transform.size_out)
        nengo.Connection(stimulus, out, transform=transform, synapse=None)
        nengo.Probe(out, label="out")
    nodes = {type(node) for node in export(network).nodes.values()}
    assert nodes == {nir.Input, kind, nir.Output}
    assert max(verify(network, n_steps=10).values()) < 1e-12


def test_conv1d():
    transform = nengo.Convolution(4, (9, 2), (4,), strides=(2,), padding="same")
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(18), label="in")
        out = nengo.Node(size_in=transform.size_out)
        nengo.Connection(stimulus, out, transform=transform, synapse=None)
        nengo.Probe(out, label="out")
    assert types(export(network))["Conv1d"] == 1
    assert max(verify(network, n_steps=10).values()) < 1e-12


def test_image_that_is_also_a_target_of_a_matrix_is_flat():
    transform = nengo.Convolution(2, (4, 4, 1))
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(16), label="in")
        other = nengo.Node(noise(3, seed=1), label="other")
        out = nengo.Node(size_in=transform.size_out)
        nengo.Connection(stimulus, out, transform=transform, synapse=None)
        nengo.Connection(other, out, transform=np.ones((8, 3)), synapse=None)
        nengo.Probe(out, label="out")
    assert types(check(network))["Conv2d"] == 0


def graphs():
    """Graphs whose nodes come back as they are."""
    rng = np.random.RandomState(7)
    lif = nir.LIF(np.full(5, 0.02), np.full(5, 1.5), np.full(5, 0.1), np.full(5, 1.0))
    yield nir.NIRGraph.from_list(
        nir.Affine(rng.randn(5, 3), rng.randn(5)),
        lif,
        nir.Linear(rng.randn(2, 5)),
        nir.LI(np.full(2, 0.01), np.full(2, 2.0), np.full(2, 0.3)),
    )
    yield nir.NIRGraph.from_list(
        nir.Linear(rng.randn(5, 3)),
        nir.CubaLIF(*(np.full(5, v) for v in (0.005, 0.02, 2.0, 0.1, 1.0))),
    )
    conv = nir.Conv2d((6, 6), rng.randn(3, 2, 3, 3), 1, 0, 1, 1, rng.randn(3))
    yield nir.NIRGraph.from_list(
        nir.Input(np.array([2, 6, 6])),
        conv,
        nir.IF(np.full((3, 4, 4), 100.0), np.ones((3, 4, 4))),
        nir.AvgPool2d(*np.array([[2, 2], [2, 2], [0, 0]])),
        nir.Flatten({"input": np.array([3, 2, 2])}, 0),
        nir.Linear(rng.randn(2, 12)),
    )
    yield nir.NIRGraph.from_list(
        nir.Input(np.array([4])),
        nir.Delay(np.full(4, 0.003)),
        nir.Threshold(rng.randn(4)),
        nir.I(np.full(4, 2.0)),
    )


@pytest.mark.parametrize("graph", graphs(), ids=["LIF", "CubaLIF", "images", "others"])
def test_loaded_graphs_come_back(graph):
    loaded = load(graph)
    again = export(loaded.network, dt=loaded.dt, compose=False)
    assert set(again.nodes) == set(graph.nodes)
    assert set(again.edges) == set(map(tuple, graph.edges))
    for name, node in graph.nodes.items():
        assert type(again.nodes[name]) is type(node)
        for parameter, value in vars(node).items():
            if parameter in ("w_in", "r", "input_type", "output_type", "metadata"):
                continue
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(
                    getattr(again.nodes[name], parameter), value, err_msg=name
                )


def test_trained_parameters_of_a_simulator():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        a = ensemble()
        nengo.Connection(stimulus, a, synapse=None)
        out = nengo.Node(size_in=1)
        connection = nengo.Connection(a, out, synapse=0.01)
        nengo.Probe(out, label="out")
    with nengo_jax.Simulator(network, dtype="float64", progress_bar=False) as sim:
        before = export(sim)
        signal = sim.model.sig[connection]["weights"]
        sim.signals[signal] = 2 * np.asarray(sim.signals[signal])
        sim.signals[sim.model.sig[a]["encoders"]] = 0.5 * sim.data[a].scaled_encoders
        after = export(sim)
        assert max(verify(sim, n_steps=STEPS).values()) < 1e-9
    changed = [
        name
        for name, node in before.nodes.items()
        if isinstance(node, nir.Linear | nir.Affine)
        and not np.allclose(node.weight, after.nodes[name].weight)
    ]
    assert len(changed) == 2


def test_what_no_output_depends_on_is_left_out():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        nengo.Node(noise(1), label="unused")
        a, b = ensemble(label="a"), ensemble(label="b")
        nengo.Connection(stimulus, a, synapse=None)
        nengo.Connection(a, b)
        nengo.Probe(a, label="out")
    assert "b" not in export(network).nodes
    assert "unused" not in export(network).nodes


def test_verify_with_data():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(np.zeros(2), label="in")
        a = ensemble(20, 2)
        nengo.Connection(stimulus, a, synapse=None)
        probe = nengo.Probe(a.neurons, sample_every=0.003)
    data = {stimulus: np.random.RandomState(0).uniform(-1, 1, (60, 2))}
    assert verify(network, data=data, n_steps=60)[probe] < 1e-12
    with nengo_jax.Simulator(network, dtype="float64", progress_bar=False) as sim:
        assert verify(sim, data=data, n_steps=60)[probe] < 1e-9
    with pytest.raises(ValidationError, match="has the shape"):
        verify(network, data={stimulus: np.ones((3, 2))}, n_steps=60)
    with pytest.raises(ValidationError, match="is no input of the graph"):
        verify(network, data={a: np.ones((60, 2))}, n_steps=60)


def test_verify_finds_what_is_different():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        a = ensemble()
        nengo.Connection(stimulus, a, synapse=None)
        nengo.Probe(a, label="out")
    with (
        nengo_jax.Simulator(network, dtype="float64", progress_bar=False) as sim,
        pytest.raises(SimulationError, match=r"Output 'out' .* in step \d+, element 0"),
    ):
        verify(sim, n_steps=STEPS, tolerance=0)


def small(build):
    """A network with an input and what a function adds to it."""
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(noise(1), label="in")
        probed = build(stimulus)
        if probed is not None:
            nengo.Probe(probed, label="out")
    return network


def of_type(neuron_type, **kwargs):
    def build(stimulus):
        a = nengo.Ensemble(5, 1, neuron_type=neuron_type, label="a", **kwargs)
        nengo.Connection(stimulus, a)
        return a

    return build


def learning(stimulus):
    a = ensemble()
    rule = nengo.PES()
    out = nengo.Node(size_in=1)
    conn = nengo.Connection(a, out, learning_rule_type=rule)
    nengo.Connection(stimulus, conn.learning_rule)
    return out


def with_synapse(synapse):
    def build(stimulus):
        out = nengo.Node(size_in=1)
        nengo.Connection(stimulus, out, synapse=synapse)
        return out

    return build


def function_node(stimulus):
    out = nengo.Node(lambda t, x: x**2, size_in=1, label="square")
    nengo.Connection(stimulus, out)
    return out


def function_of_node(stimulus):
    out = nengo.Node(size_in=1)
    nengo.Connection(stimulus, out, function=np.sin)
    return out


def transposed(stimulus):
    image, out = nengo.Node(size_in=4), nengo.Node(size_in=9)
    nengo.Connection(stimulus, image, transform=np.ones((4, 1)), synapse=None)
    transform = nengo.ConvolutionTranspose(1, (2, 2, 1), kernel_size=(2, 2))
    nengo.Connection(image, out, transform=transform)
    return out


def voltages(stimulus):
    a = ensemble()
    nengo.Connection(stimulus, a)
    nengo.Probe(a.neurons, "voltage")


def mixed(stimulus):
    a = ensemble(neuron_type=LeakyIntegrateAndFire(0.02, "euler"))
    nengo.Connection(stimulus, a, synapse=0.01)
    return a


def no_input(stimulus):
    return ensemble()


def image_bias(stimulus):
    big = nengo.Convolution(1, (3, 3, 1), (2, 2), init=np.ones((2, 2, 1, 1)))
    image, out = nengo.Node(np.zeros(9)), nengo.Node(size_in=4)
    nengo.Connection(image, out, transform=big, synapse=None)
    nengo.Connection(nengo.Node([1.0, 2, 3, 4]), out, synapse=None)
    return out


unit = {"gain": np.ones(5), "bias": np.zeros(5)}
REFUSED = {
    "refractory period": (
        of_type(nengo.LIF()),
        r"Ensemble 'a'.* refractory .*tau_ref=0",
    ),
    "limit": (of_type(nengo.LIF(tau_ref=0)), r"min_voltage=-np\.inf"),
    "subtraction": (
        of_type(nengo.SpikingRectifiedLinear()),
        "nengo_jax.nir.IntegrateAndFire",
    ),
    "rates": (of_type(nengo.RectifiedLinear()), "no neurons with rates"),
    "other spikes": (
        of_type(nengo.AdaptiveLIF()),
        "type AdaptiveLIF, which NIR cannot",
    ),
    "direct": (of_type(nengo.Direct()), "direct mode"),
    "noise": (
        of_type(LIF, noise=nengo.processes.WhiteNoise()),
        "has noise, and NIR has none",
    ),
    "initial voltage": (
        of_type(LeakyIntegrateAndFire(initial_state={"voltage": np.ones(5)})),
        "initial voltages of 1 and more",
    ),
    "initial current": (
        of_type(CurrentBased(initial_state={"current": np.ones(5)})),
        "initial currents",
    ),
    "gains": (
        of_type(Heaviside(), gain=-np.ones(5), bias=np.zeros(5)),
        "gains that are not pos",
    ),
    "bias without a gain": (
        of_type(IntegrateAndFire(), gain=np.zeros(5), bias=np.ones(5)),
        "a bias and a gain of 0",
    ),
    "learning": (learning, "learns with PES"),
    "triangle": (
        with_synapse(nengo.synapses.Triangle(0.01)),
        "has the synapse Triangle",
    ),
    "zeros": (with_synapse(nengo.LinearFilter([1, 1], [0.1, 1])), "cannot express"),
    "complex": (
        with_synapse(nengo.LinearFilter([1], [1e-4, 1e-3, 1])),
        "cannot express",
    ),
    "growing": (with_synapse(nengo.LinearFilter([1], [-0.1, 1])), "cannot express"),
    "bilinear": (
        with_synapse(nengo.LinearFilter([1], [0.1, 1], method="bilinear")),
        "with 'zoh'",
    ),
    "function node": (
        function_node,
        r"Node 'square'.* computes a function of its input",
    ),
    "function": (function_of_node, "computes a function of a node"),
    "transposed": (transposed, "ConvolutionTranspose transform"),
    "voltages": (voltages, "shows 'voltage'"),
    "methods": (mixed, "'euler'.*'exact'"),
    "no input": (no_input, "No input leads to any of the outputs"),
    "bias of an image": (image_bias, "Different constants are added"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    build, message = REFUSED[name]
    with pytest.raises(BuildError, match=message):
        export(small(build))


@pytest.mark.filterwarnings("ignore:Non-finite values:UserWarning")
def test_bad_arguments():
    network = small(of_type(LIF))
    with pytest.raises(TypeError, match=r"Expected a nengo\.Network, a Sim"):
        export([network])
    with pytest.raises(ValidationError, match="dt"):
        export(network, dt=-1)
    with pytest.raises(ValidationError, match="no node of the network"):
        export(network, inputs=[nengo.Node(size_in=1, add_to_container=False)])
    with pytest.raises(ValidationError, match="can only be an input"):
        export(network, inputs=[])
    other = small(of_type(LIF))
    with pytest.raises(ValidationError, match="no probe of the network"):
        export(network, outputs=other.probes)
    with pytest.raises(ValidationError, match="no outputs"):
        export(small(lambda stimulus: None))
    with (
        nengo.Simulator(network, progress_bar=False) as sim,
        pytest.raises(ValidationError, match="in the Simulator"),
    ):
        export(sim, dt=0.002)
    with (
        nengo_jax.Simulator(network, minibatch_size=2, progress_bar=False) as sim,
        pytest.raises(ValidationError, match="simulates a batch"),
    ):
        verify(sim)


def test_converted_and_calibrated_models():
    """A Converter, and what calibrate returns, stand for their networks."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(2),
        ]
    )
    with pytest.raises(TypeError, match=r"Make spiking neurons of it first: nengo_jax"):
        export(model)
    with pytest.raises(BuildError, match=r"RectifiedLinear.*nir\.IntegrateAndFire\(\)"):
        export(nengo_jax.Converter(model))
    converter = nengo_jax.Converter(
        model,
        inference_only=True,
        swap_activations={"relu": IntegrateAndFire()},
        scale_firing_rates=400,
    )
    graph = export(converter)
    assert types(graph) == types(export(converter.net))
    data = {converter.net.nodes[0]: np.random.RandomState(0).uniform(size=(100, 4))}
    assert max(verify(converter, data=data).values()) < 1e-9
    x = np.random.RandomState(0).uniform(size=(20, 4))
    calibrated = nengo_jax.calibrate(converter, x, dt=0.002, measure=False, bias=False)
    graph = export(calibrated)
    assert graph.metadata["dt"] == 0.002
    assert [type(n).__name__ for n in graph.nodes.values()].count("IF") == 1
    (node,) = calibrated.inputs.values()
    differences = verify(calibrated, data={node: data[converter.net.nodes[0]]})
    assert max(differences.values()) < 1e-9
