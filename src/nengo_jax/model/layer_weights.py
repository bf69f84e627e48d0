"""Weights of Keras layers inside a network: their regularizers and constraints.

The weights lie in the blocks of the network, together with others; what Keras would do
to the variable of a layer is done to its part of a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
from jax import Array
from nengo.builder import Model

from ..compiler import Compiled
from ..families.layer import SimTensorNode


class LayerWeight(NamedTuple):
    """A trained weight of a Keras layer.

    Attributes
    ----------
    block : str
        Where it lies.
    start : int
        Its first element there.
    shape : tuple of int
    regularizer, constraint : callable or None
        As Keras knows them.
    """

    block: str
    start: int
    shape: tuple[int, ...]
    regularizer: Callable[[Array], Array] | None
    constraint: Callable[[Array], Array] | None

    @property
    def stop(self) -> int:
        """End of its last element."""
        return self.start + math.prod(self.shape)

    def read(self, blocks: Mapping[str, Array]) -> Array:
        """Return its value, in its own shape."""
        return blocks[self.block][self.start : self.stop].reshape(self.shape)


def layer_weights(model: Model, compiled: Compiled) -> list[LayerWeight]:
    """List the trained weights of all Keras layers in a network."""
    slots = compiled.layout.slots
    weights = [
        weight
        for op in model.operators
        if isinstance(op, SimTensorNode)
        for weight in op.weights
    ]
    return [
        LayerWeight(
            *slots[w.signal][:2],
            w.signal.shape,
            w.variable.regularizer,
            w.variable.constraint,
        )
        for w in weights
        if w.trainable and w.signal in slots
    ]


def constraint_of(
    weights: Sequence[LayerWeight],
) -> Callable[[keras.Variable], Array] | None:
    """Make the constraint of a block from those of the weights in it, if any."""
    constrained = [w for w in weights if w.constraint is not None]
    if not constrained:
        return None

    def constrain(variable: keras.Variable) -> Array:
        block = keras.ops.convert_to_tensor(variable)
        for weight in constrained:
            assert weight.constraint is not None
            value = weight.constraint(weight.read({weight.block: block}))
            block = block.at[weight.start : weight.stop].set(value.reshape(-1))
        return block

    return constrain
