"""A draft becomes the graph that one would have written: in steps, each a function.

Biases go into the nodes where they belong; what no output depends on is dropped; what
nothing drives gets zeros from an input; nodes that only hand on values, and chains of
matrices and factors, become one; gains of neurons become part of the weights.
"""

from __future__ import annotations

import nir
import numpy as np
from nengo.exceptions import BuildError

from .draft import Draft
from .merge import merge
from .plain import fold_gains
from .steps import drop_steps


def simplify(draft: Draft, compose: bool) -> None:
    """Simplify a draft, in place.

    Parameters
    ----------
    draft : Draft
    compose : bool
        Whether matrices in a row are multiplied.
    """
    prune(draft)
    place_biases(draft)
    drive(draft)
    dissolve(draft)
    merge(draft, compose)
    if compose:
        fold_gains(draft)
    drop_steps(draft)


def prune(draft: Draft) -> None:
    """Drop all that no output depends on."""
    alive: set[str] = set()
    found = [name for name, node in draft.nodes.items() if type(node) is nir.Output]
    before: dict[str, list[str]] = {}
    for a, b in draft.edges:
        before.setdefault(b, []).append(a)
    while found:
        name = found.pop()
        if name not in alive:
            alive.add(name)
            found += before.get(name, [])
    for name in set(draft.nodes) - alive:
        draft.remove(name)
        draft.biases.pop(name, None)


def place_biases(draft: Draft) -> None:
    """Work constants into the nodes that they lead to, or into those before."""
    for name, bias in draft.biases.items():
        node = draft.nodes[name]
        if type(node) in (nir.LIF, nir.LI):
            node.v_leak = node.v_leak + node.r * bias
        elif type(node) in (nir.Linear, nir.Affine):
            _offset(draft, name, node.weight @ bias)
        else:
            _place_before(draft, name, bias)
    draft.biases.clear()


def _place_before(draft: Draft, name: str, bias: np.ndarray) -> None:
    befores = draft.before(name)
    if len(befores) == 1 and draft.is_chain(befores[0], name):
        node = draft.nodes[befores[0]]
        if isinstance(node, nir.Linear | nir.Affine):
            return _offset(draft, befores[0], bias)
        each = bias.reshape(len(bias), -1)
        if isinstance(node, nir.Conv1d | nir.Conv2d) and np.all(each == each[:, :1]):
            node.bias = node.bias + each[:, 0]
            return None
    if bias.ndim > 1:
        raise BuildError(
            f"Different constants are added to the elements of the image {name!r}. NIR "
            "adds one constant to each channel of a convolution, or one to each "
            "element of a vector. Connect the constant node to the result of a Dense "
            "or Sparse transform."
        )
    affine = nir.Affine(np.eye(len(bias)), bias)
    inserted = draft.add(f"{name}_bias", affine)
    draft.edges = [(a, inserted if b == name else b) for a, b in draft.edges]
    draft.edges.append((inserted, name))
    return None


def _offset(draft: Draft, name: str, bias: np.ndarray) -> None:
    node = draft.nodes[name]
    old = node.bias if type(node) is nir.Affine else 0
    draft.nodes[name] = nir.Affine(node.weight, old + bias)


def drive(draft: Draft) -> None:
    """Connect what nothing is connected to with an input, by weights of zero.

    In NIR only inputs may have nothing before them.
    """
    driven = {b for _, b in draft.edges}
    roots = [
        name
        for name, node in draft.nodes.items()
        if name not in driven and type(node) is not nir.Input
    ]
    if not roots:
        return
    inputs = [name for name, node in draft.nodes.items() if type(node) is nir.Input]
    if not inputs:
        raise BuildError(
            "No input leads to any of the outputs, and a NIR graph needs one. Add a "
            "nengo.Node that is connected to the network; its weights may be zero."
        )
    source = inputs[0]
    shape = tuple(np.asarray(draft.nodes[source].output_type["output"]).tolist())
    if len(shape) > 1:
        flat = draft.add(f"{source}_flat", nir.Flatten({"input": np.array(shape)}, 0))
        draft.connect(source, flat)
        source = flat
    for name in roots:
        taken = np.asarray(draft.nodes[name].input_type["input"])
        if len(taken) != 1:
            raise BuildError(
                f"Nothing is connected to the image {name!r}. Connect an input to it; "
                "the weights may be zero."
            )
        zeros = nir.Linear(np.zeros((taken[0], int(np.prod(shape)))))
        draft.chain([source, draft.add(f"{name}_zero", zeros), name])


def dissolve(draft: Draft) -> None:
    """Drop the nodes that only hand on what they get, where that changes nothing."""
    for name in sorted(draft.relays):
        befores, afters = draft.before(name), draft.after(name)
        if len(befores) * len(afters) > len(befores) + len(afters):
            continue  # there would be more edges than now
        namesake = _namesake(draft, befores, afters)
        if draft.bypass(name) and namesake is not None:
            draft.rename(namesake, name)
            draft.made.discard(name)


def _namesake(draft: Draft, befores: list[str], afters: list[str]) -> str | None:
    """Return the neighbour that can take the name of a node, as it has none itself."""
    if len(befores) == 1 and befores[0] in draft.made:
        return befores[0]
    if len(afters) == 1 and afters[0] in draft.made:
        return afters[0] if type(draft.nodes[afters[0]]) is nir.Flatten else None
    return None
