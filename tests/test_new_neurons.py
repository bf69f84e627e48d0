"""Our own neuron types against their NumPy ``step``, run by nengo."""

from __future__ import annotations

import pickle

import nengo
import numpy as np
import pytest
from helpers import MERGED, assert_close, check_operators, compare_networks, run_jax
from nengo.builder.neurons import SimNeurons
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

from nengo_jax.neurons import (
    ELU,
    GELU,
    BoundedReLU,
    Exponential,
    HardSigmoid,
    HardSiLU,
    LeakyReLU,
    Mish,
    SiLU,
    SoftLIFRate,
    Softplus,
    Softsign,
    SpikingLeakyReLU,
)

TYPES = {
    "SoftLIFRate": (
        [
            SoftLIFRate(),
            SoftLIFRate(sigma=0.02, tau_rc=0.05, amplitude=0.1),
            SoftLIFRate(sigma=0.3, tau_ref=0),
        ],
        6,
    ),
    "LeakyReLU": ([LeakyReLU(), LeakyReLU(0), LeakyReLU(0.7, amplitude=0.1)], 2),
    "SpikingLeakyReLU": (
        [SpikingLeakyReLU(), SpikingLeakyReLU(0.9), SpikingLeakyReLU(0.1, 0.01)],
        1500,
    ),
    "BoundedReLU": (
        [
            BoundedReLU(),
            BoundedReLU(6, amplitude=0.1),
            BoundedReLU(3, negative_slope=0.2, threshold=1),
        ],
        6,
    ),
    "ELU": ([ELU(), ELU(0.3), ELU(1.6733, amplitude=1.0507)], 3),
    "GELU": ([GELU(), GELU(approximate=True), GELU(amplitude=2)], 3),
    "functions": (
        [
            SiLU(),
            Mish(),
            Softplus(),
            Softsign(),
            HardSigmoid(),
            HardSiLU(),
            Exponential(),
            SiLU(amplitude=0.5),
        ],
        4,
    ),
}
ALL = [neurons for types, _ in TYPES.values() for neurons in types]


def operator(neurons, size, number):
    state = {
        name: Signal(value, name=f"{neurons}.{name}")
        for name, value in neurons.make_state(
            size, np.random.RandomState(number)
        ).items()
    }
    current = Signal(np.zeros(size), name=f"{neurons}.J")
    output = Signal(np.zeros(size), name=f"{neurons}.output")
    return SimNeurons(neurons, current, output, state)


def tuning(neurons):
    """Rates that a type can reach, or gains and biases where there are none."""
    uniform = nengo.dists.Uniform
    if isinstance(neurons, (nengo.RectifiedLinear, nengo.LIFRate)):
        return {"max_rates": uniform(100, 200)}
    return {"gain": uniform(1, 3), "bias": uniform(-2, 2)}


def rates(neurons, current):
    """Rates at some currents, of neurons with gain 1 and no bias."""
    current = np.asarray(current, float)
    return neurons.rates(current, np.ones(1), np.zeros(1)).ravel()


@MERGED
@pytest.mark.parametrize("name", TYPES)
def test_type(name, optimize):
    types, scale = TYPES[name]

    def make(model):
        return [
            operator(neurons, size, size + k)
            for k, neurons in enumerate(types)
            for size in (1, 9)
        ]

    ended = check_operators(
        make,
        optimize=optimize,
        inputs=lambda rng, shape: scale * rng.standard_normal(shape),
        steps=15,
        dt=0.002,
    )
    assert any(np.any(v) for key, v in ended.items() if key.endswith("output"))


@MERGED
def test_in_a_network(optimize):
    with nengo.Network(seed=5) as network:
        stimulus = nengo.Node(lambda t: [np.sin(40 * t), 0.5 - 9 * t])
        for neurons in [*ALL, nengo.StochasticSpiking(LeakyReLU(0.5))]:
            ensemble = nengo.Ensemble(10, 2, neuron_type=neurons, **tuning(neurons))
            nengo.Connection(stimulus, ensemble)
            nengo.Probe(ensemble, synapse=0.01)
            for what in ensemble.neurons.probeable:
                nengo.Probe(ensemble.neurons, what)
    recorded = compare_networks(network, 60, optimize=optimize)
    assert any(np.any(values < 0) for values in recorded.values())


