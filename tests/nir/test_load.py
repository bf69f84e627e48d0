"""Every primitive of NIR, loaded and compared with its equations."""

import subprocess
import sys

import keras
import nengo
import nir
import numpy as np
import pytest
from nengo.exceptions import BuildError, ValidationError
from nir_equations import evaluate

import nengo_jax
from nengo_jax.nir import export, load

RNG = np.random.RandomState(5)
DT = 0.001


def uniform(low, high, *shape):
    return RNG.uniform(low, high, shape)


def constant(*values, n=4):
    return [np.full(n, float(v)) for v in values]


def single(node, shape):
    """A graph of one node, between an input and an output."""
    return nir.NIRGraph.from_list(nir.Input({"input": np.array(shape)}), node)


def play(loaded, inputs, sim_type=nengo.Simulator, **kwargs):
    """Run a loaded network on values with their NIR shapes."""
    steps = len(next(iter(inputs.values())))
    for name, values in inputs.items():
        flat = np.reshape(values, (steps, -1))
        loaded.inputs[name].output = nengo.processes.PresentInput(flat, loaded.dt)
    with sim_type(loaded.network, dt=loaded.dt, progress_bar=False, **kwargs) as sim:
        sim.run_steps(steps)
    return {
        name: sim.data[probe].reshape(steps, *loaded.shapes[name])
        for name, probe in loaded.outputs.items()
    }


def compare(graph, inputs, dt=DT, method="exact", late=(), rtol=1e-9):
    expected = evaluate(graph, inputs, dt, method, late)
    loaded = load(graph, dt=dt, method=method)
    results = play(loaded, inputs)
    assert set(results) == set(expected)
    for name, values in expected.items():
        assert np.abs(values).max() > 0
        scale = np.abs(values).max()
        np.testing.assert_allclose(
            results[name], values, atol=rtol * scale, rtol=rtol, err_msg=name
        )
    return expected


def spiking(**kwargs):
    return {"r": uniform(0.5, 2, 4), "v_threshold": uniform(0.5, 1, 4), **kwargs}


NODES = {
    "Linear": nir.Linear(RNG.randn(3, 4)),
    "Affine": nir.Affine(RNG.randn(3, 4), RNG.randn(3)),
    "Scale": nir.Scale(RNG.randn(4)),
    "Scale of 1": nir.Scale(np.ones(4)),
    "I": nir.I(uniform(-1, 2, 4)),
    "LI": nir.LI(*constant(0.01, 1, 0)),
    "LI, leak": nir.LI(*constant(0.01), uniform(1, 2, 4), uniform(-1, 1, 4)),
    "LI, time constants": nir.LI(
        np.array([0.01, 0.02, 0.02, 0.003]), uniform(1, 2, 4), uniform(-1, 1, 4)
    ),
    "CubaLI": nir.CubaLI(*constant(0.005, 0.02, 1, 0)),
    "CubaLI, equal": nir.CubaLI(*constant(0.01, 0.01, 2, -1), w_in=3.0),
    "CubaLI, time constants": nir.CubaLI(
        np.array([0.01, 0.02, 0.02, 0.003]),
        np.array([0.02, 0.02, 0.01, 0.004]),
        uniform(1, 2, 4),
        uniform(-1, 1, 4),
        uniform(1, 2, 4),
    ),
    "Delay": nir.Delay(np.full(4, 0.003)),
    "Delay by a step": nir.Delay(np.full(4, 0.001)),
    "Delay, several": nir.Delay(np.array([0.002, 0.001, 0.007, 0.002])),
    "Threshold": nir.Threshold(uniform(-0.5, 0.5, 4)),
    "IF": nir.IF(np.array([90.0, 200, 400, 30]), uniform(0.5, 1, 4)),
    "IF, reset": nir.IF(
        np.array([90.0, 200, 400, 30]), uniform(0.5, 1, 4), uniform(-0.5, 0.2, 4)
    ),
    "LIF": nir.LIF(*constant(0.02, 3, 0, 1)),
    "LIF, leak, reset": nir.LIF(
        tau=np.full(4, 0.02),
        v_leak=uniform(0.5, 2, 4),
        v_reset=uniform(-1, 0, 4),
        **spiking(),
    ),
    "LIF, time constants": nir.LIF(
        tau=uniform(0.005, 0.03, 4), v_leak=uniform(0.5, 2, 4), **spiking()
    ),
    "CubaLIF": nir.CubaLIF(*constant(0.005, 0.02, 4, 0, 1)),
    "CubaLIF, equal": nir.CubaLIF(*constant(0.01, 0.01, 4, 0, 1)),
    "CubaLIF, all": nir.CubaLIF(
        tau_syn=uniform(0.002, 0.02, 4),
        tau_mem=uniform(0.005, 0.03, 4),
        v_leak=uniform(0.5, 2, 4),
        v_reset=uniform(-1, 0.2, 4),
        w_in=uniform(1, 2, 4),
        **spiking(),
    ),
}


