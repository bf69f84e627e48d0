"""Layers in nodes do what Keras does when they are called by hand, step by step."""

import jax
import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from helpers import assert_close

import nengo_jax
from nengo_jax.compiler import build_model, check, compile_model, explain
from nengo_jax.compiler.parameters import parameters_of
from nengo_jax.core import Role
from nengo_jax.families import Training
from nengo_jax.families.keras_layer import call_layer, usual_promotion
from nengo_jax.nodes import TensorNode
from nengo_jax.runtime.refine import refine
from nengo_jax.runtime.sequence import run_sequence
from nengo_jax.runtime.step import state_axes
from nengo_jax.runtime.unroll import Inputs

BATCH, STEPS, SIZE = 3, 4, 12
SINGLE = 3e-6  # of the largest value, in float32
DOUBLE = 1e-13


def xs(batch=BATCH, steps=STEPS, size=SIZE, dtype=np.float64):
    return np.random.RandomState(2).standard_normal((batch, steps, size)).astype(dtype)


class Counted(keras.layers.Layer):
    """Takes the time, has no training argument, and counts calls in an integer."""

    def build(self, *shapes):
        self.count = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="count"
        )

    def call(self, t, x):
        self.count.assign(self.count + 1)
        return x * t + keras.ops.cast(self.count, x.dtype)


def normalisation(dtype):
    layer = keras.layers.BatchNormalization(dtype=dtype, momentum=0.9)
    layer(keras.KerasTensor((None, SIZE)))
    rng = np.random.RandomState(0)
    layer.set_weights([rng.uniform(0.5, 2, SIZE) for _ in range(4)])
    return layer


def functional(dtype):
    inputs = keras.Input((SIZE,), dtype=dtype)
    x = keras.layers.Dense(5, "tanh", dtype=dtype)(inputs)
    y = keras.layers.Dense(5, dtype=dtype)(inputs)
    outputs = keras.layers.Add(dtype=dtype)([x, y])
    model = keras.Model(inputs, outputs)
    model.dtype_policy = keras.DTypePolicy(dtype)
    return model


# name: (layer, shape of the input)
LAYERS = {
    "dense": (lambda d: keras.layers.Dense(3, "relu", dtype=d), (SIZE,)),
    "convolution": (lambda d: keras.layers.Conv2D(2, 2, dtype=d), (4, 3, 1)),
    "normalisation": (normalisation, (SIZE,)),
    "dropout": (lambda d: keras.layers.Dropout(0.5, dtype=d), (SIZE,)),
    "functional": (functional, (SIZE,)),
    "window": (lambda d: keras.layers.GRU(2, dtype=d), (4, 3)),
    "lstm": (lambda d: keras.layers.LSTMCell(3, dtype=d), (SIZE,)),
    "gru": (lambda d: keras.layers.GRUCell(3, dtype=d), (SIZE,)),
    "stacked": (
        lambda d: keras.layers.StackedRNNCells(
            [keras.layers.LSTMCell(3, dtype=d), keras.layers.SimpleRNNCell(2, dtype=d)],
            dtype=d,
        ),
        (SIZE,),
    ),
}
CELLS = ("lstm", "gru", "stacked")
EXACT = ("dense", "convolution")  # many operations of Keras compute in float32 at most


def by_hand(name, layer, shape, x):
    """Call a layer once for each step; return shape (batch, steps, size)."""
    outputs = []
    with usual_promotion():
        states = layer.get_initial_state(len(x)) if name in CELLS else None
        for k in range(x.shape[1]):
            now = jnp.asarray(x[:, k].reshape(-1, *shape))
            if name in CELLS:
                y, states = layer(now, states)
            else:
                y = layer(now, training=False)
            outputs.append(np.asarray(y).reshape(len(x), -1))
    return np.stack(outputs, 1)


def all_layers(dtype):
    """A network with a node for each layer, all driven by one input."""
    layers, probes = {}, {}
    with nengo.Network(seed=0) as network, jax.enable_x64(dtype == "float64"):
        stimulus = nengo.Node(np.zeros(SIZE), label="x")
        for name, (make, shape) in LAYERS.items():
            layer = make(dtype)
            node = TensorNode(layer, shape, pass_time=False, label=name)
            nengo.Connection(stimulus, node, synapse=None)
            layers[name], probes[name] = layer, nengo.Probe(node)
    return network, stimulus, layers, probes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_layer_as_by_hand(dtype):
    network, stimulus, layers, probes = all_layers(dtype)
    data = {stimulus: xs()}
    options = {"dtype": dtype, "progress_bar": False}
    with nengo_jax.Simulator(network, minibatch_size=BATCH, **options) as sim:
        sim.run_steps(STEPS, data)
        sim.reset()
        sim.run_steps(STEPS, data)
        for name, layer in layers.items():
            with jax.enable_x64(dtype == "float64"):
                x = xs(dtype=dtype)
                expected = by_hand(name, layer, LAYERS[name][1], x)
            actual = sim.data[probes[name]][:, -STEPS:]
            rtol = DOUBLE if dtype == "float64" and name in EXACT else SINGLE
            assert np.ptp(expected) > 0.1
            assert_close(actual, expected, name, rtol)
            again = sim.data[probes[name]][:, :STEPS]
            np.testing.assert_array_equal(again, actual)  # reset brings states back
    if dtype == "float64":
        return
    with nengo_jax.Simulator(network, **options) as single:
        single.run_steps(STEPS, {stimulus: xs()[1]})
        for name, probe in probes.items():
            assert_close(single.data[probe], sim.data[probe][1, :STEPS], name, SINGLE)


