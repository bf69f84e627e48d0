"""What the parts of the conversion hand to each other.

================ =====================================================================
Value            a tensor of the Keras model in one place of the graph
LayerCall        one call of a layer, as Keras has it
Options          what the user wants
Source           what gives a value in the network: an object and a shape
Converted        what became of one call: objects, connections, scale
================ =====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nengo import Connection, Node
from nengo.ensemble import Neurons

from .curves import Curve

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of a Keras model. A nested model that is called twice has two of each.

    Attributes
    ----------
    tensor : keras.KerasTensor
    shape : tuple of int
        Of one example in one step: without the axes of the batch and, in a temporal
        model, of time.
    """

    tensor: Any
    shape: Shape


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer or operation.

    Attributes
    ----------
    layer : keras.Layer or keras.Operation
    label : str
        Name of the layer; a second call of ``dense`` is called ``dense.1``.
    inputs, outputs : tuple of Value
    arguments : keras SymbolicArguments
        With which the layer was called; tensors in it are those of ``inputs``.
    networks : tuple of str
        Labels of the nested models around the call, the outermost first.
    leading : int
        Number of axes that the layer sees before those of ``shape``: 2 for the batch
        and time in a temporal model, otherwise 1.
    folded : tuple of Layer
        Layers that follow and whose effect is part of this one.
    affine : tuple of ndarray or None
        Factor and offset for each channel that are part of this call, from ``folded``.
    """

    layer: Any
    label: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    arguments: Any = None
    networks: tuple[str, ...] = ()
    leading: int = 1
    folded: tuple[Any, ...] = ()
    affine: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def shape_in(self) -> Shape:
        """Shape of the first input."""
        return self.inputs[0].shape

    @property
    def shape_out(self) -> Shape:
        """Shape of the first output."""
        return self.outputs[0].shape


@dataclass(frozen=True)
class Options:
    """What the user wants; see :class:`~nengo_jax.convert.Converter`.

    Attributes
    ----------
    swaps : mapping
        From Keras activation functions or neuron types to the same.
    scales : float, or mapping of layer to float or ndarray
    curves : mapping of layer to Curve
    """

    allow_fallback: bool = True
    inference_only: bool = False
    max_to_avg_pool: bool = False
    split_shared_weights: bool = False
    swaps: Mapping[Any, Any] = field(default_factory=dict)
    scales: Any = field(default_factory=dict)
    synapse: Any = None
    temporal: bool = False
    curves: Mapping[Any, Curve] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Source:
    """What gives a value in the network.

    Attributes
    ----------
    obj : Node or Neurons
        Its output is the value, flattened in row-major order.
    shape : tuple of int
    channel_axis : int
        Axis of ``shape`` along which the elements share what they share: their filter,
        their bias, their scale. The last one unless images have channels first.
    """

    obj: Node | Neurons
    shape: Shape
    channel_axis: int = -1


@dataclass(frozen=True, eq=False)
class Converted:
    """What became of one call of a layer.

    Attributes
    ----------
    call : LayerCall
    outputs : tuple of Source
        What gives the outputs of the call. A layer that only reshapes hands on its
        input.
    neurons : Neurons or None
        The population, if the layer has an activation that neurons compute. Their
        output divided by the amplitude of their type is a rate in Hz.
    incoming : tuple of Connection
        All connections made for the call, in the order in which they were made.
    weights : Connection or None
        The one whose weights are the kernel.
    bias : Connection or None
        The one whose weights are the biases, one for each channel; it comes from a
        node of ones.
    scale : float or ndarray
        Factor on gains whose inverse is applied to the output; an array has one number
        for each channel. Neurons with a curve have none.
    native : bool
        False if a layer had to fall back to a TensorNode.
    swaps : tuple
        Keys of ``swap_activations`` that were used.
    opposite : Neurons or None
        A second population, which gets what the first one gets with the opposite sign:
        the negative half of PReLU.
    """

    call: LayerCall
    outputs: tuple[Source, ...]
    neurons: Neurons | None = None
    incoming: tuple[Connection, ...] = ()
    weights: Connection | None = None
    bias: Connection | None = None
    scale: float | np.ndarray = 1.0
    native: bool = True
    swaps: tuple[Any, ...] = ()
    opposite: Neurons | None = None

    @property
    def layer(self) -> Any:
        """The Keras layer."""
        return self.call.layer

    @property
    def label(self) -> str:
        """Name of the layer, with the number of the call if it is not the first."""
        return self.call.label

    @property
    def obj(self) -> Node | Neurons:
        """The object that gives the (first) output."""
        return self.outputs[0].obj

    @property
    def shape(self) -> Shape:
        """Shape of the (first) output for one example."""
        return self.outputs[0].shape

    @property
    def channel_axis(self) -> int:
        """Axis of ``shape`` that counts channels."""
        return self.outputs[0].channel_axis
