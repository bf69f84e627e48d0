"""The live loop as an example: what is watched and recorded is learned and done."""

import pytest


def check(figures, steps):
    assert figures.controller_angle < 15
    assert figures.untrained_fell
    assert figures.angle < 10
    assert figures.steps == steps


@pytest.mark.slow
def test_a_network_balances_live_what_it_has_watched(run_example):
    figures = run_example("live_loop", 10.0, 8, 3.0, None)
    check(figures, 3000)
    assert figures.missed == 0  # there is no clock


@pytest.mark.slow
def test_a_network_balances_in_time_with_the_clock(run_example):
    check(run_example("live_loop"), 9000)
