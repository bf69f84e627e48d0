"""The table of known causes, in the order in which to mend them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from .causes.layers import batch_normalization, fallback, max_pooling, unevenness
from .causes.model import ann_at_chance, dead_layer, input_range
from .causes.rates import (
    clipping,
    not_homogeneous,
    not_spiking,
    quantisation,
    rates_too_low,
    zero_start,
)
from .causes.timing import late_spikes, noisy_readout, synapse_too_long
from .causes.words import milliseconds, number, percent
from .records import CLASSIFICATION, Finding, Report

Cause = Callable[[Report], Finding | None]

CAUSES: Mapping[str, Cause] = MappingProxyType(
    {
        "input_range": input_range,
        "ann_at_chance": ann_at_chance,
        "dead_layer": dead_layer,
        "not_spiking": not_spiking,
        "rates_too_low": rates_too_low,
        "clipping": clipping,
        "quantisation": quantisation,
        "not_homogeneous": not_homogeneous,
        "max_pooling": max_pooling,
        "synapse_too_long": synapse_too_long,
        "zero_start": zero_start,
        "unevenness": unevenness,
        "fallback": fallback,
        "batch_normalization": batch_normalization,
        "noisy_readout": noisy_readout,
        "late_spikes": late_spikes,
    }
)

_POINTS = 0.02  # of accuracy: fewer are not worth a finding
_ROUNDING = 1e-6


def find(report: Report) -> tuple[Finding, ...]:
    """Return what is recognised in a report.

    If accuracy is lost and no known cause fits, a finding says where the error begins.
    """
    found = tuple(
        finding for cause in CAUSES.values() if (finding := cause(report)) is not None
    )
    return found or _unexplained(report)


def _unexplained(report: Report) -> tuple[Finding, ...]:
    if report.task != CLASSIFICATION or report.loss < _POINTS + _ROUNDING:
        return ()
    steps = 2 * report.n_steps
    begins = (
        "No single layer stands out; the error grows from layer to layer."
        if report.origin is None
        else f"The error begins in layer {report.origin}, which is wrong by "
        f"{percent(report.layer(report.origin).error or 0)}."
    )
    return (
        Finding(
            "unexplained",
            () if report.origin is None else (report.origin,),
            f"The network loses {number(100 * report.loss)} points of accuracy, and "
            f"none of the known causes stands out. {begins}",
            f"Present it longer, {milliseconds(steps * report.dt)} for instance "
            f"(n_steps={steps}), or calibrate.",
            ({"n_steps": steps},),
        ),
    )
