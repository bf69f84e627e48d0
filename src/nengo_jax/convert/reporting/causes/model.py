"""Causes that lie in the Keras model, its data or labels: spikes are not to blame."""

from __future__ import annotations

from ..records import REGRESSION, Finding, Report
from .words import number, percent

_LARGE_INPUT = 10.0
_PIXEL = 255.0
_NEAR_CHANCE = 0.1  # of what can be gained over chance
_DEAD = 0.9


def _at_chance(report: Report) -> bool:
    if report.ann_score is None or report.chance is None:
        return False
    if report.task == REGRESSION:
        return report.ann_score > (1 - _NEAR_CHANCE) * report.chance
    gained = report.ann_score - report.chance
    return gained < _NEAR_CHANCE * (1 - report.chance)


def ann_at_chance(report: Report) -> Finding | None:
    """The Keras model itself does not do its task on these data."""
    if not _at_chance(report):
        return None
    low, high = map(number, report.input_range)
    what = (
        f"has an error of {number(report.ann_score or 0)} where the mean of the labels "
        f"has {number(report.chance or 0)}"
        if report.task == REGRESSION
        else f"is right in {percent(report.ann_score or 0)} of the cases, where always "
        f"giving the most frequent label is in {percent(report.chance or 0)}"
    )
    normalises = any(
        layer.folded or layer.kind == "BatchNormalization" for layer in report.layers
    )
    statistics = (
        " If it was right in training, its BatchNormalization has not yet learned the "
        "statistics that it uses afterwards: train longer, or with a smaller momentum."
        if normalises
        else ""
    )
    return Finding(
        "ann_at_chance",
        (),
        f"The Keras model itself {what}. No conversion can be better.",
        "Check that labels belong to these examples and are counted from 0 in the "
        f"order of training, that the inputs (here from {low} to {high}) are scaled as "
        f"they were in training, and that the model is the trained one.{statistics}",
    )


def input_range(report: Report) -> Finding | None:
    """Inputs that look as if they had not been normalised."""
    low, high = report.input_range
    largest = max(abs(low), abs(high))
    trusted = report.labelled and not _at_chance(report)
    if largest <= _LARGE_INPUT or report.rescales or trusted:
        return None
    pixels = low >= 0 and high <= _PIXEL
    return Finding(
        "input_range",
        (),
        f"Inputs go from {number(low)} to {number(high)}, and the model has no layer "
        "that rescales them. Most models are trained on values of about 1.",
        "Scale the data as in training"
        + (": pixels divided by 255, for instance." if pixels else "."),
        ({"input_scale": 1 / _PIXEL},) if pixels else (),
    )


def dead_layer(report: Report) -> Finding | None:
    """Neurons that are silent in the Keras model as well."""
    chosen = [
        layer
        for layer in report.layers
        if layer.population is not None and layer.population.dead > _DEAD
    ]
    if not chosen:
        return None
    share = chosen[0].population.dead if chosen[0].population else 0.0
    return Finding(
        "dead_layer",
        tuple(layer.label for layer in chosen),
        f"{percent(share)} of the neurons of layer {chosen[0].label} are zero for all "
        f"{report.n_examples} examples in the Keras model itself, so they never spike.",
        "Train again with a smaller learning rate, or with fewer units, or check that "
        "these data are scaled as in training.",
    )
