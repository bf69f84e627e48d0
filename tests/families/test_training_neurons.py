"""Rate mode against central differences, derivatives of rates, and networks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError
from training_cases import (
    ALL,
    BORDER,
    DT,
    RANDOM,
    SIZE,
    SPIKING,
    assert_agree,
    gradient,
    operator,
    prepare,
    simulate,
    weights_of,
)

import nengo_jax
from nengo_jax.families.base import Settings, Training
from nengo_jax.families.neurons import MODELS, NEURONS, model_of
from nengo_jax.neurons import SoftLIFRate
from nengo_jax.surrogates import FastSigmoid, RateDerivative


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def respond(neurons, current, smoothing=None):
    """Return the rates of one type at some currents, by nengo's own classes."""
    if isinstance(neurons, nengo.neurons.RatesToSpikesNeuronType):
        return neurons.amplitude * current  # that of the base type is its input
    if smoothing is not None:
        constants = neurons.tau_rc, neurons.tau_ref, neurons.amplitude
        neurons = SoftLIFRate(smoothing, *constants)
    size = current.shape[-1]
    return neurons.rates(current, np.ones(size), np.zeros(size))


def expected_rates(neurons, currents, smoothing):
    """Return outputs and, for adaptive types, the last adaptation."""
    if not hasattr(neurons, "inc_n"):
        return respond(neurons, currents, smoothing), None
    outputs, n = np.zeros_like(currents), np.zeros(currents.shape[-1])
    for t, current in enumerate(currents):
        outputs[t] = respond(neurons, current[None] - n, smoothing)
        n += DT / neurons.tau_n * (neurons.inc_n * outputs[t] - n)
    return outputs, n


def difference_quotients(run, currents, state):
    """Derivatives as :func:`gradient` gives them, by central differences.

    Neurons do not depend on each other, so all of them are moved at once.
    """
    outputs = jax.jit(lambda currents: simulate(run, currents, state)[0])
    weights = weights_of(currents)
    quotients = np.zeros_like(currents)
    for t, current in enumerate(currents):
        moved = np.zeros_like(currents)
        moved[t] = 1e-5 * np.maximum(1, np.abs(current))
        change = outputs(currents + moved) - outputs(currents - moved)
        quotients[t] = np.sum(weights * change, axis=0) / (2 * moved[t])
    return quotients


SMOOTH = ["LIF", "LIFRate", "AdaptiveLIF", "AdaptiveLIFRate"]
RATE_FORMS = [(n, None) for n in ALL if n != "Izhikevich"] + [(n, 0.3) for n in SMOOTH]


