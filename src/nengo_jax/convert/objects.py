"""Makes the nengo objects that layers consist of: connections, biases, populations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import nengo
import numpy as np
from nengo import Connection, Ensemble, Network, Node
from nengo.ensemble import Neurons
from nengo.neurons import NeuronType

from ..nodes import TensorNode
from .activations import Activation
from .curves import Curve
from .records import LayerCall, Options, Shape, Source
from .scaling import Scale, replace, scale_neurons, scale_of


def connect(
    source: Any,
    target: Any,
    label: str,
    options: Options,
    *,
    transform: Any = None,
    trainable: bool = False,
) -> Connection:
    """Connect two objects; values of neurons pass the synapse, all others do not.

    Parameters
    ----------
    source, target : Node, Neurons or a slice of one
    label : str
    options : Options
    transform : nengo Transform, number, array or None
    trainable : bool
        Whether its weights are trained.
    """
    origin = source.obj if isinstance(source, nengo.base.ObjView) else source
    synapse = options.synapse if isinstance(origin, Neurons) else None
    made = Connection(source, target, transform=transform, synapse=synapse, label=label)
    if trainable and not options.inference_only:
        Network.context[0].config[made].trainable = True
    return made


def passthrough(label: str, shape: Shape) -> Node:
    """Make a node that sums what it gets."""
    return Node(size_in=math.prod(shape), label=label)


def pick(obj: Any, numbers: np.ndarray) -> Any:
    """Return some elements of an object, as a slice where they are in a row."""
    first, last = int(numbers[0]), int(numbers[-1])
    if np.array_equal(numbers, np.arange(first, last + 1)):
        whole = first == 0 and last + 1 == max(obj.size_in, obj.size_out)
        return obj if whole else obj[first : last + 1]
    return obj[numbers]


def take(
    source: Any, numbers: np.ndarray, label: str, options: Options
) -> tuple[Node, Connection]:
    """Make a node whose elements are those of an object that ``numbers`` say.

    Parameters
    ----------
    source : Node or Neurons
    numbers : ndarray of int
        In the shape of the output; -1 stands for zero.
    label : str
    options : Options
    """
    node, numbers = passthrough(label, numbers.shape), numbers.reshape(-1)
    real = np.flatnonzero(numbers >= 0)
    taken, placed = pick(source, numbers[real]), pick(node, real)
    return node, connect(taken, placed, f"{label}.input", options)


def add_bias(
    target: Any,
    bias: np.ndarray,
    shape: Shape,
    channel_axis: int,
    label: str,
    options: Options,
    *,
    trainable: bool,
) -> Connection:
    """Connect a node of ones to an object, with one trained weight for each channel.

    The weights are the biases. They do not depend on gains, and are shared by all
    elements of a channel: a convolution with a kernel of size 1.

    Parameters
    ----------
    target : Node or Neurons
        Has the elements of ``shape``.
    bias : ndarray, shape (channels,)
    shape : tuple of int
    channel_axis : int
        The first or the last.
    label : str
        Of the layer.
    options : Options
    trainable : bool
    """
    channels = len(bias)
    positions = math.prod(shape) // channels
    one = Node(np.ones(positions), label=f"{label}.one")
    if positions == 1:
        transform = nengo.Dense((channels, 1), init=bias.reshape(channels, 1))
    else:
        last = channel_axis == -1
        transform = nengo.Convolution(
            channels,
            (positions, 1) if last else (1, positions),
            kernel_size=(1,),
            strides=(1,),
            channels_last=last,
            init=bias.reshape(1, 1, channels),
        )
    return connect(
        one,
        target,
        f"{label}.bias",
        options,
        transform=transform,
        trainable=trainable,
    )


class Population(NamedTuple):
    """An activation in the network.

    Attributes
    ----------
    target : Node or Neurons
        What the input of the activation has to be connected to.
    output : Source
    neurons : Neurons or None
    rescale : tuple of Connection
        One that undoes a scale that differs between channels, one that divides what
        neurons with a curve get, or none.
    scale : float or ndarray
        1 if neurons have a curve.
    """

    target: Any
    output: Source
    neurons: Neurons | None = None
    rescale: tuple[Connection, ...] = ()
    scale: Scale = 1.0


def make_population(
    call: LayerCall,
    activation: Activation,
    shape: Shape,
    channel_axis: int,
    options: Options,
) -> Population:
    """Make the object that computes an activation function.

    Parameters
    ----------
    call : LayerCall
    activation : Activation
        A node for a linear one, neurons, or a TensorNode.
    shape : tuple of int
    channel_axis : int
    options : Options
    """
    if activation.neurons is None:
        node = _function_node(call.label, activation, shape)
        return Population(node, Source(node, shape, channel_axis))
    if call.layer in options.curves:
        curve = options.curves[call.layer]
        return _bent(call, activation.neurons, curve, shape, channel_axis, options)
    scale = scale_of(call, options, shape[channel_axis])
    neurons = _make_neurons(call.label, activation.neurons, scale, shape, channel_axis)
    if np.ndim(scale) == 0:
        output = Source(neurons, shape, channel_axis)
        return Population(neurons, output, neurons, scale=scale)
    inverse = per_element(1 / np.asarray(scale), shape, channel_axis)
    node, rescale = _multiply(call.label, neurons, inverse, shape, options)
    output = Source(node, shape, channel_axis)
    return Population(neurons, output, neurons, (rescale,), scale)


def _bent(
    call: LayerCall,
    kind: Any,
    curve: Curve,
    shape: Shape,
    channel_axis: int,
    options: Options,
) -> Population:
    """Make neurons with the response of a curve; activations are divided before.

    Raises
    ------
    ValueError
        If there is a curve for each of another number of neurons.
    """
    size = math.prod(shape)
    if curve.differs and len(curve.amplitude) != size:
        raise ValueError(
            f"{call.label} has {size} neurons, but there are curves for "
            f"{len(curve.amplitude)}, by another call of its layer. Give each call an "
            "activation layer of its own, or use per_channel=False."
        )
    neurons = _make_neurons(call.label, kind, 1.0, shape, channel_axis)
    ensemble = neurons.ensemble
    ensemble.gain = np.array(np.broadcast_to(curve.gain, size))
    ensemble.bias = np.array(np.broadcast_to(curve.bias, size))
    node, name = passthrough(f"{call.label}.activation", shape), f"{call.label}.divided"
    if not curve.differs:
        ensemble.neuron_type = replace(kind, amplitude=curve.amplitude)
        divided = connect(node, neurons, name, options, transform=1 / curve.top)
        output = Source(neurons, shape, channel_axis)
        return Population(node, output, neurons, (divided,))
    divided = connect(
        node,
        neurons,
        name,
        options,
        transform=_diagonal(1 / np.broadcast_to(curve.top, size)),
    )
    factors = curve.amplitude / kind.amplitude  # a type has one amplitude for all
    rescaled, rescale = _multiply(call.label, neurons, factors, shape, options)
    output = Source(rescaled, shape, channel_axis)
    return Population(node, output, neurons, (divided, rescale))


def _multiply(
    label: str, neurons: Neurons, factors: np.ndarray, shape: Shape, options: Options
) -> tuple[Node, Connection]:
    """Make a node that multiplies what neurons give, element by element."""
    node = passthrough(f"{label}.rescaled", shape)
    rescale = connect(
        neurons, node, f"{label}.rescale", options, transform=_diagonal(factors)
    )
    return node, rescale


def _diagonal(factors: np.ndarray) -> nengo.Dense:
    return nengo.Dense((factors.size, factors.size), init=factors)


def channel_means(values: np.ndarray, shape: Shape, channel_axis: int) -> np.ndarray:
    """Return the mean of each channel; of :func:`per_element`, the number itself."""
    wide = np.moveaxis(np.reshape(values, shape), channel_axis, 0)
    return wide.reshape(len(wide), -1).mean(axis=1)


def per_element(values: np.ndarray, shape: Shape, channel_axis: int) -> np.ndarray:
    """Repeat one number for each channel for all elements, flattened."""
    wide = np.ones(len(shape), int)
    wide[channel_axis] = len(values)
    return np.broadcast_to(values.reshape(wide), shape).reshape(-1)


def _function_node(label: str, activation: Activation, shape: Shape) -> Node:
    if activation.function is None:
        return passthrough(label, shape)
    layer = keras.layers.Activation(activation.function, name="activation")
    return TensorNode(layer, shape_in=shape, pass_time=False, label=label)


def _make_neurons(
    label: str, kind: NeuronType, scale: Scale, shape: Shape, channel_axis: int
) -> Neurons:
    size = math.prod(shape)
    gain = per_element(np.atleast_1d(scale), shape, channel_axis)
    ensemble = Ensemble(
        size,
        1,
        neuron_type=scale_neurons(kind, scale, label),
        gain=np.array(gain, np.float64),
        bias=np.zeros(size),
        encoders=np.ones((size, 1)),
        eval_points=np.zeros((1, 1)),  # nothing is decoded
        label=label,
    )
    return ensemble.neurons
