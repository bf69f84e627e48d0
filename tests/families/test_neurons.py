"""Neuron types against their own ``step``; random ones number by number."""

from __future__ import annotations

import itertools

import nengo
import numpy as np
import pytest
from helpers import (
    MERGED,
    assert_close,
    both_simulators,
    check_operators,
    compare_networks,
    run_jax,
    with_wires,
)
from nengo.builder.neurons import SimNeurons
from nengo.builder.signal import Signal

import nengo_jax

# neuron types with different constants, and the scale of their input
TYPES = {
    "RectifiedLinear": (
        [nengo.RectifiedLinear(), nengo.RectifiedLinear(amplitude=0.3)],
        2,
    ),
    "SpikingRectifiedLinear": (
        [nengo.SpikingRectifiedLinear(), nengo.SpikingRectifiedLinear(amplitude=0.3)],
        2000,
    ),
    "Sigmoid": ([nengo.Sigmoid(), nengo.Sigmoid(tau_ref=0.01)], 5),
    "Tanh": ([nengo.Tanh(), nengo.Tanh(tau_ref=0.01)], 3),
    "LIFRate": (
        [nengo.LIFRate(), nengo.LIFRate(0.05, 0.004, 0.1), nengo.LIFRate(tau_ref=0)],
        4,
    ),
    "LIF": (
        [
            nengo.LIF(),
            nengo.LIF(tau_rc=0.05, tau_ref=0.0035, amplitude=0.1),
            nengo.LIF(min_voltage=-0.7, tau_ref=0),
            nengo.LIF(min_voltage=-1e6, tau_rc=0.003),
        ],
        20,
    ),
    "AdaptiveLIFRate": (
        [nengo.AdaptiveLIFRate(), nengo.AdaptiveLIFRate(tau_n=0.1, inc_n=0.05)],
        4,
    ),
    "AdaptiveLIF": (
        [
            nengo.AdaptiveLIF(),
            nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.05, min_voltage=-0.3, amplitude=2),
            nengo.AdaptiveLIF(tau_rc=0.01, tau_ref=0.001),
        ],
        20,
    ),
    "Izhikevich": (
        [
            nengo.Izhikevich(),
            nengo.Izhikevich(reset_voltage=-50, reset_recovery=2),
            nengo.Izhikevich(tau_recovery=0.1, coupling=0.25),
        ],
        30,
    ),
    "RegularSpiking": (
        [
            nengo.RegularSpiking(nengo.LIFRate()),
            nengo.RegularSpiking(nengo.Tanh(), amplitude=0.5),
        ],
        1500,
    ),
}
RANDOM_TYPES = [nengo.StochasticSpiking, nengo.PoissonSpiking]


def operator(neurons: nengo.neurons.NeuronType, size: int, number: int) -> SimNeurons:
    rng = np.random.RandomState(number)
    state = {
        name: value
        if isinstance(value, np.random.RandomState)
        else Signal(value, name=f"{neurons}.{name}")
        for name, value in neurons.make_state(size, rng=rng).items()
    }
    current = Signal(np.zeros(size), name=f"{neurons}.J")
    return SimNeurons(
        neurons, current, Signal(np.zeros(size), name=f"{neurons}.output"), state
    )


def scaled(scale: float):
    return lambda rng, shape: scale * rng.standard_normal(shape)


@MERGED
@pytest.mark.parametrize("name", TYPES)
def test_type(name, optimize):
    """Different constants and sizes; with ``optimize`` all of them run as one group."""
    types, scale = TYPES[name]

    def make(model):
        return [
            operator(neurons, size, size + k)
            for k, neurons in enumerate(types)
            for size in (1, 7, 20)
        ]

    ended = check_operators(
        make, optimize=optimize, inputs=scaled(scale), steps=25, dt=0.002
    )
    output = [v for key, v in ended.items() if key.endswith("output")]
    assert any(np.any(v) for v in output), "no neuron was active"


