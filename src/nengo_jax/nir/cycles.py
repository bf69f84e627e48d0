"""The edges that need a step of delay, so that no value depends on itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import nir

from .graph import Edge


def back_edges(
    nodes: Mapping[str, nir.NIRNode], edges: Iterable[Edge], holds: Collection[str]
) -> set[Edge]:
    """Return the edges that close a circle.

    These are the edges that a walk in depth from the inputs finds to lead back to a
    node on its own way. It takes the inputs, and then all other nodes, in the order of
    their names and the edges in their own order.

    Parameters
    ----------
    nodes : mapping of str to nir.NIRNode
    edges : iterable of (str, str)
    holds : collection of str
        Nodes that show their value before the step. Circles through them are none.
    """
    after: dict[str, list[str]] = {}
    for a, b in edges:
        if b not in holds:
            after.setdefault(a, []).append(b)
    starts = sorted(nodes, key=lambda name: (type(nodes[name]) is not nir.Input, name))
    found: set[Edge] = set()
    done: set[str] = set()
    for start in starts:
        if start in done:
            continue
        way, open_nodes = [(start, iter(after.get(start, ())))], {start}
        while way:
            name, rest = way[-1]
            following = next(rest, None)
            if following is None:
                way.pop()
                open_nodes.discard(name)
                done.add(name)
            elif following in open_nodes:
                found.add((name, following))
            elif following not in done:
                way.append((following, iter(after.get(following, ()))))
                open_nodes.add(following)
    return found
