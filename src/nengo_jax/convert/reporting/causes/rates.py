"""Causes that lie in rates: too low, too high, too coarse, no spikes at all."""

from __future__ import annotations

from collections.abc import Callable

from ..records import Finding, LayerReport, Population, Report
from .words import (
    also,
    hertz,
    listed,
    milliseconds,
    number,
    percent,
    rounded_down,
    rounded_up,
    steps_of,
)

_NO_SPIKES = 3  # of the most active neurons: fewer tell nothing
_FEW_SPIKES = 8  # fewer are coarse
_ENOUGH_SPIKES = 10  # what a change aims at
_MOST_STEPS = 10_000  # a presentation that somebody may want
_ERROR = 0.1  # relative; below it a layer does what it should
_CLIPPED = 0.01
_BELOW_LIMIT = 0.8  # where the highest wanted rate is moved to
_HALF_SPIKE = -0.25  # half a spike is missing on average; noise hides some of it
_MANY_SPIKES = 20  # half a spike of so many does not matter

Chosen = list[tuple[LayerReport, Population]]


def _spiking(
    report: Report, wanted: Callable[[LayerReport, Population], bool]
) -> Chosen:
    """Return spiking layers for which something holds, in order."""
    return [
        (layer, layer.population)
        for layer in report.layers
        if layer.population is not None
        and layer.population.spiking
        and wanted(layer, layer.population)
    ]


def _wrong(layer: LayerReport) -> bool:
    return layer.error is not None and layer.error > _ERROR


def _follows(neurons: Population) -> bool:
    """Whether rates come near the activation with time; those of LIF neurons do not."""
    return neurons.homogeneous or neurons.limit is None


def _labels(chosen: Chosen) -> tuple[str, ...]:
    return tuple(layer.label for layer, _ in chosen)


def _slower(report: Report, high: float) -> int:
    """Return a number of steps in which neurons spike often enough."""
    return steps_of(_ENOUGH_SPIKES / high, report.dt)


def _faster(report: Report, chosen: Chosen) -> dict[str, float]:
    """Return factors on scales that give enough spikes, as far as neurons can."""
    factors = {}
    for layer, population in chosen:
        wanted = _ENOUGH_SPIKES / report.seconds
        if population.limit is not None:
            wanted = min(wanted, _BELOW_LIMIT * population.limit)
        factor = wanted / population.wanted.high
        if factor > 1 and population.homogeneous:
            factors[layer.label] = rounded_up(factor)
    return factors


def _more_spikes(report: Report, chosen: Chosen) -> tuple[str, tuple[dict, ...]]:
    """Say how to get more spikes: as text, and for programs."""
    lowest = min(population.wanted.high for _, population in chosen)
    steps, factors = _slower(report, lowest), _faster(report, chosen)
    longer = f"present {milliseconds(steps * report.dt)} (n_steps={steps})"
    if not factors:
        text = (
            f"{longer[0].upper()}{longer[1:]}. Rates of these neurons cannot be scaled "
            "without changing the result; a neuron type whose own rates are higher, "
            "with a smaller amplitude, helps too."
        )
        return text, ({"n_steps": steps},)
    scaled = "the firing rates of " + listed(
        [f"{label} by {number(value)}" for label, value in factors.items()]
    )
    scale = {"scale_firing_rates": factors}
    itself = "Calibration without a rate chooses scales by itself."
    if steps > _MOST_STEPS:
        return f"Scale {scaled} (scale_firing_rates). {itself}", (scale,)
    text = f"Scale {scaled} (scale_firing_rates), or {longer}. {itself}"
    return text, (scale, {"n_steps": steps})


def rates_too_low(report: Report) -> Finding | None:
    """Neurons have no time to spike."""
    chosen = _spiking(
        report,
        lambda layer, neurons: (
            _wrong(layer)
            and _follows(neurons)
            and 0 < neurons.wanted.high * report.seconds < _NO_SPIKES
        ),
    )
    if not chosen:
        return None
    layer, neurons = chosen[0]
    high = neurons.wanted.high
    unscaled = (
        " No scale is set, so an activation of 1 is a rate of 1 Hz."
        if neurons.scale == (1.0, 1.0)
        else ""
    )
    remedy, changes = _more_spikes(report, chosen)
    return Finding(
        "rates_too_low",
        _labels(chosen),
        f"Layer {layer.label} fires at most {hertz(high)}; one spike takes "
        f"{milliseconds(1 / high)}; you present {milliseconds(report.seconds)}. "
        f"{percent(neurons.missed)} of its active neurons never spike.{unscaled}"
        + also(_labels(chosen)[1:]),
        remedy,
        changes,
    )