def test_layers_of_single_precision_in_a_double_simulation():
    network, stimulus, probe = one_layer(lambda: keras.layers.Dense(3))
    layer = network.nodes[1].tensor_func
    with nengo_jax.Simulator(network, dtype="float64", progress_bar=False) as sim:
        sim.run_steps(STEPS, {stimulus: xs(batch=1)})
    expected = by_hand("dense", layer, (SIZE,), xs(batch=1, dtype=np.float32))
    assert sim.data[probe].dtype == np.float64
    assert_close(sim.data[probe], expected[0], rtol=SINGLE)


def test_functions_get_time_and_the_whole_batch():
    seen = set()

    def function(t, x):
        seen.add((t.shape, x.shape))
        total = keras.ops.sum(x, axis=(0, 1), keepdims=True)
        return keras.ops.square(x) * t + keras.ops.broadcast_to(total, x.shape)

    with nengo.Network() as network:
        stimulus = nengo.Node(np.zeros(SIZE))
        node = TensorNode(function, (3, 4))
        clock = TensorNode(lambda t: jnp.stack([t, 2 * t])[None])
        nengo.Connection(stimulus, node, synapse=None)
        probes = nengo.Probe(node), nengo.Probe(clock), nengo.Probe(node[:2])
    assert node.shape_out == (3, 4)
    assert (node.size_in, node.size_out) == (SIZE, SIZE)
    with nengo_jax.Simulator(
        network, minibatch_size=BATCH, dtype="float64", progress_bar=False
    ) as sim:
        sim.run_steps(STEPS, {stimulus: xs()})
    x, t = xs(), np.arange(1, STEPS + 1)[None, :, None] * 1e-3
    total = x.reshape(BATCH, STEPS, 3, 4).sum((0, 2))
    expected = np.square(x) * t + np.tile(total, 3)[None]
    assert_close(sim.data[probes[0]], expected)
    assert_close(sim.data[probes[1]], np.tile(t * [1, 2], (BATCH, 1, 1)))
    assert seen == {((), (1, 3, 4)), ((), (BATCH, 3, 4))}


def test_integers_and_time_in_a_layer_of_ones_own():
    with nengo.Network() as network:
        stimulus = nengo.Node([3.0])
        layer = Counted()
        node = TensorNode(layer, 1, label="own")
        nengo.Connection(stimulus, node, synapse=None)
        probe = nengo.Probe(node)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(STEPS)
        count = sim.signals[sim.model.sig[node]["counted/count"]]
        assert count == STEPS
        assert count.dtype == np.uint32
    steps = np.arange(1, STEPS + 1)
    assert_close(sim.data[probe][:, 0], 3e-3 * steps + steps, rtol=SINGLE)
    assert layer.count.value == 0  # the layer itself is left alone


def test_a_node_in_a_loop():
    """A node feeds itself through a synapse, and Python runs in the same step."""
    with nengo.Network() as network:
        node = TensorNode(keras.layers.BatchNormalization(), 2, pass_time=False)
        nengo.Connection(node, node, synapse=0.01)
        python = nengo.Node(lambda t, x: x + 1, size_in=2, size_out=2)
        nengo.Connection(node, python, synapse=0)
        nengo.Connection(python, node, synapse=None)
        probe = nengo.Probe(node)
    for batch in (None, 2):
        options = {"minibatch_size": batch, "progress_bar": False}
        with nengo_jax.Simulator(network, **options) as sim:
            sim.run_steps(3)
            assert sim.signals is not None
            mean = sim.model.sig[node]["batch_normalization/moving_mean"]
            assert sim.signals[mean].shape == (2,)
            wires = sim.signals[sim.model.sig[node]["out"]]
        shrink = 1 / np.sqrt(1 + 1e-3)
        decay, state, output, expected = np.exp(-0.1), 0.0, 0.0, []
        for _ in range(3):
            state, fed = decay * state + (1 - decay) * output, output + 1
            output = (state + fed) * shrink
            expected.append([output, output])
        values = sim.data[probe] if batch is None else sim.data[probe][0]
        assert_close(values, expected, rtol=1e-5)
        assert wires.shape == ((2,) if batch is None else (batch, 2))


