"""From Keras' activation functions to neuron types.

Functions that neurons compute become neuron types, the linear one a node without
neurons. Any other function, such as softmax, becomes a TensorNode, which is exact, but
neither spikes nor can be built by other simulators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isfunction
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import nengo
from nengo.neurons import NeuronType

from ..neurons import (
    ELU,
    GELU,
    BoundedReLU,
    Exponential,
    HardSigmoid,
    HardSiLU,
    LeakyReLU,
    Mish,
    SiLU,
    Softplus,
    Softsign,
)
from .records import Options

LINEAR = keras.activations.linear

# The rate of a neuron with tau_ref=1 is the function itself.
ACTIVATIONS: Mapping[Callable, NeuronType] = MappingProxyType(
    {
        keras.activations.relu: nengo.RectifiedLinear(),
        keras.activations.sigmoid: nengo.Sigmoid(tau_ref=1),
        keras.activations.tanh: nengo.Tanh(tau_ref=1),
        keras.activations.leaky_relu: LeakyReLU(negative_slope=0.2),
        keras.activations.relu6: BoundedReLU(max_value=6),
        keras.activations.elu: ELU(),
        keras.activations.celu: ELU(),
        keras.activations.selu: ELU(1.6732632423543772, amplitude=1.0507009873554805),
        keras.activations.gelu: GELU(),
        keras.activations.silu: SiLU(),
        keras.activations.mish: Mish(),
        keras.activations.softplus: Softplus(),
        keras.activations.softsign: Softsign(),
        keras.activations.hard_sigmoid: HardSigmoid(),
        keras.activations.hard_silu: HardSiLU(),
        keras.activations.exponential: Exponential(),
    }
)


class Activation(NamedTuple):
    """What computes an activation function.

    Attributes
    ----------
    neurons : NeuronType or None
    function : callable or None
        For a TensorNode. If both are None, the activation is linear.
    swaps : tuple
        Keys of ``swap_activations`` that led here.
    """

    neurons: NeuronType | None = None
    function: Callable | None = None
    swaps: tuple[Any, ...] = ()


def choose_activation(wanted: Any, options: Options) -> Activation:
    """Find what computes an activation function.

    The user's changes are looked up before the table and after it, so both Keras
    functions and neuron types can be replaced.

    Parameters
    ----------
    wanted : callable, NeuronType or None
    options : Options
    """
    chosen, used = LINEAR if wanted is None else wanted, []
    for _ in range(2):
        if chosen in options.swaps:
            used.append(chosen)
            chosen = options.swaps[chosen]
        chosen = ACTIVATIONS.get(chosen, chosen)
    if isinstance(chosen, NeuronType):
        return Activation(neurons=chosen, swaps=tuple(used))
    function = None if chosen is LINEAR else chosen
    return Activation(function=function, swaps=tuple(used))


def refuse_activation(wanted: Any, options: Options) -> str | None:
    """Say why an activation function has to fall back, if it has to.

    Functions of Keras do not: they are computed exactly as they are.
    """
    function = choose_activation(wanted, options).function
    if function is None or _is_from_keras(function):
        return None
    return (
        f"there is no neuron type for its activation {describe(function)}. Name one in "
        "swap_activations, as in {function: nengo.RectifiedLinear()}"
    )


def check_swaps(swaps: Any) -> dict[Any, Any]:
    """Check ``swap_activations``; names of functions become functions.

    Raises
    ------
    TypeError
        If it is no mapping, or contains something else.
    """
    if swaps is None:
        return {}
    if not isinstance(swaps, Mapping):
        raise TypeError(
            "swap_activations maps activations to others, as in "
            f'{{"relu": nengo.SpikingRectifiedLinear()}} (got {swaps!r})'
        )
    return {
        _check_activation(old): _check_activation(new) for old, new in swaps.items()
    }


def describe(activation: Any) -> str:
    """Name an activation, for messages."""
    if isinstance(activation, NeuronType):
        return str(activation)
    return getattr(activation, "__name__", repr(activation))


def _check_activation(activation: Any) -> Any:
    if isinstance(activation, str):
        return keras.activations.get(activation)
    if isinstance(activation, NeuronType):
        return activation
    if activation is None:
        return LINEAR
    if isinstance(activation, type) or not callable(activation):
        advice = (
            f"; make an object of the class: {activation.__name__}()"
            if isinstance(activation, type)
            else ""
        )
        raise TypeError(
            "swap_activations takes Keras activation functions, their names, and "
            f"neuron types (got {activation!r}{advice})"
        )
    return activation


def _is_from_keras(function: Any) -> bool:
    return isfunction(function) and function.__module__.startswith("keras.")
