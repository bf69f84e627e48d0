"""The functional form: pure functions that JAX can differentiate and transform."""

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.exceptions import ValidationError

import nengo_jax


def make_network(neuron_type=None, **settings):
    with nengo.Network(seed=3) as network:
        nengo_jax.configure_settings(**settings)
        a = nengo.Node([0.5, -0.2], label="a")
        ensemble = nengo.Ensemble(
            30, 2, neuron_type=neuron_type or nengo.LIFRate(), label="e"
        )
        out = nengo.Node(size_in=1)
        nengo.Connection(a, ensemble, synapse=None)
        nengo.Connection(ensemble, ensemble, synapse=0.01, transform=0.5)
        nengo.Connection(ensemble, out, synapse=0.005, function=lambda x: x[0] * x[1])
        nengo.Probe(out, label="p")
    return network


@pytest.fixture(scope="module")
def net():
    with jax.enable_x64(True):
        return nengo_jax.functional(make_network(), dtype="float64")


@pytest.fixture(scope="module")
def x():
    return np.random.RandomState(0).uniform(-1, 1, (7, 2))


def test_values_are_those_of_nengo(x):
    network = make_network()
    a, probe = network.all_nodes[0], network.all_probes[0]
    a.output = nengo.processes.PresentInput(x, 0.001)
    with nengo.Simulator(network, progress_bar=False) as reference:
        reference.run_steps(len(x))
    with jax.enable_x64(True):
        net = nengo_jax.functional(make_network(), dtype="float64")
        _, outputs = net.run(net.params, net.state, {"a": jnp.asarray(x)})
    assert_close(outputs["p"], reference.data[probe])


def test_names_and_shapes(net):
    shapes = {name: value.shape for name, value in net.params.items()}
    assert shapes == {
        "e/encoders": (30, 2),
        "e/bias": (30,),
        "Connection1/weights": (2, 30),
        "Connection2/weights": (1, 30),
    }
    assert net.inputs == {"a": 2}
    assert net.outputs == {"p": 1}


def test_steps_are_a_run(net, x):
    with jax.enable_x64(True):
        state, outputs = net.run(net.params, net.state, {"a": jnp.asarray(x)})
        after, each = jax.lax.scan(
            lambda state, now: net.step(net.params, state, {"a": now}), net.state, x
        )
    assert_close(each["p"], outputs["p"])
    for name, value in state.items():
        assert_close(after[name], value)


def test_gradient_against_finite_differences(net, x):
    def loss(params):
        return jnp.sum(net.run(params, net.state, {"a": x})[1]["p"] ** 2)

    with jax.enable_x64(True):
        gradient = jax.jit(jax.grad(loss))(net.params)
        direction = {
            name: np.random.RandomState(k).standard_normal(value.shape)
            for k, (name, value) in enumerate(net.params.items())
        }
        for name, change in direction.items():
            step = 1e-6 * change
            up = loss({**net.params, name: net.params[name] + step})
            down = loss({**net.params, name: net.params[name] - step})
            expected = (up - down) / 2e-6
            assert_close(jnp.sum(gradient[name] * change), expected, name, rtol=1e-5)
            _, forward = jax.jvp(
                lambda value, name=name: loss({**net.params, name: value}),
                (net.params[name],),
                (jnp.asarray(change),),
            )
            assert_close(forward, expected, name, rtol=1e-5)


def test_batches(net, x):
    batch = np.stack([x, -x, 0.5 * x])
    with jax.enable_x64(True):
        run = jax.vmap(lambda x: net.run(net.params, net.state, {"a": x})[1]["p"])
        outputs = jax.jit(run)(batch)
        single = net.run(net.params, net.state, {"a": -x})[1]["p"]
    assert_close(outputs[1], single)


def test_constants_have_their_own_value(net):
    with jax.enable_x64(True):
        held = jnp.asarray([0.5, -0.2])
        _, given = net.run(net.params, net.state, {"a": held}, 5)
        _, own = net.run(net.params, net.state, {}, 5)
    assert_close(own["p"], given["p"])


