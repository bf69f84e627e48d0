"""Read the parameter files of NengoDL.

Such an ``.npz`` file holds arrays by position, ``arr_0``, ``arr_1`` and so on, without
names: those of trainable parameters, first of the network, then of its Keras layers;
then in the same way those of others; then perhaps the state. Each array joins, along
its first axis, parameters that agree in the other axes, in an order that only the
program knew that wrote the file; ``matching.py`` finds it out, or has to be told.

What a file does not hold has to be the same in the network from the start: gains,
decoders of probes, and encoders of ensembles that nothing drives. What was learned
online has a batch axis in such files, and is not read; neither is the state.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from nengo import Probe
from nengo.builder import Model
from nengo.ensemble import Neurons
from nengo.exceptions import SimulationError, ValidationError

from ..compiler.parameters import BIAS
from .assign import assign, present_values
from .contents import absent, axes_of, rows_of, tell, unexplained
from .live import Live, initial_of
from .matching import distinct, resemblance
from .names import Entry, entries_of, network_of, probe_connections

Arrays = dict[str, np.ndarray]

_FEW_VALUES = 10  # so few say little of whether two values are alike
_UNLIKE = 4.0  # evidence that random values reach once in a hundred times
_LISTED = 12  # names in a message
_FEW_SHOWN = 4  # numbers in a message


def load_nengodl(
    live: Live,
    path: str | os.PathLike[str],
    *,
    order: Mapping[str, Sequence[str]] | None = None,
    partial: bool = False,
) -> list[str]:
    """Load parameters from an ``.npz`` file of NengoDL.

    The network has to be the one that was trained, with the same seed. Everything is
    checked before anything changes.

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

    Warns
    -----
    UserWarning
        If values told the order of an array; which it is. If biases are nothing like
        those that the network started with, so that gains differ probably. If
        something was learned online.
    """
    arrays = _read(Path(path))
    entries = {
        name: entry
        for name, entry in entries_of(live.model).items()
        if entry.signal is not None and not isinstance(entry.obj, Probe)
    }
    unused, online = absent(live.model, entries)
    held = _check_order(order or {}, arrays, entries)
    unnamed = entries.keys() - {name for names in held.values() for name in names}
    found, by_value = tell(
        {name: value for name, value in arrays.items() if name not in held},
        [e for n, e in entries.items() if n in unnamed - unused - online],
        [e for n, e in entries.items() if n in unnamed & unused],
    )
    held |= found
    assigned = {name for names in held.values() for name in names}
    if not partial:
        missing = entries.keys() - assigned - unused - online
        left = [entry for name, entry in entries.items() if name in missing]
        unknown = unexplained(arrays, held, left, [entries[name] for name in online])
        _check_complete(path, unknown, left, live.model)
    present = present_values(live, entries)
    values = {}
    for array, names in held.items():
        stops = np.cumsum([rows_of(entries[name]) for name in names])[:-1]
        for name, rows in zip(names, np.split(arrays[array], stops), strict=True):
            now = present[name]
            value = rows.reshape(entries[name].shape).astype(now.dtype)
            values[name] = np.broadcast_to(value, now.shape)
    _warn_of_order(path, {array: found[array] for array in by_value})
    _warn_of_online(path, sorted(online - assigned))
    _warn_of_seed(path, live.model, [entries[name] for name in assigned], values)
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
        shapes = {axes_of(member)[1:] for member in members}
        rows = sum(map(rows_of, members))
        expected = {(rows, *axes) for axes in shapes}
        if expected != {arrays[array].shape}:
            raise ValidationError(
                f"{array} has shape {arrays[array].shape}, but {_list(members)} have "
                f"{rows} rows together",
                attr="order",
            )
    return {array: list(names) for array, names in order.items()}


def _check_complete(
    path: object, arrays: Arrays, entries: Sequence[Entry], model: Model
) -> None:
    if not arrays and not entries:
        return
    unknown = ", ".join(_show(name, value) for name, value in arrays.items())
    left = ", ".join(_show(e.name, initial_of(e.signal)) for e in entries if e.signal)
    unseeded = [e.name for e in entries if not model.seeded.get(e.obj, True)]
    if unseeded:
        reason = (
            "The network has no seed, so it started with other values than NengoDL "
            f"had, and these say nothing of where {_some(unseeded)} lie."
        )
    else:
        reason = (
            "Neither do sizes and initial values tell beyond doubt: some are equal, or "
            "training changed them too much, or this is another network, or one with "
            "another seed, or other things are trained in it."
        )
    raise SimulationError(
        f"{path} cannot be matched with the network; nothing was changed. NengoDL "
        "writes arrays without names, several parameters in one. Arrays of which it "
        f"cannot be told what they hold: {unknown or 'none'}. Parameters without an "
        f"array: {left or 'none'}. {reason} Say what arrays hold, in the order of "
        'rows, with load_nengodl(path, order={"arr_0": [names]}), or load the rest '
        "with partial=True."
    )


def _show(name: str, value: np.ndarray) -> str:
    """Name and shape, and what may help to recognize a value of few numbers."""
    few = (
        f" = {np.round(value.astype(float), 4).tolist()}"
        if value.size <= _FEW_SHOWN
        else ""
    )
    return f"{name} {value.shape}{few}"


def _warn_of_order(path: object, held: Mapping[str, Sequence[str]]) -> None:
    """Say what was assumed."""
    if held:
        found = "; ".join(f"{array}: {_some(names)}" for array, names in held.items())
        warnings.warn(
            f"{path} does not say in which order some arrays hold their parameters. "
            "They were recognized by their likeness to the initial values of the "
            f"network: {found}.",
            stacklevel=4,
        )


def _warn_of_online(path: object, names: Sequence[str]) -> None:
    """Say what is not read."""
    if names:
        warnings.warn(
            f"Online rules change {_some(names)}; these are not read from {path}.",
            stacklevel=4,
        )


def _warn_of_seed(
    path: object, model: Model, entries: Sequence[Entry], values: Arrays
) -> None:
    """Say so if what a file does not hold is probably different."""
    network = network_of(model)
    driven = any(isinstance(c.post_obj, Neurons) for c in network.all_connections)
    if not driven and not probe_connections(model):
        return
    likeness = [
        resemblance(values[entry.name], initial_of(entry.signal))
        for entry in entries
        if entry.attribute == BIAS and entry.signal is not None
        if distinct(initial_of(entry.signal)) >= _FEW_VALUES
    ]
    if likeness and max(likeness) < _UNLIKE:
        warnings.warn(
            f"The biases in {path} are nothing like those that the network started "
            "with. If it has another seed than the one that was trained, its gains and "
            "the decoders of its probes, which the file does not hold, differ too, and "
            "so do the results.",
            stacklevel=4,
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    listed = ", ".join(names[:_LISTED])
    return f"{listed} and {more} more" if more > 0 else listed


def _list(entries: Sequence[Entry]) -> str:
    return ", ".join(f"{entry.name} {entry.shape}" for entry in entries)
