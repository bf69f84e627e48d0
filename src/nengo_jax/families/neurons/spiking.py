"""Spike generators that turn the rates of a rate neuron into spikes.

============ ============================================================
regular      v += r dt; n = floor(v); v -= n
stochastic   n = floor(r dt) + (u < frac(r dt)), u uniform in [0, 1)
Poisson      n ~ Poisson(r dt)
============ ============================================================

The output is ``amplitude n / dt``. Types whose rates may be negative draw with the
magnitude of the rate and give its sign to the spikes. The random types draw from the
same stream, in the same order, as NumPy does for the reference.

In training with a surrogate, the reset of the regular spikes is detached, as in
:mod:`~nengo_jax.families.neurons.lif`; random spikes have the gradient of their mean,
which is the rate (a straight-through estimate; Bengio et al., 2013).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import nengo
import numpy as np
from jax import Array, lax

from ...surrogates import count_spikes, straight_through
from . import mt19937
from .model import NeuronModel, Step, frozen, spike_height, surrogate_of

RNG_STATE = "rng"
_LARGE_MEAN = 10  # NumPy draws with another algorithm from here on


def _rate(constants, settings, neurons) -> Step:
    amplitude = constants["amplitude"]

    def step(rate: Array) -> tuple[Array]:
        return (amplitude * rate,)

    return step


def _regular(constants, settings, neurons) -> Step:
    dt = settings.dtype.type(settings.dt)
    height, surrogate = spike_height(constants, settings), surrogate_of(settings)
    lowest = np.where(constants["negative"], -np.inf, 1).astype(settings.dtype)

    def step(rate: Array, voltage: Array) -> tuple[Array, Array]:
        voltage = voltage + dt * rate
        if surrogate is None:
            spikes = jnp.floor(voltage)
        else:
            spikes = count_spikes(voltage, surrogate, lowest)
        return height * spikes, voltage - lax.stop_gradient(spikes)

    return step


def _random_spikes(constants, settings, neurons, draw) -> Step:
    dt = settings.dtype.type(settings.dt)
    height, amplitude = spike_height(constants, settings), constants["amplitude"]

    def sample(rate: Array, stream: Array) -> tuple[Array, Array]:
        # ensembles of equal size, each with its own stream
        streams = stream.reshape(-1, mt19937.SIZE)
        mean = dt * (jnp.abs(rate) if neurons.negative else rate)
        means = mean.reshape(len(streams), -1)
        spikes, streams = jax.vmap(draw)(means, streams)
        sign = jnp.sign(rate) if neurons.negative else 1
        return height * spikes.reshape(-1) * sign, streams.reshape(-1)

    def step(rate: Array, stream: Array) -> tuple[Array, Array]:
        if settings.training is None:
            return sample(rate, stream)
        # without tangents: the loop of ``poisson`` has no gradient
        spikes, stream = sample(lax.stop_gradient(rate), stream)
        return straight_through(spikes, amplitude * rate), stream

    return step


def _stochastic(constants, settings, neurons) -> Step:
    def draw(mean: Array, stream: Array) -> tuple[Array, Array]:
        whole = jnp.trunc(mean)
        numbers, stream = mt19937.uniform(stream, mean.shape[0], mean.dtype)
        return whole + (numbers < mean - whole).astype(mean.dtype), stream

    return _random_spikes(constants, settings, neurons, draw)


def _poisson(constants, settings, neurons) -> Step:
    return _random_spikes(constants, settings, neurons, poisson)


def poisson(mean: Array, stream: Array) -> tuple[Array, Array]:
    """Draw from Poisson distributions, as ``RandomState.poisson(mean)`` does.

    Small means: multiply uniform numbers until the product falls to exp(-mean)
    (Knuth). Means of 10 and more: transformed rejection, two numbers a try (PTRS;
    Hormann, 1993). All elements take their numbers from one stream, one after the
    other, so this walks along the stream, 312 numbers at a time.

    Parameters
    ----------
    mean : Array, shape (n,)
    stream : Array of uint32, shape (625,)

    Returns
    -------
    counts : Array, shape (n,)
    stream : Array of uint32, shape (625,)
    """
    size = mean.shape[0]
    padded = jnp.append(mean, jnp.zeros(1, mean.dtype))
    limit = jnp.exp(-padded)
    following = _next_drawing(mean)

    def consume(carry: tuple[Array, Array, Array], number: Array):
        # memory: the product so far, or the first number of a try once ``half`` is set
        element, memory, half = carry
        large = padded[element] >= _LARGE_MEAN
        tried, accepted = _rejection_try(padded[element], memory - 0.5, number)
        counted = memory * number > limit[element]
        found = jnp.where(large, half & accepted, ~counted) & (element < size)
        tried = jnp.where(found, tried, 0)
        increment = jnp.where(large, tried, counted.astype(mean.dtype))
        memory = jnp.where(large, number, memory * number)
        half = large & ~half
        memory = jnp.where(found | (large & ~half), jnp.ones_like(memory), memory)
        return (
            (jnp.where(found, following[element + 1], element), memory, half & ~found),
            (element, increment),
        )

    def body(carry):
        stream, walk, counts = carry
        numbers = mt19937.doubles(stream, mean.dtype)
        walk, (owners, increments) = lax.scan(consume, walk, numbers)
        counts = counts.at[owners].add(increments, mode="drop")
        used = jnp.sum(owners < size, dtype=jnp.int32)
        return mt19937.advance(stream, used), walk, counts

    walk = (following[0], jnp.ones((), mean.dtype), jnp.zeros((), bool))
    start = (stream, walk, jnp.zeros(size, mean.dtype))
    stream, _, counts = lax.while_loop(lambda c: c[1][0] < size, body, start)
    return counts, stream


def _rejection_try(mean: Array, u: Array, v: Array) -> tuple[Array, Array]:
    """One try of PTRS with u in [-0.5, 0.5) and v in [0, 1): value, accepted."""
    b = 0.931 + 2.53 * jnp.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    room = 0.5 - jnp.abs(u)
    value = jnp.floor((2 * a / room + b) * u + mean + 0.43)
    quick = (room >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
    hopeless = (value < 0) | ((room < 0.013) & (v > room))
    left = jnp.log(v) + jnp.log(inverse_alpha) - jnp.log(a / (room * room) + b)
    right = -mean + value * jnp.log(mean) - lax.lgamma(value + 1)
    return value, quick | (~hopeless & (left <= right))


def _next_drawing(mean: Array) -> Array:
    """For each position, the first element from there on whose mean is not 0."""
    size = mean.shape[0]
    numbers = jnp.arange(size + 2, dtype=jnp.int32)
    draws = jnp.append(mean > 0, jnp.ones(2, bool))
    return lax.cummin(jnp.where(draws, jnp.minimum(numbers, size), size), reverse=True)


REGULAR_SPIKING = NeuronModel(
    nengo.RegularSpiking,
    ("amplitude", "negative"),
    ("voltage",),
    _regular,
    rate=frozen(_rate),
)
STOCHASTIC_SPIKING = NeuronModel(
    nengo.StochasticSpiking,
    ("amplitude",),
    (RNG_STATE,),
    _stochastic,
    rate=frozen(_rate),
    variant=lambda neurons: neurons.negative,
    random=True,
)
POISSON_SPIKING = NeuronModel(
    nengo.PoissonSpiking,
    ("amplitude",),
    (RNG_STATE,),
    _poisson,
    rate=frozen(_rate),
    variant=lambda neurons: neurons.negative,
    random=True,
)
