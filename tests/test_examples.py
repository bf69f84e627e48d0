"""The examples run, save their picture, and their key figures are as they should be."""

import pytest


def test_communication_channel_repeats_the_signal(run_example):
    figures = run_example("communication_channel", 1.0)
    assert figures.rmse < 0.04
    assert 0.02 <= figures.delay <= 0.04  # three synapses of 10 ms


def test_oscillator_turns_as_fast_as_asked(run_example):
    figures = run_example("oscillator", 2.0)
    assert figures.frequency == pytest.approx(2.0, rel=0.03)
    assert figures.radius == pytest.approx(1.0, rel=0.1)
    assert figures.radius_spread < 0.05


def test_learned_decoders_are_the_same_from_probe_signals_and_in_a_new_network(
    run_example,
):
    figures = run_example("pes_then_static", 4.0)
    assert figures.error_at_first > 0.2
    assert figures.error_learned < 0.1
    assert figures.weights_differ == 0
    assert figures.outputs_differ < 1e-5


def test_window_holds_every_spike_of_its_steps(run_example):
    figures = run_example("window_node", 0.5)
    assert figures.n_windows == 5
    assert figures.complete
    assert figures.direction_error < 6


def test_a_function_is_learned_without_keras(run_example):
    figures = run_example("train_without_keras", 200)
    assert figures.first_error > 0.6
    assert figures.last_error < 0.06
    assert figures.spikes > 10


@pytest.mark.slow
def test_a_spiking_policy_earns_more_after_training(run_example):
    figures = run_example("spiking_policy", 150)
    assert figures.return_before < -0.9  # it hangs
    assert figures.return_after > -0.5
    assert figures.weaker_than_gravity


def test_only_the_part_is_trained_and_all_of_it_runs_in_nengo(run_example):
    figures = run_example("train_part", 40, 0.8)
    assert figures.integrator_changed == 0
    assert figures.square_changed > 0.01
    assert figures.error_after < 0.25 * figures.error_before
    assert figures.simulators_differ < 1e-9


def test_better_encoders_and_biases_hold_values(run_example):
    figures = run_example("better_integrator", 60)
    assert figures.drift_after < 0.6 * figures.drift_before
    assert figures.encoders_changed > 0.01
    assert figures.biases_changed > 0.01


@pytest.mark.slow
def test_a_keras_model_spikes_well_after_training(run_example):
    figures = run_example("spiking_keras", 24, (0.05, 1.0))
    assert figures.rates < 0.5 < 0.7 < figures.range < figures.spikes - 0.02
    assert figures.rates_in_a_second > 0.85
    assert figures.fastest_before < 5
    assert figures.fastest_after > 30


@pytest.mark.slow
def test_a_recurrent_model_predicts_the_arm_in_the_network(run_example):
    figures = run_example("predict_arm", 8.0, 8)
    assert figures.error < 0.6 * figures.movement
    assert figures.live_differs < 1e-4
