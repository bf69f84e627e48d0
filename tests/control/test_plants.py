"""The picture of all plants, and their animations."""

import pytest


def check(figures):
    assert max(figures.turned) < 0.01
    assert abs(figures.pole) < 0.02
    assert abs(figures.pendulum) < 0.01
    assert abs(figures.mass) < 0.01


def test_all_plants_do_what_their_controllers_want(run_example):
    check(run_example("plants"))


@pytest.mark.slow
def test_all_plants_are_animated(run_example, tmp_path):
    check(run_example("plants", films=tmp_path))
    films = list(tmp_path.glob("*.gif"))
    assert len(films) == 6
    assert all(film.read_bytes().startswith(b"GIF89a") for film in films)
