"""The activation of models that are trained to run in few steps: QCFS.

It becomes integrate-and-fire neurons that spike at most once in a step, for which an
activation at the threshold is one spike in each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..layers.timestep import default
from ..neurons import SoftResetIntegrateAndFire
from .activation import finish_activation
from .activations import Activation
from .linear import weights
from .records import Converted, LayerCall, Options, Source


def threshold_of(layer: Any) -> float:
    """Return the threshold of a QCFS layer."""
    return float(weights(layer.threshold))


def convert_quantized(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert :class:`nengo_jax.layers.QCFS`.

    Without a scale of the user, a neuron is scaled for steps of the default length,
    ``nengo_jax.layers.default.dt``.
    """
    (source,), layer = sources, call.layer
    if isinstance(options.scales, Mapping) and layer not in options.scales:
        scale = 1 / (threshold_of(layer) * default.dt)
        options = replace(options, scales={layer: scale})
    activation = Activation(SoftResetIntegrateAndFire(max_spikes=1))
    return finish_activation(call, source, activation, options)
