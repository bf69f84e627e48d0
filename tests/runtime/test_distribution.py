"""A loop taken apart computes what its steps compute one after the other."""

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest

import nengo_jax
from nengo_jax.compiler import build_model, compile_model
from nengo_jax.runtime.distribution import distribute
from nengo_jax.runtime.refine import refine
from nengo_jax.runtime.step import split_by_time

STEPS = 12
EXAMPLES = 3
PRODUCTS = {"dot", "convolution"}


def layer(size, seed, **options):
    rng = np.random.RandomState(seed)
    return nengo.Ensemble(
        size, 1, gain=np.ones(size), bias=rng.uniform(1, 3, size), **options
    )


def weights(outputs, inputs, seed):
    return 0.02 * np.random.RandomState(seed).standard_normal((outputs, inputs))


def connect(pre, post, synapse=None, seed=1):
    nengo.Connection(
        pre, post, transform=weights(post.size_in, pre.size_out, seed), synapse=synapse
    )


def layers(synapse=None, neuron_type=None):
    source = nengo.Node(np.ones(4))
    one = layer(6, 1, neuron_type=neuron_type or nengo.LIF())
    two = layer(5, 2, neuron_type=neuron_type or nengo.LIF())
    connect(source, one.neurons)
    connect(one.neurons, two.neurons, synapse)
    nengo.Probe(two.neurons)
    nengo.Probe(one.neurons, synapse=0.01)
    return one, two


def recurrent():
    one, _ = layers()
    connect(one.neurons, one.neurons, synapse=0)


def feedback():
    one, two = layers()
    connect(two.neurons, one.neurons, synapse=nengo.Alpha(0.004))


def skip():
    one, two = layers(nengo.Alpha(0.003))
    output = nengo.Node(size_in=2)
    connect(one.neurons, output, seed=3)
    connect(two.neurons, output, synapse=0.002, seed=4)
    nengo.Probe(output)


def slices():
    source = nengo.Node(np.ones(4))
    one, two, three = layer(8, 1), layer(6, 2), layer(5, 3)
    connect(source[1:3], one.neurons[2:7])
    connect(source[::-2], one.neurons[::3], seed=2)
    connect(one.neurons[::2], two.neurons[1:5], 0.01, seed=3)
    connect(one.neurons[[1, 5, 3]], two.neurons[[0, 5]], seed=4)
    connect(two.neurons[3:], three.neurons[::-1], synapse=0, seed=5)
    nengo.Probe(one.neurons[2:5])
    nengo.Probe(two.neurons[::2], synapse=0.01)
    nengo.Probe(three.neurons[[4, 0]])


def overlapping():
    source = nengo.Node(np.ones(4))
    one, two = layer(12, 1), layer(12, 2)
    connect(source, one.neurons[:8])
    connect(source, one.neurons[4:], 0.004, seed=2)
    connect(one.neurons[4:], two.neurons[:8], 0.004, seed=3)
    connect(one.neurons[:8], two.neurons[4:], seed=4)
    nengo.Probe(two.neurons[5:9])
    nengo.Probe(one.neurons[3:11])


def convolution():
    source = nengo.Node(np.ones(49))
    first = nengo.Convolution(2, (7, 7, 1), kernel_size=(2, 2))
    second = nengo.Convolution(
        3, first.output_shape, strides=(2, 2), kernel_size=(4, 4)
    )
    one, two = layer(first.size_out, 1), layer(second.size_out, 2)
    nengo.Connection(source, one.neurons, transform=first, synapse=None)
    nengo.Connection(one.neurons, two.neurons, transform=second, synapse=None)
    nengo.Probe(two.neurons)


def ensembles():
    source = nengo.Node([0.5, -0.2])
    one, two = nengo.Ensemble(20, 2), nengo.Ensemble(30, 2)
    nengo.Connection(source, one)
    nengo.Connection(one, two, function=np.square, synapse=None)
    nengo.Probe(two, synapse=0.01)


def learning():
    one, _ = layers()
    error = nengo.Node(size_in=1)
    output = nengo.Node(size_in=1)
    learned = nengo.Connection(
        one, output, learning_rule_type=nengo.PES(1e-3), function=lambda x: 0.5
    )
    nengo.Connection(output, error)
    nengo.Connection(error, learned.learning_rule)
    connect(one.neurons, nengo.Node(size_in=2))
    nengo.Probe(output)


