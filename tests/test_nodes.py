"""TensorNode and Layer: what they are, how they are made, and what they refuse."""

import pickle

import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import (
    BuildError,
    NetworkContextError,
    SimulationError,
    ValidationError,
)

import nengo_jax
from nengo_jax.compiler.parameters import parameters_of
from nengo_jax.families.keras_layer import usual_promotion
from nengo_jax.nodes import Layer, TensorNode


def double(x):
    return 2 * x


@pytest.fixture
def network():
    with nengo.Network(seed=0) as network:
        yield network


def simulate(network, steps=2, data=None, **options):
    with nengo_jax.Simulator(network, progress_bar=False, **options) as sim:
        sim.run_steps(steps, data)
        return sim


# -- TensorNode


@pytest.mark.parametrize(
    ("function", "options", "shape_in", "shape_out"),
    [
        (lambda t, x: x, {"shape_in": (2, 3)}, (2, 3), (2, 3)),
        (double, {"shape_in": 4, "pass_time": False}, (4,), (4,)),
        (lambda t: t.reshape(1, 1), {}, None, (1,)),
        (lambda t: t.reshape(1, 1), {"shape_out": 1}, None, (1,)),
        (
            keras.layers.Conv2D(2, 3),
            {"shape_in": [5, 5, 1], "pass_time": False},
            (5, 5, 1),
            (3, 3, 2),
        ),
        (keras.layers.GRUCell(7), {"shape_in": 4, "pass_time": False}, (4,), (7,)),
    ],
)
def test_shapes_are_found_out(network, function, options, shape_in, shape_out):
    node = TensorNode(function, label="name", **options)
    assert isinstance(node, nengo.Node)
    assert node in network.nodes
    assert (node.shape_in, node.shape_out) == (shape_in, shape_out)
    assert node.size_in == (0 if shape_in is None else np.prod(shape_in))
    assert node.size_out == np.prod(shape_out)
    assert node.tensor_func is function
    assert node.pass_time == options.get("pass_time", True)
    assert str(node).replace('"', "'") == "<TensorNode 'name'>"


@pytest.mark.usefixtures("network")
def test_a_function_that_cannot_be_traced_alone_needs_shape_out():
    def fail(t, x):
        raise RuntimeError("not now")

    with pytest.raises(ValidationError, match=r"(?s)'fail'.*t\(\), x\(1, 2\).*not now"):
        TensorNode(fail, 2)
    assert TensorNode(fail, 2, shape_out=3).size_out == 3


def conv(**options):
    return keras.layers.Conv2D(2, 3, **options)


REFUSED = {  # what is made, and the words of the message
    "nothing": (lambda: TensorNode(double, pass_time=False), "neither time nor input"),
    "number": (lambda: TensorNode(3, 1), r"function on JAX arrays.*got 3"),
    "class": (lambda: TensorNode(keras.layers.Dense, 1), r"a class.*Dense\(\.\.\.\)"),
    "list": (lambda: TensorNode(lambda t, x: [x, x], 1), "list.*one array"),
    "batch": (
        lambda: TensorNode(lambda t, x: x[0], 4),
        r"shape \(4,\) for a batch of 1.*\(batch, \*shape_out\)",
    ),
    "complex": (lambda: TensorNode(lambda t, x: 1j * x, 1), "complex"),
    "empty": (lambda: TensorNode(lambda t, x: x[:, :0], 1), "length of 1 or more"),
    "time": (
        lambda: TensorNode(keras.layers.Dense(3), 2, label="a"),
        "(?s)TensorNode 'a'.*the time and an input.*pass_time=False",
    ),
    "no input": (lambda: TensorNode(keras.layers.Dense(3)), "no input"),
    "axes": (
        lambda: TensorNode(conv(), 25, pass_time=False),
        r"(?s)Conv2D.*input of shape \(batch, 25\).*expected min_ndim=4.*now it is "
        r"\(25,\), that is, 25 values",
    ),
    "window": (
        lambda: TensorNode(keras.layers.LSTM(3), 1000, pass_time=False),
        r"(?s)LSTM.*ndim=3, found ndim=2.*one step of the simulation.*LSTMCell",
    ),
    "stateful": (
        lambda: TensorNode(keras.layers.LSTM(3, stateful=True), (2, 3)),
        "stateful=True.*cell",
    ),
    "promise": (
        lambda: TensorNode(keras.layers.Dense(3), 2, 4, pass_time=False, label="a"),
        r"'a'.*shape_out=\(3,\).*made with shape_out=\(4,\)",
    ),
    "negative": (lambda: TensorNode(double, -1), "shape_in"),
}


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_explained(case):
    make, words = REFUSED[case]
    with pytest.raises(ValidationError, match=words):
        make()


