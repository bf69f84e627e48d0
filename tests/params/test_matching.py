"""Arrangements of parameters in arrays: the right one, or none."""

import numpy as np
import pytest

from nengo_jax.params.matching import Member, arrange, contradicts, evidence


def members_of(*values, source=None) -> list[Member]:
    return [Member(f"m{k}", np.asarray(v), source) for k, v in enumerate(values)]


def random(*shapes, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.RandomState(seed)
    return [rng.randn(*np.atleast_1d(shape)) for shape in shapes]


def test_evidence_is_the_probability_of_chance():
    rng = np.random.RandomState(0)
    count, draws = 12, 200_000
    x = rng.randn(draws, count)
    x -= x.mean(axis=1, keepdims=True)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    found = evidence(x @ x[0], np.array(count))[1:]
    for nats in (2.0, 4.0, 6.0):
        share = np.mean(found > nats)
        assert 0.1 * np.exp(-nats) < share < np.exp(-nats)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5, 1.0, 2.0, 5.0])
def test_noise_leads_to_none_rather_than_to_a_wrong_arrangement(noise):
    sizes = (20, 20, 30, 50, 50, 200, 7)
    answers = []
    for seed in range(20):
        initial = random(*sizes, seed=seed)
        rng = np.random.RandomState(1000 + seed)
        trained = [2 * v + 1 + 2 * noise * rng.randn(*v.shape) for v in initial]
        order = rng.permutation(len(sizes))
        arrays = {
            "x": np.concatenate([trained[k] for k in order[:3]]),
            "y": np.concatenate([trained[k] for k in order[3:]]),
        }
        held, by_value = arrange(arrays, members_of(*initial))
        expected = [f"m{k}" for k in order]
        parts = {"x": expected[:3], "y": expected[3:]}
        assert held.items() <= parts.items()
        assert by_value or not held
        answers.append(len(held))
    if noise <= 0.1:
        assert answers == [2] * 20
    if noise == 5.0:
        assert sum(answers) == 0


def test_sizes_alone_need_no_values():
    held, by_value = arrange(
        {"x": np.zeros(9), "y": np.zeros(4)}, members_of(*map(np.zeros, (4, 9)))
    )
    assert held == {"x": ["m1"], "y": ["m0"]}
    assert not by_value


def test_what_remains_follows_from_what_is_certain():
    first, second = random(40, 40)
    held, by_value = arrange(
        {"x": np.concatenate([np.full(25, 3.0), second, first])},
        members_of(first, second, np.ones(25)),
    )
    assert held == {"x": ["m2", "m1", "m0"]}
    assert by_value


def test_equal_initial_values_tell_nothing():
    (value,) = random(40)
    (change,) = random(40, seed=1)
    rows = np.concatenate([value, value + 0.01 * change])
    assert arrange({"x": rows}, members_of(value, value)) == ({}, False)


def test_equal_rows_may_be_exchanged():
    (value,) = random(40)
    held, _ = arrange({"x": np.concatenate([value, value])}, members_of(value, value))
    assert sorted(held["x"]) == ["m0", "m1"]


def test_constant_values_tell_nothing_unless_rows_are_equal():
    members = members_of(np.full(5, 1.0), np.full(8, 2.0))
    assert arrange({"x": np.arange(13.0)}, members) == ({}, False)
    held, _ = arrange({"x": np.ones(13)}, members)
    assert sorted(held["x"]) == ["m0", "m1"]


@pytest.mark.parametrize(("change", "known"), [(0.05, True), (0.3, False)])
def test_decoders_of_one_ensemble_have_to_be_very_much_alike(change, known):
    """One that starts at zero can learn what another started with."""
    initial, other, change_of_it = random((1, 200), (1, 200), (1, 200))
    rows = np.concatenate([initial + change * change_of_it, other])
    values = (initial, np.zeros((1, 200)))
    held, _ = arrange({"x": rows}, members_of(*values, source="ensemble"))
    assert held == ({"x": ["m0", "m1"]} if known else {})
    assert arrange({"x": rows}, members_of(*values))[0] == {"x": ["m0", "m1"]}


def test_too_many_arrangements_are_none():
    sizes = np.arange(1, 40)
    members = members_of(*(np.zeros(size) for size in sizes))
    assert arrange({"x": np.arange(float(sizes.sum()))}, members) == ({}, False)


def test_what_fits_nowhere_is_none():
    first, second, third = random(30, 5, 7)
    rows = np.concatenate([first, second, third])
    arrays = {"x": rows[:21], "y": rows[21:]}
    assert arrange(arrays, members_of(first, second, third)) == ({}, False)
    assert arrange(arrays, members_of(rows)) == ({}, False)


def test_a_contradiction_is_found():
    values = random(20, 20, seed=3)
    arrays = dict(zip("xy", values, strict=True))
    members = members_of(*values)
    assert contradicts(arrays, members, {"x": ["m1"], "y": ["m0"]})
    assert not contradicts(arrays, members, {"x": ["m0"], "y": ["m1"]})