@pytest.mark.parametrize("method", ["exact", "euler"])
@pytest.mark.parametrize("name", NODES)
def test_primitive(name, method):
    inputs = np.random.RandomState(1).uniform(-0.5, 1.5, (80, 4))
    compare(single(NODES[name], (4,)), {"input": inputs}, method=method)


IMAGES = {
    "Conv1d": (nir.Conv1d(9, RNG.randn(3, 2, 3), 1, 0, 1, 1, RNG.randn(3)), (2, 9)),
    "Conv1d, stride": (
        nir.Conv1d(9, RNG.randn(3, 2, 4), 3, 2, 1, 1, RNG.randn(3)),
        (2, 9),
    ),
    "Conv1d, dilation": (
        nir.Conv1d(9, RNG.randn(3, 2, 3), 1, "same", 2, 1, np.zeros(3)),
        (2, 9),
    ),
    "Conv2d": (
        nir.Conv2d((5, 6), RNG.randn(4, 2, 3, 3), 1, 0, 1, 1, RNG.randn(4)),
        (2, 5, 6),
    ),
    "Conv2d, same": (
        nir.Conv2d((5, 6), RNG.randn(4, 2, 3, 3), 1, 1, 1, 1, RNG.randn(4)),
        (2, 5, 6),
    ),
    "Conv2d, same by name": (
        nir.Conv2d((5, 6), RNG.randn(4, 2, 2, 2), 1, "same", 1, 1, RNG.randn(4)),
        (2, 5, 6),
    ),
    "Conv2d, strides and padding": (
        nir.Conv2d((7, 6), RNG.randn(4, 2, 3, 3), (2, 3), (1, 2), 1, 1, RNG.randn(4)),
        (2, 7, 6),
    ),
    "Conv2d, groups": (
        nir.Conv2d(None, RNG.randn(4, 1, 3, 3), 2, 1, 1, 2, RNG.randn(4)),
        (2, 7, 7),
    ),
    "Conv1d, dilation, padding": (
        nir.Conv1d(9, RNG.randn(3, 2, 3), 2, 1, 2, 1, np.zeros(3)),
        (2, 9),
    ),
    "Conv2d, depthwise": (
        nir.Conv2d(None, RNG.randn(4, 1, 3, 3), 1, 0, 2, 2, RNG.randn(4)),
        (2, 7, 7),
    ),
    "SumPool2d": (nir.SumPool2d(*np.array([[2, 2], [2, 2], [0, 0]])), (3, 6, 4)),
    "AvgPool2d": (nir.AvgPool2d(*np.array([[3, 2], [2, 1], [0, 0]])), (3, 7, 4)),
    "AvgPool2d, padding": (
        nir.AvgPool2d(*np.array([[3, 3], [2, 2], [1, 1]])),
        (3, 7, 5),
    ),
    "Flatten": (nir.Flatten({"input": np.array([2, 3, 4])}, 1), (2, 3, 4)),
    "LIF": (
        nir.LIF(
            *(uniform(*ends, 2, 3, 4) for ends in [(0.01, 0.02), (2, 3), (1, 2)]),
            np.ones((2, 3, 4)),
        ),
        (2, 3, 4),
    ),
    "Linear, batch": (nir.Linear(RNG.randn(2, 5, 3)), (2, 3)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_image(name):
    node, shape = IMAGES[name]
    inputs = np.random.RandomState(1).uniform(-0.5, 1.5, (20, *shape))
    compare(single(node, shape), {"input": inputs})


def test_non_square_kernel():
    # nir takes kernels to be square, so it works out the wrong shape of the output
    kernel = RNG.randn(4, 2, 3, 2)
    conv = nir.Conv2d((5, 6), kernel, 1, 0, 1, 1, np.zeros(4))
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([2, 5, 6])),
            "conv": conv,
            "output": nir.Output(np.array([4, 3, 5])),
        },
        [("input", "conv"), ("conv", "output")],
        type_check=False,
    )
    compare(graph, {"input": RNG.randn(5, 2, 5, 6)})


