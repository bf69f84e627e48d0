"""Names of input nodes and probes, by which Keras knows inputs and outputs.

A name is the label, or ``node`` or ``probe`` where there is none, with characters that
Keras does not allow left out; a name that is taken gets a number: ``probe_1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nengo import Network, Node, Probe
from nengo.builder import Model
from nengo.exceptions import ValidationError

from .compiler import Compiled


def name_objects(
    network: Network, model: Model, compiled: Compiled
) -> dict[Node | Probe, str]:
    """Name the nodes that are fed from outside, then the probes, of a network."""
    fed = {source.signal for source in compiled.sources if source.signal is not None}
    inputs = [n for n in network.all_nodes if model.sig[n].get("out") in fed]
    objects = [*inputs, *network.all_probes]
    return dict(zip(objects, _unique(map(_clean, objects)), strict=True))


def _clean(obj: Any) -> str:
    name = obj.label or type(obj).__name__.lower()
    return re.sub(r"[^A-Za-z0-9_.\-]", "", re.sub(r"[ :/]", "_", name)) or "unnamed"


def _unique(names: Iterable[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        chosen, number = name, 0
        while chosen.lower() in taken:
            number += 1
            chosen = f"{name}_{number}"
        taken.add(chosen.lower())
        yield chosen


def by_name(
    values: Any, names: dict[Node | Probe, str], kind: type, argument: str
) -> dict[str, Any]:
    """Turn values for some objects into a dictionary by name.

    Parameters
    ----------
    values : dict, list, tuple or a single value
        A dictionary by object or name; a list in the order of the network; or a value
        for the first object.
    names : dict of Node or Probe to str
    kind : type
        Node or Probe.
    argument : str
        Name of the argument, for messages.

    Raises
    ------
    ValidationError
        If a key is no input node, or probe, of the network; or a list is too long.
    """
    known = {obj: name for obj, name in names.items() if isinstance(obj, kind)}
    if isinstance(values, (list, tuple)):
        if len(values) > len(known):
            raise ValidationError(
                f"{len(values)} values for {len(known)} objects: "
                f"{', '.join(known.values())}",
                attr=argument,
            )
        return dict(zip(known.values(), values, strict=False))
    if not isinstance(values, dict):
        if not known:
            raise ValidationError(
                f"The network has no {_KINDS[kind]} that this could belong to",
                attr=argument,
            )
        return {next(iter(known.values())): values}
    return {_name_of(key, known, kind, argument): v for key, v in values.items()}


_KINDS = {Node: "input node", Probe: "probe"}


def _name_of(key: Any, known: dict, kind: type, argument: str) -> str:
    if isinstance(key, str) and key in known.values():
        return key
    if not isinstance(key, str) and key in known:
        return known[key]
    raise ValidationError(
        f"{key!r} is no {_KINDS[kind]} of this network. There are: "
        f"{', '.join(known.values()) or 'none'}",
        attr=argument,
    )


def nodes_of(data: Any, names: dict[Node | Probe, str]) -> Any:
    """Turn data for input nodes, in any form, into a dictionary by node.

    Parameters
    ----------
    data : mapping, list, array or None
        As for :func:`by_name`. Objects that have no name are left in, to be refused by
        who knows more.
    names : dict of Node or Probe to str

    Returns
    -------
    mapping of Node to Any, or None

    Raises
    ------
    ValidationError
        If a name is unknown, or a list is too long.
    """
    if data is None:
        return None
    named, rest = data, {}
    if isinstance(data, Mapping):
        if not any(isinstance(key, str) for key in data):
            return data
        named = {key: value for key, value in data.items() if isinstance(key, str)}
        rest = {key: value for key, value in data.items() if key not in named}
    objects = {name: obj for obj, name in names.items()}
    found = by_name(named, names, Node, "data")
    return {**rest, **{objects[name]: value for name, value in found.items()}}
