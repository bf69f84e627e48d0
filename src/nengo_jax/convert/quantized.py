"""The activation of models that are trained to run in few steps: QCFS.

It becomes integrate-and-fire neurons that spike at most once in a step, for which an
activation at the threshold is one spike in each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ..layers.timestep import default
from ..neurons import SoftResetIntegrateAndFire
from .activations import Activation
from .objects import connect, make_population
from .records import Converted, LayerCall, Options, Source


def threshold_of(layer: Any) -> float:
    """Return the threshold of a QCFS layer."""
    return float(np.asarray(keras.ops.convert_to_numpy(layer.threshold)))


def convert_quantized(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Convert :class:`nengo_jax.layers.QCFS`.

    Without a scale of the user, a neuron is scaled for steps of the default length,
    ``nengo_jax.layers.default.dt``.
    """
    (source,), layer = sources, call.layer
    given = options.scales
    scale = given.get(layer) if isinstance(given, Mapping) else given
    if scale is None:
        scale = 1 / (threshold_of(layer) * default.dt)
    population = make_population(
        call,
        Activation(SoftResetIntegrateAndFire(max_spikes=1)),
        source.shape,
        source.channel_axis,
        replace(options, scales={layer: scale}),
    )
    incoming = connect(source.obj, population.target, f"{call.label}.input", options)
    made = (incoming, population.rescale)
    return Converted(
        call,
        (population.output,),
        population.neurons,
        tuple(connection for connection in made if connection is not None),
        scale=population.scale,
    )