def recurrent():
    return nir.NIRGraph(
        {
            "input": nir.Input(np.array([4])),
            "lif": NODES["CubaLIF, all"],
            "back": nir.Linear(RNG.randn(4, 4)),
            "output": nir.Output(np.array([4])),
        },
        [("input", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")],
    )


def test_recurrent_spikes_arrive_one_step_later():
    inputs = {"input": np.random.RandomState(1).uniform(-0.5, 1.5, (100, 4))}
    compare(recurrent(), inputs, late={("back", "lif")})


def test_recurrent_through_an_integrator():
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([4])),
            "lif": NODES["LIF"],
            "back": nir.Linear(RNG.randn(4, 4)),
            "synapse": NODES["LI"],
            "output": nir.Output(np.array([4])),
        },
        [
            ("input", "lif"),
            ("lif", "back"),
            ("back", "synapse"),
            ("synapse", "lif"),
            ("lif", "output"),
        ],
    )
    compare(graph, {"input": np.random.RandomState(1).uniform(0, 1.5, (100, 4))})


def test_several_edges_into_a_matrix_share_its_weights():
    graph = nir.NIRGraph(
        {
            "a": nir.Input(np.array([4])),
            "b": nir.Input(np.array([4])),
            "sum": nir.Affine(RNG.randn(3, 4), RNG.randn(3)),
            "first": nir.Output(np.array([3])),
            "second": nir.Output(np.array([4])),
        },
        [("a", "sum"), ("b", "sum"), ("sum", "first"), ("a", "second")],
    )
    compare(graph, {"a": RNG.randn(5, 4), "b": RNG.randn(5, 4)})
    transforms = [
        c
        for c in load(graph).network.all_connections
        if isinstance(c.transform, nengo.Dense)
    ]
    assert len(transforms) == 1


def test_graph_in_a_graph():
    outer = nir.NIRGraph(
        {
            "input": nir.Input(np.array([4])),
            "layer": recurrent(),
            "output": nir.Output(np.array([4])),
        },
        [("input", "layer"), ("layer", "output")],
    )
    inputs = {"input": np.random.RandomState(1).uniform(-0.5, 1.5, (60, 4))}
    expected = evaluate(outer.nodes["layer"], inputs, DT, late={("back", "lif")})
    loaded = load(outer)
    assert "layer.lif" in loaded.objects
    np.testing.assert_allclose(
        play(loaded, inputs)["output"], expected["output"], atol=1e-12
    )


def test_euler_is_snntorch():
    """Its Leaky with reset to zero, v = beta v + x, has dt = 1e-4 and r = tau / dt."""
    beta, dt = 0.9, 1e-4
    tau = dt / (1 - beta)
    lif = nir.LIF(np.array(tau), np.array(tau / dt), np.array(0.0), np.array(1.0))
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([5])),
            "lif": lif,  # a single time constant, as snnTorch writes it
            "output": nir.Output(np.array([5])),
        },
        [("input", "lif"), ("lif", "output")],
        type_check=False,
    )
    inputs = np.random.RandomState(0).uniform(0, 0.5, (50, 5))
    v, spikes = np.zeros(5), []
    for x in inputs:
        v = beta * v + x
        spikes.append(v > 1)
        v = np.where(v > 1, 0, v)
    assert 10 < np.sum(spikes) < 240
    result = play(load(graph, dt=dt, method="euler"), {"input": inputs})["output"]
    np.testing.assert_allclose(result, spikes, atol=1e-12)


