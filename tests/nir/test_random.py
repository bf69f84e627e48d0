"""Random networks come back from NIR as they were."""

import nengo
import numpy as np
import pytest

from nengo_jax.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
    export,
    load,
    verify,
)

START = {"voltage": nengo.dists.Uniform(-0.3, 0.8)}
NEURONS = [
    nengo.LIF(tau_ref=0, min_voltage=-np.inf),
    nengo.LIF(tau_rc=0.01, tau_ref=0, min_voltage=-np.inf, amplitude=0.5),
    LeakyIntegrateAndFire(0.015, initial_state=START),
    IntegrateAndFire(initial_state=START),
    CurrentBased(0.004, 0.02),
    Heaviside(50.0),
]
SYNAPSES = [
    nengo.Lowpass(0.005),
    nengo.Lowpass(0.005),
    nengo.Alpha(0.003),
    nengo.Lowpass(0),
    nengo.LinearFilter([1], [1, 0, 0], analog=False),
    nengo.LinearFilter([0.1], np.polymul([0.01, 1], [0.003, 1])),
]


def random_network(seed):
    rng = np.random.RandomState(seed)

    def pick(options):
        return options[rng.randint(len(options))]

    def end(obj):
        """All of an object, or its neurons, or some of its elements."""
        if isinstance(obj, nengo.Ensemble) and rng.rand() < 0.4:
            obj = obj.neurons
        if rng.rand() < 0.4:
            return obj[rng.permutation(obj.size_in)[: rng.randint(1, obj.size_in + 1)]]
        return obj

    with nengo.Network(seed=seed) as network:
        values = rng.uniform(-1, 1, (20, 2))
        stimulus = nengo.Node(nengo.processes.PresentInput(values, 0.005))
        constant = nengo.Node(rng.uniform(0.1, 1, 2))
        relay = nengo.Node(size_in=3)
        array = nengo.networks.EnsembleArray(10, 2, neuron_type=NEURONS[0])
        array.add_neuron_input()
        ensembles = [
            nengo.Ensemble(
                rng.randint(5, 15),
                rng.randint(1, 4),
                neuron_type=pick(NEURONS),
                max_rates=nengo.dists.Uniform(50, 120),
                radius=rng.uniform(0.5, 2),
            )
            for _ in range(4)
        ]
        nengo.Connection(stimulus, array.input, synapse=None)
        targets = [relay, *ensembles]
        links = [(stimulus, target, None) for target in targets]
        links += [(constant, pick(ensembles), pick([None, *SYNAPSES]))]
        links += [(array.output, pick(targets), pick(SYNAPSES))]
        links += [(relay, pick(ensembles), pick(SYNAPSES))]
        links += [(pick(ensembles), pick(targets), pick(SYNAPSES)) for _ in range(6)]
        for pre, post, synapse in links:
            source = pre if isinstance(pre, nengo.Node) else end(pre)
            target = end(post)
            scale = 1e-3 if isinstance(source, nengo.ensemble.Neurons) else 0.5
            weights = scale * rng.randn(target.size_in, source.size_out)
            nengo.Connection(source, target, transform=weights, synapse=synapse)
        for ensemble in ensembles:
            nengo.Probe(ensemble.neurons)
            nengo.Probe(ensemble, synapse=pick([None, *SYNAPSES]))
        nengo.Probe(relay)
    return network


@pytest.mark.parametrize("seed", range(8))
def test_random_network(seed, tmp_path):
    network = random_network(seed)
    differences = verify(network, n_steps=100)
    assert len(differences) == 9
    assert max(differences.values()) < 1e-7
    # and once more, through a file
    export(network, tmp_path / "graph.nir")
    again = load(tmp_path / "graph.nir")
    assert len(again.outputs) == 9
    assert max(verify(again.network, dt=again.dt, n_steps=20).values()) < 1e-7
