"""Parts of a report that are functions of numbers."""

import nengo
import numpy as np
import pytest
import scipy.signal

from nengo_jax.convert.reporting.activity import Activity
from nengo_jax.convert.reporting.causes.words import (
    listed,
    number,
    percent,
    rounded_down,
    rounded_up,
)
from nengo_jax.convert.reporting.histogram import Histogram
from nengo_jax.convert.reporting.paths import find_origin, mean_delay
from nengo_jax.convert.reporting.scoring import read_out
from nengo_jax.convert.reporting.spikes import choose_raster
from nengo_jax.convert.reporting.tables import joule
from nengo_jax.convert.scaling import keeps_result, limit_of
from nengo_jax.neurons import BoundedReLU


def test_quantiles_are_exact_to_five_percent():
    values = np.random.RandomState(0).lognormal(3, 2, size=20000)
    histogram = Histogram(unit=1.0)
    for part in np.split(values, 4):
        histogram.add(part)
    histogram.add(np.zeros(5000))
    found = histogram.result()
    assert found.zero == pytest.approx(0.2)
    assert found.mean == pytest.approx(values.sum() / 25000)
    assert found.largest == values.max()
    assert found.median == pytest.approx(np.median(values), rel=0.05)
    assert found.high == pytest.approx(np.quantile(values, 0.999), rel=0.05)


@pytest.mark.parametrize("most", [1, 5, 16, 40, 300])
def test_drawn_bins_hold_whole_numbers_of_spikes(most):
    """Rates are multiples of one spike per presentation; no bin lies between them."""
    unit = 1 / 0.03
    counts = np.arange(1, most + 1)
    histogram = Histogram(unit)
    histogram.add(unit * np.append(counts, 0))
    found = histogram.result()
    assert found.zero + sum(found.shares) == pytest.approx(1)
    assert len(found.edges) == len(found.shares) + 1 <= 19
    assert found.shares[0] == 0  # less than half a spike
    assert found.edges[-1] >= unit * most
    if most <= 16:
        np.testing.assert_allclose(found.shares[1:], 1 / (most + 1))


def test_nothing_to_count():
    assert Histogram(1.0).result().zero == 0
    histogram = Histogram(1.0)
    histogram.add(np.zeros(3))
    assert histogram.result().zero == 1
    assert histogram.result().edges == ()


def test_activity_in_pieces():
    values = np.random.RandomState(0).rand(3, 12, 4) * (
        np.random.RandomState(1).rand(3, 12, 4) < 0.2
    )
    whole, parts = Activity(3, 4), Activity(3, 4)
    whole.add(values)
    for part in np.split(values, [5, 6], axis=1):
        parts.add(part)
    np.testing.assert_allclose(parts.mean, values.mean(1))
    np.testing.assert_array_equal(parts.first, whole.first)
    for example, row in zip(values, whole.first, strict=True):
        for element, first in enumerate(row):
            steps = np.flatnonzero(example[:, element])
            assert first == (steps[0] + 1 if steps.size else 0)


def test_readouts():
    outputs = np.random.RandomState(0).rand(2, 7, 3)
    found = read_out(outputs, start=4)
    for step in range(1, 8):
        seen = outputs[:, :step]
        np.testing.assert_allclose(found["last"][:, step - 1], seen[:, -1])
        np.testing.assert_allclose(found["mean"][:, step - 1], seen.mean(1))
        late = seen[:, step // 2 :].mean(1)
        np.testing.assert_allclose(found["late"][:, step - 1], late)
        delayed = seen[:, 4 if step > 4 else 0 :].mean(1)
        np.testing.assert_allclose(found["delayed"][:, step - 1], delayed)
    assert "delayed" not in read_out(outputs)


@pytest.mark.parametrize(
    ("synapse", "delay"),
    [
        (None, 0),
        (nengo.Lowpass(0.01), 0.01),
        (nengo.Alpha(0.01), 0.02),
        (nengo.LinearFilter([0.1, 1], [0.02, 0.3, 1]), 0.2),
    ],
)
def test_mean_delay(synapse, delay):
    """The mean time of the impulse response."""
    assert mean_delay(synapse) == pytest.approx(delay)
    if synapse is not None:
        system = scipy.signal.lti(synapse.num, synapse.den)
        times, response = system.step(T=np.linspace(0, 5, 50001))
        mean = np.trapezoid(response[-1] - response, times) / response[-1]
        assert mean == pytest.approx(delay, abs=2e-4)


def test_limits():
    assert limit_of(nengo.LIF(tau_ref=0.004), 0.001) == 250
    assert limit_of(nengo.AdaptiveLIF(tau_ref=0.002), 0.005) == 200
    assert limit_of(nengo.Izhikevich(), 0.001) == 1000
    assert limit_of(nengo.SpikingRectifiedLinear(), 0.001) is None


def test_which_rates_can_be_scaled():
    assert keeps_result(nengo.SpikingRectifiedLinear(), 1)
    assert keeps_result(nengo.RegularSpiking(BoundedReLU(6)), 1)
    assert not keeps_result(nengo.LIF(), 1)
    assert not keeps_result(nengo.RegularSpiking(nengo.Sigmoid()), 1)


@pytest.mark.parametrize(
    ("errors", "origin"),
    [
        ([("a", 0.01, 0.0), ("b", 0.02, 0.01)], None),
        ([("a", 0.01, 0.0), ("b", 0.9, 0.01), ("c", 1.2, 0.9)], "b"),
        ([("a", 0.5, 0.0), ("b", 0.9, 0.5)], "a"),
        ([("a", 0.12, 0.0), ("b", 1.2, 0.12), ("c", 1.5, 1.2)], "b"),
        ([("a", 4.0, 0.0), ("b", 20.0, 4.0)], "a"),
        ([("a", None, 0.0), ("b", 0.9, 0.0)], "b"),
        ([], None),
    ],
)
def test_where_the_error_begins(errors, origin):
    assert find_origin(errors) == origin


def test_a_raster_shows_neurons_that_spike():
    spikes = np.zeros((10, 100), bool)
    spikes[2, 7] = spikes[9, 7] = spikes[4, 90] = True
    raster = choose_raster("layer", spikes)
    assert raster.neurons == (7, 90)
    assert sorted(zip(raster.rows, raster.steps, strict=True)) == [
        (0, 3),
        (0, 10),
        (1, 5),
    ]
    many = choose_raster("layer", np.ones((500, 100), bool))
    assert len(many.neurons) <= 24
    assert len(many.steps) <= 2000
    assert choose_raster("layer", np.zeros((5, 3), bool)).neurons == ()


def test_words():
    assert number(1234.5) == "1230"
    assert number(0.00012345) == "0.000123"
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert rounded_up(101) == 110
    assert rounded_up(100) == 100
    assert rounded_up(0.0123) == 0.013
    assert rounded_down(119) == 110
    assert rounded_down(120) == 120
    assert percent(0.0123) == "1.23%"
    assert percent(0.5) == "50%"
    assert percent(1e6) == "over 1000%"
    assert joule(1.5e-6) == "1.5 µJ"
    assert joule(2e-13) == "0.2 pJ"
