"""What the arrays of NengoDL hold, of a given network.

A file begins with what is trained, first of the network itself, then of its Keras
layers; then comes in the same way what is not trained; then perhaps the state. Arrays
of these parts are told apart by their numbers of rows. ``matching.py`` does the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from nengo import Connection, Node
from nengo.builder import Model

from ..compiler.parameters import ENCODERS
from .assign import is_decoded
from .live import initial_of
from .matching import Member, arrange, contradicts
from .names import Entry, network_of

Arrays = Mapping[str, np.ndarray]
Axes = tuple[int, ...]
Part = tuple[list[str], list[Entry]]  # names of arrays, and what lies in them

# Whether it is trained, and whether it belongs to a Keras layer.
_PARTS = ((True, False), (True, True), (False, False), (False, True))


def absent(model: Model, entries: Mapping[str, Entry]) -> tuple[set[str], set[str]]:
    """Name what files may leave out, and what is not read.

    Returns
    -------
    unused : set of str
        Encoders of ensembles without input, which NengoDL drops.
    online : set of str
        What an online rule changes.
    """
    driven = {connection.post_obj for connection in network_of(model).all_connections}
    written = {
        signal.base
        for op in model.operators
        for signal in (*op.sets, *op.incs, *op.updates)
    }
    online = {n for n, e in entries.items() if e.signal and e.signal.base in written}
    unused = {
        name
        for name, entry in entries.items()
        if entry.attribute == ENCODERS and entry.obj not in driven
    }
    return unused, online


def tell(
    arrays: Arrays, needed: Sequence[Entry], unused: Sequence[Entry]
) -> tuple[dict[str, list[str]], list[str]]:
    """Find out what arrays hold.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    needed : sequence of Entry
        Parameters that a file always has.
    unused : sequence of Entry
        Those that it has only if NengoDL was told not to simplify.

    Returns
    -------
    held : dict of str to list of str
        Names of the parameters in the order of rows, by array.
    by_value : list of str
        Arrays of which values told it, not only sizes.
    """
    blocks: dict[Axes, list[str]] = defaultdict(list)
    for name, value in arrays.items():
        blocks[value.shape[1:]].append(name)
    held, by_value = {}, []
    for axes, names in blocks.items():
        here = [entry for entry in needed if axes_of(entry)[1:] == axes]
        parts = _divide(names, arrays, here)
        if sum(len(part) for part, _ in parts) < len(names) and not _has_state(arrays):
            extended = [*here, *(e for e in unused if axes_of(e)[1:] == axes)]
            with_unused = _divide(names, arrays, extended)
            parts = max(parts, with_unused, key=lambda p: sum(len(a) for a, _ in p))
        known, told = _tell_parts(arrays, parts)
        held |= known
        by_value += told
    return held, by_value


def _tell_parts(
    arrays: Arrays, parts: Sequence[Part]
) -> tuple[dict[str, list[str]], list[str]]:
    """The same for arrays that agree in all axes but the first."""
    held, by_value, everyone = {}, [], []
    for names, entries in parts:
        members = [_member(entry) for entry in entries]
        found, values_told = arrange({name: arrays[name] for name in names}, members)
        held |= found
        by_value += found if values_told else []
        everyone += members
    together = {name: arrays[name] for names, _ in parts for name in names}
    if len(parts) > 1 and contradicts(together, everyone, held):
        return {}, []  # what is trained is not what was trained in NengoDL
    return held, by_value


def _divide(
    names: Sequence[str], arrays: Arrays, entries: Sequence[Entry]
) -> list[Part]:
    """Tell apart arrays of what is trained and what is not, of network and layers.

    Stops where numbers of rows do not fit.
    """
    waiting = list(names)
    parts = []
    for trainable, layer in _PARTS:
        members = [
            entry
            for entry in entries
            if entry.trainable is trainable and isinstance(entry.obj, Node) is layer
        ]
        if not members:
            continue
        rows = np.cumsum([len(arrays[name]) for name in waiting])
        fitting = np.flatnonzero(rows == sum(map(rows_of, members)))
        if not len(fitting):
            break
        count = int(fitting[0]) + 1
        if layer and count != len(members):  # their variables are not joined
            break
        parts.append((waiting[:count], members))
        waiting = waiting[count:]
    return parts


def _member(entry: Entry) -> Member:
    signal = entry.signal
    initial = np.empty(0) if signal is None else initial_of(signal)
    decoded = isinstance(entry.obj, Connection) and is_decoded(entry.obj)
    source = entry.obj.pre_obj if decoded else None
    return Member(entry.name, np.atleast_1d(initial), source)


def _has_state(arrays: Arrays) -> bool:
    """Whether a file goes on with a state, of which the step is an integer."""
    return any(value.dtype.kind == "i" for value in arrays.values())


def unexplained(
    arrays: Arrays,
    held: Mapping[str, object],
    missing: Sequence[Entry],
    online: Sequence[Entry],
) -> dict[str, np.ndarray]:
    """Return arrays that are neither known, nor state, nor learned online.

    What may hold a parameter that is missing is no state.
    """
    names = list(arrays)
    last = max((names.index(name) for name in held), default=-1)
    wanted = {axes_of(entry)[1:] for entry in missing}
    left = {}
    for number, (name, value) in enumerate(arrays.items()):
        number_of_steps = value.dtype.kind == "i"
        after = number > last and value.shape[1:] not in wanted
        learned = any(
            value.ndim == len(entry.shape) + 1 and value.shape[2:] == entry.shape[1:]
            for entry in online
        )
        state = number_of_steps or (after and _has_state(arrays))
        if name not in held and not state and not learned:
            left[name] = value
    return left


def axes_of(entry: Entry) -> Axes:
    """Return the shape of a parameter; a single number is a row of one."""
    return entry.shape or (1,)


def rows_of(entry: Entry) -> int:
    """Return the number of rows of a parameter."""
    return axes_of(entry)[0]
