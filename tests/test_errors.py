"""Bad input gets one clear error, of nengo's type where there is one, with its name."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.builder import Model
from nengo.builder.operator import Copy, ElementwiseInc, Reset
from nengo.builder.signal import Signal
from nengo.exceptions import (
    BuildError,
    SimulationError,
    SimulatorClosed,
    ValidationError,
)

import nengo_jax


def simulator(network, **options) -> nengo_jax.Simulator:
    return nengo_jax.Simulator(network, **{"progress_bar": False, **options})


def small_network() -> nengo.Network:
    with nengo.Network(seed=1, label="small network") as network:
        network.stimulus = nengo.Node([0.5, 0.5], label="stimulus")
        network.relay = nengo.Node(size_in=2, label="relay")
        network.sink = nengo.Node(lambda t: None, size_out=0, label="sink")
        network.ensemble = nengo.Ensemble(5, 2, label="ensemble")
        nengo.Connection(network.stimulus, network.relay, synapse=None)
        network.probe = nengo.Probe(network.relay, label="probe")
    return network


@pytest.fixture(scope="module")
def sim():
    with simulator(small_network()) as sim:
        yield sim


@pytest.fixture(scope="module")
def batch():
    with simulator(small_network(), minibatch_size=3) as sim:
        yield sim


# -- the constructor


@pytest.mark.parametrize("value", ["int8", "complex64", "double precision", 3])
def test_dtype(value):
    with pytest.raises(ValidationError, match="dtype") as caught:
        simulator(small_network(), dtype=value)
    assert repr(value) in str(caught.value)
    assert "float32" in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", [2], np.nan])
def test_minibatch_size(value):
    with pytest.raises(ValidationError, match="minibatch_size") as caught:
        simulator(small_network(), minibatch_size=value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", ["quantum", "cpu:99", "cpu:x", 3.5])
def test_device(value):
    with pytest.raises(ValidationError, match="device") as caught:
        simulator(small_network(), device=value)
    assert str(value) in str(caught.value)
    assert "cpu" in str(caught.value).lower(), "it says what there is"


@pytest.mark.parametrize("value", [None, 3, "network", [small_network()]])
def test_network(value):
    with pytest.raises(ValidationError, match="network"):
        simulator(value)


@pytest.mark.parametrize("value", [5, "model"])
def test_model(value):
    with pytest.raises(ValidationError, match="model"):
        simulator(None, model=value)


@pytest.mark.parametrize("value", ["now", None, np.nan, -0.001, np.inf])
def test_dt(value):
    with pytest.raises(ValidationError, match="dt"):
        simulator(small_network(), dt=value)


@pytest.mark.parametrize("value", ["seed", -1, 1.5, 2**32])
def test_seed(value):
    with pytest.raises(ValidationError, match="seed"):
        simulator(small_network(), seed=value)


def test_reset_to_a_bad_seed():
    with simulator(small_network()) as sim:
        seed = sim.seed
        with pytest.raises(ValidationError, match="seed"):
            sim.reset(seed="seed")
        assert sim.seed == seed
        sim.run_steps(1)


# -- time


@pytest.mark.parametrize("value", [-1, -0.001, np.nan, np.inf, -np.inf, "1", None])
def test_run(sim, value):
    before = sim.n_steps
    with pytest.raises(ValidationError, match="time_in_seconds") as caught:
        sim.run(value)
    assert str(value) in str(caught.value)
    assert sim.n_steps == before


@pytest.mark.parametrize("value", [-1, 2.0, 1.5, "3", None, np.nan])
def test_run_steps(sim, value):
    before = sim.n_steps
    with pytest.raises(ValidationError, match="steps") as caught:
        sim.run_steps(value)
    assert repr(value) in str(caught.value)
    assert sim.n_steps == before


def test_trange(sim):
    with pytest.raises(ValidationError, match="sample_every"):
        sim.trange(dt=0.1, sample_every=0.1)


def test_closed():
    network = small_network()
    sim = simulator(network)
    sim.close()
    for call in (
        lambda: sim.run(0.1),
        lambda: sim.run_steps(2),
        lambda: sim.run_steps(2, {network.stimulus: np.zeros((2, 2))}),
        sim.step,
        sim.reset,
    ):
        with pytest.raises(SimulatorClosed, match="closed"):
            call()


# -- data


@pytest.mark.parametrize(
    "shape", [(3, 2, 2), (1, 3, 2), (2, 3), (3,), (2,), (2, 2, 2), (1, 1, 2, 2), ()]
)
def test_shape_of_data(sim, shape):
    (stimulus,) = (n for n in sim.model.toplevel.nodes if n.label == "stimulus")
    with pytest.raises(ValidationError, match="stimulus") as caught:
        sim.run_steps(2, {stimulus: np.zeros(shape)})
    assert str(shape) in str(caught.value)
    assert "(1, 2, 2)" in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 2), (1, 2, 2), (3, 1, 2), (3, 2, 1)])
def test_shape_of_data_in_a_batch(batch, shape):
    stimulus = batch.model.toplevel.stimulus
    with pytest.raises(ValidationError, match="stimulus") as caught:
        batch.run_steps(2, {stimulus: np.zeros(shape)})
    assert str(shape) in str(caught.value)
    assert "(3, 2, 2)" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        [[np.nan, 0], [0, 0]],
        [[np.inf, 0], [0, 0]],
        [["a", "b"], ["c", "d"]],
        [[0, 0], [0]],
        np.full((2, 2), None),
    ],
    ids=["nan", "infinite", "text", "ragged", "None"],
)
def test_values_of_data(sim, value):
    before = sim.n_steps
    with pytest.raises(ValidationError, match="stimulus"):
        sim.run_steps(2, {sim.model.toplevel.stimulus: value})
    assert sim.n_steps == before


def test_complex_data(sim):
    with pytest.raises(ValidationError, match="stimulus"):
        sim.run_steps(2, {sim.model.toplevel.stimulus: np.full((2, 2), 1 + 2j)})


@pytest.mark.parametrize("name", ["ensemble", "probe", "relay", "sink"])
def test_objects_that_take_no_data(sim, name):
    obj = getattr(sim.model.toplevel, name)
    with pytest.raises(ValidationError, match=name):
        sim.run_steps(2, {obj: np.zeros((2, 2))})


def test_node_of_another_network(sim):
    other = small_network()
    other.stimulus.label = "stranger"
    with pytest.raises(ValidationError, match="stranger"):
        sim.run_steps(2, {other.stimulus: np.zeros((2, 2))})


@pytest.mark.parametrize("value", [3, "data", [1, 2], np.zeros((3, 2))], ids=str)
def test_data_that_do_not_fit(sim, value):
    with pytest.raises(ValidationError, match="data"):
        sim.run_steps(2, value)
    with pytest.raises(ValidationError, match="data"):
        sim.run(0.002, value)


def test_keys_that_are_no_objects(sim):
    with pytest.raises(ValidationError, match="'stimuli' is no input node"):
        sim.run_steps(2, {"stimuli": np.zeros((2, 2))})


def test_after_all_these_errors_the_simulator_works(sim):
    network = sim.model.toplevel
    sim.clear_probes()
    sim.run_steps(2, {network.stimulus: np.array([[1, 2], [3, 4]])})
    assert_close(sim.data[network.probe], [[1, 2], [3, 4]])


@pytest.mark.parametrize("what", ["ensemble", "probe", "stimulus"])
def test_unknown_objects_in_data(sim, what):
    obj = getattr(small_network(), what)
    obj.label = "stranger"
    with pytest.raises((ValidationError, KeyError), match="stranger"):
        sim.data[obj]


@pytest.mark.parametrize("key", [None, "probe", 3])
def test_keys_of_data_that_are_no_objects(sim, key):
    with pytest.raises((ValidationError, KeyError), match=repr(key)):
        sim.data[key]


def test_keys_of_signals_that_are_no_signals(sim):
    with pytest.raises(KeyError, match="Signal"):
        sim.signals[sim.model.toplevel.ensemble]


def test_writing_a_wrong_shape_into_a_signal(sim):
    signal = sim.model.sig[sim.model.toplevel.ensemble]["encoders"]
    with pytest.raises(ValueError, match="shape"):
        sim.signals[signal] = np.zeros(17)


# -- node functions

BAD_VALUES = {
    "nan": np.nan,
    "infinite": [np.inf, 0],
    "none": None,
    "text": "abc",
    "wrong shape": [1, 2, 3],
    "nested": [[[1, 2], [3, 4]]],
    "object": object(),
}


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize("with_input", [False, True], ids=["of time", "of input"])
def test_bad_value_of_a_function(name, with_input):
    """The message names the function and has the value."""
    value = BAD_VALUES[name]

    def my_function(t, *x):
        return value if t > 0.0025 else [t, t]

    with nengo.Network() as network:
        if with_input:
            node = nengo.Node(named_of_input(my_function), size_in=1, size_out=2)
        else:
            node = nengo.Node(named_of_time(my_function), size_out=2)
        probe = nengo.Probe(node)
    with simulator(network) as sim:
        with pytest.raises(SimulationError, match="my_name") as caught:
            sim.run_steps(5)
        if name in ("nan", "none", "text"):
            assert str(value) in str(caught.value)
        assert sim.n_steps == 2
        assert len(sim.data[probe]) == 2


def named_of_input(function):
    def my_name(t, x):
        return function(t, x)

    return my_name


def named_of_time(function):
    def my_name(t):
        return function(t)

    return my_name


def test_errors_of_a_function_reach_the_caller_as_they_are():
    class MyError(Exception):
        pass

    def raising(t, x):
        if t > 0.002:
            raise MyError("here I am")
        return x

    with nengo.Network() as network:
        nengo.Node(raising, size_in=1)
    with simulator(network) as sim:
        with pytest.raises(MyError, match="here I am") as caught:
            sim.run_steps(5)
        assert any(entry.name == "raising" for entry in caught.traceback)


def test_function_that_cannot_be_copied_for_a_batch():
    class Stubborn:
        def __call__(self, t, x):
            return x

        def __deepcopy__(self, memo):
            raise RuntimeError("never")

    with nengo.Network() as network:
        nengo.Node(Stubborn(), size_in=1, size_out=1)
    with simulator(network) as sim:
        sim.run_steps(2)
    with pytest.raises(TypeError, match="Stubborn"):
        simulator(network, minibatch_size=2)


# -- models that cannot run


def test_cycle_of_nodes():
    with nengo.Network() as network:
        nodes = [nengo.Node(size_in=1, label=f"link {k}") for k in range(3)]
        for before, after in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
            nengo.Connection(before, after, synapse=None)
        nengo.Node(size_in=1, label="innocent")
    with pytest.raises(BuildError, match="synapse") as caught:
        simulator(network)
    message = str(caught.value)
    assert all(f"link {k}" in message for k in range(3))
    assert "innocent" not in message


def test_cycle_of_one_connection():
    with nengo.Network() as network:
        relay = nengo.Node(size_in=2, label="selfish")
        nengo.Connection(relay, relay, synapse=None)
    with pytest.raises(BuildError, match="selfish"):
        simulator(network)


@pytest.mark.parametrize("optimize", [True, False])
def test_cycle_through_an_ensemble(optimize):
    with nengo.Network() as network:
        ensemble = nengo.Ensemble(5, 1, label="looped")
        nengo.Connection(ensemble, ensemble, synapse=None)
        noise = nengo.Node(nengo.processes.WhiteNoise(), size_out=1)
        nengo.Connection(noise, ensemble)
    with pytest.raises(BuildError, match="looped"):
        simulator(network, optimize=optimize)


def signal(name: str, *shape: int) -> Signal:
    return Signal(np.ones(shape), name=name)


def model_of(*operators) -> Model:
    model = Model(dt=0.001)
    for op in operators:
        model.add_op(op)
    return model


def test_two_operators_that_set_one_signal():
    target = signal("my target", 4)
    with pytest.raises(BuildError, match="my target"):
        simulator(None, model=model_of(Reset(target, tag="first"), Reset(target)))
    overlapping = model_of(Reset(target[:3]), Reset(target[2:]))
    with pytest.raises(BuildError, match="my target"):
        simulator(None, model=overlapping)
    with simulator(None, model=model_of(Reset(target[:2]), Reset(target[2:]))) as sim:
        sim.step()
        assert np.all(sim.signals[target] == 0)


BAD_SHAPES = {
    "Copy": lambda: Copy(signal("a", 3), signal("b", 4), tag="my tag"),
    "Copy of slices": lambda: Copy(
        signal("a", 5), signal("b", 5), src_slice=[0, 1], dst_slice=[2, 3, 4]
    ),
    "ElementwiseInc": lambda: ElementwiseInc(
        signal("a", 3), signal("b", 4), signal("c", 4)
    ),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_shapes_that_do_not_fit(name):
    with pytest.raises(BuildError, match=r"(?s)b.*|\(4,\)") as caught:
        simulator(None, model=model_of(BAD_SHAPES[name]()))
    message = str(caught.value)
    assert "b" in message
    assert name.split()[0] in message or "my tag" in message


def test_nonsense_in_a_step_is_named():
    """An invalid number from NumPy code on the host."""

    class Bad(nengo.Process):
        def make_step(self, shape_in, shape_out, dt, rng, state):
            return lambda t: np.sqrt(np.full(shape_out, 0.002 - t))

    with nengo.Network() as network:
        nengo.Node(Bad(), size_out=1)
    with simulator(network) as sim:
        with pytest.raises(FloatingPointError):
            sim.run_steps(5)
        assert sim.n_steps == 2


def test_errors_of_callbacks_are_not_their_own_cause():
    """Programs that follow the chain of causes would never come to its end."""

    def fail(x):
        raise ValueError("no value")

    def call(t, x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(fail, shape, x, vmap_method="sequential")

    with nengo.Network() as network:
        node = nengo_jax.TensorNode(call, shape_in=(1,), shape_out=(1,))
        nengo.Probe(node)
    with (
        simulator(network) as sim,
        pytest.raises(jax.errors.JaxRuntimeError, match="no value") as caught,
    ):
        sim.run_steps(2)
    assert caught.value.__cause__ is not caught.value


# -- importing


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_keras_on_another_backend():
    done = run_python("import keras; import nengo_jax", KERAS_BACKEND="numpy")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    assert "numpy" in last
    assert "KERAS_BACKEND=jax" in last