@MERGED
def test_all_types_in_one_model_on_wires(optimize):
    def make(model):
        return [
            operator(neurons, 4, k)
            for types, _ in TYPES.values()
            for k, neurons in enumerate(types)
        ]

    check_operators(
        with_wires(make), optimize=optimize, inputs=scaled(30), steps=10, rtol=1e-9
    )


@pytest.mark.parametrize("name", ["LIFRate", "LIF", "AdaptiveLIF", "AdaptiveLIFRate"])
def test_currents_at_and_below_threshold(name):
    """J = 1 exactly, its neighbours, and none at all."""
    border = [0, 1, np.nextafter(1, 0), np.nextafter(1, 2), 1 + 1e-9, -1e6, 1e6, -0.0]

    def make(model):
        return [operator(neurons, len(border), 0) for neurons in TYPES[name][0]]

    check_operators(make, inputs=lambda rng, shape: np.array(border), steps=20)


@pytest.mark.parametrize("name", ["Sigmoid", "Tanh"])
def test_far_from_zero(name):
    """The reference's own exp overflows to infinity; the rate is 0 all the same."""
    border = [0, 700, -700, 40, -40, 1e-300, -1e-12]

    def make(model):
        return [operator(neurons, len(border), 0) for neurons in TYPES[name][0]]

    check_operators(make, inputs=lambda rng, shape: np.array(border))


@MERGED
def test_rates_that_are_negative(optimize):
    """A regular spiker with a rate below zero spikes downwards, through floor."""

    def make(model):
        return [
            operator(nengo.RegularSpiking(nengo.Tanh(), amplitude=a), 30, k)
            for k, a in enumerate((1, 0.25))
        ]

    ended = check_operators(make, inputs=scaled(900), optimize=optimize, steps=10)
    assert any(np.any(v < 0) for v in ended.values())


# -- random types


MEANS = {
    "zero": [0.0],
    "small": [0.001, 0.3, 1.0, 2.5],
    "nearly ten": [9.0, 9.999999, 10.0, 10.000001],
    "large": [12.0, 40.0, 700.0, 1e5],
    "mixed": [0.0, 0.2, 0.0, 15.0, 5.0, 0.0, 100.0, 9.9],
}


@pytest.mark.parametrize("neuron_type", RANDOM_TYPES)
def test_same_numbers_as_numpy(neuron_type):
    """Every spike is the one that NumPy draws from the same seed.

    One twist of the Mersenne Twister gives 312 numbers, hence the sizes. From a mean of
    10 per step on, NumPy uses another algorithm; a mean of 0 takes no numbers.
    """
    kinds = itertools.cycle(MEANS.values())

    def make(model):
        neurons = neuron_type(nengo.RectifiedLinear(), amplitude=1)
        return [operator(neurons, n, n) for n in (5, 700)]

    def draw(rng, shape):
        return 1000 * rng.choice(next(kinds), size=shape)

    # two operators, so each of them goes through all five kinds; counts are whole
    # numbers, so there is nothing to be tolerant about
    check_operators(make, inputs=draw, steps=15, rtol=1e-14)


@pytest.mark.parametrize("neuron_type", RANDOM_TYPES)
def test_merged_with_other_constants_and_negative_rates(neuron_type):
    def make(model):
        return [
            operator(neuron_type(nengo.RectifiedLinear(), amplitude=1), 8, 1),
            operator(neuron_type(nengo.RectifiedLinear(), amplitude=0.5), 8, 2),
            operator(neuron_type(nengo.Tanh(), amplitude=2), 9, 3),
        ]

    def draw(rng, shape):
        rates = rng.uniform(0, 5000, shape)
        return rates * rng.choice([-1, 1], shape) if shape == (9,) else rates

    ended = check_operators(make, inputs=draw, steps=8, rtol=1e-14)
    assert any(np.any(v < 0) for k, v in ended.items() if k.endswith("output"))