def test_promises_of_functions_are_checked_when_building(network):
    TensorNode(double, 2, shape_out=3, pass_time=False, label="a")
    with pytest.raises(ValidationError, match=r"'a'.*\(2,\).*shape_out=\(3,\)"):
        nengo_jax.Simulator(network, progress_bar=False)


def test_a_function_that_depends_on_the_size_of_the_batch(network):
    stimulus = nengo.Node(np.zeros(4))
    node = TensorNode(lambda x: x.reshape(1, -1), 4, pass_time=False)
    nengo.Connection(stimulus, node, synapse=None)
    nengo.Probe(node)
    with pytest.raises(ValidationError, match=r"\(1, 12\) for 3 examples.*\(3, 4\)"):
        simulate(network, minibatch_size=3, data={stimulus: np.ones((3, 2, 4))})


def test_a_double_layer_in_a_single_simulation(network):
    TensorNode(keras.layers.Activation("relu", dtype="float64"), 2, pass_time=False)
    with pytest.raises(ValidationError, match=r"computes in float64.*float32"):
        simulate(network)
    simulate(network, dtype="float64")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_simulators_say_what_is_wrong(network):
    node = TensorNode(double, 1, pass_time=False, label="a")
    with pytest.raises(SimulationError, match=r"nengo_jax\.Simulator"):
        nengo.Simulator(network, progress_bar=False)
    with pytest.raises(SimulationError, match="TensorNode 'a'"):
        node.output(0.0, np.zeros(1))


def test_nothing_takes_the_place_of_its_output(network):
    node = TensorNode(lambda t: t.reshape(1, 1), label="a")
    with nengo_jax.Simulator(network, progress_bar=False) as sim:  # noqa: SIM117
        with pytest.raises(ValidationError, match=r"'a'.* computes its output"):
            sim.run_steps(1, {node: np.ones((1, 1, 1))})


def test_only_one_node_can_change_the_state_of_a_layer(network):
    layer = keras.layers.Dropout(0.5)
    for _ in range(2):
        TensorNode(layer, 1, pass_time=False)
    with pytest.raises(BuildError, match="hold the same layer, Dropout"):
        nengo_jax.Simulator(network, progress_bar=False)


def test_a_function_may_use_layers_inside(network):
    """They are constants, and are built when the node is made."""
    inside = keras.layers.Dense(2, kernel_initializer="ones")
    drop = keras.layers.Dropout(0.5)

    def function(x):
        result = inside(x)
        return drop(result, training=True) * 0 + result

    stimulus = nengo.Node([1.0, 2.0])
    with usual_promotion():
        node = TensorNode(function, 2, pass_time=False)
        nengo.Connection(stimulus, node, synapse=None)
        probe = nengo.Probe(node)
        sim = simulate(network)
    np.testing.assert_allclose(sim.data[probe], [[3, 3], [3, 3]])
    assert not parameters_of(network, sim.model)
    assert np.isfinite(np.asarray(inside.kernel.value)).all()
    assert drop.variables[0].value[1] == 0


@pytest.mark.filterwarnings("ignore::nengo.exceptions.NotAddedToNetworkWarning")
def test_sliced_probed_and_pickled(network):
    stimulus = nengo.Node([1.0, 2.0])
    node = TensorNode(double, 2, pass_time=False)
    nengo.Connection(stimulus[0], node[1], synapse=None)
    probe = nengo.Probe(node[1:])
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(2)
        with pickle.loads(pickle.dumps(sim)) as twin:
            twin.run_steps(1)
            (again,) = twin.model.probes
            np.testing.assert_array_equal(twin.data[again], [[2], [2], [2]])
    np.testing.assert_array_equal(sim.data[probe], [[2], [2]])


# -- Layer


