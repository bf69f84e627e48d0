"""A graph while it is written: nodes, edges, and what is still to be worked in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import nir
import numpy as np

from .graph import Edge
from .kernels import Shape


class Draft:
    """A graph that grows.

    Attributes
    ----------
    nodes : dict of str to nir.NIRNode
    edges : list of (str, str)
    biases : dict of str to ndarray
        What is added to the inputs of a node, in its shape.
    relays : set of str
        Nodes that hand on what they get.
    made : set of str
        Nodes that stand for a connection and have no name of their own.
    steps : set of str
        Delays by one step that the order of computation may bring about by itself.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[Edge] = []
        self.biases: dict[str, np.ndarray] = {}
        self.relays: set[str] = set()
        self.made: set[str] = set()
        self.steps: set[str] = set()

    def unique(self, wanted: str | None, otherwise: str) -> str:
        """Return a name that is not taken. "/" means folders in files of NIR."""
        base = (wanted or otherwise).replace("/", "_").strip() or otherwise
        name, number = base, 2
        while name in self.nodes:
            name, number = f"{base}_{number}", number + 1
        return name

    def add(self, name: str, node: nir.NIRNode) -> str:
        """Add a node under a name that is not taken, and return its name."""
        name = self.unique(name, type(node).__name__.lower())
        self.nodes[name] = node
        return name

    def relay(self, name: str, shape: Shape) -> str:
        """Add a node that hands on what it gets."""
        name = self.add(name, nir.Scale(np.ones(shape)))
        self.relays.add(name)
        return name

    def connect(self, source: str, target: str) -> None:
        """Add an edge. Where there is one, add another way."""
        if (source, target) in self.edges:
            shape = tuple(np.asarray(self.nodes[target].input_type["input"]).tolist())
            again = self.add(f"{source}_again", nir.Scale(np.ones(shape)))
            self.edges.append((source, again))
            source = again
        self.edges.append((source, target))

    def chain(self, names: Iterable[str]) -> None:
        """Connect nodes one after the other."""
        for source, target in pairwise(names):
            self.connect(source, target)

    def before(self, name: str) -> list[str]:
        """Return the nodes with an edge to this one."""
        return [a for a, b in self.edges if b == name]

    def after(self, name: str) -> list[str]:
        """Return the nodes with an edge from this one."""
        return [b for a, b in self.edges if a == name]

    def is_chain(self, source: str, target: str) -> bool:
        """Whether all of one node's output goes to another, which gets nothing else."""
        return self.after(source) == [target] and self.before(target) == [source]

    def remove(self, name: str) -> None:
        """Remove a node and its edges."""
        del self.nodes[name]
        self.edges = [edge for edge in self.edges if name not in edge]
        for names in (self.relays, self.made, self.steps):
            names.discard(name)

    def rename(self, old: str, new: str) -> None:
        """Give a node another name, which is not taken."""
        self.nodes[new] = self.nodes.pop(old)
        self.edges = [
            (new if a == old else a, new if b == old else b) for a, b in self.edges
        ]
        for names in (self.relays, self.made, self.steps):
            if old in names:
                names.remove(old)
                names.add(new)

    def bypass(self, name: str) -> bool:
        """Connect the nodes before and after one, if no edge is there twice then."""
        befores, afters = self.before(name), self.after(name)
        new = {(a, b) for a in befores for b in afters}
        if new & set(self.edges) or name in befores:
            return False
        self.edges = spliced(self.edges, name)
        self.remove(name)
        return True


def spliced(edges: Sequence[Edge], name: str) -> list[Edge]:
    """Return edges from the nodes before one to those after it, and all others.

    They take the places of those before, so the order stays.
    """
    afters = [b for a, b in edges if a == name]
    result: list[Edge] = []
    for a, b in edges:
        if b == name:
            result += [(a, after) for after in afters]
        elif a != name:
            result.append((a, b))
    return result