def test_batch():
    """Each example is what it would be alone."""
    with nengo.Network(seed=6) as network:
        stimulus = nengo.Node(np.zeros(2))
        for neurons in ALL:
            ensemble = nengo.Ensemble(10, 2, neuron_type=neurons, **tuning(neurons))
            nengo.Connection(stimulus, ensemble)
            nengo.Probe(ensemble.neurons)
    data = np.random.RandomState(0).uniform(-1, 1, size=(2, 20, 2))
    batch = run_jax(network, 20, {stimulus: data}, minibatch_size=2)
    for k, example in enumerate(data):
        alone = run_jax(network, 20, {stimulus: example})
        for probe, values in alone.items():
            assert_close(batch[probe][k], values, probe)


def test_single_precision():
    """Far from the threshold too, where 1 / z would overflow."""
    border = np.array([1, 0, -3, -40, -1e4, 1.001, 3, 1e4], np.float32)

    def make(model):
        return [
            operator(neurons, len(border), 0) for neurons in TYPES["SoftLIFRate"][0]
        ]

    check_operators(
        make, inputs=lambda rng, shape: border, steps=2, dtype="float32", rtol=1e-5
    )


# -- the NumPy classes


def test_soft_lif_is_the_formula():
    current = np.linspace(-3, 8, 50)
    neurons = SoftLIFRate(sigma=0.4, tau_rc=0.03, tau_ref=0.001, amplitude=2)
    z = 0.4 * np.log1p(np.exp((current - 1) / 0.4))
    expected = 2 / (0.001 + 0.03 * np.log1p(1 / z))
    np.testing.assert_allclose(rates(neurons, current), expected, rtol=1e-12)


def test_soft_lif_far_below_threshold():
    """The rate goes on falling, as amplitude / (tau_ref + tau_rc (1 - J) / sigma)."""
    current = np.array([-20.0, -100, -1e5])
    expected = 1 / (0.002 + 0.02 * (1 - current))
    np.testing.assert_allclose(rates(SoftLIFRate(), current), expected, rtol=1e-8)


def test_soft_lif_becomes_lif():
    current = np.array([0.5, 1.05, 2.0, 30.0])
    expected = rates(nengo.LIFRate(), current)
    np.testing.assert_allclose(rates(SoftLIFRate(1e-4), current)[1:], expected[1:])
    assert rates(SoftLIFRate(1e-4), current)[0] < 0.02


def test_gains_and_biases_are_those_of_lif():
    """So parameters can be exchanged; far above the threshold rates agree as well."""
    values = np.array([100.0, 200.0]), np.array([-0.5, 0.3])
    gain, bias = SoftLIFRate(0.1).gain_bias(*values)
    for actual, expected in zip(
        (gain, bias), nengo.LIFRate().gain_bias(*values), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    top = SoftLIFRate(0.1).rates(np.ones((1, 2)), gain, bias)
    np.testing.assert_allclose(top[0], values[0], rtol=0.02)
    for actual, expected in zip(
        SoftLIFRate(0.1).max_rates_intercepts(gain, bias), values, strict=True
    ):
        np.testing.assert_allclose(actual, expected)


def test_leaky_relu():
    np.testing.assert_allclose(rates(LeakyReLU(0.2, 3), [-2, 0, 2]), [-1.2, 0, 6])
    assert LeakyReLU().negative
    gain, bias = LeakyReLU().gain_bias([100], [0.5])
    np.testing.assert_allclose(
        LeakyReLU().rates([0.5, 1], gain, bias).ravel(), [0, 100]
    )


@pytest.mark.parametrize("neurons", TYPES["SpikingLeakyReLU"][0])
def test_spikes_are_as_many_as_rates_say(neurons):
    """The voltage is less than a spike away from what was counted."""
    current = np.array([-900.0, -30, 0, 30, 900])
    voltage, output = np.zeros(5), np.zeros(5)
    total = np.zeros(5)
    for _ in range(500):
        neurons.step(0.001, current, output, voltage)
        total += output * 0.001
    expected = rates(neurons, current) * 0.5
    assert np.all(np.abs(total - expected) <= neurons.amplitude * (1 + 1e-9))
    assert np.all(np.abs(voltage) < 1)


@pytest.mark.parametrize("neurons", ALL, ids=repr)
def test_they_are_values(neurons):
    copy = pickle.loads(pickle.dumps(neurons))
    assert copy == neurons
    assert eval(repr(neurons)) == neurons


@pytest.mark.parametrize(
    ("make", "attribute"),
    [
        (lambda: SoftLIFRate(sigma=0), "sigma"),
        (lambda: SoftLIFRate(tau_rc=-1), "tau_rc"),
        (lambda: LeakyReLU(negative_slope=-0.1), "negative_slope"),
        (lambda: SpikingLeakyReLU(amplitude=0), "amplitude"),
    ],
)
def test_wrong_parameters(make, attribute):
    with pytest.raises(ValidationError, match=attribute):
        make()