@pytest.mark.parametrize(("name", "smoothing"), RATE_FORMS)
def test_rate_mode(name, smoothing):
    """Rates and their gradient through time; states rest, except for an adaptation."""
    run, currents, state = prepare(name, Training(smoothing=smoothing))
    currents = np.where(np.abs(currents - 1) < 0.2, 2, currents)  # not at the kink
    outputs, after = simulate(run, currents, state)
    types = ALL[name][0]
    parts = np.split(currents, len(types), axis=1)
    pairs = [
        expected_rates(*pair, smoothing) for pair in zip(types, parts, strict=True)
    ]
    assert_agree(np.asarray(outputs), np.hstack([rates for rates, _ in pairs]))
    expected = list(state)
    if "Adaptive" in name:
        expected[-1] = np.hstack([adaptation for _, adaptation in pairs])
    for value, target in zip(after, expected, strict=True):
        np.testing.assert_allclose(value, target, rtol=1e-12, atol=1e-12)
    quotients = difference_quotients(run, currents, state)
    assert_agree(gradient(run, currents, state), quotients, 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("smoothing", [None, 1e-3, 1.0])
@pytest.mark.parametrize("neurons", [nengo.LIFRate(), nengo.AdaptiveLIF(tau_ref=0)])
def test_gradients_at_and_below_threshold(neurons, smoothing, dtype):
    """Finite everywhere, 0 up to a hard threshold, positive below a smooth one."""
    settings = Settings(DT, np.dtype(dtype), True, Training(smoothing=smoothing))
    run = NEURONS.build([operator(neurons)], settings)
    currents = BORDER.astype(dtype)
    state = (jnp.zeros(len(BORDER), dtype),) * len(model_of(neurons).state)
    slope = jax.grad(lambda current: jnp.sum(run(current, *state)[0]))(currents)
    below = currents <= 1
    assert slope.dtype == dtype
    assert np.all(np.isfinite(slope))
    assert np.all(np.asarray(slope)[~below] > 0)
    assert np.all((np.asarray(slope)[below] > 0) == (smoothing is not None))


def test_rectified_linear_has_no_gradient_at_zero():
    """As in other libraries: many inputs, as pixels of images, are exactly 0."""
    for neurons in (nengo.RectifiedLinear(), nengo.SpikingRectifiedLinear()):
        settings = Settings(DT, np.dtype("float64"), True, Training())
        run = NEURONS.build([operator(neurons)], settings)
        state = (jnp.zeros(3),) * len(neurons.state)
        slope = jax.grad(lambda x, run, state: jnp.sum(run(x, *state)[0]))(
            jnp.array([-1.0, 0, 1]), jax.tree_util.Partial(run), state
        )
        np.testing.assert_array_equal(slope, [0, 0, 1])


# -- derivative of the rate, and random types


@pytest.mark.parametrize("name", [n for n in SPIKING if n != "Izhikevich"])
def test_rate_derivative(name):
    """That of the rate at the current of each step alone."""
    run, currents, state = prepare(name, Training(RateDerivative()))
    actual = gradient(run, currents, state) / weights_of(currents)
    outputs = np.asarray(simulate(run, currents, state)[0])
    epsilon = 1e-6
    expected = []
    for k, neurons in enumerate(ALL[name][0]):
        mine = slice(k * SIZE, (k + 1) * SIZE)
        seen = currents[:, mine] - adaptation_of(neurons, outputs[:, mine])
        sides = [respond(neurons, seen + e) for e in (epsilon, -epsilon)]
        expected.append((sides[0] - sides[1]) / (2 * epsilon))
    assert_agree(actual, np.hstack(expected), 1e-6)


def adaptation_of(neurons, outputs):
    """Return the adaptation before each step, given the outputs."""
    values = np.zeros((len(outputs) + 1, outputs.shape[1]))
    if hasattr(neurons, "inc_n"):
        for t, output in enumerate(outputs):
            change = neurons.inc_n * output - values[t]
            values[t + 1] = values[t] + DT / neurons.tau_n * change
    return values[:-1]


@pytest.mark.parametrize("surrogate", [FastSigmoid(), RateDerivative()])
@pytest.mark.parametrize("name", RANDOM)
def test_random_types_have_the_gradient_of_their_mean(name, surrogate):
    run, currents, state = prepare(name, Training(surrogate))
    amplitude = RANDOM[name][0][0].amplitude
    expected = amplitude * weights_of(currents)
    assert_agree(gradient(run, currents, state), expected)


def test_every_spiking_type_can_be_trained():
    """With a surrogate; all but one in rate mode."""
    spiking = [model for kind, model in MODELS.items() if kind.spiking]
    assert {model.neuron_type.__name__ for model in spiking} == {*SPIKING, *RANDOM}
    without = [m.neuron_type for m in spiking if m.rate is None]
    assert without == [nengo.Izhikevich]


@pytest.mark.parametrize("surrogate", [None, RateDerivative()])
def test_no_rate_form(surrogate):
    with pytest.raises(BuildError, match=r"Izhikevich.*training='surrogate'"):
        prepare("Izhikevich", Training(surrogate))


# -- networks


def small_network(mode, neuron_types):
    """Make one ensemble of each type, read by a node of its own."""
    with nengo.Network(seed=4) as network:
        nengo_jax.configure_settings(training=mode)
        stimulus = nengo.Node(np.zeros(2), label="x")
        for k, neurons in enumerate(neuron_types):
            bounded = isinstance(neurons, (nengo.Sigmoid, nengo.Tanh))
            top = 1 / neurons.tau_ref if bounded else 100
            rates = nengo.dists.Uniform(0.6 * top, 0.9 * top)
            ensemble = nengo.Ensemble(8, 2, neuron_type=neurons, max_rates=rates)
            nengo.Connection(stimulus, ensemble, synapse=0.005)
            readout = nengo.Node(size_in=1)
            nengo.Connection(
                ensemble.neurons, readout, transform=np.full((1, 8), 1e-3), synapse=None
            )
            nengo.Probe(readout, label=f"p{k}")
    return network


FEW = ["LIF", "AdaptiveLIF", "RegularSpiking", "StochasticSpiking"]


@pytest.mark.parametrize(("mode", "names"), [("rate", FEW), ("surrogate", list(ALL))])
def test_networks(mode, names):
    """Whole examples, many at once, differentiated by all parameters."""
    types = [ALL[name][0][0] for name in names]
    net = nengo_jax.functional(small_network(mode, types), dtype="float64")
    inputs = np.random.RandomState(2).uniform(-1, 1, size=(3, 40, 2))

    def loss(params, x):
        _, outputs = net.run(params, net.state, {"x": x})
        return sum(jnp.sum(jnp.square(value)) for value in outputs.values())

    slopes = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(net.params, inputs)
    assert len(net.outputs) == len(types)
    for key, slope in slopes.items():
        assert np.all(np.isfinite(slope)), key
        assert np.any(slope), key
