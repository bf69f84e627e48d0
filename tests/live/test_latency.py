"""Percentiles against NumPy's, and ticks against a clock."""

import time

import numpy as np
import pytest

from nengo_jax.live import Latency, Pace


def test_percentiles_are_those_of_numpy_to_one_percent():
    seconds = np.random.default_rng(0).lognormal(np.log(6e-5), 0.7, 20_000)
    latency = Latency()
    for duration in seconds:
        latency.add(float(duration))
    report = latency.report()
    assert report.steps == len(seconds)
    assert report.median == pytest.approx(np.median(seconds), rel=0.01)
    assert report.percentile_99 == pytest.approx(np.percentile(seconds, 99), rel=0.01)
    assert report.worst == seconds.max()
    counts, _ = np.histogram(seconds, report.edges)
    assert np.abs(counts - report.counts).sum() <= 2  # at the edges of bins
    assert report.counts[0] > 0
    assert report.counts[-1] > 0


def test_bounds():
    latency = Latency()
    for duration in (0.0, 1e-12, 1e6):
        latency.add(duration)
    report = latency.report()
    assert report.steps == report.counts.sum() == 3
    assert report.worst == 1e6


def test_nothing_was_measured():
    report = Latency().report()
    assert np.isnan(report.median)
    assert str(report) == "no steps"


def test_report_tells_missed_deadlines():
    latency = Latency()
    latency.add(0.0123)
    text = str(latency.report(missed=2, late=1.5))
    assert text == (
        "1 steps: median 12 ms, 99th percentile 12 ms, worst 12 ms; 2 deadlines "
        "missed, at most by 1.5 s"
    )


def test_report_has_no_powers_of_ten():
    latency = Latency()
    for duration in (0.000314, 0.000314, 0.9996):
        latency.add(duration)
    text = str(latency.report(missed=1, late=123.4))
    assert text.startswith("3 steps: median 310 us, 99th percentile 1 s, worst 1 s;")
    assert text.endswith("at most by 120 s")


def test_ticks_do_not_come_early():
    pace, period = Pace(0.003), 0.003
    started = time.perf_counter()
    for tick in pace.ticks(10):
        assert time.perf_counter() - started >= tick * period


def test_late_ticks_are_counted_and_caught_up():
    pace = Pace(0.02)
    started = time.perf_counter()
    ticks = []
    for tick in pace.ticks(8):
        ticks.append(tick)
        if tick == 1:
            time.sleep(0.05)  # from 0.02 until after 0.07: ticks 2 and 3 are late
    assert ticks == list(range(8))
    assert pace.missed >= 2
    assert pace.late >= 0.03
    assert time.perf_counter() - started >= 7 * 0.02


def test_the_last_tick_has_a_deadline():
    pace = Pace(0.001)
    for _ in pace.ticks(1):
        time.sleep(0.005)
    assert pace.missed == 1


def test_ticks_without_a_period_never_wait_nor_miss():
    pace = Pace(None)
    assert list(pace.ticks(3)) == [0, 1, 2]
    endless = pace.ticks()
    assert [next(endless) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert (pace.missed, pace.late) == (0, 0.0)
