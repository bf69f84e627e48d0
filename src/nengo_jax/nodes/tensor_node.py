"""A node that computes with JAX: a function on arrays, or any Keras layer or model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from nengo import Node
from nengo.exceptions import SimulationError, ValidationError
from nengo.params import BoolParam, Parameter, ShapeParam

from ..families.keras_layer import is_layer
from ..families.layer import not_here
from .shapes import describe, output_shape


class TensorNode(Node):
    """A node whose output is computed by a function on JAX arrays or a Keras layer.

    It is compiled together with the rest of the network, has a gradient, and gets the
    whole batch in one call.

    Parameters
    ----------
    tensor_func : callable or keras.Layer
        Called with the time in seconds, an array of shape (), if ``pass_time``, and
        with the input, shape ``(batch, *shape_in)``, if there is ``shape_in``. Returns
        an array of shape ``(batch, *shape_out)``; without input the batch may be 1.
        The function may use ``jax.numpy`` or ``keras.ops``. An RNN cell, such as
        ``keras.layers.LSTMCell``, keeps its state from step to step.
    shape_in : tuple of int, int or None
        Shape of the input of one example; ``size_in`` is its product. None: no input.
    shape_out : tuple of int, int or None
        Shape of the output of one example. None: found out.
    pass_time : bool
        Whether the function gets the time.
    label : str or None

    Raises
    ------
    ValidationError
        If the function does not fit the shapes.

    Notes
    -----
    The weights of a layer are parameters of the network. They start as those of the
    layer, are trained if Keras says that they are trainable, and do not change the
    layer. Layers that a *function* uses inside are constants: give the layer itself, or
    a model, to train it.

    A layer computes in its own precision: give it ``dtype="float64"`` for a simulation
    that is precise throughout. Dropout draws new masks in each step, in RNN cells too.

    Examples
    --------
    >>> import nengo, nengo_jax, keras
    >>> from nengo_jax.nodes import TensorNode
    >>> with nengo.Network() as network:
    ...     stimulus = nengo.Node([1, 2, 3])
    ...     node = TensorNode(keras.layers.Dense(4), shape_in=3, pass_time=False)
    ...     _ = nengo.Connection(stimulus, node, synapse=None)
    >>> node.shape_out
    (4,)
    """

    tensor_func = Parameter("tensor_func", readonly=True)
    shape_in = ShapeParam("shape_in", low=1, optional=True, readonly=True)
    shape_out = ShapeParam("shape_out", low=1, readonly=True)
    pass_time = BoolParam("pass_time", readonly=True)

    def __init__(
        self,
        tensor_func: Callable[..., Any],
        shape_in: int | Sequence[int] | None = None,
        shape_out: int | Sequence[int] | None = None,
        pass_time: bool = True,
        label: str | None = None,
    ):
        self.tensor_func = check_function(tensor_func)
        self.shape_in = _as_shape(shape_in)
        self.pass_time = pass_time
        if self.shape_in is None and not pass_time:
            raise ValidationError(
                f"A TensorNode of {describe(tensor_func)} gets neither time nor input. "
                "Set shape_in, or pass_time=True.",
                attr="shape_in",
                obj=self,
            )
        given = _as_shape(shape_out)
        if given is None or is_layer(tensor_func):
            found = output_shape(tensor_func, self.shape_in, pass_time, label)
            check_promise(found, given, label or describe(tensor_func))
            given = found
        self.shape_out = given
        super().__init__(
            output=_OnlyHere(str(label or describe(tensor_func))),
            size_in=0 if self.shape_in is None else math.prod(self.shape_in),
            size_out=math.prod(self.shape_out),
            label=label,
        )


def check_function(function: Any) -> Any:
    """Return what can be in a node.

    Raises
    ------
    ValidationError
        If it cannot be called, or is a class.
    """
    if isinstance(function, type):
        raise ValidationError(
            f"{function.__name__} is a class; give an object of it, made with "
            f"{function.__name__}(...)",
            attr="tensor_func",
        )
    if not callable(function):
        raise ValidationError(
            f"Must be a function on JAX arrays, or a Keras layer (got {function!r})",
            attr="tensor_func",
        )
    return function


def check_promise(found: tuple, promised: tuple | None, label: str) -> None:
    """Raise ValidationError if a function returns another shape than was promised."""
    if promised is not None and found != promised:
        raise ValidationError(
            f"TensorNode {label!r} returns (batch, *shape_out) with shape_out={found}, "
            f"but was made with shape_out={promised}. Leave shape_out away to use what "
            "is returned.",
            attr="shape_out",
        )


def _as_shape(shape: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if shape is None:
        return None
    return (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(shape)


class _OnlyHere:
    """The output function of a node for simulators that do not know it."""

    def __init__(self, label: str):
        self._label = label

    def __call__(self, *arguments: Any) -> Any:
        raise SimulationError(not_here(f"TensorNode {self._label!r}"))