def quantisation(report: Report) -> Finding | None:
    """Few spikes can only stand for a few values."""
    chosen = _spiking(
        report,
        lambda layer, neurons: (
            _wrong(layer)
            and _follows(neurons)
            and _NO_SPIKES <= neurons.wanted.high * report.seconds < _FEW_SPIKES
        ),
    )
    if not chosen:
        return None
    layer, neurons = chosen[0]
    spikes = neurons.wanted.high * report.seconds
    remedy, changes = _more_spikes(report, chosen)
    return Finding(
        "quantisation",
        _labels(chosen),
        f"In {milliseconds(report.seconds)} even the most active neurons of layer "
        f"{layer.label} spike only {number(spikes)} times, so activations are rounded "
        f"to steps of {percent(1 / spikes)} of the largest one."
        + also(_labels(chosen)[1:]),
        remedy,
        changes,
    )


def clipping(report: Report) -> Finding | None:
    """Neurons cannot fire as fast as they should."""
    chosen = _spiking(report, lambda _, neurons: neurons.clipped > _CLIPPED)
    if not chosen:
        return None
    layer, neurons = chosen[0]
    factors = {
        layer.label: rounded_down(_BELOW_LIMIT * neurons.limit / neurons.wanted.high)
        for layer, neurons in chosen
        if neurons.limit is not None
    }
    others = f" So do {listed(_labels(chosen)[1:])}." if chosen[1:] else ""
    return Finding(
        "clipping",
        _labels(chosen),
        f"Layer {layer.label} needs rates of up to {hertz(neurons.wanted.high)}, but "
        f"its {neurons.neurons} neurons reach {hertz(neurons.limit or 0)} at most: "
        f"{percent(neurons.clipped)} of the active ones are cut off.{others}",
        f"Scale its firing rates by {number(factors[layer.label])} "
        "(scale_firing_rates), or use nengo.SpikingRectifiedLinear, which can spike "
        "several times in a step.",
        ({"scale_firing_rates": factors},),
    )


def zero_start(report: Report) -> Finding | None:
    """Voltages that start at zero round rates down."""
    chosen = _spiking(
        report,
        lambda _, neurons: (
            neurons.start == (0.0, 0.0)
            and neurons.shift < _HALF_SPIKE
            and neurons.wanted.high * report.seconds > 1
            and neurons.wanted.median * report.seconds < _MANY_SPIKES
        ),
    )
    if not chosen:
        return None
    layer, neurons = chosen[0]
    typical = neurons.wanted.median * report.seconds
    return Finding(
        "zero_start",
        _labels(chosen),
        f"Initial voltages of layer {layer.label} are zero, so its rates are rounded "
        f"down: {number(-neurons.shift)} spikes are missing for each active neuron, "
        f"where the typical one should spike {number(typical)} times.",
        "Start at half of the threshold: calibrate does it, or "
        'neuron_type=nengo.SpikingRectifiedLinear(initial_state={"voltage": '
        "nengo.dists.Choice([0.5])}).",
        ({"initial_voltages": 0.5},),
    )


def not_homogeneous(report: Report) -> Finding | None:
    """Scaling changes what neurons compute whose rates do not follow the current."""
    chosen = _spiking(
        report,
        lambda layer, neurons: (
            not neurons.homogeneous
            and layer.error is not None
            and layer.error > max(_ERROR, layer.inherited)
            and (neurons.scale != (1.0, 1.0) or neurons.limit is not None)
        ),
    )
    if not chosen:
        return None
    layer, neurons = chosen[0]
    scaled = neurons.scale != (1.0, 1.0)
    why = (
        f"its scale of {number(neurons.scale[1])} changes the result"
        if scaled
        else "it gives something else than the activation of the Keras model"
    )
    kinds = {layer.label: 1 / neurons.scale[1] for layer, neurons in chosen}
    return Finding(
        "not_homogeneous",
        _labels(chosen),
        f"The rate of {neurons.neurons} in layer {layer.label} is not proportional to "
        f"the current, so {why}: it is wrong by {percent(layer.error or 0)}.",
        "Use a rectified linear activation in the model and SpikingRectifiedLinear "
        "neurons in the network"
        + (", or leave this layer without a scale." if scaled else "."),
        ({"scale_firing_rates": kinds},) if scaled else (),
    )


def not_spiking(report: Report) -> Finding | None:
    """Neurons that compute values, as in the Keras model."""
    chosen = [
        (layer, layer.population)
        for layer in report.layers
        if layer.population is not None
        and not layer.population.spiking
        and not layer.last  # an output may be a value
    ]
    if not chosen:
        return None
    _, neurons = chosen[0]
    return Finding(
        "not_spiking",
        _labels(chosen),
        f"Values, not spikes, come from {listed(_labels(chosen))}: the neurons are of "
        f"the type {neurons.neurons}.",
        "Name the activation in swap_activations, as in "
        '{"relu": nengo.SpikingRectifiedLinear()}; a spiking form of any type is '
        "nengo.RegularSpiking(type).",
        ({"swap_activations": {neurons.neurons: "spiking"}},),
    )
