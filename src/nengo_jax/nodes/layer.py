"""Networks written as chains of layers: ``x = Layer(keras.layers.Dense(10))(x)``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import nengo
import numpy as np
from nengo import Connection, Ensemble, Network
from nengo.ensemble import Neurons
from nengo.exceptions import NetworkContextError, ValidationError
from nengo.neurons import NeuronType
from nengo.params import BoolParam, Default
from nengo.transforms import Transform

from ..families.keras_layer import is_layer
from .shapes import ONE_STEP, describe
from .tensor_node import TensorNode, check_function

_TRAINABLE = "trainable"


class Layer:
    """Makes a node or a population of neurons that takes another object's output.

    Parameters
    ----------
    layer_func : callable, keras.Layer or nengo.neurons.NeuronType
        A function or Keras layer becomes a :class:`TensorNode` without time; a neuron
        type becomes the neurons of an ensemble.

    Examples
    --------
    >>> import nengo, nengo_jax, keras
    >>> from nengo_jax.nodes import Layer
    >>> with nengo.Network() as network:
    ...     image = nengo.Node([0.0] * 784)
    ...     conv = keras.layers.Conv2D(4, 3)
    ...     x = Layer(conv)(image, shape_in=(28, 28, 1))
    ...     x = Layer(nengo.RectifiedLinear())(x)
    ...     x = Layer(keras.layers.Dense(10))(x)
    >>> x.size_in, x.size_out
    (2704, 10)
    """

    def __init__(self, layer_func: Callable[..., Any] | NeuronType):
        neurons = isinstance(layer_func, NeuronType)
        self.layer_func = layer_func if neurons else check_function(layer_func)

    def __call__(
        self,
        input: Any,
        transform: Any = Default,
        shape_in: int | Sequence[int] | None = None,
        synapse: Any = None,
        return_conn: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Make the object and connect it.

        Parameters
        ----------
        input : Node, Ensemble, Neurons or a slice of one
            Where the values come from.
        transform : array, Transform or number
            Of the connection, which is not trained.
        shape_in : tuple of int, int or None
            Shape in which the layer sees the values of one example. None: flat.
        synapse : Synapse, float or None
            Of the connection; None passes values on within the step.
        return_conn : bool
            Whether to return the connection as well.
        **kwargs
            For :class:`TensorNode`, or for ``nengo.Ensemble`` with a neuron type.

        Returns
        -------
        obj : TensorNode or Neurons
        connection : Connection
            If ``return_conn``.

        Raises
        ------
        ValidationError
            If the input does not have as many values as ``shape_in`` stands for.
        """
        if not Network.context:
            raise NetworkContextError(
                f"{self} must be called inside a network: with network: ..."
            )
        given = _size(input, transform)
        shape = (given,) if shape_in is None else _as_tuple(shape_in)
        self._check_size(input, given, shape)
        obj = self._make(shape, kwargs)
        connection = Connection(input, obj, transform=transform, synapse=synapse)
        _keep_fixed(connection, Network.context[-1])
        return (obj, connection) if return_conn else obj

    def _make(self, shape: tuple[int, ...], kwargs: dict[str, Any]) -> Any:
        if not isinstance(self.layer_func, NeuronType):
            return TensorNode(self.layer_func, shape, pass_time=False, **kwargs)
        ensemble = Ensemble(math.prod(shape), 1, neuron_type=self.layer_func, **kwargs)
        return ensemble.neurons

    def _check_size(self, source: Any, given: int, shape: tuple[int, ...]) -> None:
        wanted = math.prod(shape)
        if wanted == given:
            return
        window = len(shape) > 1 and wanted == shape[0] * given
        advice = (
            f"{ONE_STEP} The shape of one step is shape_in={shape[1:]}."
            if window
            else f"Choose a shape_in whose product is {given}, or a transform with "
            f"{wanted} rows."
        )
        raise ValidationError(
            f"{self} gets {given} values in each step from {source}, but "
            f"shape_in={shape} stands for {wanted} values. {advice}",
            attr="shape_in",
        )

    def __str__(self) -> str:
        function = self.layer_func
        if isinstance(function, NeuronType):
            return f"Layer({function})"
        return f"Layer({function.name if is_layer(function) else describe(function)})"


def _as_tuple(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(shape)


def _size(source: Any, transform: Any) -> int:
    """Number of values that arrive over a connection."""
    if not isinstance(source, (nengo.base.NengoObject, nengo.base.ObjView, Neurons)):
        raise ValidationError(
            f"The input of a layer must be a Node, Ensemble or Neurons (got {source})",
            attr="input",
        )
    if isinstance(transform, Transform) and transform.size_out is not None:
        return transform.size_out
    matrix = transform is not Default and np.ndim(transform) == 2
    return np.shape(transform)[0] if matrix else source.size_out


def _keep_fixed(connection: Connection, network: Network) -> None:
    """Mark a connection as not trained, whether or not anything has been configured."""
    config = network.config
    if Connection not in config.params:
        config.configures(Connection)
    if _TRAINABLE not in config[Connection].extra_params:
        parameter = BoolParam(_TRAINABLE, default=None, optional=True)
        config[Connection].set_param(_TRAINABLE, parameter)
    setattr(config[connection], _TRAINABLE, False)
