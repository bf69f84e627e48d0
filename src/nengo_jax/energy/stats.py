"""One use of a layer in a model, and what is counted of it.

Time is not part of the count: an axis after the batch whose length is None is time, and
counts are for one step. If its length is given, layers that run over time tell it as
``steps``; for all others it is an axis like any other, so an inference costs the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import keras

T = TypeVar("T")
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class LayerStats:
    """What one use of a layer takes in one step.

    Attributes
    ----------
    connections : int
        Synaptic operations if all inputs are active: pairs of an input and an output
        that depends on it, or operations on single elements.
    neurons : int
        Neurons to update, or non-linear functions to compute.
    spiking : bool
        Whether the neurons spike.
    every_step : bool
        Whether the operations take place in each step whatever the inputs are, even on
        a spiking device. The inputs of an Embedding, for example, are no rates.
    steps : int
        Steps that the shape tells of. An inference takes them all, each with these
        counts.
    """

    connections: int = 0
    neurons: int = 0
    spiking: bool = False
    every_step: bool = False
    steps: int = 1


@dataclass(frozen=True)
class LayerCall:
    """One use of a layer, with the shapes of what goes in and out.

    Attributes
    ----------
    layer : keras.Operation
    inputs, outputs : tuple of shape
        With the batch axis. Unknown lengths are None.
    """

    layer: Any
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]

    @property
    def input_shapes(self) -> Shape | tuple[Shape, ...]:
        """Shape of the input, or the shapes if there are several."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def output_shapes(self) -> Shape | tuple[Shape, ...]:
        """Shape of the output, or the shapes if there are several."""
        return self.outputs[0] if len(self.outputs) == 1 else self.outputs

    @property
    def input_size(self) -> int:
        """Number of input elements in one step."""
        return sum(self._size(shape) for shape in self.inputs)

    @property
    def output_size(self) -> int:
        """Number of output elements in one step."""
        return sum(self._size(shape) for shape in self.outputs)

    def _size(self, shape: Shape) -> int:
        sizes = shape[2:] if len(shape) > 1 and shape[1] is None else shape[1:]
        if None in sizes:
            raise ValueError(
                f"The layer {self.layer.name!r} works on shape {shape}, so its "
                "operations cannot be counted. Make the model with keras.Input of a "
                "fixed shape; only the first axis after the batch (time) may be None."
            )
        return math.prod(size for size in sizes if size is not None)


Rule = Callable[[Any, Any], LayerStats | Mapping[str, Any] | None]


def call_of(layer: Any, node: Any) -> LayerCall:
    """Describe a use of a layer that is given as a node of a Keras graph."""
    if isinstance(node, LayerCall):
        return node
    inputs = tuple(tuple(x.shape) for x in node.input_tensors)
    outputs = tuple(tuple(x.shape) for x in keras.tree.flatten(node.outputs))
    return LayerCall(layer, inputs, outputs)


def find_rule(layer: Any, rules: Mapping[type, T]) -> T | None:
    """Find the rule for the class of a layer, or for the nearest class above it."""
    return next((rules[cls] for cls in type(layer).__mro__ if cls in rules), None)


def count(call: LayerCall, rules: Mapping[type, Rule]) -> LayerStats | None:
    """Count what one use of a layer takes; None if no rule knows the layer.

    Raises
    ------
    TypeError
        If a rule does not return the fields of a :class:`LayerStats`.
    """
    if isinstance(call.layer, keras.layers.TimeDistributed):
        return _time_distributed(call, rules)
    rule = find_rule(call.layer, rules)
    if rule is None:
        return None
    stats = rule(call.layer, call)
    if stats is None or isinstance(stats, LayerStats):
        return stats
    try:
        return LayerStats(**stats)
    except TypeError as error:
        known = ", ".join(repr(field.name) for field in fields(LayerStats))
        raise TypeError(
            f"The rule for {type(call.layer).__name__} must return a dictionary with "
            f"some of {known}, not {stats!r}."
        ) from error


def _time_distributed(call: LayerCall, rules: Mapping[type, Rule]) -> LayerStats | None:
    """Count the layer inside for each step that the shape tells of."""
    steps = steps_in(call.inputs[0])
    inputs, outputs = (
        tuple((shape[0], *shape[2:]) for shape in shapes)
        for shapes in (call.inputs, call.outputs)
    )
    return scaled(count(LayerCall(call.layer.layer, inputs, outputs), rules), steps)


def steps_in(shape: Shape) -> int:
    """Number of steps to count for a shape (batch, steps, ...): 1 if they are open."""
    return 1 if shape[1] is None else shape[1]


def scaled(stats: LayerStats | None, times: int) -> LayerStats | None:
    """Let each step of a count be repeated."""
    return None if stats is None else replace(stats, steps=stats.steps * times)


def added(first: LayerStats, second: LayerStats) -> LayerStats:
    """Add two counts of a layer, of as many steps."""
    return LayerStats(
        first.connections + second.connections,
        first.neurons + second.neurons,
        first.spiking or second.spiking,
        first.every_step or second.every_step,
        first.steps,
    )
