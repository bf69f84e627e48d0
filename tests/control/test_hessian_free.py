"""Hessian-free optimization as an example: xor, the integrator, the adding problem."""

import pytest


def check_small_tasks(figures):
    assert figures.xor.hessian_free < 1e-5
    assert figures.xor.hessian_free < figures.xor.adam
    assert figures.integrator.hessian_free < 1e-4
    assert figures.integrator.hessian_free < figures.integrator.adam


@pytest.mark.slow
def test_small_tasks_are_learned_with_few_passes(run_example):
    figures = run_example("hessian_free", (40, 30, 8))
    check_small_tasks(figures)
    assert figures.adding.hessian_free < 0.1  # before: 0.5


@pytest.mark.slow
def test_adding_problem_is_learned(run_example):
    figures = run_example("hessian_free")
    check_small_tasks(figures)
    assert figures.adding.hessian_free < 1e-3  # answering with the mean: 0.08
