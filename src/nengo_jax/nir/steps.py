"""Delays by one step that are not written, because they come about by themselves."""

from __future__ import annotations

import nir

from .cycles import back_edges
from .draft import Draft
from .graph import Edge

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
            after, befores = _after(edges, name), _before(edges, name)
            made[name] = {(a, b) for a in befores for b in after}
            edges = _spliced(edges, name, after)
        inputs = sorted(n for n, v in draft.nodes.items() if type(v) is nir.Input)
        starts = [*inputs, *sorted(set(draft.nodes) - set(inputs) - wanted)]
        holds = {n for n, v in draft.nodes.items() if type(v) in _HOLDING} - wanted
        found = back_edges(starts, edges, holds)
        expected = set().union(*made.values())
        if found == expected and len(set(edges)) == len(edges):
            draft.edges = edges
            for name in wanted:
                draft.remove(name)
            return
        kept = {name for name in wanted if made[name] and made[name] <= found}
        wanted = kept if kept != wanted else set()


def _before(edges: list[Edge], name: str) -> list[str]:
    return [a for a, b in edges if b == name]


def _after(edges: list[Edge], name: str) -> list[str]:
    return [b for a, b in edges if a == name]


def _spliced(edges: list[Edge], name: str, after: list[str]) -> list[Edge]:
    result = []
    for a, b in edges:
        if b == name:
            result += [(a, target) for target in after]
        elif a != name:
            result.append((a, b))
    return result
