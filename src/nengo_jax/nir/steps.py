"""Delays by one step that are not written, because they come about by themselves."""

from __future__ import annotations

import nir

from .cycles import back_edges
from .draft import Draft, spliced

_HOLDING = (nir.I, nir.LI, nir.CubaLI, nir.Delay)


def drop_steps(draft: Draft) -> None:
    """Drop delays by one step that come about by themselves.

    What closes a circle arrives one step later anyway, if it is the edge that
    :func:`~nengo_jax.nir.cycles.back_edges` finds.
    """
    wanted = set(draft.steps)
    while wanted:
        edges, made = draft.edges, {}
        for name in sorted(wanted):
            befores = [a for a, b in edges if b == name]
            afters = [b for a, b in edges if a == name]
            made[name] = {(a, b) for a in befores for b in afters}
            edges = spliced(edges, name)
        nodes = {n: node for n, node in draft.nodes.items() if n not in wanted}
        holds = {n for n, node in nodes.items() if type(node) in _HOLDING}
        found = back_edges(nodes, edges, holds)
        expected = set().union(*made.values())
        if found == expected and len(set(edges)) == len(edges):
            draft.edges = edges
            for name in wanted:
                draft.remove(name)
            return
        kept = {name for name in wanted if made[name] and made[name] <= found}
        wanted = kept if kept != wanted else set()
