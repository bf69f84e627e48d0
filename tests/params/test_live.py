"""``sim.data`` shows parameters as they are, in nengo's records."""

import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.builder.ensemble import get_activities

import nengo_jax


def simulator(network, **options) -> nengo_jax.Simulator:
    options = {"progress_bar": False, "dtype": "float64", **options}
    return nengo_jax.Simulator(network, **options)


def learning_network(rule=None) -> tuple[nengo.Network, nengo.Connection]:
    """An ensemble whose output learns from a constant error."""
    with nengo.Network(seed=2) as network:
        stimulus = nengo.Node(0.6)
        pre = nengo.Ensemble(12, 1, neuron_type=nengo.LIFRate(), radius=1.5)
        post = nengo.Ensemble(9, 1, neuron_type=nengo.LIFRate())
        error = nengo.Node(1.0)
        nengo.Connection(stimulus, pre)
        learned = nengo.Connection(
            pre, post, learning_rule_type=rule or nengo.PES(1e-2)
        )
        if isinstance(rule, nengo.Voja):
            nengo.Connection(stimulus, learned.learning_rule)
        else:
            nengo.Connection(error, learned.learning_rule)
    return network, learned


def encoders_of(sim, ensemble):
    return sim.signals[sim.model.sig[ensemble]["encoders"]]


def bias_of(sim, ensemble):
    return sim.signals[sim.model.sig[ensemble.neurons]["bias"]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_did_not_change_is_the_object_of_nengo(dtype):
    network, learned = learning_network()
    with simulator(network, dtype=dtype) as sim:
        for obj in (*network.all_ensembles, *network.all_connections):
            assert sim.data[obj] is sim.model.params[obj]
        assert sim.data[learned].weights.dtype == np.float64


def test_changed_encoders_and_biases_give_the_same_activities():
    network, learned = learning_network()
    ensemble = learned.pre_obj
    points = np.linspace(-2, 2, 11)[:, None]
    with simulator(network) as sim:
        encoders_of(sim, ensemble)[...] *= np.linspace(0.5, -2, 12)[:, None]
        bias_of(sim, ensemble)[...] += 0.3
        built = sim.data[ensemble]
        scaled, bias = encoders_of(sim, ensemble), bias_of(sim, ensemble)
        currents = points @ scaled.T + bias
        expected = ensemble.neuron_type.rates(currents, np.ones(12), np.zeros(12))
        assert_close(get_activities(built, ensemble, points), expected)
        assert_close(built.scaled_encoders, scaled)
        assert_close(built.bias, bias)
        assert_close(np.linalg.norm(built.encoders, axis=1), np.ones(12))
        rates = ensemble.neuron_type.max_rates_intercepts(built.gain, built.bias)
        assert_close([built.max_rates, built.intercepts], rates)
        assert built.eval_points is sim.model.params[ensemble].eval_points
        assert not built.gain.flags.writeable


def test_gains_keep_their_sign_and_silent_neurons_their_encoders():
    with nengo.Network(seed=1) as network:
        ensemble = nengo.Ensemble(4, 2, gain=[1, -1, 2, -2], bias=[0, 0, 0, 0])
        ensemble.neuron_type = nengo.RectifiedLinear()
    with simulator(network) as sim:
        former = sim.data[ensemble]
        encoders_of(sim, ensemble)[0] = 0
        encoders_of(sim, ensemble)[1:] *= 3
        built = sim.data[ensemble]
    assert_close(built.gain, [0, -3, 6, -6])
    assert_close(built.encoders, former.encoders)


def test_records_are_kept_until_a_value_changes():
    network, learned = learning_network()
    with simulator(network) as sim:
        sim.run_steps(5)
        first = sim.data[learned]
        assert sim.data[learned] is first
        assert first.weights is not sim.model.params[learned].weights
        sim.signals[sim.model.sig[learned]["weights"]][...] = 2
        assert np.all(sim.data[learned].weights == 2)


@pytest.mark.parametrize("batch", [None, 2])
def test_learned_weights(batch):
    network, learned = learning_network()
    with simulator(network, minibatch_size=batch) as sim:
        before = sim.data[learned].weights
        sim.run_steps(5)
        after = sim.data[learned].weights
        shape = (1, 12) if batch is None else (2, 1, 12)
        assert before.shape == after.shape == shape
        assert np.all(np.any(before != after, axis=(-1, -2)))
        assert not sim.signals._mirrors  # which would cost time in each run
    assert np.array_equal(sim.data[learned].weights, after)
    with nengo.Simulator(network, progress_bar=False) as reference:
        reference.run_steps(5)
        weights = reference.signals[reference.model.sig[learned]["weights"]]
        assert_close(after, np.broadcast_to(weights, shape))


@pytest.mark.parametrize("batch", [None, 2])
def test_learned_encoders(batch):
    network, learned = learning_network(nengo.Voja(learning_rate=1e-2))
    post = learned.post_obj
    with simulator(network, minibatch_size=batch) as sim:
        sim.run_steps(5)
        built = sim.data[post]
        scaled = encoders_of(sim, post)
    lead = () if batch is None else (batch,)
    assert built.encoders.shape == (*lead, 9, 1)
    assert built.gain.shape == built.max_rates.shape == (*lead, 9)
    assert np.any(scaled != sim.model.params[post].scaled_encoders)
    assert_close(built.encoders * built.gain[..., None], scaled)


def test_sparse_weights_and_objects_without_parameters():
    with nengo.Network(seed=1) as network:
        node = nengo.Node([1.0, 2.0])
        direct = nengo.Ensemble(3, 2, neuron_type=nengo.Direct())
        plain = nengo.Connection(node, direct, transform=None, synapse=None)
        sparse = nengo.Connection(
            node,
            direct,
            transform=nengo.Sparse((2, 2), [(0, 1), (1, 0)], init=[3.0, 4.0]),
        )
    with simulator(network) as sim:
        assert sim.data[direct] is sim.model.params[direct]
        assert sim.data[plain].weights is None
        signal = sim.model.sig[sparse]["weights"]
        sim.signals.assign({signal: np.array([5.0, 6.0])})
        assert_close(sim.data[sparse].weights.toarray(), [[0, 5], [6, 0]])
        assert_close(sim.signals[signal].toarray(), [[0, 5], [6, 0]])
        sim.run_steps(1)
        assert sim.data[network] is None