def test_a_chain_of_layers(network):
    image = nengo.Node(np.ones(25))
    x = Layer(conv())(image, shape_in=(5, 5, 1))
    neurons = Layer(nengo.RectifiedLinear())(
        x, gain=nengo.dists.Choice([1]), bias=nengo.dists.Choice([0])
    )
    y, connection = Layer(keras.ops.square)(
        neurons, transform=np.ones((4, 18)) / 18, return_conn=True
    )
    z = Layer(double)(y[:2], synapse=0.1)
    assert isinstance(x, TensorNode)
    assert not x.pass_time
    assert isinstance(neurons, nengo.ensemble.Neurons)
    assert (neurons.ensemble.n_neurons, neurons.ensemble.dimensions) == (18, 1)
    assert (y.shape_in, z.shape_in) == ((4,), (2,))
    assert connection.pre is neurons
    assert connection.synapse is None
    assert network.connections[-1].synapse == nengo.Lowpass(0.1)
    probes = [nengo.Probe(obj) for obj in (x, neurons, y)]
    sim = simulate(network)
    currents = np.maximum(sim.data[probes[0]], 0)
    np.testing.assert_allclose(sim.data[probes[1]], currents, rtol=1e-5)
    expected = np.tile(currents.mean(1, keepdims=True) ** 2, 4)
    np.testing.assert_allclose(sim.data[probes[2]], expected, rtol=1e-5)


@pytest.mark.parametrize("configured", [None, "before", "after"])
def test_connections_of_layers_are_not_trained(network, configured):
    def configure():
        nengo_jax.configure_settings(trainable=True)

    def trained():
        found = parameters_of(network, simulate(network).model)
        return {p.obj for p in found if p.trainable} & set(network.connections)

    stimulus = nengo.Node([0.0])
    if configured == "before":
        configure()
    _, connection = Layer(double)(stimulus, transform=2.0, return_conn=True)
    other = nengo.Connection(stimulus, nengo.Ensemble(2, 1), transform=3.0)
    if configured == "after":
        configure()
    assert trained() == {other}
    network.config[connection].trainable = True  # a user may say otherwise
    assert trained() == {other, connection}


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (double, "Layer(double)"),
        (keras.layers.Dense(3, name="hidden"), "Layer(hidden)"),
        (nengo.LIF(), "Layer(LIF())"),
    ],
)
def test_names(function, text):
    assert str(Layer(function)) == text


def test_the_classic_mistake(network):
    """Activities of one step are given to a layer that wants a window of steps."""
    ensemble = nengo.Ensemble(1000, 1)
    layer = Layer(keras.layers.LSTM(10, name="lstm"))
    with pytest.raises(ValidationError) as raised:
        layer(ensemble.neurons, shape_in=(100, 1000))
    message = str(raised.value)
    assert "Layer(lstm) gets 1000 values" in message
    assert "shape_in=(100, 1000) stands for 100000 values" in message
    assert "one step of the simulation at a time" in message
    assert "LSTMCell" in message
    assert "shape_in=(1000,)" in message
    assert len(network.all_connections) == 0
    x = Layer(keras.layers.LSTMCell(10))(ensemble.neurons)
    assert x.size_out == 10


def test_what_a_layer_refuses(network):
    stimulus = nengo.Node([1.0, 2.0])
    with pytest.raises(ValidationError, match=r"2 values.*stands for 3.*product is 2"):
        Layer(double)(stimulus, shape_in=3)
    with pytest.raises(ValidationError, match="4 values"):
        Layer(double)(
            stimulus, transform=nengo.Dense((4, 2), init=np.ones((4, 2))), shape_in=3
        )
    with pytest.raises(ValidationError, match="Node, Ensemble or Neurons"):
        Layer(double)(np.ones(3))
    with pytest.raises(ValidationError, match="is a class"):
        Layer(keras.layers.Dense)
    assert len(network.all_connections) == 0


def test_layers_need_a_network():
    with nengo.Network():
        stimulus = nengo.Node([1.0])
    with pytest.raises(NetworkContextError, match="inside a network"):
        Layer(double)(stimulus)


def test_nothing_has_a_batch_axis(network):
    """Neither inputs nor states need have one for results of a batch."""
    node = TensorNode(lambda t: jnp.stack([t, t])[None])
    probe = nengo.Probe(node)
    sim = simulate(network, minibatch_size=3)
    assert sim.data[probe].shape == (3, 2, 2)


def test_integers_are_numbers_too(network):
    node = TensorNode(lambda x: jnp.ones(x.shape, jnp.int32), 2, pass_time=False)
    probe = nengo.Probe(node)
    np.testing.assert_array_equal(simulate(network).data[probe], np.ones((2, 2)))
