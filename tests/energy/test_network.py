"""Estimates for nengo networks, against spikes that are counted one by one."""

import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from nengo.transforms import ChannelShape, Convolution

from nengo_jax import TensorNode
from nengo_jax.energy import DEVICES, INT8, ModelEnergy, estimate

DT, STEPS = 0.001, 200


def convolution(filters, shape, **kwargs):
    kernel = nengo.dists.Uniform(0.1, 0.3)
    return Convolution(filters, ChannelShape(shape), init=kernel, **kwargs)


def spikes_and_rates(network):
    """Run the reference; return spikes (steps, neurons) and rates (Hz) by ensemble."""
    with network:
        probes = {e: nengo.Probe(e.neurons) for e in network.all_ensembles}
    with nengo.Simulator(network, dt=DT, progress_bar=False) as sim:
        sim.run_steps(STEPS)
    spikes = {e: np.round(sim.data[p] * DT) for e, p in probes.items()}
    return spikes, {e: s.sum(axis=0) / (STEPS * DT) for e, s in spikes.items()}


def deliveries(spikes, transform):
    """Count the pairs of a spike and a target, with the matrix that nengo applies."""
    with nengo.Network(seed=0) as network:
        times = nengo.Node(lambda t: np.eye(transform.size_in)[round(t / DT) - 1])
        target = nengo.Node(size_in=transform.size_out)
        nengo.Connection(times, target, transform=transform, synapse=None)
        probe = nengo.Probe(target)
    with nengo.Simulator(network, dt=DT, progress_bar=False) as sim:
        sim.run_steps(transform.size_in)
        matrix = sim.data[probe].T
    return spikes.sum(axis=0) @ (matrix != 0).sum(axis=0)


def population(size, label=None):
    return nengo.Ensemble(
        size,
        1,
        neuron_type=nengo.SpikingRectifiedLinear(),
        gain=np.ones(size),
        bias=np.zeros(size),
        label=label,
    )


def make_convolutional():
    with nengo.Network(seed=0) as network:
        image = np.random.default_rng(0).uniform(0, 300, 36)
        network.image = nengo.Node(image)
        network.first = population(36)
        network.second = population(5 * 5 * 2)
        network.third = population(3)
        network.to_second = convolution(2, (6, 6, 1), kernel_size=(2, 2))
        network.wire = nengo.Connection(
            network.image, network.first.neurons, synapse=None
        )
        network.conv = nengo.Connection(
            network.first.neurons,
            network.second.neurons,
            transform=network.to_second,
            synapse=0.01,
        )
        network.dense = nengo.Connection(
            network.second.neurons,
            network.third.neurons,
            transform=nengo.Dense((3, 50), init=nengo.dists.Uniform(0, 0.1)),
            synapse=nengo.Alpha(0.005),
        )
    return network


def test_operations_are_those_of_single_spikes():
    network = make_convolutional()
    spikes, rates = spikes_and_rates(network)
    result = estimate(network, rates, "loihi", DT, STEPS)
    assert spikes[network.second].sum() > 100
    expected = deliveries(spikes[network.first], network.to_second)
    assert result.operations[network.conv] == pytest.approx(expected)
    expected = 3 * spikes[network.second].sum()
    assert result.operations[network.dense] == pytest.approx(expected)
    assert result.operations[network.wire] == 0
    assert result.neuron_updates == (36 + 50 + 3) * STEPS
    loihi = DEVICES["loihi"]
    operations = sum(result.operations.values())
    assert result.synaptic_operations == pytest.approx(operations)
    assert result.synapse_energy == pytest.approx(loihi.energy_per_synop * operations)
    assert result.neuron_energy == pytest.approx(
        loihi.energy_per_neuron * result.neuron_updates
    )
    assert result.energy == result.synapse_energy + result.neuron_energy


def test_a_passthrough_node_between_changes_nothing():
    """A bias and a node between two layers, as in converted networks."""
    network = make_convolutional()
    _, rates = spikes_and_rates(network)
    with nengo.Network(seed=0) as between:
        first, second, third = population(36), population(50), population(3)
        node = nengo.Node(size_in=50)
        conv = nengo.Connection(
            first.neurons, node, transform=network.to_second, synapse=None
        )
        bias = nengo.Connection(nengo.Node(np.ones(2)), node[:2], synapse=None)
        wire = nengo.Connection(node, second.neurons, synapse=None)
        flat = nengo.Node(size_in=50)
        forward = nengo.Connection(second.neurons, flat, synapse=None)
        dense = nengo.Connection(
            flat, third.neurons, transform=nengo.Dense((3, 50), init=np.ones((3, 50)))
        )
    given = dict(zip([first, second, third], rates.values(), strict=True))
    result = estimate(between, given, "loihi", DT, STEPS)
    plain = estimate(network, rates, "loihi", DT, STEPS)
    assert result.operations[conv] == pytest.approx(plain.operations[network.conv])
    assert result.operations[dense] == pytest.approx(plain.operations[network.dense])
    assert [result.operations[c] for c in (bias, wire, forward)] == [0, 0, 0]
    work, expected = result.comparison.workload, plain.comparison.workload
    assert work.spiking_connections == expected.spiking_connections
    assert work.spikes_per_step == pytest.approx(expected.spikes_per_step)