@pytest.mark.parametrize("neuron_type", RANDOM_TYPES)
def test_generator_goes_on_after_a_reset(neuron_type):
    """As in the reference, whose generator belongs to the built model."""

    def make(model):
        return [operator(neuron_type(nengo.RectifiedLinear()), 40, 1)]

    with both_simulators(make, 0.001, 0) as pair:
        kept = []
        for sim in pair:
            op = sim.model.operators[-1]
            outputs = []
            for _ in range(2):
                sim.signals[op.J][...] = np.linspace(0, 20000, 40)
                sim.run_steps(5)
                outputs.append(np.array(sim.signals[op.output]))
                sim.reset()
            kept.append(outputs)
    assert_close(kept[1], kept[0])
    assert np.any(kept[1][0] != kept[1][1])


@pytest.mark.parametrize("neuron_type", RANDOM_TYPES)
def test_each_example_of_a_batch_draws_as_it_would_alone(neuron_type):
    """They use up different amounts of random numbers."""
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(np.zeros(2))
        ensemble = nengo.Ensemble(
            20, 2, neuron_type=neuron_type(nengo.LIFRate(tau_ref=1e-4))
        )
        nengo.Connection(stimulus, ensemble.neurons, transform=np.ones((20, 2)))
        probe = nengo.Probe(ensemble.neurons)
    data = np.random.RandomState(0).uniform(-5, 300, size=(3, 12, 2))
    batch = run_jax(network, 12, {stimulus: data}, minibatch_size=3)[probe]
    alone = [run_jax(network, 12, {stimulus: example})[probe] for example in data]
    assert_close(batch, alone)
    assert np.any(batch[0] != batch[1])


# -- float32