# -- training


def one_layer(make, shape=(SIZE,), dtype="float32"):
    with nengo.Network(seed=0) as network, jax.enable_x64(dtype == "float64"):
        stimulus = nengo.Node(np.zeros(SIZE), label="x")
        node = TensorNode(make(), shape, pass_time=False, label="node")
        nengo.Connection(stimulus, node, synapse=None)
        probe = nengo.Probe(node)
    return network, stimulus, probe


class Trained:
    """The program for training of a network, run on a batch of sequences."""

    def __init__(self, network, dtype="float32", training=Training()):  # noqa: B008
        model = build_model(network, None, 0.001, False)
        self.parameters = parameters_of(network, model)
        trained = {p.signal for p in self.parameters if p.trainable}
        self.compiled = compile_model(
            model, np.dtype(dtype), batched=True, trainable=trained
        )
        self.program = self.compiled.for_training(training)
        check(self.program)
        axes = state_axes(self.program)
        initial = self.program.initial
        self.state = {
            name: initial[name] if axis is None else np.stack([initial[name]] * BATCH)
            for name, axis in axes.items()
        }
        self.params = {n: initial[n] for n in self.program.names(Role.PARAM)}
        self._axes = axes

    def run(self, params, state, x, **options):
        refined = refine(self.program)

        def one(params, state, sequence):
            inputs = Inputs({}, {"constants": sequence})
            steps = x.shape[1]
            return run_sequence(refined, params, state, inputs, steps, **options)

        batched = jax.vmap(one, (None, self._axes, 0), (self._axes, 0))
        state, (samples,) = batched(params, state, x)
        return state, samples

    def block(self, attribute):
        """Block of a parameter; each has one of its own."""
        (found,) = (p for p in self.parameters if p.attribute.endswith(attribute))
        return self.compiled.layout.slots[found.signal].block


def test_statistics_of_a_batch_move_once_per_step():
    network, _, _ = one_layer(lambda: normalisation("float32"))
    layer = network.nodes[1].tensor_func
    net = Trained(network)
    x = xs(dtype=np.float32)
    state, samples = jax.jit(net.run)(net.params, net.state, x)
    values = [variable.value for variable in layer.variables]
    for k in range(STEPS):
        called = call_layer(layer, values, [jnp.asarray(x[:, k])], True)
        values = called.values
        assert_close(samples[:, k], called.result, rtol=1e-5)
    for name, value in zip(("gamma", "beta"), values[:2], strict=True):
        assert_close(net.params[net.block(name)], value)
    for name, value in zip(("mean", "variance"), values[2:], strict=True):
        assert_close(state[net.block(f"moving_{name}")], value, name, rtol=1e-5)
    shared = [p.attribute for p in net.parameters if not p.trainable]
    assert shared == [f"batch_normalization/moving_{n}" for n in ("mean", "variance")]
    assert "shared" in explain(net.program)


def test_dropout_changes_from_step_to_step_and_call_to_call():
    network, stimulus, probe = one_layer(lambda: keras.layers.Dropout(0.5))
    layer = network.nodes[1].tensor_func
    net = Trained(network)
    x = np.ones((BATCH, STEPS, SIZE), np.float32)
    state, first = jax.jit(net.run)(net.params, net.state, x)
    _, second = jax.jit(net.run)(net.params, state, x)
    masks = [np.asarray(y)[:, k] for y in (first, second) for k in range(STEPS)]
    assert {float(v) for v in np.unique(masks)} == {0.0, 2.0}
    assert len({mask.tobytes() for mask in masks}) == 2 * STEPS
    assert len({row.tobytes() for row in masks[0]}) == BATCH
    (seed,) = net.compiled.seeds
    values = [jnp.asarray(seed.initial_value)]
    for k in range(STEPS):
        called = call_layer(layer, values, [jnp.asarray(x[:, k])], True)
        values = called.values
        np.testing.assert_array_equal(first[:, k], called.result)
    quiet = net.compiled.for_training(None)
    assert quiet.names(Role.SHARED) == net.program.names(Role.SHARED)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(STEPS, {stimulus: x[0]})
    np.testing.assert_array_equal(sim.data[probe], x[0])  # nothing drops in a run


def test_the_seed_of_the_simulator_decides_about_masks():
    def states(seed, own=None):
        network, _, _ = one_layer(lambda: keras.layers.Dropout(0.5, seed=own))
        with nengo_jax.Simulator(network, seed=seed, progress_bar=False) as sim:
            (op,) = (o for o in sim.model.operators if hasattr(o, "variables"))
            (signal,) = op.variables
            first = np.array(sim.signals[signal])
            sim.reset(seed=9)
            return first.tolist(), np.array(sim.signals[signal]).tolist()

    assert states(1) == states(1)
    assert states(1)[0] != states(2)[0]
    assert states(1)[1] == states(2)[1] == states(9)[0]
    assert states(1, own=5) == ([5, 0], [5, 0])  # a seed of its own counts