def test_wires_between_neurons_cost_one_operation_per_spike():
    with nengo.Network() as network:
        a, b = population(4), population(4)
        node = nengo.Node(size_in=4)
        nengo.Connection(a.neurons, node, synapse=None)
        end = nengo.Connection(node, b.neurons, synapse=None)
        direct = nengo.Connection(a.neurons[:2], b.neurons[2:], synapse=None)
    result = estimate(network, {a: [10, 20, 30, 40], b: 5}, "loihi", DT, 100)
    assert result.operations[end] == pytest.approx(100 * 0.1)
    assert result.operations[direct] == pytest.approx(30 * 0.1)


def test_sums_of_spikes_are_one_event_in_each_step():
    with nengo.Network() as network:
        a, b = population(100), population(5)
        node = nengo.Node(size_in=1)
        ones = nengo.Dense((1, 100), init=np.ones((1, 100)))
        nengo.Connection(a.neurons, node, transform=ones, synapse=None)
        on = nengo.Connection(node, b.neurons, transform=np.ones((5, 1)), synapse=None)
    few = estimate(network, {a: 2, b: 0}, dt=DT, n_steps=1000)
    assert few.operations[on] == pytest.approx(100 * 2 * 5)
    many = estimate(network, {a: 200, b: 0}, dt=DT, n_steps=1000)
    assert many.operations[on] == pytest.approx(1000 * 5)


def test_a_synapse_before_a_node_turns_spikes_into_values():
    with nengo.Network() as network:
        a, b = population(4), population(5)
        node = nengo.Node(size_in=4)
        nengo.Connection(a.neurons, node, synapse=0.1)
        on = nengo.Connection(node, b.neurons, transform=np.ones((5, 4)), synapse=None)
    result = estimate(network, {a: 0, b: 0}, dt=DT, n_steps=10)
    assert result.operations[on] == 20 * 10
    work = result.comparison.workload
    assert (work.value_connections, work.spiking_connections) == (20, 0)
    assert work.synapse_states == 4


def test_held_inputs_are_computed_once():
    with nengo.Network() as network:
        a = population(4)
        c = nengo.Connection(
            nengo.Node(np.ones(3)), a.neurons, transform=np.ones((4, 3)), synapse=None
        )
    result = estimate(network, {a: 10}, n_steps=100)
    assert result.operations[c] == 12
    assert result.comparison.workload.held_connections == 12


def test_decoded_connections():
    with nengo.Network(seed=0) as network:
        a, b = nengo.Ensemble(30, 2), nengo.Ensemble(20, 3)
        transform = [[1, 0], [0, 0], [1, 1]]  # the second row needs no decoders
        decoded = nengo.Connection(a, b, transform=transform)
        square = nengo.Connection(a[0], b[0], function=np.square)
        full = nengo.Connection(a, b[:2], solver=nengo.solvers.LstsqL2(weights=True))
    result = estimate(network, {a: 40, b: 10}, dt=DT, n_steps=50)
    spikes = 30 * 40 * 0.05
    assert result.operations[decoded] == pytest.approx(spikes * 2)
    assert result.operations[square] == pytest.approx(spikes)
    assert result.operations[full] == pytest.approx(spikes * 20)
    assert result.encoder_operations == 20 * 3 * 50
    assert result.neuron_updates == 50 * 50
    # the weights of the solver are what nengo builds, and so are the decoders
    with nengo.Simulator(network, progress_bar=False) as sim:
        assert sim.data[full].weights.shape == (20, 30)
        rows = np.abs(sim.data[decoded].weights).sum(axis=1) > 0
        assert rows.sum() == 2


def test_neurons_that_do_not_spike_emit_values():
    with nengo.Network() as network:
        a = nengo.Ensemble(4, 1, neuron_type=nengo.RectifiedLinear())
        b = population(3)
        c = nengo.Connection(a.neurons, b.neurons, transform=np.ones((3, 4)))
    assert estimate(network, {b: 0}, n_steps=10).operations[c] == 120
    result = estimate(network, {a: 50, b: 0}, dt=DT, n_steps=10)
    assert result.operations[c] == pytest.approx(4 * 0.5 * 3)