def test_files(tmp_path):
    graph = recurrent()
    nir.write(tmp_path / "graph.nir", graph)
    inputs = {"input": np.random.RandomState(1).uniform(-0.5, 1.5, (60, 4))}
    expected = evaluate(graph, inputs, DT, late={("back", "lif")})
    for path in (tmp_path / "graph.nir", str(tmp_path / "graph.nir")):
        result = play(load(path), inputs)["output"]
        np.testing.assert_allclose(result, expected["output"], atol=1e-12)


@pytest.mark.parametrize(
    "name", ["LIF, time constants", "CubaLIF, all", "IF", "Threshold", "Delay"]
)
def test_runs_in_nengo_jax_without_python(name):
    inputs = {"input": np.random.RandomState(1).uniform(-0.5, 1.5, (50, 4))}
    graph = single(NODES[name], (4,))
    result = play(load(graph), inputs, nengo_jax.Simulator, dtype="float64")
    expected = evaluate(graph, inputs, DT)["output"]
    np.testing.assert_allclose(result["output"], expected, atol=1e-9)


def test_metadata_give_dt_and_method():
    graph = recurrent()
    assert load(graph).dt == 0.001
    assert load(graph).method == "exact"
    graph.metadata = {"dt": 1e-4, "method": "euler"}
    assert load(graph).dt == 1e-4
    assert load(graph).method == "euler"
    assert load(graph, dt=0.002, method="exact").dt == 0.002


def broken(edges, **nodes):
    return nir.NIRGraph(nodes, edges, type_check=False)


INPUT = nir.Input(np.array([4]))
OUTPUT = nir.Output(np.array([4]))


class Unknown(nir.NIRNode):
    def __init__(self):
        self.input_type = {"input": np.array([4])}
        self.output_type = {"output": np.array([4])}


