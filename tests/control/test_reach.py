"""A spiking model reaches, and a network trained on its spikes foresees the arm."""

import pytest


def check_reaches(figures):
    """What holds whatever the second network has learned; in cm, of 25."""
    assert figures.missed < 1.5
    assert figures.bent < 1.5
    assert 2.5 < figures.stays < 4  # so there is something to foresee
    assert figures.live_differs < 0.01


@pytest.mark.slow
def test_spikes_tell_where_the_hand_will_be(run_example):
    figures = run_example("reach", 16, 2, 16)
    check_reaches(figures)
    assert figures.foreseen < 0.9 * figures.stays


@pytest.mark.slow
def test_the_arm_is_foreseen_well(run_example, tmp_path):
    film = tmp_path / "film.gif"
    figures = run_example("reach", animation=film)
    check_reaches(figures)
    assert figures.foreseen < 0.5 * figures.stays
    assert film.read_bytes().startswith(b"GIF89a")
