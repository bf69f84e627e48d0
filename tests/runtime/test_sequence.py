"""Sequences in segments give what sequences in one piece give."""

import jax
import jax.numpy as jnp
import nengo
import numpy as np
import pytest
from helpers import assert_close
from nengo.builder import Model

from nengo_jax.compiler import compile_model
from nengo_jax.core import Role
from nengo_jax.families import Training
from nengo_jax.runtime.refine import refine
from nengo_jax.runtime.sequence import choose_segments, run_sequence
from nengo_jax.runtime.unroll import Inputs

STEPS = 11


@pytest.fixture(scope="module")
def program():
    with nengo.Network(seed=1) as network:
        node = nengo.Node(lambda t: t)
        ensemble = nengo.Ensemble(20, 1, neuron_type=nengo.Tanh())
        nengo.Connection(node, ensemble, synapse=None)
        nengo.Connection(ensemble, ensemble, synapse=0.01)
        nengo.Probe(ensemble)
    model = Model(dt=0.001)
    model.build(network)
    return compile_model(model, np.dtype("float64"), batched=True).for_training(
        Training()
    )


def run(program, x, **options):
    initial = {n: jnp.asarray(v) for n, v in program.initial.items()}
    params = {n: initial[n] for n in program.names(Role.PARAM)}
    state = {n: initial[n] for n in program.names(Role.STATE)}
    return run_sequence(
        refine(program), params, state, Inputs({}, {"inputs": x}), len(x), **options
    )


@pytest.fixture(scope="module")
def x():
    return np.random.RandomState(0).uniform(-1, 1, (STEPS, 1))


@pytest.mark.parametrize("every", [1, 3, 4, STEPS, 20])
def test_checkpoints_change_nothing(program, x, every):
    def loss(x, **options):
        state, (samples,) = run(program, x, **options)
        return jnp.sum(samples**2) + sum(jnp.sum(v) for v in state.values())

    with jax.enable_x64(True):
        expected = jax.jit(jax.value_and_grad(loss))(x)
        actual = jax.jit(jax.value_and_grad(lambda x: loss(x, checkpoint_every=every)))(
            x
        )
    assert_close(actual[0], expected[0])
    assert_close(actual[1], expected[1])
    assert np.abs(np.asarray(expected[1])).min() > 0


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("truncation", [1, 4, STEPS])
def test_truncation(program, x, truncation, every):
    """The last output depends on the inputs of its own segment only."""

    def last(x):
        options = {"truncation": truncation, "checkpoint_every": every}
        _, (samples,) = run(program, x, **options)
        return samples[-1, 0]

    def whole(x):
        return run(program, x)[1][0][-1, 0]

    with jax.enable_x64(True):
        value, gradient = jax.jit(jax.value_and_grad(last))(x)
        expected, full = jax.jit(jax.value_and_grad(whole))(x)
    gradient, full = np.asarray(gradient), np.asarray(full)
    first = (STEPS - 1) // truncation * truncation
    assert_close(value, expected)
    assert np.all(gradient[:first] == 0)
    assert_close(gradient[first:], full[first:])


def test_segments_bound_memory(program):
    assert choose_segments(program, 100, 1) is None
    assert choose_segments(program, 10**6, 8) == 1000