BAD = {
    "no input": (
        broken([("a", "o")], a=NODES["LI"], o=OUTPUT),
        BuildError,
        "no node of type Input",
    ),
    "no output": (
        broken([("i", "a")], i=INPUT, a=NODES["LI"]),
        BuildError,
        "no node of type Output",
    ),
    "output that nothing leads to": (
        broken([("i", "a")], i=INPUT, a=NODES["LI"], o=OUTPUT),
        BuildError,
        r"Nothing is connected to 'o' \(Output\)",
    ),
    "edge to nowhere": (
        broken([("i", "x")], i=INPUT, o=OUTPUT),
        BuildError,
        r"Edge \('i', 'x'\) names 'x'",
    ),
    "edge twice": (
        broken([("i", "o"), ("i", "o")], i=INPUT, o=OUTPUT),
        BuildError,
        "is there twice",
    ),
    "shapes": (
        broken([("i", "a"), ("a", "o")], i=INPUT, a=nir.Scale(np.ones(3)), o=OUTPUT),
        BuildError,
        r"'i' \(Input\) gives the shape \(4,\), but 'a' \(Scale\) takes",
    ),
    "unknown shape": (
        broken(
            [("a", "b"), ("b", "a"), ("i", "o")],
            i=INPUT,
            o=OUTPUT,
            a=nir.Flatten(None, 0),
            b=nir.Flatten(None, 0),
        ),
        BuildError,
        r"shape of 'a' \(Flatten\) is not known",
    ),
    "unknown type": (
        broken([("i", "a"), ("a", "o")], i=INPUT, a=Unknown(), o=OUTPUT),
        BuildError,
        "'a' is of type Unknown, which nengo_jax does not know",
    ),
    "graph with two inputs": (
        broken(
            [("i", "a"), ("a", "o")],
            i=INPUT,
            o=OUTPUT,
            a=broken([("x", "z"), ("y", "z")], x=INPUT, y=INPUT, z=OUTPUT),
        ),
        BuildError,
        "'a' has 2 nodes of type Input",
    ),
    "threshold below reset": (
        single(nir.IF(*constant(1, 1, 1)), (4,)),
        BuildError,
        "threshold has to be above v_reset",
    ),
    "threshold below 0": (
        single(nir.IF(*constant(1, -1, -2)), (4,)),
        BuildError,
        "negative thresholds",
    ),
    "time constant": (
        single(nir.LI(*constant(0, 1, 0)), (4,)),
        BuildError,
        "has the time constant tau = 0.0 s",
    ),
    "delay": (
        single(nir.Delay(np.full(4, 0.0015)), (4,)),
        BuildError,
        "delays by 0.0015 s, which is not a number of steps of 0.001 s",
    ),
    "same with a stride": (
        broken(
            [("i", "a"), ("a", "o")],
            i=nir.Input(np.array([2, 9])),
            a=nir.Conv1d(9, RNG.randn(3, 2, 3), 2, "same", 1, 1, np.zeros(3)),
            o=nir.Output(np.array([3, 5])),
        ),
        BuildError,
        "'same' has a stride of 2",
    ),
    "biases": (
        single(nir.Conv1d(9, RNG.randn(3, 2, 3), 1, 0, 1, 1, np.zeros(2)), (2, 9)),
        BuildError,
        "has 2 biases for 3 channels",
    ),
    "parameters": (
        single(nir.Affine(RNG.randn(3, 4), np.zeros(2)), (4,)),
        BuildError,
        "'affine' has 2 values of bias for 3 elements",
    ),
    "a list": ([NODES["LI"]], TypeError, "NIRGraph.from_list"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_graph(name):
    graph, error, message = BAD[name]
    with pytest.raises(error, match=message):
        load(graph)


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*missing\.nir"):
        load(tmp_path / "missing.nir")
    (tmp_path / "text.nir").write_text("no graph")
    with pytest.raises(ValueError, match=r"text\.nir contains no NIR graph"):
        load(tmp_path / "text.nir")
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = np.ones(3)
    with pytest.raises(ValueError, match=r"other\.h5 contains no NIR graph"):
        load(tmp_path / "other.h5")
    nir.write(tmp_path / "node.nir", NODES["LI"])
    with pytest.raises((TypeError, ValueError), match=r"NIR graph|NIRGraph"):
        load(tmp_path / "node.nir")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"dt": 0}, "dt"), ({"dt": np.inf}, "dt"), ({"method": "rk4"}, "'euler'")],
)
def test_bad_options(options, message):
    with pytest.raises(ValidationError, match=message):
        load(recurrent(), **options)


def test_loaded_networks_can_be_trained():
    """Weights have a gradient, and what was trained goes back to NIR."""
    rng = np.random.RandomState(0)
    graph = nir.NIRGraph.from_list(
        nir.Affine(rng.randn(5, 3), rng.randn(5)),
        nir.LIF(*constant(0.02, 2, 0.5, 1, n=5)),
        nir.Linear(rng.randn(2, 5)),
    )
    loaded = load(graph)
    with loaded.network:
        nengo_jax.configure_settings(training="surrogate")
    data = {loaded.inputs["input"]: rng.uniform(0, 1, (4, 10, 3))}
    target = {loaded.outputs["output"]: np.ones((4, 10, 2))}
    with nengo_jax.Simulator(
        loaded.network, minibatch_size=4, progress_bar=False
    ) as sim:
        sim.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        sim.fit(data, target, epochs=2, verbose=0)
        trained = export(sim)
    assert set(trained.nodes) == set(graph.nodes)
    for name in ("affine", "linear"):
        before, after = graph.nodes[name].weight, trained.nodes[name].weight
        assert np.all(np.isfinite(after))
        assert np.abs(after - before).max() > 1e-4


def test_missing_package():
    code = "import sys; sys.modules['nir'] = None; import nengo_jax.nir"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ImportError: nengo_jax.nir needs the package nir" in done.stderr
    assert "pip install nengo-jax[nir]" in done.stderr
