"""Read the parameter files of NengoDL.

Such an ``.npz`` file holds arrays by position, ``arr_0``, ``arr_1`` and so on, without
names: those of trainable parameters, then those of others, then perhaps the state. Each
array joins, along its first axis, all parameters of one kind that agree in the other
axes, in an order that only the program knew that wrote the file. So what an array holds
follows from its shape only if a network has one trainable parameter, or one that is not
trained, of that shape. For instance biases of several ensembles lie in one array, and
have to be pointed out with ``order``.

What was learned online has a batch axis in such files, and is not read; neither is the
state.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from nengo.exceptions import SimulationError, ValidationError

from .assign import assign, present_values
from .live import Live
from .names import Entry, entries_of

Arrays = dict[str, np.ndarray]
Axes = tuple[int, ...]


def load_nengodl(
    live: Live,
    path: str | os.PathLike[str],
    *,
    order: Mapping[str, Sequence[str]] | None = None,
    partial: bool = False,
) -> list[str]:
    """Load parameters from an ``.npz`` file of NengoDL.

    Everything is checked before anything changes.

    Parameters
    ----------
    live : Live
    path : path
    order : mapping of str to sequence of str, or None
        For arrays that need it, the names of the parameters that they hold, in the
        order of their rows, as in ``{"arr_1": ["a/bias", "b/bias"]}``.
    partial : bool
        Whether to load what can be told, and to leave alone what cannot.

    Returns
    -------
    list of str
        Names of the parameters that were loaded.

    Raises
    ------
    SimulationError
        If it cannot be told what all arrays hold. The message names the arrays and the
        parameters that are left.
    ValidationError
        If the file has other arrays than those of NengoDL, or ``order`` does not fit.
    """
    arrays = _read(Path(path))
    entries = {n: e for n, e in entries_of(live.model).items() if e.signal is not None}
    given = dict(order or {})
    held = _check_order(given, arrays, entries) | _tell(
        {name: value for name, value in arrays.items() if name not in given},
        [e for e in entries.values() if not any(e.name in n for n in given.values())],
    )
    assigned = {name for names in held.values() for name in names}
    if not partial:
        left = {name: v for name, v in arrays.items() if name not in held}
        open_entries = [e for name, e in entries.items() if name not in assigned]
        _check_complete(path, left, open_entries)
    present = present_values(live, entries)
    values = {}
    for array, names in held.items():
        stops = np.cumsum([_rows(entries[name]) for name in names])[:-1]
        for name, rows in zip(names, np.split(arrays[array], stops), strict=True):
            now = present[name]
            value = rows.reshape(entries[name].shape).astype(now.dtype)
            values[name] = np.broadcast_to(value, now.shape)
    assign(live, entries, values)
    return list(values)


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.atleast_1d(file[name]) for name in file.files}
    except (ValueError, OSError, AttributeError, TypeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        message = f"{path} is not an .npz file of arrays: {error}"
        raise ValidationError(message, attr="path") from error
    expected = [f"arr_{number}" for number in range(len(arrays))]
    if set(expected) != set(arrays):
        raise ValidationError(
            f"{path} has arrays {', '.join(sorted(arrays))}, but a file of NengoDL has "
            "arr_0, arr_1 and so on.",
            attr="path",
        )
    return {name: arrays[name] for name in expected}


def _check_order(
    order: Mapping[str, Sequence[str]], arrays: Arrays, entries: Mapping[str, Entry]
) -> dict[str, list[str]]:
    """Check what a user says of arrays."""
    for array, names in order.items():
        if array not in arrays:
            raise ValidationError(f"The file has no array {array!r}", attr="order")
        unknown = [name for name in names if name not in entries]
        if unknown:
            raise ValidationError(
                f"The network has no parameters {', '.join(unknown)}. It has: "
                f"{', '.join(entries)}.",
                attr="order",
            )
        members = [entries[name] for name in names]
        shapes = {_axes(member)[1:] for member in members}
        rows = sum(map(_rows, members))
        expected = {(rows, *axes) for axes in shapes}
        if expected != {arrays[array].shape}:
            raise ValidationError(
                f"{array} has shape {arrays[array].shape}, but {_list(members)} have "
                f"{rows} rows together",
                attr="order",
            )
    return {array: list(names) for array, names in order.items()}


def _tell(arrays: Arrays, entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Find out what arrays hold, where only one answer is possible."""
    blocks: dict[Axes, list[str]] = defaultdict(list)
    for name, value in arrays.items():
        blocks[value.shape[1:]].append(name)
    held = {}
    for axes, names in blocks.items():
        here = [entry for entry in entries if _axes(entry)[1:] == axes]
        held |= _by_shape(names, arrays, here) or _by_position(names, arrays, here)
    return held


def _by_shape(
    names: Sequence[str], arrays: Arrays, entries: Sequence[Entry]
) -> dict[str, list[str]]:
    """One parameter for each array, if all shapes differ and agree."""
    by_rows = {_rows(entry): entry.name for entry in entries}
    rows = {len(arrays[name]): name for name in names}
    different = len(by_rows) == len(entries) and len(rows) == len(names)
    if not different or by_rows.keys() != rows.keys():
        return {}
    return {rows[count]: [name] for count, name in by_rows.items()}


def _by_position(
    names: Sequence[str], arrays: Arrays, entries: Sequence[Entry]
) -> dict[str, list[str]]:
    """The first array holds what is trained, if anything is, and the next the rest."""
    held = {}
    waiting = list(names)
    for trainable in (True, False):
        members = [entry for entry in entries if entry.trainable is trainable]
        if not members or not waiting:
            continue
        unique = len(members) == 1 and (trainable or len(waiting) == 1)
        if unique and len(arrays[waiting[0]]) == _rows(members[0]):
            held[waiting[0]] = [members[0].name]
        waiting = waiting[1:]
    return held


def _check_complete(path: object, arrays: Arrays, entries: Sequence[Entry]) -> None:
    if not arrays and not entries:
        return
    shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
    raise SimulationError(
        f"{path} cannot be matched with the network; nothing was changed. NengoDL "
        "writes arrays without names, several parameters in one. Arrays of which it "
        f"cannot be told what they hold: {shapes or 'none'}. Parameters without an "
        f"array: {_list(entries) or 'none'}. Say what arrays hold, in the order of "
        'rows, with order={"arr_0": [names]}, or load the rest with partial=True.'
    )


def _list(entries: Sequence[Entry]) -> str:
    return ", ".join(f"{entry.name} {entry.shape}" for entry in entries)


def _axes(entry: Entry) -> Axes:
    """Shape of a parameter; a single number is a row of one."""
    return entry.shape or (1,)


def _rows(entry: Entry) -> int:
    return _axes(entry)[0]
