"""Layers that stay Keras layers: a TensorNode holds them.

Such a node computes exactly what Keras does, in training as well. Layers with several
inputs or outputs get and give them joined end to end.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import keras
import nengo
import numpy as np

from ..families.keras_layer import usual_promotion
from ..nodes import TensorNode
from .objects import connect, passthrough
from .records import Converted, LayerCall, Options, Source


def convert_exact(
    call: LayerCall, sources: tuple[Source, ...], options: Options
) -> Converted:
    """Put a layer into a node, and connect its inputs to it.

    Raises
    ------
    TypeError
        If there is an axis of time along which the layer computes.
    """
    if call.leading == 2 and not _treats_steps_alone(call):
        raise joined_steps(call)
    held = replace(call, layer=_own_layer(call))
    function = held.layer if _is_plain(call) else Applied(held)
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


def _own_layer(call: LayerCall) -> Any:
    """Return the layer of a call, or a copy.

    Statistics and random states change in training, and two nodes cannot change one of
    them, so a layer that has them is copied where it is called again.
    """
    layer = call.layer
    first = call.label == layer.name
    if first or not isinstance(layer, keras.Layer) or not layer.non_trainable_variables:
        return layer
    config = layer.get_config()
    if "seed" in config:  # the same again would draw the same numbers
        config["seed"] = None
    copy = type(layer).from_config(config)
    copy.build_from_config(layer.get_build_config() or {})
    copy.set_weights(layer.get_weights())
    return copy


def joined_steps(call: LayerCall) -> TypeError:
    """Make the error for a layer that sees more than one time step."""
    return TypeError(
        f"{call.label} ({type(call.layer).__name__}) would join time steps, but with "
        "temporal_model=True each layer sees one step at a time. Wrap it in "
        "keras.layers.TimeDistributed to apply it to each step."
    )


def _treats_steps_alone(call: LayerCall) -> bool:
    """Try whether a layer gives the same for the last step without those before."""
    rng, whole = np.random.RandomState(0), []
    for value in call.inputs:
        steps, *sizes = value.tensor.shape[1:]
        array = rng.uniform(0.1, 1, size=(1, steps or 2, *sizes))
        whole.append(array.astype(value.tensor.dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one step may look odd to a layer
        try:
            alone = _call(call, [array[:, -1:] for array in whole])
        except (TypeError, ValueError):  # it needs as many steps as the model has
            return False
    return all(
        a.shape[1:] == (1, *w.shape[2:]) and np.allclose(a[:, 0], w[:, -1], atol=1e-5)
        for a, w in zip(alone, _call(call, whole), strict=True)
    )


def _call(call: LayerCall, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Call a layer as the model does, in inference, with other inputs."""
    tensors = call.arguments.keras_tensors
    values = {
        id(tensor): keras.ops.convert_to_tensor(array)
        for tensor, array in zip(tensors, arrays, strict=True)
    }
    arguments, keywords = call.arguments.fill_in(values)
    if _takes_training(call.layer):
        keywords["training"] = False
    with usual_promotion():
        results = call.layer(*arguments, **keywords)
    return [np.asarray(result) for result in keras.tree.flatten(results)]


def _takes_training(operation: Any) -> bool:
    return isinstance(operation, keras.Layer) and operation._call_has_training_arg


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
        if _takes_training(self.operation):  # whatever the model says, as in Keras
            keywords["training"] = training
        results = keras.tree.flatten(self.operation(*arguments, **keywords))
        parts = [
            keras.ops.cast(keras.ops.reshape(r, (flat.shape[0], -1)), "float32")
            for r in results
        ]
        if len(parts) > 1:
            return keras.ops.concatenate(parts, axis=1)
        return keras.ops.reshape(parts[0], (-1, *call.shape_out))
