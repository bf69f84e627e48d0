"""The nodes of NIR without a state, in nengo: matrices, convolutions, and ends."""

from __future__ import annotations

import nengo
import nir
import numpy as np
import scipy.sparse
from nengo.exceptions import BuildError
from nengo.transforms import Dense, Sparse, Transform

from .convolution_in import to_transform
from .parts import Part, Place, Wire, add_constant, passthrough, scaling


def input_node(place: Place) -> Part:
    """Input: a node whose values come from outside."""
    return Part(nengo.Node(np.zeros(place.size), label=place.name))


def relay(place: Place) -> Part:
    """Output and Flatten: the values that come in, which are flat anyway."""
    return Part(passthrough(place))


def matrix(place: Place) -> Part:
    """Linear and Affine: W I + b."""
    weight = np.asarray(place.node.weight, np.float64)
    if weight.ndim == 2:
        transform: Transform = Dense(weight.shape, init=weight)
    else:
        blocks = weight.reshape(-1, *weight.shape[-2:])
        whole = scipy.sparse.block_diag(list(blocks), "csr")
        transform = Sparse(whole.shape, init=whole)
    part = Part(passthrough(place), (Wire(transform=transform),))
    if isinstance(place.node, nir.Affine):
        add_constant(part, place.values("bias"))
    return part


def scale(place: Place) -> Part:
    """Scale: s I, element by element."""
    transform = scaling(place.values("scale"))
    return Part(passthrough(place), (Wire(transform=transform),))


def convolution(place: Place) -> Part:
    """Conv1d, Conv2d, SumPool2d and AvgPool2d."""
    transform = to_transform(place.node, place.shape_in, place.shape_out)
    part = Part(passthrough(place), (Wire(transform=transform),))
    if isinstance(place.node, nir.Conv1d | nir.Conv2d):
        bias = np.asarray(place.node.bias, np.float64).ravel()
        if bias.size not in (1, place.shape_out[0]):
            raise BuildError(
                f"Node {place.name!r} has {bias.size} biases for {place.shape_out[0]} "
                "channels."
            )
        each = np.broadcast_to(bias, place.shape_out[0])
        add_constant(part, np.repeat(each, place.size // place.shape_out[0]))
    return part
