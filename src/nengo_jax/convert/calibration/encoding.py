"""Neuron types, synapses and activation functions as JSON, and back.

Objects are named by a table, and made by calling the class with its arguments, so what
a file says can make nothing else. Activation functions are those of Keras, or
registered with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import nengo
import numpy as np
from nengo.dists import Distribution
from nengo.neurons import NeuronType
from nengo.params import FrozenObject
from nengo.synapses import Synapse

from ... import neurons
from ...neurons import nir

_MODULES = (nengo.neurons, nengo.synapses, nengo.dists, neurons, nir)
_BASES = (NeuronType, Synapse, Distribution)

KINDS: Mapping[str, type] = MappingProxyType(
    {
        name: kind
        for module in _MODULES
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, _BASES)
    }
)


def encode_object(value: Any) -> Any:
    """Return what JSON can hold of a number, array, neuron type or synapse.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, Mapping):
        return {"mapping": {name: encode_object(v) for name, v in value.items()}}
    name = type(value).__name__
    if not isinstance(value, FrozenObject) or KINDS.get(name) is not type(value):
        raise ValueError(
            f"{value!r} cannot be saved. Neuron types and synapses of nengo and "
            "nengo_jax can."
        )
    parameters = inspect.signature(type(value)).parameters.values()
    arguments = {
        parameter.name: encode_object(getattr(value, parameter.name))
        for parameter in parameters
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    return {"type": name, "arguments": arguments}


def decode_object(value: Any) -> Any:
    """Undo :func:`encode_object`.

    Raises
    ------
    ValueError
        If an object has a type that is not in the table.
    """
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.array(value["array"])
    if "mapping" in value:
        return {name: decode_object(v) for name, v in value["mapping"].items()}
    if value.get("type") not in KINDS:
        raise ValueError(f"{value.get('type')!r} is no neuron type or synapse")
    arguments = {n: decode_object(v) for n, v in value["arguments"].items()}
    return KINDS[value["type"]](**arguments)


def encode_activation(activation: Any) -> Any:
    """Return what JSON can hold of an activation: a function of Keras, or neurons.

    Raises
    ------
    ValueError
        If a function is not known to Keras.
    """
    if isinstance(activation, NeuronType):
        return encode_object(activation)
    name = keras.saving.get_registered_name(activation)
    if _find_function(name) is not activation:
        raise ValueError(
            f"The activation {name} cannot be saved, as Keras does not know it. "
            "Decorate it with keras.saving.register_keras_serializable()."
        )
    return name


def decode_activation(value: Any) -> Any:
    """Undo :func:`encode_activation`.

    Raises
    ------
    ValueError
        If a function is not known to Keras.
    """
    if not isinstance(value, str):
        return decode_object(value)
    function = _find_function(value)
    if function is None:
        raise ValueError(
            f"Keras does not know the activation {value!r}. Import the module that "
            "registers it."
        )
    return function


def _find_function(name: str) -> Any:
    found = keras.saving.get_registered_object(name)
    return vars(keras.activations).get(name) if found is None else found
