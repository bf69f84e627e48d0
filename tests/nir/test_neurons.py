"""The neuron types of NIR in nengo_jax, compared with their own steps in nengo."""

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
)
from nengo_jax.surrogates import FastSigmoid

START = {"voltage": nengo.dists.Uniform(-0.5, 0.9)}
TYPES = {
    "IntegrateAndFire": [IntegrateAndFire(), IntegrateAndFire(0.5, START)],
    "LeakyIntegrateAndFire": [
        LeakyIntegrateAndFire(),
        LeakyIntegrateAndFire(np.linspace(0.005, 0.03, 12), amplitude=0.3),
        LeakyIntegrateAndFire(0.01, "euler", initial_state=START),
    ],
    "CurrentBased": [
        CurrentBased(),
        CurrentBased(np.linspace(0.005, 0.03, 12), 0.01, 0.3),
        CurrentBased(0.01, 0.01, np.linspace(0, 1, 12), "euler", 2.0, START),
    ],
    "Heaviside": [Heaviside(), Heaviside(0.3)],
}
ALL = [(name, i) for name, kinds in TYPES.items() for i in range(len(kinds))]
SPIKING = [name for name in TYPES if name != "Heaviside"]


def build(kinds):
    with nengo.Network(seed=1) as network:
        stimulus = nengo.Node(lambda t: np.sin(30 * t))
        for kind in kinds:
            a = nengo.Ensemble(12, 1, neuron_type=kind, max_rates=np.full(12, 80.0))
            nengo.Connection(stimulus, a, synapse=None)
            nengo.Probe(a.neurons)
    return network


@pytest.mark.parametrize("name", TYPES)
def test_compiled(name):
    """Several at once, so they run in one group."""
    network = build(TYPES[name])
    with nengo.Simulator(network, progress_bar=False) as reference:
        reference.run(0.2)
    with nengo_jax.Simulator(network, dtype="float64", progress_bar=False) as sim:
        sim.run(0.2)
    for probe in network.probes:
        expected = reference.data[probe]
        assert np.any(expected)
        assert np.any(expected == 0)
        np.testing.assert_allclose(sim.data[probe], expected, rtol=1e-12)


@pytest.mark.parametrize(("name", "i"), [case for case in ALL if case[0] in SPIKING])
def test_rates(name, i):
    """Spikes of a fine simulation come at the rates that the type tells."""
    kind = TYPES[name][i]
    gain, bias = np.ones(12), np.linspace(1.5, 4, 12)
    bias = 20 * bias if name == "IntegrateAndFire" else bias
    with nengo.Network(seed=0) as network:
        a = nengo.Ensemble(12, 1, neuron_type=kind, gain=gain, bias=bias)
        probe = nengo.Probe(a.neurons)
    with nengo.Simulator(network, dt=1e-4, progress_bar=False) as sim:
        sim.run(1.0)
    expected = kind.rates(0, gain, bias)[0]
    np.testing.assert_allclose(sim.data[probe].mean(axis=0), expected, rtol=0.08)


@pytest.mark.parametrize(("name", "i"), ALL)
def test_gains_and_biases(name, i):
    kind = TYPES[name][i]
    intercepts = np.linspace(-0.9, 0.9, 12)
    gain, bias = kind.gain_bias(np.linspace(20, 80, 12), intercepts)
    rates, found = kind.max_rates_intercepts(gain, bias)
    np.testing.assert_allclose(found, intercepts, atol=1e-12)
    if name == "Heaviside":
        assert set(rates) == {kind.amplitude}
    else:
        np.testing.assert_allclose(rates, kind.amplitude * np.linspace(20, 80, 12))


def driven(kind, **settings):
    with nengo.Network(seed=1) as network:
        nengo_jax.configure_settings(**settings)
        stimulus = nengo.Node([0.8], label="in")
        a = nengo.Ensemble(
            12, 1, neuron_type=kind, max_rates=np.full(12, 80.0), label="a"
        )
        nengo.Connection(stimulus, a, synapse=None)
        probe = nengo.Probe(a.neurons, label="out")
    return network, a, probe


@pytest.mark.parametrize("name", SPIKING)
def test_rate_mode(name):
    """Outputs are rates, and their derivative is that of the rates."""
    kind = TYPES[name][-1]
    network, a, _ = driven(kind, training="rate")
    with nengo.Simulator(network, progress_bar=False) as sim:
        built = sim.data[a]
    x = built.encoders[:, 0] * 0.8

    def rates(bias):
        return kind.rates(x[None], built.gain, bias)[0]

    with jax.enable_x64(True):
        net = nengo_jax.functional(network, dtype="float64")

        def total(params):
            return jnp.sum(net.run(params, net.state, {}, 3)[1]["out"][-1])

        value, gradient = jax.value_and_grad(total)(net.params)
        gradient = np.asarray(gradient["a/bias"])
    expected = rates(built.bias)
    assert np.count_nonzero(expected) > 3
    np.testing.assert_allclose(value, expected.sum(), rtol=1e-9)
    change = 1e-6
    difference = (rates(built.bias + change) - rates(built.bias - change)) / (
        2 * change
    )
    np.testing.assert_allclose(gradient, difference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TYPES)
def test_surrogate_mode(name):
    """Outputs are the spikes, and biases have a gradient."""
    kind = TYPES[name][-1]
    network, _, probe = driven(kind, training="surrogate", surrogate=FastSigmoid())
    with nengo.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(60)
    with jax.enable_x64(True):
        net = nengo_jax.functional(network, dtype="float64")

        def total(params):
            outputs = net.run(params, net.state, {}, 60)[1]["out"]
            return jnp.sum(outputs), outputs

        (_, outputs), gradient = jax.value_and_grad(total, has_aux=True)(net.params)
        gradient = np.asarray(gradient["a/bias"])
    np.testing.assert_allclose(outputs, sim.data[probe], rtol=1e-12)
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient > 0)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LeakyIntegrateAndFire(0), "tau"),
        (lambda: LeakyIntegrateAndFire([0.1, -0.1]), "tau"),
        (lambda: LeakyIntegrateAndFire(np.nan), "tau"),
        (lambda: LeakyIntegrateAndFire(method="rk4"), "method"),
        (lambda: CurrentBased(np.inf), "tau_syn"),
        (lambda: IntegrateAndFire(amplitude=0), "amplitude"),
        (lambda: Heaviside(-1), "amplitude"),
    ],
)
def test_bad_parameters(make, name):
    with pytest.raises(ValidationError, match=name):
        make()