CASES = {
    "layers": layers,
    "layers with a lowpass": lambda: layers(0.005),
    "layers with an Alpha": lambda: layers(nengo.Alpha(0.005)),
    "layers with a delay": lambda: layers(0),
    "adaptive layers": lambda: layers(neuron_type=nengo.AdaptiveLIF()),
    "rates": lambda: layers(neuron_type=nengo.Tanh()),
    "recurrent": recurrent,
    "feedback": feedback,
    "skip": skip,
    "slices": slices,
    "overlapping slices": overlapping,
    "convolution": convolution,
    "ensembles": ensembles,
    "learning": learning,
}


def build(case):
    with nengo.Network(seed=1) as network:
        nengo_jax.configure_settings(training="surrogate")
        CASES[case]()
    return network


def values(functions):
    rng = np.random.RandomState(5)
    (name, size), *others = functions.inputs.items()
    assert not others
    return name, jnp.asarray(rng.uniform(0, 2, (EXAMPLES, STEPS, size)))


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("case", CASES)
def test_all_steps_are_single_steps_and_so_are_gradients(case):
    functions = nengo_jax.functional(build(case), dtype="float64")
    name, x = values(functions)

    def at_once(params, x):
        return functions.run(params, functions.state, {name: x})

    def one_by_one(params, x):
        def step(state, now):
            return functions.step(params, state, {name: now})

        return jax.lax.scan(step, dict(functions.state), x)

    def loss(run):
        def total(params):
            state, outputs = jax.vmap(lambda x: run(params, x))(x)
            sums = [jnp.sum(jnp.sin(v)) for v in jax.tree.leaves(outputs)]
            return sum(sums, jnp.zeros(())), (state, outputs)

        return jax.jit(jax.value_and_grad(total, has_aux=True))(functions.params)

    (_, (state, outputs)), gradients = loss(at_once)
    (_, (state_2, outputs_2)), gradients_2 = loss(one_by_one)
    for one, two in zip(
        jax.tree.leaves((state, outputs, gradients)),
        jax.tree.leaves((state_2, outputs_2, gradients_2)),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)
    assert any(np.abs(v).max() > 0 for v in jax.tree.leaves(gradients))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("case", ["layers", "convolution"])
def test_gradients_of_weights_are_products_of_matrices(case):
    """With several axes of rows, XLA would have to transpose them first."""
    functions = nengo_jax.functional(build(case), dtype="float64")
    name, x = values(functions)

    def total(params):
        run = jax.vmap(lambda x: functions.run(params, functions.state, {name: x}))
        return sum(jnp.sum(v) for v in jax.tree.leaves(run(x)[1]))

    program = jax.make_jaxpr(jax.grad(total))(functions.params)
    axes = []
    for equation in equations(program.jaxpr):
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            if np.prod([shape[k] for k in contracted]) >= STEPS * EXAMPLES:
                axes.append(len(contracted))
    assert axes == [1, 1]  # two layers


def equations(jaxpr):
    """All equations of a program, inner ones as well."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(tuple(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def refined(network):
    model = build_model(network, None, 0.001, False)
    return refine(compile_model(model, np.dtype("float32")).program).program


def stages_of(case):
    program = refined(build(case))
    stages = distribute(program, split_by_time(program, ()))
    return [
        (stage.loops, [program.groups[n].family for n in stage.groups])
        for stage in stages
    ]


@pytest.mark.parametrize("case", ["layers", "convolution"])
def test_products_between_layers_leave_the_loop(case):
    stages = stages_of(case)
    assert sum(bool(PRODUCTS & {*names}) for _, names in stages) >= 2
    assert any(loops for loops, _ in stages)
    assert not any(loops and PRODUCTS & {*names} for loops, names in stages)


def test_recurrent_products_stay_in_the_loop():
    loops = [names for loops, names in stages_of("recurrent") if loops]
    assert any({"dot", "neurons"} <= {*names} for names in loops)


def test_a_loop_without_products_stays_whole():
    with nengo.Network() as network:
        node = nengo.Node(size_in=1)
        nengo.Connection(node, node, synapse=0.1)
        nengo.Probe(node)
    program = refined(network)
    assert distribute(program, split_by_time(program, ())) == ()
