"""Python in a network that Keras runs and trains: as in a simulation, no gradient."""

import jax.numpy as jnp
import keras
import nengo
import numpy as np
import pytest
from nengo.exceptions import SimulationError

import nengo_jax

STEPS = 12
TIMES = []  # a global, which copies of a function share


class Sum:
    """A function with a state of its own."""

    def __init__(self):
        self.value = 0.0

    def __call__(self, t, x):
        self.value += x[0]
        return [0.1 * self.value, t]


class Halving(nengo.RectifiedLinear):
    """Neurons that nengo_jax does not know."""

    state = {  # noqa: RUF012
        **nengo.RectifiedLinear.state,
        "level": nengo.dists.Choice([0.0]),
    }

    def rates(self, x, gain, bias):
        return np.maximum(self.current(x, gain, bias), 0)

    def step(self, dt, J, output, level):  # noqa: N803
        level[...] = 0.5 * (level + J)
        output[...] = level


@pytest.fixture
def values():
    return np.random.RandomState(0).uniform(-1, 1, (5, STEPS, 1))


def make_network(node=None):
    """Put a Python function, or a node, between an input and neurons."""
    with nengo.Network(seed=1) as network:
        nengo_jax.configure_settings(training="surrogate")
        network.source = nengo.Node([0.5])
        made = node() if isinstance(node, type) else node
        middle = made if isinstance(made, nengo.Node) else nengo.Node(made, 1, 2)
        neurons = nengo.Ensemble(20, 2, neuron_type=nengo.LIF(amplitude=0.01))
        out = nengo.Node(size_in=1)
        nengo.Connection(network.source, middle, synapse=None)
        nengo.Connection(middle, neurons, synapse=0.005)
        network.last = nengo.Connection(neurons, out, transform=[[1, 1]], synapse=None)
        network.p, network.q = nengo.Probe(out, synapse=0.01), nengo.Probe(middle)
    return network


def simulator(network, **options):
    options = {"minibatch_size": 5, "dtype": "float64", **options}
    return nengo_jax.Simulator(network, progress_bar=False, **options)


def test_predict_equals_run(values):
    network = make_network(Sum)
    with simulator(network) as sim:
        first = sim.predict(values, verbose=0)
        again = sim.predict(values, verbose=0)
        sim.run_steps(STEPS, data={network.source: values})
        for probe in (network.p, network.q):
            np.testing.assert_allclose(first[probe], sim.data[probe], rtol=1e-12)
            np.testing.assert_array_equal(first[probe], again[probe])


def test_stateful_calls_go_on(values):
    network = make_network(Sum)
    with simulator(network) as sim:
        sim.run_steps(STEPS, data={network.source: values})
        whole = sim.data[network.q]
    network = make_network(Sum)
    with simulator(network) as sim:
        parts = [
            sim.predict(values[:, part], stateful=True, verbose=0)[network.q]
            for part in (slice(5), slice(5, 6), slice(6, STEPS))
        ]
        assert sim.n_steps == STEPS
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-12)


def test_each_batch_starts_anew(values):
    """Also the last one, which is smaller, and batches of a single step."""
    network = make_network(Sum)
    with simulator(network, minibatch_size=2) as sim:
        out = sim.predict(values, verbose=0)[network.q]
        np.testing.assert_allclose(out[..., 0], 0.1 * values[..., 0].cumsum(axis=1))
        steps = sim.predict(values[:, :1], verbose=0)[network.q]
        np.testing.assert_allclose(steps[:, 0, 0], 0.1 * values[:, 0, 0])


def test_unknown_neurons(values):
    with nengo.Network(seed=1) as network:
        source = nengo.Node([0.5])
        neurons = nengo.Ensemble(5, 1, neuron_type=Halving())
        nengo.Connection(source, neurons, synapse=None)
        network.p = nengo.Probe(neurons.neurons)
    with pytest.warns(UserWarning, match="Halving"):
        sim = simulator(network)
    with sim:
        first = sim.predict(values, verbose=0)[network.p]
        sim.run_steps(STEPS, data={source: values})
        np.testing.assert_allclose(first, sim.data[network.p], rtol=1e-12)


@pytest.mark.filterwarnings("ignore:No gradient passes")
def test_training_equals_that_with_a_tensor_node(values):
    """What comes after the node learns just the same; once a step Python is called."""
    TIMES.clear()

    def function(t, x):
        TIMES.append(t)
        return 2 * x[0], x[0] ** 2

    class Twin(nengo_jax.TensorNode):
        def __init__(self):
            super().__init__(
                lambda x: jnp.concatenate([2 * x, x**2], axis=1), 1, pass_time=False
            )

    learned = []
    for node in (function, Twin):
        network = make_network(node)
        with simulator(network) as sim:
            sim.compile(keras.optimizers.SGD(0.01), loss={network.p: "mse"})
            target = {network.p: np.zeros((5, STEPS, 1))}
            sim.fit(values, target, epochs=2, shuffle=False, verbose=0)
            learned.append(sim.data[network.last].weights)
    expected = [0.001 * step for step in range(1, STEPS + 1) for _ in range(5)]
    assert 2 * expected == TIMES
    np.testing.assert_allclose(*learned, rtol=1e-9)


def test_warning_names_the_node(values):
    network = make_network(Sum)
    with simulator(network) as sim:
        sim.compile("sgd", loss={network.p: "mse"})
        with pytest.warns(UserWarning, match="No gradient passes .* Sum"):
            sim.fit(values, {network.p: np.zeros((5, STEPS, 1))}, verbose=0)


@pytest.mark.parametrize(
    ("raised", "expected"), [(KeyError("missing"), KeyError), (None, SimulationError)]
)
def test_errors_are_those_of_the_function(values, raised, expected):
    def function(t, x):
        if t > 0.004 and raised is not None:
            raise raised
        return (x[0], np.nan) if t > 0.004 else (x[0], 0)

    network = make_network(function)
    with simulator(network) as sim:
        with pytest.raises(expected):
            sim.predict(values, verbose=0)
        assert sim.n_steps == 0
        out = sim.predict(values[:, :2], verbose=0)
        np.testing.assert_allclose(out[network.q][..., :1], values[:, :2])


def test_no_derivative_to_check(values):
    with (
        simulator(make_network(Sum)) as sim,
        pytest.raises(SimulationError, match="only run as Python"),
    ):
        sim.check_gradients()
