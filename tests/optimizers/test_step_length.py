"""Backtracking, the line search and the damping."""

import jax.numpy as jnp
import numpy as np
import pytest

from nengo_jax.optimizers.conjugate_gradient import Iterates
from nengo_jax.optimizers.step_length import (
    Chosen,
    adapt_damping,
    backtrack,
    search_line,
)

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("losses", "row"),
    [
        ([5.0, 4.0, 3.0, 2.0], 3),  # the last one is best
        ([5.0, 1.0, 2.0, 3.0], 1),
        ([1.0, 2.0, 3.0, 4.0], 0),
        ([1.0, 5.0, 2.0, 3.0], 2),  # not over a hill
        ([5.0, 4.0, INF, NAN], 1),
        ([NAN, NAN, NAN, NAN], 0),
    ],
)
def test_backtracks_while_the_loss_falls(losses, row):
    steps = jnp.arange(4.0)[:, None]
    iterates = Iterates(steps, -jnp.arange(4.0), jnp.array(3), jnp.array(9))
    table = jnp.asarray(losses)
    chosen = backtrack(lambda step: table[step[0].astype(int)], iterates)
    assert int(chosen.row) == row
    assert float(chosen.model) == -row
    assert float(chosen.value) == (INF if np.isnan(losses[row]) else losses[row])


def line(loss_after, slope, loss=1.0, longest=None):
    value = jnp.asarray(loss_after(1.0))
    chosen = Chosen(jnp.array([1.0]), value, jnp.array(-1.0), jnp.array(0))
    first = None if longest is None else jnp.asarray(longest)
    loss, slope = jnp.asarray(loss), jnp.asarray(slope)
    return float(search_line(lambda s: loss_after(s[0]), chosen, loss, slope, first))


def test_line_search_takes_the_first_step_that_is_good_enough():
    # the minimum of this parabola is at 0.3, and it rises above 1 from 0.6 on
    def parabola(t):
        return 1 + (t - 0.3) ** 2 - 0.09

    assert line(parabola, -0.6) == pytest.approx(0.8**3)
    assert line(parabola, -0.6, longest=1.0) == pytest.approx(0.8**3)
    assert line(parabola, -0.6, longest=0.5) == 0.5


@pytest.mark.parametrize(
    ("loss_after", "slope", "loss"),
    [
        (lambda t: 1 + t, -1.0, 1.0),  # it rises whatever the slope promises
        (lambda t: 1 - t, 1.0, 1.0),  # not a way down
        (lambda t: NAN * t, -1.0, 1.0),
        (lambda t: 1 - t, -1.0, NAN),
        (lambda t: 1 + t, -1e-12, 1.0),  # nothing that could be seen
        (lambda t: 1 - t, NAN, 1.0),
    ],
)
def test_line_search_gives_up(loss_after, slope, loss):
    assert line(loss_after, slope, loss) == 0


@pytest.mark.parametrize(
    ("ratio", "factor"),
    [(0.2, 1.5), (0.25, 1), (0.5, 1), (0.75, 1), (0.8, 2 / 3), (-3, 1.5), (NAN, 1.5)],
)
def test_damping_follows_the_reduction_ratio(ratio, factor):
    after = adapt_damping(jnp.array(0.4), jnp.array(ratio))
    assert float(after) == pytest.approx(0.4 * factor, rel=1e-6)


def test_damping_stays_positive():
    damping = jnp.array(1.0)
    for _ in range(400):
        damping = adapt_damping(damping, jnp.array(1.0))
    assert damping > 0