@pytest.mark.parametrize("ratio", [0.001, 0.01, 0.05, 0.06, 0.07, 0.2, 0.5])
def test_lif_in_single_precision(ratio):
    """One step from random states, with dt / tau_rc as given.

    Rounding of the input alone moves the voltage by an epsilon, and the time of a spike
    by an epsilon divided by the distance of J from the threshold. Neurons so close to
    the threshold that rounding decides whether they spike are left out.
    """
    rng = np.random.RandomState(int(1000 * ratio))
    size, dt = 4000, 0.001
    neurons = nengo.LIF(tau_rc=dt / ratio, tau_ref=0.002, min_voltage=-1)
    current = np.concatenate(
        [rng.uniform(-3, 30, size // 2), 1 + rng.exponential(0.5, size // 2)]
    ).astype(np.float32)
    # half of the neurons are close to their threshold, some in their refractory time
    voltage = np.where(
        rng.uniform(size=size) < 0.5,
        1 - rng.exponential(ratio, size) * np.abs(current - 1),
        rng.uniform(-1, 1, size),
    )
    voltage = np.clip(voltage, -1, 1).astype(np.float32)
    refractory = np.clip(rng.uniform(-0.004, 0.003, size), 0, 1).astype(np.float32)

    def make(model):
        values = {"voltage": voltage, "refractory_time": refractory}
        state = {n: Signal(v.astype(float), name=n) for n, v in values.items()}
        output = Signal(np.zeros(size), name="output")
        current64 = Signal(current.astype(float), name="J")
        return [SimNeurons(neurons, current64, output, state)]

    with both_simulators(make, dt, 0, dtype="float32") as (reference, sim):
        results = []
        for s in (reference, sim):
            s.run_steps(1)
            op = s.model.operators[-1]
            signals = (
                op.output,
                *(op.state[n] for n in ("voltage", "refractory_time")),
            )
            results.append([np.array(s.signals[x], dtype=float) for x in signals])
    (spikes, volts, times), (spikes32, volts32, times32) = results
    epsilon = np.finfo(np.float32).eps
    agree = (spikes > 0) == (spikes32 > 0)
    assert np.count_nonzero(~agree) <= 0.002 * size
    assert np.count_nonzero(spikes) > 0.1 * size
    span = 4 * epsilon * (2 + np.abs(current.astype(float)))
    assert np.all(np.abs(volts32 - volts)[agree] <= span[agree])
    excess = np.maximum(np.abs(current.astype(float) - 1), 1e-7)
    span = 8 * epsilon * (0.003 + neurons.tau_rc * (1 + 1 / excess))
    both = agree & (spikes > 0)
    assert np.all(np.abs(times32 - times)[agree] <= span[agree])
    assert np.all(spikes32[both] == 1000)


@pytest.mark.parametrize("tau_rc", [0.002, 0.02, 1.0])
def test_lif_rates_in_single_precision(tau_rc):
    """Over many steps, spike counts are those of the rate equation."""
    size, steps = 200, 2000
    neurons = nengo.LIF(tau_rc=tau_rc)
    current = np.geomspace(1.02, 60, size)
    with nengo.Network(seed=1) as network:
        ensemble = nengo.Ensemble(
            size, 1, neuron_type=neurons, gain=np.ones(size), bias=current
        )
        probe = nengo.Probe(ensemble.neurons, sample_every=0.001)
    with nengo_jax.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(steps)
        counts = np.sum(sim.data[probe] > 0, axis=0)
    rates = neurons.rates(0, np.ones(size), current).ravel()
    expected = rates * steps * 0.001
    assert np.all(np.abs(counts - expected) <= 1.5 + 1e-3 * expected)


@pytest.mark.parametrize(
    "name", ["RectifiedLinear", "Sigmoid", "Tanh", "LIFRate", "AdaptiveLIFRate"]
)
def test_rate_types_in_single_precision(name):
    types, scale = TYPES[name]

    def make(model):
        return [operator(neurons, 50, k) for k, neurons in enumerate(types)]

    def draw(rng, shape):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    check_operators(make, inputs=draw, steps=5, dtype="float32", rtol=1e-5)


@pytest.mark.parametrize("neuron_type", RANDOM_TYPES)
def test_random_types_in_half_precision(neuron_type):
    """On average they spike as often as they should."""
    rates = np.linspace(100, 900, 50)
    with nengo.Network(seed=1) as network:
        ensemble = nengo.Ensemble(
            50,
            1,
            neuron_type=neuron_type(nengo.RectifiedLinear()),
            gain=np.ones(50),
            bias=rates,
        )
        probe = nengo.Probe(ensemble.neurons)
    spikes = run_jax(network, 200, dtype="float16")[probe].astype(float)
    assert abs(np.mean(spikes) / np.mean(rates) - 1) < 0.1


# -- networks


def test_every_type_in_a_network():
    """With states from distributions and arrays, probed, at another dt."""
    types = [neurons for group, _ in TYPES.values() for neurons in group]
    types += [kind(nengo.LIFRate()) for kind in RANDOM_TYPES]
    types += [
        nengo.Direct(),
        nengo.LIF(initial_state={"voltage": nengo.dists.Choice([0.3])}),
        nengo.AdaptiveLIF(initial_state={"adaptation": np.linspace(0, 1, 12)}),
        nengo.RegularSpiking(
            nengo.AdaptiveLIFRate(initial_state={"adaptation": np.linspace(0, 1, 12)})
        ),
    ]
    with nengo.Network(seed=11) as network:
        stimulus = nengo.Node(lambda t: [np.sin(30 * t), 1 - 5 * t])
        for neurons in types:
            bounded = isinstance(neurons, (nengo.Sigmoid, nengo.Tanh))
            top = 1 / neurons.tau_ref if bounded else 200
            ensemble = nengo.Ensemble(
                12,
                2,
                neuron_type=neurons,
                max_rates=nengo.dists.Uniform(0.6 * top, 0.9 * top),
            )
            nengo.Connection(stimulus, ensemble)
            nengo.Probe(ensemble, synapse=0.01)
            for what in ensemble.neurons.probeable:
                if not isinstance(neurons, nengo.Direct):
                    nengo.Probe(ensemble.neurons, what)
    recorded = compare_networks(network, 40, dt=0.0015)
    assert len(recorded) > 60


def test_subclasses_that_inherit_step_are_native():
    class MyLIF(nengo.LIF):
        pass

    with nengo.Network(seed=1) as network:
        ensemble = nengo.Ensemble(20, 1, neuron_type=MyLIF(tau_rc=0.03))
        nengo.Probe(ensemble.neurons)
    compare_networks(network, 50)  # a warning would be an error
