r"""Firing-rate scales: larger currents into neurons, smaller output of each spike.

With gain :math:`s` and amplitude :math:`a / s` a neuron with response :math:`f` gives
:math:`(a / s) f(s J)`. That is :math:`a f(J)` again where :math:`f` is positively
homogeneous, :math:`f(s J) = s f(J)`, as for rectified linear neurons. Rates of spiking
ones are then :math:`s` times as high. Weights and biases stay as they are, in all kinds
of layers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import nengo
import numpy as np
from nengo.neurons import NeuronType, RatesToSpikesNeuronType, RectifiedLinear

from ..neurons import BoundedReLU
from ..neurons.nir import IntegrateAndFire, LeakyIntegrateAndFire
from .records import LayerCall, Options

Scale = float | np.ndarray
_AMPLITUDE = "amplitude"


def check_scales(scales: Any, layers: set[Any]) -> Any:
    """Check ``scale_firing_rates``.

    Returns
    -------
    float, or dict of layer to float or ndarray

    Raises
    ------
    TypeError, ValueError
        If a scale is no positive number, or a layer is not part of the model.
    """
    if scales is None:
        return {}
    if not isinstance(scales, Mapping):
        return _check_scale(scales, "all layers", channels=False)
    for layer in scales:
        if not isinstance(layer, keras.Operation) or layer not in layers:
            raise ValueError(
                f"scale_firing_rates has a scale for {layer!r}, which is no layer of "
                "the model. Use the layers themselves as keys, as in "
                "{model.get_layer(name): 100}."
            )
    return {layer: _check_scale(s, layer.name, True) for layer, s in scales.items()}


def _check_scale(scale: Any, name: str, channels: bool) -> Scale:
    value = np.asarray(scale)
    numbers = value.dtype.kind in "fiu" and value.ndim <= channels
    if not numbers or not np.all(np.isfinite(value) & (value > 0)):
        kinds = "a positive number"
        kinds += ", or an array of one for each channel" if channels else ""
        raise ValueError(
            f"The firing-rate scale of {name} must be {kinds} (got {scale!r})"
        )
    return float(value) if value.ndim == 0 else value.astype(np.float64)


def scale_of(call: LayerCall, options: Options, channels: int) -> Scale:
    """Return the scale of a layer.

    Raises
    ------
    ValueError
        If there is an array whose size is not the number of channels.
    """
    scales = options.scales
    scale = scales.get(call.layer, 1.0) if isinstance(scales, Mapping) else scales
    if np.ndim(scale) and len(scale) != channels:
        raise ValueError(
            f"The firing-rate scale of {call.label} has {len(scale)} values, but the "
            f"layer has {channels} channels"
        )
    return scale


def scale_neurons(neurons: NeuronType, scale: Scale, label: str) -> NeuronType:
    """Return a neuron type whose output is divided by a scale.

    An array of scales is not part of the type: its output is divided later.
    """
    if np.all(np.equal(scale, 1)):
        return neurons
    if not keeps_result(neurons, scale):
        warnings.warn(
            f"{label}: firing rates of {neurons} are not proportional to the current, "
            "so scaling them changes the result. Scale only layers with rectified "
            "linear neurons: scale_firing_rates={layer: scale}.",
            stacklevel=2,
        )
    if np.ndim(scale):
        return neurons
    neurons = _scale_bounds(neurons, scale)
    if _AMPLITUDE not in dir(neurons):
        warnings.warn(
            f"{label}: {neurons} has no amplitude, so scaling its firing rates scales "
            "what the layer gives as well.",
            stacklevel=2,
        )
        return neurons
    return replace(neurons, amplitude=neurons.amplitude / scale)


def keeps_result(neurons: NeuronType, scale: Scale) -> bool:
    """Whether scaling by a number, or by one for each channel, changes only rates."""
    return is_homogeneous(neurons) or _is_bounded(neurons, scale)


def is_homogeneous(neurons: NeuronType) -> bool:
    """Whether responses are proportional to the current, for positive factors."""
    if isinstance(neurons, RatesToSpikesNeuronType):
        return is_homogeneous(neurons.base_type)
    return isinstance(neurons, RectifiedLinear)


def _is_bounded(neurons: NeuronType, scale: Scale) -> bool:
    """Whether responses are proportional to the current once bounds are scaled."""
    if isinstance(neurons, RatesToSpikesNeuronType):
        return _is_bounded(neurons.base_type, scale)
    return isinstance(neurons, BoundedReLU) and np.ndim(scale) == 0


def limit_of(neurons: NeuronType, dt: float) -> float | None:
    """Return the highest rate in Hz that LIF, Izhikevich and NIR neurons can have.

    None for other types, most of which can spike several times in a step.
    """
    if isinstance(neurons, nengo.LIF):
        return 1 / max(float(neurons.tau_ref), dt)
    once = (nengo.Izhikevich, IntegrateAndFire, LeakyIntegrateAndFire)
    return 1 / dt if isinstance(neurons, once) else None


def _scale_bounds(neurons: NeuronType, scale: Any) -> NeuronType:
    if isinstance(neurons, RatesToSpikesNeuronType):
        return replace(neurons, base_type=_scale_bounds(neurons.base_type, scale))
    if not isinstance(neurons, BoundedReLU):
        return neurons
    limit = neurons.max_value
    return replace(
        neurons,
        max_value=None if limit is None else limit * scale,
        threshold=neurons.threshold * scale,
    )


def replace(neurons: NeuronType, **changes: Any) -> NeuronType:
    """Return a neuron type like another one, with other attributes."""
    state = neurons.__getstate__() | changes
    state.pop("_FrozenObject__argreprs", None)  # the text of the old attributes
    twin = object.__new__(type(neurons))
    twin.__setstate__(state)
    return twin
