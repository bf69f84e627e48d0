"""Causes that lie in time: filters, late spikes, and when the output is read."""

from __future__ import annotations

from ..records import REGRESSION, Finding, Report
from .words import milliseconds, number, percent, rounded_down, steps_of

_SETTLED = 3  # mean delays, after which 95% of a step have passed a lowpass
_SAFE = 5
_POINTS = 0.02  # of accuracy
_LESS = 0.8  # of the error


def _better(report: Report, readout: str) -> bool:
    """Whether another readout is clearly better than that of the network."""
    other = report.curve(readout).values[-1]
    if report.task == REGRESSION:
        return other < _LESS * report.score
    return other > report.score + _POINTS


def _write(report: Report, value: float) -> str:
    return number(value) if report.task == REGRESSION else percent(value)


def synapse_too_long(report: Report) -> Finding | None:
    """Filters that the output has not got through when the presentation ends."""
    delay = report.output_synapse + max((x.delay for x in report.layers), default=0.0)
    if delay <= 0 or report.seconds >= _SETTLED * delay:
        return None
    steps = steps_of(_SAFE * delay, report.dt)
    factor = rounded_down(report.seconds / (_SAFE * delay))
    return Finding(
        "synapse_too_long",
        (),
        f"Synapses delay the output by {milliseconds(delay)} on the way through the "
        f"network, but you present {milliseconds(report.seconds)}: it has not settled.",
        f"Present {milliseconds(steps * report.dt)} (n_steps={steps}), or multiply the "
        f"time constants of synapses by {number(factor)}.",
        ({"n_steps": steps}, {"synapse_factor": factor}),
    )


def noisy_readout(report: Report) -> Finding | None:
    """The output of one step depends on which neurons happen to spike in it."""
    if report.readout != "last":
        return None
    better = [name for name in ("mean", "late") if _better(report, name)]
    if not better:
        return None
    best = better[0]
    if len(better) > 1:
        values = [report.curve(name).values[-1] for name in better]
        first = min(values) if report.task == REGRESSION else max(values)
        best = better[values.index(first)]
    when = "all steps" if best == "mean" else "the second half of the steps"
    return Finding(
        "noisy_readout",
        (),
        f"The output of the last step alone gives {_write(report, report.score)}; its "
        f"mean over {when} gives {_write(report, report.curve(best).values[-1])}.",
        f"Read out the mean over {when}, or filter the output with a synapse.",
        ({"readout": best},),
    )


def late_spikes(report: Report) -> Finding | None:
    """Before the first spikes have come through, the output says nothing."""
    if report.readout != "mean" or not _better(report, "late"):
        return None
    first = [
        (layer.label, layer.population.first[0])
        for layer in report.layers
        if layer.population is not None and layer.population.first is not None
    ]
    label, seconds = max(first, key=lambda pair: pair[1], default=("", 0.0))
    when = (
        f"The first spikes of neurons of layer {label} come after "
        f"{milliseconds(seconds)} (median) of {milliseconds(report.seconds)}. "
        if first
        else ""
    )
    late = report.curve("late").values[-1]
    return Finding(
        "late_spikes",
        (label,) if first else (),
        f"{when}What comes before does not belong to this example: the mean over all "
        f"steps gives {_write(report, report.score)}, that over the second half "
        f"{_write(report, late)}.",
        "Leave out the beginning: a delayed readout.",
        ({"readout": "late"},),
    )
