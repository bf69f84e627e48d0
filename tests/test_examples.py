"""The examples run, save their picture, and their key figures are as they should be."""

import runpy
from pathlib import Path
from typing import Any

import nengo
import pytest

# Workers that run at the same time would wait for each other's lock.
nengo.rc.set("decoder_cache", "enabled", "False")

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def run_example(tmp_path):
    """Run the main function of an example; return its figures."""

    def run(name: str, time: float) -> Any:
        out = tmp_path / f"{name}.png"
        figures = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](out, time)
        content = out.read_bytes()
        assert content.startswith(PNG)
        assert len(content) > 20_000  # more than empty axes
        return figures

    return run


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