def test_devices_that_do_not_spike_compute_everything_once():
    network = make_convolutional()
    _, rates = spikes_and_rates(network)
    result = estimate(network, rates, "cpu", DT, STEPS)
    connections = 2 * 25 * 4 + 150
    assert result.synapse_energy == pytest.approx(8.6e-9 * connections)
    assert result.neuron_energy == pytest.approx(8.6e-9 * 89)


def test_comparison():
    network = make_convolutional()
    _, rates = spikes_and_rates(network)
    result = estimate(network, rates, "loihi", DT, STEPS)
    both = result.comparison
    work = both.workload
    assert work.spiking_connections == 2 * 25 * 4 + 150
    assert work.synapse_states == 50 + 2 * 3  # an Alpha has two states
    assert work.neurons == 89
    assert both.spiking == pytest.approx(
        sum(result.operations.values()) * INT8.synaptic_operation
        + STEPS * (89 + 56) * INT8.neuron_update
    )
    assert both.spiking_at(both.crossover) == pytest.approx(both.quantised)


def test_registered_devices_are_known(monkeypatch):
    monkeypatch.setattr(ModelEnergy, "devices", dict(DEVICES))
    ModelEnergy.register_device("mine", 1.0, 0.0, True)
    with nengo.Network() as network:
        a, b = population(4), population(3)
        nengo.Connection(a.neurons, b.neurons, transform=np.ones((3, 4)))
    energy = estimate(network, {a: 10, b: 0}, "mine", DT, 100).energy
    assert energy == pytest.approx(12)
    with pytest.raises(ValueError, match="no device 'yours'"):
        estimate(network, {a: 10, b: 0}, "yours")


def test_what_is_not_counted_is_said():
    with nengo.Network() as network:
        a, b = nengo.Ensemble(5, 1), nengo.Ensemble(5, 1)
        nengo.Connection(a, b, learning_rule_type=nengo.PES())
        TensorNode(lambda t: np.zeros((1, 1)), shape_out=(1,), label="odd")
    with pytest.warns(UserWarning, match=r"TensorNodes and by learning rules: .*odd"):
        estimate(network, {a: 1, b: 1})


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({}, "rates of .*a.* are missing"),
        ({"a": -1.0}, "must be 0 Hz or more"),
        ({"a": np.nan}, "must be 0 Hz or more"),
        ({"a": [1.0, 2.0]}, r"have shape \(2,\)"),
        ([1.0], "Must be a dictionary of ensembles, not list"),
    ],
)
def test_wrong_rates(rates, message):
    with nengo.Network() as network:
        ensemble = nengo.Ensemble(3, 1, label="a")
    if isinstance(rates, dict):
        rates = dict.fromkeys([ensemble] * ("a" in rates), rates.get("a"))
    with pytest.raises(ValidationError, match=message):
        estimate(network, rates)


def test_rates_of_other_networks():
    with nengo.Network():
        other = nengo.Ensemble(3, 1, label="other")
    with nengo.Network() as network:
        own = nengo.Ensemble(3, 1)
    with pytest.raises(ValidationError, match=r"other.* is no ensemble of the network"):
        estimate(network, {own: 1, other: 1})
    assert estimate(network, {own.neurons: 1}).neuron_updates == 3


def test_held_and_other_values_on_the_same_wire_count_once():
    with nengo.Network() as network:
        a, b = population(2), nengo.Ensemble(5, 2)
        node = nengo.Node(size_in=2)
        nengo.Connection(a.neurons, node, synapse=0.1)
        nengo.Connection(nengo.Node([1, 1]), node, synapse=None)
        nengo.Connection(node, b, transform=np.ones((2, 2)), synapse=None)
    work = estimate(network, {a: 1, b: 1}, n_steps=10).comparison.workload
    assert (work.value_connections, work.held_connections) == (4 + 10, 0)


def test_encoders_of_held_values_are_used_once():
    with nengo.Network() as network:
        a, b = nengo.Ensemble(5, 2), nengo.Ensemble(7, 2)
        nengo.Connection(nengo.Node([1, 1]), a, synapse=None)
    result = estimate(network, {a: 1, b: 1}, n_steps=10)
    assert result.encoder_operations == 10  # and none for b, which gets nothing


def test_other_wrong_arguments():
    with nengo.Network() as network:
        pass
    with pytest.raises(ValidationError, match=r"Must be a nengo\.Network"):
        estimate("network", {})
    with pytest.raises(ValidationError, match="positive number of seconds"):
        estimate(network, {}, dt=0)
    with pytest.raises(ValidationError, match="number of steps"):
        estimate(network, {}, n_steps=0)
