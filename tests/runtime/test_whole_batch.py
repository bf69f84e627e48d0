"""A function of the whole batch under vmap, scan and all kinds of derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nengo_jax.runtime.whole_batch import call_with_batch

EXAMPLES, STEPS, SIZE = 4, 5, 3
WEIGHTS = jnp.arange(1.0, SIZE + 1)
START = jnp.zeros(SIZE), jnp.uint32(0)
XS = jax.random.normal(jax.random.key(0), (EXAMPLES, STEPS, SIZE))


def normalise(weights, shared, own):
    """Keep a running mean and a count; scale the distances to the mean."""
    (scale,), (mean, count), (x,) = weights, shared, own
    now = x.mean(0)
    distance = (x - now[None]) * scale[None] + mean[None] * scale[None] ** 2
    return [mean * 0.5 + now, count + jnp.uint32(1), distance]


def program(weights, start, xs):
    """One example over time."""

    def step(shared, x):
        *shared, y = call_with_batch(normalise, [weights], shared, [x], 2)
        return tuple(shared), y

    return lax.scan(step, start, xs)


def by_hand(weights, xs):
    shared, outputs = list(START), []
    for k in range(STEPS):
        *shared, y = normalise([weights], shared, [xs[:, k]])
        outputs.append(y)
    return shared, jnp.stack(outputs, 1)


batched = jax.vmap(program, in_axes=(None, None, 0), out_axes=(None, 0))


def loss(run):
    return lambda weights: (run(weights)[1] ** 2).sum()


def test_batch_is_seen_as_a_whole():
    (mean, count), outputs = jax.jit(batched)(WEIGHTS, START, XS)
    (expected, _), wanted = by_hand(WEIGHTS, XS)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5)
    assert count == STEPS


def test_derivatives_are_those_of_the_batch():
    ours = loss(lambda w: batched(w, START, XS))
    theirs = loss(lambda w: by_hand(w, XS))
    again = loss(
        lambda w: jax.vmap(
            jax.checkpoint(program), in_axes=(None, None, 0), out_axes=(None, 0)
        )(w, START, XS)
    )
    expected = jax.grad(theirs)(WEIGHTS)
    assert np.abs(expected).min() > 0.1
    for function in (ours, again):
        np.testing.assert_allclose(jax.grad(function)(WEIGHTS), expected, rtol=1e-4)
        curvature = jax.jvp(jax.grad(function), (WEIGHTS,), (WEIGHTS,))[1]
        wanted = jax.jvp(jax.grad(theirs), (WEIGHTS,), (WEIGHTS,))[1]
        np.testing.assert_allclose(curvature, wanted, rtol=1e-4)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jit"])
def test_an_example_alone_is_a_batch_of_one(wrap):
    alone = wrap(lambda w: program(w, START, XS[0]))
    expected = jax.grad(loss(lambda w: by_hand(w, XS[:1])))(WEIGHTS)
    np.testing.assert_allclose(jax.grad(loss(alone))(WEIGHTS), expected, rtol=1e-5)


def test_a_linear_function_can_be_transposed():
    """As in a derivative that somebody else has defined."""

    def scale(weights, _, own):
        return [own[0] * weights[0][None], own[0]]

    def alone(x):
        return call_with_batch(scale, [WEIGHTS], [], [x], 0)[0]

    (found,) = jax.linear_transpose(alone, XS[0, 0])(XS[1, 0])
    np.testing.assert_allclose(found, WEIGHTS * XS[1, 0], rtol=1e-6)


def test_what_has_no_batch_axis_can_be_differentiated():
    """In a batch whose examples all have the same input, nothing may be mapped."""

    def total(weights):
        same = jax.vmap(lambda b: b * program(weights, START, XS[0])[1].sum())
        return same(jnp.ones(EXAMPLES)).sum()

    expected = jax.grad(lambda w: EXAMPLES * program(w, START, XS[0])[1].sum())(WEIGHTS)
    np.testing.assert_allclose(jax.grad(total)(WEIGHTS), expected, rtol=1e-5)


def test_equal_copies_of_what_is_shared_count_as_one():
    copies = jax.tree.map(lambda v: jnp.stack([v] * EXAMPLES), START)
    (mean, _), outputs = jax.vmap(program, in_axes=(None, 0, 0))(WEIGHTS, copies, XS)
    (expected, _), wanted = by_hand(WEIGHTS, XS)
    np.testing.assert_allclose(mean, jnp.stack([expected] * EXAMPLES), rtol=1e-5)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5)


def test_examples_with_their_own_weights_are_alone():
    weights = jnp.stack([WEIGHTS * k for k in range(EXAMPLES)])
    _, outputs = jax.vmap(program, in_axes=(0, None, 0))(weights, START, XS)
    for k in range(EXAMPLES):
        _, wanted = by_hand(weights[k], XS[k : k + 1])
        np.testing.assert_allclose(outputs[k], wanted[0], rtol=1e-5)