def test_clock():
    """Time goes on from one call to the next."""
    with nengo.Network() as network:
        clock = nengo.Node(lambda t: t, label="clock")
        nengo.Probe(clock, label="p")
    net = nengo_jax.functional(network)
    assert net.inputs == {"clock": 1}
    with pytest.raises(ValidationError, match="missing for clock"):
        net.run(net.params, net.state, {}, 3)


@pytest.mark.parametrize(
    ("inputs", "steps", "match"),
    [
        ({}, None, "Give the number of steps"),
        ({"a": np.zeros((3, 2))}, 4, "agree"),
    ],
)
def test_steps_must_agree(net, inputs, steps, match):
    with jax.enable_x64(True), pytest.raises(ValidationError, match=match):
        net.run(net.params, net.state, inputs, steps)


def test_missing_parameter(net, x):
    params = {n: v for n, v in net.params.items() if n != "e/bias"}
    with jax.enable_x64(True), pytest.raises(ValidationError, match="e/bias"):
        net.run(params, net.state, {"a": x})


def test_python_is_refused():
    with nengo.Network() as network:
        node = nengo.Node(lambda t, x: x, size_in=1)
        nengo.Connection(node, node, synapse=0)
    with pytest.raises(ValidationError, match="only run as Python"):
        nengo_jax.functional(network)


def test_double_precision_must_be_enabled():
    with pytest.raises(ValidationError, match="jax_enable_x64"):
        nengo_jax.functional(make_network(), dtype="float64")


def test_surrogate_gradients_reach_all_parameters(x):
    network = make_network(nengo.LIF(), training="surrogate")
    net = nengo_jax.functional(network)
    x = jnp.asarray(np.tile(x, (10, 1)), jnp.float32)

    def loss(params):
        return jnp.mean(net.run(params, net.state, {"a": x})[1]["p"] ** 2)

    gradient = jax.jit(jax.grad(loss))(net.params)
    for name, value in gradient.items():
        assert np.all(np.isfinite(value)), name
        assert np.any(value != 0), name


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({"b": np.ones((4, 2))}, "'b' is no input"),
        ({"a": np.ones((4, 3))}, "'a' has shape"),
        ({"a": np.ones((2, 4, 2))}, "jax.vmap"),
        (np.ones((4, 2)), "dictionary by name"),
    ],
)
def test_inputs_are_checked(net, inputs, match):
    with pytest.raises(ValidationError, match=match):
        net.run(net.params, net.state, inputs, 4)


@pytest.mark.parametrize(
    ("change", "match"),
    [({"e/gain": np.ones(30)}, "no trained parameter"), ({"e/bias": 1.0}, "shape")],
)
def test_parameters_are_checked(net, change, match):
    with pytest.raises(ValidationError, match=match):
        net.run({**net.params, **change}, net.state, {}, 4)


def test_probes_of_weights_keep_their_shape():
    with nengo.Network(seed=1) as network:
        a, b = nengo.Ensemble(5, 1), nengo.Ensemble(5, 2)
        connection = nengo.Connection(
            a, b, function=lambda x: [x, -x], learning_rule_type=nengo.PES()
        )
        nengo.Connection(a, connection.learning_rule, transform=[[1], [1]])
        nengo.Probe(connection, "weights", label="w")
    net = nengo_jax.functional(network)
    _, outputs = net.run(net.params, net.state, {}, 4)
    assert outputs["w"].shape == (4, 2, 5)
    _, outputs = net.step(net.params, net.state, {})
    assert outputs["w"].shape == (2, 5)


@pytest.mark.parametrize("steps", [-1, 2.5, "3"])
def test_steps_that_are_no_number_of_steps(steps):
    with nengo.Network() as network:
        nengo.Probe(nengo.Node([1.0], label="a"))
    net = nengo_jax.functional(network)
    with pytest.raises(ValidationError, match="whole number, at least 0"):
        net.run(net.params, net.state, {}, steps)


def test_steps_that_jax_traces():
    with nengo.Network() as network:
        nengo.Probe(nengo.Node([1.0], label="a"))
    net = nengo_jax.functional(network)
    with pytest.raises(ValidationError, match="known when the function is compiled"):
        jax.jit(lambda steps: net.run(net.params, net.state, {}, steps))(3)
