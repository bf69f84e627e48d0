"""A network with its present parameters, of a Simulator or as they are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import nengo
import numpy as np
from nengo.builder import Model
from nengo.exceptions import ValidationError

from ..convert import Calibrated, Converter
from ..simulator import Simulator

_DT = 0.001  # of nengo, where nothing else is said
_NAMES = ("encoders", "gain", "bias")


@dataclass(frozen=True)
class Parameters:
    """A network with its present parameters.

    Attributes
    ----------
    network : nengo.Network
    model : nengo.builder.Model
    dt : float
        Length of a step in seconds.
    data : mapping of nengo objects to what was built for them
    ensembles : mapping of Ensemble to dict
        "encoders" (divided by the radius), "gain" and "bias".
    """

    network: nengo.Network
    model: Model
    dt: float
    data: Mapping[Any, Any]
    ensembles: Mapping[nengo.Ensemble, Mapping[str, np.ndarray]]


def step_of(dt: float | None) -> float:
    """Return the step in seconds that a network is simulated with."""
    step = _DT if dt is None else dt
    if np.ndim(step) > 0 or not 0 < float(step) < np.inf:
        raise ValidationError(
            f"must be a positive number of seconds (got {step!r})", attr="dt"
        )
    return float(step)


def network_of(source: Any, dt: float | None) -> tuple[Any, float | None]:
    """Return the network of a Converter or of a calibration, and the step it is for.

    Anything else is returned as it is.
    """
    if isinstance(source, Converter):
        return source.net, dt
    if isinstance(source, Calibrated):
        return source.net, source.dt if dt is None else dt
    return source, dt


def parameters_of(source: Any, dt: float | None) -> Parameters:
    """Return a network or what a Simulator simulates, with its parameters.

    Raises
    ------
    TypeError
        If there is no network.
    """
    source, dt = network_of(source, dt)
    if isinstance(source, nengo.Network):
        model = Model(dt=step_of(dt))
        model.build(source)
        return _parameters(source, model, model.params)
    if not isinstance(source, Simulator | nengo.Simulator):
        advice = (
            " Make spiking neurons of it first: nengo_jax.Converter(model, "
            "inference_only=True, swap_activations="
            '{"relu": nengo_jax.nir.IntegrateAndFire()}).'
            if isinstance(source, keras.Model)
            else ""
        )
        raise TypeError(
            "Expected a nengo.Network, a Simulator, a Converter or what calibrate "
            f"returns, got {source!r}.{advice}"
        )
    model = source.model
    if model.toplevel is None:
        raise ValidationError(
            "the Simulator was built from a model without a network", attr="source"
        )
    if dt is not None and dt != model.dt:
        raise ValidationError(
            f"is {model.dt} s in the Simulator (got {dt!r}); leave it out", attr="dt"
        )
    return _parameters(model.toplevel, model, source.data, source)


def _parameters(
    network: nengo.Network, model: Model, data: Mapping[Any, Any], source: Any = None
) -> Parameters:
    ensembles = {}
    for ensemble in network.all_ensembles:
        if isinstance(ensemble.neuron_type, nengo.Direct):
            continue  # refused where it is used
        if isinstance(source, Simulator):
            given = source.get_nengo_params(ensemble)
        else:
            built = data[ensemble]
            given = {name: getattr(built, name) for name in _NAMES}
        encoders = given["encoders"] / ensemble.radius
        ensembles[ensemble] = {
            "encoders": np.asarray(encoders, np.float64),
            "gain": np.asarray(given["gain"], np.float64),
            "bias": np.asarray(given["bias"], np.float64),
        }
    return Parameters(network, model, model.dt, data, ensembles)
