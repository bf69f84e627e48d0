"""The tables of a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .causes.words import number, percent
from .records import Energy, LayerReport, Report

_UNITS = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"), (1e-12, "pJ"))
_NONE = ""
_STEPS = {
    "folding": "BatchNormalization folded",
    "scales": "Firing rates scaled",
    "voltages": "Initial voltages set",
    "bias": "Biases corrected",
    "readout": "Readout chosen",
    "fine_tuning": "Fine-tuned with surrogate gradients",
}


def layer_table(report: Report) -> str:
    """One row for each layer."""
    head = (
        "Layer",
        "Error",
        "Neurons",
        "Rate<small>typical, Hz</small>",
        "Rate<small>99.9%, Hz</small>",
        "Wanted<small>99.9%, Hz</small>",
        "Silent<small>though active</small>",
        "Silent<small>always</small>",
        "Saturated",
        "Clipped",
        "First spike<small>median, ms</small>",
    )
    rows = [_layer_row(layer) for layer in report.layers]
    used = [any(row[place] != _NONE for row in rows) for place in range(len(head))]
    head = [cell for cell, wanted in zip(head, used, strict=True) if wanted]
    rows = [[c for c, w in zip(row, used, strict=True) if w] for row in rows]
    begins = [layer.label == report.origin for layer in report.layers]
    limits = (
        " Saturated: at 95% of the highest possible rate or more. Clipped: share of "
        "active neurons that should fire faster than they can."
        if "Clipped" in head
        else ""
    )
    return _table(head, rows, begins) + (
        '<p class="note">Typical: median of neurons that fire. Wanted: what the '
        "activations of the Keras model ask for. Silent though active: share of active "
        "neurons without a spike; silent always: share of neurons without a spike for "
        f"any example.{limits}</p>"
    )


def _layer_row(layer: LayerReport) -> list[str]:
    name = f"{escape(layer.label)}<small>{escape(_describe(layer))}</small>"
    error = _NONE if layer.error is None else percent(layer.error)
    neurons = layer.population
    if neurons is None:
        return [name, error, *[_NONE] * 9]
    spiking, limited = neurons.spiking, neurons.limit is not None
    return [
        name,
        error,
        f"{neurons.size:,}",
        number(neurons.rates.median),
        number(neurons.rates.high),
        number(neurons.wanted.high),
        percent(neurons.missed) if spiking else _NONE,
        percent(neurons.never) if spiking else _NONE,
        percent(neurons.saturated) if limited else _NONE,
        percent(neurons.clipped) if limited else _NONE,
        number(1000 * neurons.first[0]) if spiking and neurons.first else _NONE,
    ]


def _describe(layer: LayerReport) -> str:
    kind = layer.kind
    if layer.folded:
        kind += f" with {', '.join(layer.folded)}"
    if layer.population is not None:
        kind += f", {layer.population.neurons}"
    return kind if layer.native else f"{kind}, stays a Keras layer"


def effects_table(report: Report) -> str:
    """One row for each step of the calibration."""

    def write(value: float, measure: str) -> str:
        return f"{value:.1%}" if measure == "accuracy" else number(value)

    rows = [
        [
            escape(_STEPS.get(effect.name, effect.name)),
            write(effect.before, effect.metric),
            write(effect.after, effect.metric),
        ]
        for effect in report.effects
    ]
    metric = report.effects[0].metric.capitalize() if report.effects else ""
    return _table(("Step", f"{metric} before", "After"), rows, wrap=True)


def energy_table(energy: Energy) -> str:
    """One row for each device, and two with memory."""
    spiking = ("loihi", "spinnaker", "spinnaker2")
    rows = [
        [
            escape(device),
            joule(value),
            "spiking network" if device in spiking else "Keras model",
            "no",
        ]
        for device, value in energy.devices.items()
    ]
    for who, value in (
        ("spiking network", energy.spiking),
        ("same network, 8 bits, no spikes", energy.quantised),
    ):
        rows.append(
            ["45 nm chip", _NONE if value is None else joule(value), who, "yes"]
        )
    head = ("Device", "Energy", "What runs", "With memory")
    return _table(head, rows, wrap=True)


def joule(value: float) -> str:
    """Write an energy with a fitting unit."""
    size, unit = next(((s, u) for s, u in _UNITS if abs(value) >= s), _UNITS[-1])
    return f"{number(value / size)} {unit}"


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    begins: Sequence[bool] = (),
    *,
    wrap: bool = False,
) -> str:
    marks = [*begins, *[False] * (len(rows) - len(begins))]
    body = "".join(
        f"<tr{' class=begins' if mark else ''}>"
        + "".join(f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for row, mark in zip(rows, marks, strict=True)
    )
    top = "".join(f"<th>{cell}</th>" for cell in head)
    kind = "scroll wrap" if wrap else "scroll"
    return (
        f'<div class="{kind}"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
