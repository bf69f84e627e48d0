"""Two nodes of a draft that follow each other become one, where NIR has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from .draft import Draft


def _compose(first: Any, second: Any) -> nir.NIRNode:
    weight = second.weight @ first.weight
    bias = 0
    if type(first) is nir.Affine:
        bias = second.weight @ first.bias
    if type(second) is nir.Affine:
        bias = bias + second.bias
    if np.ndim(bias) == 0:
        return nir.Linear(weight)
    return nir.Affine(weight, bias)


def _scale_after(first: Any, second: nir.Scale) -> nir.NIRNode:
    weight = second.scale[:, None] * first.weight
    if type(first) is nir.Affine:
        return nir.Affine(weight, second.scale * first.bias)
    return nir.Linear(weight)


def _scale_before(first: nir.Scale, second: Any) -> nir.NIRNode:
    weight = second.weight * first.scale
    if type(second) is nir.Affine:
        return nir.Affine(weight, second.bias)
    return nir.Linear(weight)


def _scale_resistance(first: nir.Scale, second: Any) -> nir.NIRNode:
    second.r = second.r * first.scale
    return second


_MATRICES = (nir.Linear, nir.Affine)
_RESISTORS = (nir.I, nir.LI, nir.CubaLI, nir.IF, nir.LIF, nir.CubaLIF)

_COMPOSITIONS: dict[tuple[type, type], Callable[[Any, Any], nir.NIRNode]] = {
    (first, second): _compose for first in _MATRICES for second in _MATRICES
}
_MERGERS: dict[tuple[type, type], Callable[[Any, Any], nir.NIRNode]] = {
    (first, nir.Scale): _scale_after for first in _MATRICES
} | {(nir.Scale, second): _scale_before for second in _MATRICES}
_INTO_RESISTANCE: dict[tuple[type, type], Callable[[Any, Any], nir.NIRNode]] = {
    (nir.Scale, second): _scale_resistance for second in _RESISTORS
}


def merge(draft: Draft, compose: bool) -> None:
    """Make one node of two that follow each other, where NIR has one."""
    for table in (_INTO_RESISTANCE, _MERGERS | (_COMPOSITIONS if compose else {})):
        _merge(draft, table)


def _merge(
    draft: Draft, table: dict[tuple[type, type], Callable[[Any, Any], nir.NIRNode]]
) -> None:
    again = True
    while again:
        again = False
        for first, second in list(draft.edges):
            if first not in draft.nodes or second not in draft.nodes:
                continue
            kinds = type(draft.nodes[first]), type(draft.nodes[second])
            if kinds not in table or not draft.is_chain(first, second):
                continue
            node = table[kinds](draft.nodes[first], draft.nodes[second])
            draft.nodes[second] = node
            named = first not in draft.made and second in draft.made
            draft.bypass(first)
            if named:
                draft.rename(second, first)
                draft.made.discard(first)
            again = True
