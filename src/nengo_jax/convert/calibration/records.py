"""What the parts of the calibration hand to each other.

============ =========================================================================
Part         a population, or a linear output, whose mean can be measured and shifted
Settings     all that a calibration finds out; with the model it makes the network
Assembled    a network made with some settings
Effect       what one measure did to the result
============ =========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import nengo
import numpy as np
from nengo import Node, Probe
from nengo.ensemble import Neurons

from .readout import Readout

ACCURACY, ERROR = "accuracy", "error"
Final = Callable[[Any], Any] | None


@dataclass(frozen=True, eq=False)
class Part:
    """What computes an activation.

    Attributes
    ----------
    label : str
    neurons : Neurons or None
        None for a linear output.
    source : Node or Neurons
        Its output are the activations, flattened.
    target : Node or Neurons
        What is added to its input is added to the argument of the activation.
    channels : ndarray of int, shape (size,)
        The channel that each element belongs to.
    slope : ndarray, shape (channels,), or float
        By how much the activation rises with its argument.
    threshold : float or None
        The largest activation, if there is one by its definition.
    rectifies : bool
        Whether the activation is relu, for which the neurons stand.
    opposite : Neurons or None
        A second population; it gets all with the opposite sign.
    """

    label: str
    neurons: Neurons | None
    source: Node | Neurons
    target: Node | Neurons
    channels: np.ndarray
    slope: np.ndarray | float = 1.0
    threshold: float | None = None
    rectifies: bool = False
    opposite: Neurons | None = None

    @property
    def populations(self) -> tuple[Neurons, ...]:
        """Its neurons, and those of the opposite population if there is one."""
        return tuple(n for n in (self.neurons, self.opposite) if n is not None)

    @property
    def count(self) -> int:
        """Number of channels."""
        return int(self.channels.max()) + 1

    @property
    def spiking(self) -> bool:
        """Whether its neurons spike."""
        return self.neurons is not None and bool(
            self.neurons.ensemble.neuron_type.spiking
        )


@dataclass(frozen=True)
class Settings:
    """What a calibration finds out.

    Attributes
    ----------
    scales : mapping of str to float or ndarray
        Factor on gains, by label of the layer or ensemble.
    curves : mapping of str to ndarray, shape (5,) or (5, neurons)
        Of neurons whose rates cannot be scaled: the numbers of a
        :class:`~nengo_jax.convert.curves.Curve`.
    voltages : mapping of str to float or ndarray
        Initial voltages, as a share of the threshold.
    shifts : mapping of str to ndarray, shape (channels,)
        Added to the arguments of activations.
    weights : mapping of str to ndarray
        After fine-tuning: by label of the layer and "/kernel" or "/bias".
    readout : Readout
    """

    scales: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)
    voltages: Mapping[str, Any] = field(default_factory=dict)
    shifts: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    readout: Readout = field(default_factory=Readout)


@dataclass(frozen=True, eq=False)
class Assembled:
    """A network that is made with some settings.

    Attributes
    ----------
    net : Network
    nodes : list of Node
        The inputs.
    probes : list of Probe
        The outputs.
    parts : list of Part
        In the order of the layers.
    finals : list of callable or None
        What is applied to the result of each output: an activation, such as softmax,
        that wants the result and not single spikes.
    shapes : list of tuple of int
        Shapes of the results for one frame.
    shifts : dict of str to Node
        The nodes whose output is added to the arguments of activations.
    inputs : mapping to Node
        By what the user knows them by.
    outputs : mapping to Probe
    converter : Converter or None
    temporal : bool
        Whether data and results have an axis of frames after that of examples: the
        time steps of a temporal model.
    """

    net: nengo.Network
    nodes: list[Node]
    probes: list[Probe]
    parts: list[Part]
    finals: list[Final]
    shapes: list[tuple[int, ...]]
    inputs: Mapping[Any, Node]
    outputs: Mapping[Any, Probe]
    shifts: Mapping[str, Node] = field(default_factory=dict)
    converter: Any = None
    temporal: bool = False

    def frames_of(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return inputs as arrays of shape (examples, frames, size), one for each node.

        Parameters
        ----------
        arrays : sequence of ndarray, shape (examples, ...)
            As the subject has checked them.
        """
        return [
            array.reshape(len(array), -1, node.size_out)
            for array, node in zip(arrays, self.nodes, strict=True)
        ]


@dataclass(frozen=True)
class Effect:
    """What one measure did to the result on the calibration data.

    Measures add up: each one is compared with all those before it.

    Attributes
    ----------
    name : str
        "folding", "scales", "voltages", "bias", "readout" or "fine_tuning".
    before, after : float
        Accuracy, or error, without and with it, after the last step.
    metric : str
        "accuracy": share of the examples whose largest output is that of the label.
        "error": root of the mean squared difference from the outputs of the model that
        does not spike, divided by their standard deviation.
    """

    name: str
    before: float
    after: float
    metric: str
