"""Readouts, percentiles and scores, against NumPy."""

import jax.numpy as jnp
import nengo
import numpy as np
import pytest

from nengo_jax.convert.calibration.percentiles import (
    BINS,
    count_values,
    find_percentiles,
)
from nengo_jax.convert.calibration.presentation import Piece, last_rows
from nengo_jax.convert.calibration.readout import Readout, check_readout
from nengo_jax.convert.calibration.results import read_results
from nengo_jax.convert.calibration.scores import (
    check_labels,
    hits,
    normalised_error,
)

ROWS = np.random.RandomState(0).normal(size=(3, 20, 4))


def mean_until(rows, start=0):
    return np.stack(
        [
            rows[:, (start if step >= start else 0) : step + 1].mean(axis=1)
            for step in range(rows.shape[1])
        ],
        axis=1,
    )


@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        (Readout("last"), ROWS),
        (Readout("filtered", synapse=0.1), ROWS),
        (Readout("mean"), mean_until(ROWS)),
        (Readout("delayed", start=7), mean_until(ROWS, 7)),
        (Readout("delayed", start=8), mean_until(ROWS, 8)),
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [20, 8, 1])
def test_pieces_do_not_matter(readout, expected, length):
    pieces = [
        Piece(first, step, [ROWS[first : first + 2, step : step + length]])
        for first in (0, 2)
        for step in range(0, 20, length)
    ]
    results = read_results(pieces, [readout], [None], [(2, 2)], 20)
    found = [piece.rows[0] for piece in results]
    half = len(found) // 2
    joined = [np.concatenate(part, axis=1) for part in (found[:half], found[half:])]
    np.testing.assert_allclose(
        np.concatenate(joined), expected.reshape(3, 20, 2, 2), atol=1e-12
    )


@pytest.mark.parametrize("kind", ["last", "mean", "delayed"])
@pytest.mark.parametrize("length", [20, 8, 1])
def test_each_frame_is_read_alone(kind, length):
    """Four frames of five steps give what four examples of five steps give."""
    readout = Readout(kind, start=2 if kind == "delayed" else 0)
    pieces = [
        Piece(0, step, [ROWS[:, step : step + length]]) for step in range(0, 20, length)
    ]
    whole = list(read_results(pieces, [readout], [None], [(4,)], 5))
    alone = [Piece(0, 0, [ROWS.reshape(12, 5, 4)])]
    expected = next(read_results(alone, [readout], [None], [(4,)], 5)).rows[0]
    found = np.concatenate([piece.rows[0] for piece in whole], axis=1)
    np.testing.assert_allclose(found.reshape(12, 5, 4), expected, atol=1e-12)
    (last,) = last_rows(whole, 5)
    np.testing.assert_array_equal(last, found[:, 4::5])


def test_names_suit_the_number_of_steps():
    assert check_readout("delayed", 40, 0.001) == Readout("delayed", start=10)
    filtered = check_readout("filtered", 40, 0.001)
    assert filtered.synapse == nengo.Lowpass(0.01)
    assert check_readout(filtered, 1, 0.001) is filtered


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "first"}, "no readout 'first'"),
        ({"kind": "delayed"}, "needs the number of the step"),
        ({"kind": "delayed", "start": 1.5}, "needs the number of the step"),
        ({"kind": "mean", "start": 3}, "no other readout has one"),
        ({"kind": "filtered"}, "needs a synapse"),
        ({"kind": "last", "synapse": 0.1}, "no other readout has one"),
    ],
)
def test_wrong_readouts(arguments, message):
    with pytest.raises(ValueError, match=message):
        Readout(**arguments)


@pytest.mark.parametrize("percentile", [100, 99.9, 90, 50, 0.1])
@pytest.mark.parametrize("per_channel", [True, False])
def test_percentiles(percentile, per_channel):
    values = np.random.RandomState(1).exponential(size=(5000, 3)).astype(np.float32)
    values *= [1, 10, 0.1]
    values[:200] = 1e6  # do not count
    real = values[200:]
    limits = real.max(axis=0) if per_channel else real.max(keepdims=True)[0]
    weights = jnp.asarray(np.arange(5000) >= 200)
    counts = count_values(jnp.asarray(values), jnp.asarray(limits), weights)
    axis = 0 if per_channel else None
    expected = np.percentile(real, percentile, axis=axis, method="inverted_cdf")
    found = find_percentiles(np.array([counts]), limits, percentile)
    np.testing.assert_allclose(found - expected, 0, atol=1.01 * np.max(limits) / BINS)
    if per_channel:
        assert np.all(np.abs(found - expected) <= 1.01 * limits / BINS)
    if percentile == 100:
        np.testing.assert_allclose(found, limits, rtol=1e-6)


def test_labels_in_other_forms():
    labels = [2, 0, 1]
    for given in (labels, np.array(labels)[:, None], np.eye(3)[labels]):
        np.testing.assert_array_equal(check_labels(given, (3,), [(3,)]), labels)
    with pytest.raises(ValueError, match="one number for each class"):
        check_labels(labels, (3,), [(3,), (2,)])
    with pytest.raises(ValueError, match="one number for each class"):
        check_labels(labels, (3,), [(8, 8, 3)])


def test_labels_of_frames():
    labels = np.array([[2, 0], [1, 1], [0, 2]])
    for given in (labels, labels[..., None], np.eye(3)[labels]):
        np.testing.assert_array_equal(check_labels(given, (3, 2), [(3,)]), labels)
    with pytest.raises(ValueError, match="3 examples of 2 time steps and 3 classes"):
        check_labels([2, 0, 1], (3, 2), [(3,)])
    with pytest.raises(ValueError, match="got 5 for example 1"):
        check_labels([[0, 1], [0, 5], [0, 0]], (3, 2), [(3,)])


def test_scores():
    assert hits(np.array([[0.2], [0.7]]), np.array([0, 0])).tolist() == [True, False]
    assert hits(np.array([[0.2, 0.1]]), np.array([1])).tolist() == [False]
    expected = np.random.RandomState(0).normal(2, 3, size=(100, 4))
    assert normalised_error(expected, expected) == 0
    assert normalised_error(expected * 0 + expected.mean(), expected) == (
        pytest.approx(1)
    )
    assert normalised_error(np.ones(3), np.zeros(3)) == 1
