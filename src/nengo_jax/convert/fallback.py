"""Layers that stay Keras layers: a TensorNode holds them.

Such a node computes exactly what Keras does, in training as well. Layers with several
inputs or outputs get and give them joined end to end.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import nengo

from ..nodes import TensorNode
from .objects import connect, passthrough
from .records import Converted, LayerCall, Options, Source


def convert_exact(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Put a layer into a node, and connect its inputs to it."""
    function = call.layer if _is_plain(call) else Applied(call)
    first, shape_in = sources[0], call.shape_in
    if len(sources) > 1:
        shape_in = (sum(math.prod(source.shape) for source in sources),)
    node = TensorNode(function, shape_in=shape_in, pass_time=False, label=call.label)
    made, start = [], 0
    for number, source in enumerate(sources):
        stop = start + math.prod(source.shape)
        target = node if len(sources) == 1 else node[start:stop]
        label = f"{call.label}.input{number if len(sources) > 1 else ''}"
        made.append(connect(source.obj, target, label, options))
        start = stop
    axis = first.channel_axis if call.shape_out == first.shape else -1
    if len(call.outputs) == 1:
        output = Source(node, call.shape_out, axis)
        return Converted(call, (output,), incoming=tuple(made))
    outputs, start = [], 0
    for number, value in enumerate(call.outputs):
        stop = start + math.prod(value.shape)
        part = passthrough(f"{call.label}.output{number}", value.shape)
        nengo.Connection(node[start:stop], part, synapse=None)
        outputs.append(Source(part, value.shape))
        start = stop
    return Converted(call, tuple(outputs), incoming=tuple(made))


def _is_plain(call: LayerCall) -> bool:
    """Whether a call is ``layer(x)``, with one output and nothing else."""
    positional: Any = call.arguments.args
    return (
        isinstance(call.layer, keras.Layer)
        and len(positional) == 1
        and set(call.arguments.kwargs) <= {"training"}
        and positional[0] is call.arguments.keras_tensors[0]
        and len(call.outputs) == 1
        and call.leading == 1
        and call.inputs[0].tensor.dtype.startswith("float")
    )


class Applied(keras.Layer):
    """A layer or operation, called as in a model, that gets its inputs end to end.

    Parameters
    ----------
    call : LayerCall
    """

    def __init__(self, call: LayerCall):
        super().__init__(name=call.layer.name)
        self.operation = call.layer
        self._call = call
        self.built = True

    def call(self, joined: Any, training: bool | None = None) -> Any:
        """Take the inputs apart, call the layer, and join its outputs."""
        call = self._call
        flat = keras.ops.reshape(joined, (-1, math.prod(joined.shape[1:])))
        values, start = {}, 0
        # in a nested model the tensors of the call are not those that it is given
        tensors = call.arguments.keras_tensors
        for value, tensor in zip(call.inputs, tensors, strict=True):
            stop = start + math.prod(value.shape)
            scalar = len(value.tensor.shape) == 1  # one number for each example
            shape = () if scalar else (*(1,) * (call.leading - 1), *value.shape)
            part = keras.ops.reshape(flat[:, start:stop], (-1, *shape))
            values[id(tensor)] = keras.ops.cast(part, value.tensor.dtype)
            start = stop
        arguments, keywords = call.arguments.fill_in(values)
        if self._takes_training:  # whatever the model says, as in Keras
            keywords["training"] = training
        results = keras.tree.flatten(self.operation(*arguments, **keywords))
        parts = [
            keras.ops.cast(keras.ops.reshape(r, (flat.shape[0], -1)), "float32")
            for r in results
        ]
        if len(parts) > 1:
            return keras.ops.concatenate(parts, axis=1)
        return keras.ops.reshape(parts[0], (-1, *call.shape_out))

    @property
    def _takes_training(self) -> bool:
        return (
            isinstance(self.operation, keras.Layer)
            and self.operation._call_has_training_arg
        )
