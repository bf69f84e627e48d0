"""A node of NIR in nengo: the records, and what all kinds of nodes share.

A part is an object of nengo that shows the output of the node, and the wires by which
what comes before is connected to it. All values are flat, with the channels first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError
from nengo.synapses import Synapse
from nengo.transforms import Dense, Transform

from .kernels import Shape


@dataclass(frozen=True)
class Place:
    """A node of a graph and what its part depends on.

    Attributes
    ----------
    name : str
    node : nir.NIRNode
    shape_in, shape_out : tuple of int
    dt : float
        Length of a step in seconds.
    method : str
        "exact" or "euler".
    """

    name: str
    node: Any
    shape_in: Shape
    shape_out: Shape
    dt: float
    method: str

    @property
    def size(self) -> int:
        """Number of values that come out."""
        return int(np.prod(self.shape_out))

    def values(self, parameter: str) -> np.ndarray:
        """Return a parameter of the node with one value per element, flat.

        Raises
        ------
        BuildError
            If it has another number of values.
        """
        given = np.asarray(getattr(self.node, parameter), np.float64)
        if given.size == 1:
            return np.full(self.size, given.item())
        if given.size != self.size:
            raise BuildError(
                f"Node {self.name!r} has {given.size} values of {parameter} for "
                f"{self.size} elements. Give one for each, or one for all."
            )
        return given.ravel()


@dataclass(frozen=True)
class Wire:
    """How what comes before is connected to a part.

    Attributes
    ----------
    elements : ndarray of int or None
        Elements of both ends that it connects; None for all.
    transform : Transform or None
    synapse : Synapse or None
    """

    elements: np.ndarray | None = None
    transform: Transform | None = None
    synapse: Synapse | None = None


@dataclass(frozen=True)
class Part:
    """A node of a graph in nengo.

    Attributes
    ----------
    target : Node or Neurons
        Gets what comes before, and shows the output.
    wires : tuple of Wire
    holds : bool
        Whether it shows its value before the step.
    """

    target: nengo.Node | Neurons
    wires: tuple[Wire, ...] = (Wire(),)
    holds: bool = False


def passthrough(place: Place) -> nengo.Node:
    """Make a node that shows the sum of what is connected to it."""
    return nengo.Node(size_in=place.size, label=place.name)


def add_constant(
    part: Part, values: np.ndarray, synapse: Synapse | None = None
) -> None:
    """Connect constants to a part, unless they are all zero."""
    if values.any():
        constant = nengo.Node(values, label=f"constant of {part.target.label}")
        nengo.Connection(constant, part.target, synapse=synapse)


def scaling(factors: np.ndarray) -> Transform | None:
    """Return a transform that multiplies each element; None for factors of 1."""
    if np.all(factors == 1):
        return None
    return Dense((len(factors), len(factors)), init=factors)


def check_positive(place: Place, *names: str) -> None:
    """Check time constants."""
    for name in names:
        values = place.values(name)
        if not np.all(values > 0):
            raise BuildError(
                f"Node {place.name!r} has the time constant {name} = {values.min()} s. "
                "Time constants have to be positive."
            )
