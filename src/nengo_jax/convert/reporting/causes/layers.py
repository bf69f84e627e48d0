"""Causes that lie in the kinds of layers, and in how spikes reach them."""

from __future__ import annotations

from ..records import Finding, LayerReport, Report
from .words import also, listed, milliseconds, number, percent

_ERROR = 0.1
_JUMP = 1.2  # times the error of the inputs
_SPURIOUS = 0.02
_PIECES = 10  # a synapse that evens out spikes takes this part of the presentation
_LONGEST = 0.01  # s
_FEWEST_STEPS = 2


def _labels(layers: list[LayerReport]) -> tuple[str, ...]:
    return tuple(layer.label for layer in layers)


def _is_maximum(layer: LayerReport) -> bool:
    return "MaxPooling" in layer.kind


def max_pooling(report: Report) -> Finding | None:
    """The maximum of spikes is not the spikes of the maximum."""
    chosen = [
        layer
        for layer in report.layers
        if _is_maximum(layer) and not layer.native and layer.spikes_in
    ]
    if not chosen:
        return None
    layer = chosen[0]
    wrong = "" if layer.error is None else f" It is wrong by {percent(layer.error)}."
    return Finding(
        "max_pooling",
        _labels(chosen),
        f"Layer {layer.label} takes the maximum in each step, which is a spike as soon "
        "as any of its inputs spikes: it adds rates up where it should take the "
        f"largest.{wrong}" + also(_labels(chosen)[1:]),
        "Convert with max_to_avg_pool=True, and train the model with average pooling. "
        "A synapse before the layer makes the maximum meaningful, too.",
        ({"max_to_avg_pool": True}, {"synapse": synapse_for(report)}),
    )


def batch_normalization(report: Report) -> Finding | None:
    """A normalisation that could be part of the layer before it."""
    chosen = [layer for layer in report.layers if layer.kind == "BatchNormalization"]
    if not chosen or report.inference_only:
        return None
    return Finding(
        "batch_normalization",
        _labels(chosen),
        "Computed in every step, apart from the layers before, and nothing that "
        f"spiking hardware can do: {listed(_labels(chosen))}.",
        "Convert with inference_only=True: a normalisation becomes part of weights and "
        "biases, exactly, where it follows a linear layer.",
        ({"inference_only": True},),
    )


def fallback(report: Report) -> Finding | None:
    """Layers that stay Keras layers."""
    chosen = [
        layer
        for layer in report.layers
        if not layer.native
        and not _is_maximum(layer)
        and layer.kind != "BatchNormalization"
    ]
    if not chosen:
        return None
    kinds = ", ".join(dict.fromkeys(layer.kind for layer in chosen))
    fed = [layer for layer in chosen if layer.spikes_in]
    single = f" Single spikes arrive at {listed(_labels(fed))}." if fed else ""
    return Finding(
        "fallback",
        _labels(chosen),
        f"Kept as in Keras, with values in each step and no spikes: "
        f"{listed(_labels(chosen))} ({kinds}).{single}",
        "Replace it by layers that convert; nengo_jax.convert.TABLE lists them. "
        "allow_fallback=False makes it an error.",
    )


def unevenness(report: Report) -> Finding | None:
    """Spikes that arrive one by one make neurons fire that should not.

    A spiking rectified linear neuron cuts off negative currents in each step. So where
    the mean of an input is zero, its fluctuations do not cancel.
    """
    chosen = [
        layer
        for layer in report.layers
        if layer.population is not None
        and layer.population.spiking
        and layer.spikes_in
        and layer.error is not None
        and layer.error > max(_ERROR, _JUMP * layer.inherited)
        and layer.population.spurious > _SPURIOUS
    ]
    if not chosen:
        return None
    layer = chosen[0]
    share = layer.population.spurious if layer.population else 0.0
    synapse = synapse_for(report)
    return Finding(
        "unevenness",
        _labels(chosen),
        f"Spikes reach layer {layer.label} one by one, so its current fluctuates, and "
        "neurons that should be silent fire at its peaks: they give "
        f"{percent(share)} of its spikes." + also(_labels(chosen)[1:]),
        f"Filter the spikes: synapse={number(synapse)} "
        f"({milliseconds(synapse)}). Higher firing rates in the layers before help, "
        "too.",
        ({"synapse": synapse},),
    )


def synapse_for(report: Report) -> float:
    """Return a time constant in s that evens out spikes and delays little."""
    wanted = min(report.seconds / _PIECES, _LONGEST)
    return float(f"{max(wanted, _FEWEST_STEPS * report.dt):.2g}")
