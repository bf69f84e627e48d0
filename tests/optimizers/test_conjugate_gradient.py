"""Conjugate gradients, against a direct solution and a plain version in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nengo_jax.optimizers.conjugate_gradient import conjugate_gradient

SIZE = 30
RNG = np.random.RandomState(1)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def positive_matrix(spread=3.0):
    """A matrix whose eigenvalues lie between 1 and 10^spread."""
    q, _ = np.linalg.qr(RNG.standard_normal((SIZE, SIZE)))
    return q @ np.diag(np.logspace(0, spread, SIZE)) @ q.T


def solve(matrix, gradient, start=None, scale=None, iterations=200, tolerance=0.0):
    return conjugate_gradient(
        lambda v: jnp.asarray(matrix) @ v,
        jnp.asarray(gradient),
        jnp.zeros(len(gradient)) if start is None else jnp.asarray(start),
        iterations=iterations,
        tolerance=tolerance,
        scale=None if scale is None else jnp.asarray(scale),
    )


def plain(matrix, gradient, start, iterations, tolerance):
    """Textbook conjugate gradients with Martens' rule; returns all iterates."""
    x, r = start, gradient + matrix @ start
    d, found = -r, [start]

    def q(x):
        return gradient @ x + x @ matrix @ x / 2

    for i in range(1, iterations + 1):
        alpha = r @ r / (d @ matrix @ d)
        x = x + alpha * d
        after = r + alpha * matrix @ d
        d, r = -after + after @ after / (r @ r) * d, after
        found.append(x)
        k = max(10, i // 10)
        if i > k and q(x) < 0 and (q(x) - q(found[i - k])) / q(x) < k * tolerance:
            break
    return found


def last(found):
    return np.asarray(found.kept[found.last])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("warm", [False, True])
def test_solves_a_system(scaled, warm):
    matrix, gradient = positive_matrix(), RNG.standard_normal(SIZE)
    exact = np.linalg.solve(matrix, -gradient)
    start = exact + 0.1 * RNG.standard_normal(SIZE) if warm else None
    found = solve(matrix, gradient, start, np.diag(matrix) if scaled else None)
    np.testing.assert_allclose(last(found), exact, rtol=1e-7, atol=1e-9)
    q = gradient @ exact / 2
    np.testing.assert_allclose(found.values[found.last], q, rtol=1e-9)


@pytest.mark.parametrize("tolerance", [1e-2, 5e-4, 5e-6])
def test_ends_as_martens_says(tolerance):
    # Worse conditions, and rounding makes two programs differ.
    matrix, gradient = positive_matrix(2.0), RNG.standard_normal(SIZE)
    start = 0.01 * RNG.standard_normal(SIZE)
    expected = plain(matrix, gradient, start, 100, tolerance)
    found = solve(matrix, gradient, start, iterations=100, tolerance=tolerance)
    assert 10 < int(found.iterations) < 100
    assert int(found.iterations) == len(expected) - 1
    np.testing.assert_allclose(last(found), expected[-1], rtol=1e-3, atol=1e-4)


def test_looser_tolerance_ends_earlier():
    matrix, gradient = positive_matrix(4.0), RNG.standard_normal(SIZE)
    counts = [
        int(solve(matrix, gradient, tolerance=t, iterations=100).iterations)
        for t in (1e-2, 5e-4, 5e-6)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_keeps_iterates_at_growing_distances():
    matrix, gradient = positive_matrix(1.0), RNG.standard_normal(SIZE)
    every = plain(matrix, gradient, np.zeros(SIZE), 20, 0.0)
    found = solve(matrix, gradient, iterations=20)
    assert int(found.iterations) == 20
    # 1.3^j, rounded up, and the last one
    for row, number in enumerate([1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 20]):
        np.testing.assert_allclose(found.kept[row], every[number], rtol=1e-9)


def test_zero_gradient_stays_where_it_is():
    found = solve(positive_matrix(), np.zeros(SIZE))
    assert int(found.iterations) == 0
    np.testing.assert_array_equal(last(found), 0)


def test_singular_matrix_gives_finite_numbers():
    matrix = np.diag([1.0, 2.0, 0.0])
    found = solve(matrix, np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(last(found), [-1, -0.5, 0], atol=1e-12)
    # without a minimum: along the last axis it goes down for ever
    unbounded = solve(matrix, np.array([1.0, 1.0, 1.0]))
    assert np.all(np.isfinite(last(unbounded)))


def test_nan_ends_the_search():
    found = solve(np.full((3, 3), np.nan), np.ones(3))
    assert int(found.iterations) <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scaled", [False, True])
def test_ends_where_only_rounding_is_left(dtype, scaled):
    """The last third has no curvature, but a gradient that is not quite zero."""
    root = np.linalg.qr(RNG.standard_normal((SIZE, SIZE)))[0][:, :20]
    matrix = root @ np.diag(np.logspace(0, 2, 20)) @ root.T
    noise = 0.1 * np.finfo(dtype).eps * RNG.standard_normal(SIZE)
    gradient = root @ RNG.standard_normal(20) + noise
    scale = np.diag(matrix) ** 0.75 if scaled else np.ones(SIZE)
    found = conjugate_gradient(
        lambda v: jnp.asarray(matrix, dtype) @ v,
        jnp.asarray(gradient, dtype),
        jnp.zeros(SIZE, dtype),
        iterations=500,
        tolerance=0.0,
        scale=jnp.asarray(scale, dtype),
        singular=True,
    )
    half = scale**-0.5  # what is found has the least length in the metric of scale
    exact = -half * (
        np.linalg.pinv(half[:, None] * matrix * half, 1e-9) @ (half * gradient)
    )
    assert int(found.iterations) < 100
    np.testing.assert_allclose(
        last(found), exact, rtol=0, atol=1e3 * np.finfo(dtype).eps * np.abs(exact).max()
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_little_damping_counts_as_long_as_it_can_be_seen(dtype):
    """Directions whose only curvature is damping are followed, too."""
    damping = 100 * np.finfo(dtype).eps
    diagonal = np.r_[np.ones(10), np.zeros(20)] + damping
    gradient = np.r_[np.ones(10), np.full(20, damping)]
    found = conjugate_gradient(
        lambda v: jnp.asarray(diagonal, dtype) * v,
        jnp.asarray(gradient, dtype),
        jnp.zeros(SIZE, dtype),
        iterations=100,
        tolerance=0.0,
    )
    np.testing.assert_allclose(last(found), -gradient / diagonal, rtol=1e-2)