def test_rnn_cells_with_dropout_leave_no_trace():
    network, _, _ = one_layer(lambda: keras.layers.GRUCell(3, dropout=0.5))
    net = Trained(network)
    x = np.ones((BATCH, 1, SIZE), np.float32)
    state, first = jax.jit(net.run)(net.params, net.state, x)
    seeds = net.program.names(Role.SHARED)
    assert len(seeds) == 1
    drawn = {**net.state, seeds[0]: state[seeds[0]]}
    _, second = jax.jit(net.run)(net.params, drawn, x)
    assert not np.allclose(first, second)


def loss_by_hand(layer, x, cell):
    """Loss of all steps as a function of the weights, which come first."""
    values = [variable.value for variable in layer.variables]
    count = len(layer.trainable_variables)

    def loss(weights):
        others, total = values[count:], 0.0
        states = layer.get_initial_state(len(x)) if cell else None
        for k in range(x.shape[1]):
            arguments = [x[:, k], states] if cell else [x[:, k]]
            called = call_layer(layer, [*weights, *others], arguments, True)
            y, states = called.result if cell else (called.result, None)
            others = called.values[count:]
            total += (y**3).sum()
        return total

    return loss, values[:count]


def normalised():
    parts = keras.layers.Dense(3), keras.layers.BatchNormalization()
    return keras.Sequential(parts)


GRADIENTS = {  # layer, type of the simulation, tolerance, options
    "dense": (lambda: keras.layers.Dense(3, dtype="float64"), "float64", 1e-12, {}),
    "normalised": (normalised, "float32", 1e-3, {}),
    "segments": (normalised, "float32", 1e-3, {"checkpoint_every": 2}),
    "cell": (lambda: keras.layers.LSTMCell(3), "float32", 1e-4, {}),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_as_by_hand(name):
    """Of the loss of all steps, with respect to all weights."""
    make, dtype, rtol, options = GRADIENTS[name]
    network, _, _ = one_layer(make, dtype=dtype)
    layer = network.nodes[1].tensor_func
    with jax.enable_x64(dtype == "float64"):
        net = Trained(network, dtype)
        x = jnp.asarray(xs(dtype=dtype))

        def loss(params):
            return (net.run(params, net.state, x, **options)[1] ** 3).sum()

        actual = jax.jit(jax.grad(loss))(net.params)
        by_hand, weights = loss_by_hand(layer, x, name == "cell")
        expected = jax.grad(by_hand)(weights)
    trained = [p.signal for p in net.parameters if p.trainable]
    blocks = [net.compiled.layout.slots[signal].block for signal in trained]
    wanted = np.concatenate([value.reshape(-1) for value in expected])
    assert np.abs(wanted).max() > 0.1
    assert_close(np.concatenate([actual[b] for b in blocks]), wanted, rtol=rtol)


def test_weights_that_do_not_train():
    def make():
        frozen = keras.layers.Dense(3, trainable=False)
        return keras.Sequential([frozen, keras.layers.Dense(2)])

    for _ in range(2):  # names do not count what has been built before
        network, _, _ = one_layer(make)
        net = Trained(network)
        assert {p.name: p.trainable for p in net.parameters} == {
            "node/sequential/dense/kernel": False,
            "node/sequential/dense/bias": False,
            "node/sequential/dense_1/kernel": True,
            "node/sequential/dense_1/bias": True,
        }
        assert not net.program.names(Role.SHARED)
        assert len(net.program.trainable) == 2


def test_a_layer_in_two_nodes_has_one_set_of_weights():
    with nengo.Network() as network:
        stimulus = nengo.Node(np.zeros(SIZE))
        layer = keras.layers.Dense(SIZE)
        nodes = [TensorNode(layer, SIZE, pass_time=False) for _ in range(2)]
        nengo.Connection(stimulus, nodes[0], synapse=None)
        nengo.Connection(nodes[0], nodes[1], synapse=None)
        nengo.Probe(nodes[1])
    net = Trained(network)
    assert len(net.parameters) == 2
    x = xs(dtype=np.float32)

    def loss(params):
        return (net.run(params, net.state, x)[1] ** 2).sum()

    def expected(values):
        once = call_layer(layer, values, [x.reshape(-1, SIZE)], True).result
        return (call_layer(layer, values, [once], True).result ** 2).sum()

    values = [variable.value for variable in layer.variables]
    wanted = jax.grad(expected)(values)
    actual = jax.grad(loss)(net.params)
    assert_close(actual[net.block("kernel")], wanted[0].reshape(-1), rtol=1e-4)
