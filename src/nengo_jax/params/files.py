"""Save the parameters of a simulation to a file, and load them.

A file holds, under the names of ``names.py``:

* parameters: scaled encoders (under ``encoders``, as everywhere), biases, weights and
  decoders with what online rules have learned, and gains;
* coordinates of sparse weights, and constants of neuron types, to compare with;
* if wanted, the state, so that a simulation goes on exactly. Random streams of
  processes that run as Python (``WhiteNoise`` and the like) are not part of it: they go
  on from where they are in the simulator that loads the file.
* if wanted, arrays of others, as those of an optimizer.

What examples of a batch have learned differently has a batch axis in the file. It
fits a network with the same ``minibatch_size``; ``example`` takes one out, when saving
or when loading.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..compiler.parameters import WEIGHTS
from ..families.products import sparse_coordinates
from . import store
from .assign import (
    Differences,
    assign,
    fixed_gains,
    match,
    present_values,
    rescale,
)
from .live import Live, pick_example
from .names import Entry, constants_of, entries_of, states_of
from .nengodl import load_nengodl

N_STEPS = "n_steps"
COORDINATES = "coordinates"
_SAME = 1e-6  # relative difference of constants that were only rounded

Arrays = dict[str, np.ndarray]


def save_params(
    live: Live,
    path: store.FilePath,
    *,
    include_state: bool = False,
    example: int | None = None,
    extra: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Save parameters to a safetensors file, completely or not at all.

    Parameters
    ----------
    live : Live
    path : path
        Without a suffix, ``.safetensors`` is appended.
    include_state : bool
        Whether to save the state as well, for all examples of a batch.
    example : int or None
        Which example of a batch to take the learned weights from. None: all, if they
        differ.
    extra : mapping of str to ndarray, or None
        More arrays, that ``load_params`` returns.

    Returns
    -------
    Path
        Where they were saved.

    Raises
    ------
    ValidationError
        If the simulator was made from a model without a network, or there is no such
        example.
    """
    entries = entries_of(live.model)
    arrays = {
        name: _saved_value(value, entries[name], example)
        for name, value in present_values(live, entries).items()
    }
    constants = constants_of(live.model) | _coordinates(entries)
    arrays |= store.with_prefix(constants, store.CONSTANTS)
    if include_state:
        arrays |= store.with_prefix(_state(live), store.STATE)
    given = {name: np.asarray(value) for name, value in (extra or {}).items()}
    arrays |= store.with_prefix(given, store.EXTRA)
    return store.write(path, arrays)


def load_params(
    live: Live,
    path: store.FilePath,
    *,
    include_state: bool = False,
    partial: bool = False,
    keep_gain: bool = False,
    example: int | None = None,
) -> Arrays:
    """Load parameters from a file of ``save_params``, or an ``.npz`` of NengoDL.

    Everything is checked before anything changes. Floating-point types may differ.

    Parameters
    ----------
    live : Live
    path : path
        Without a suffix, ``.safetensors`` is appended.
    include_state : bool
        Whether to load the state as well.
    partial : bool
        Whether to load what fits and to leave alone what does not.
    keep_gain : bool
        Keep the gains of the network, and scale encoders and biases by the ratio of its
        gains to those of the file. For networks that differ in their gains on purpose.
    example : int or None
        Which example to take of what has a batch axis in the file.

    Returns
    -------
    dict of str to ndarray
        What was given to ``save_params`` as ``extra``.

    Raises
    ------
    SimulationError
        If the file does not fit the network. The message names all that is missing, not
        in the network, or of another shape.
    ValidationError
        If the file was not written by ``save_params``.

    Warns
    -----
    UserWarning
        If the neurons have other constants than those of the file.
    """
    if Path(path).suffix == ".npz":
        load_nengodl(live, path, partial=partial)
        return {}
    arrays = store.read(path)
    entries = entries_of(live.model)
    found = {
        name: _loaded_value(value, entries.get(name), example)
        for name, value in store.part(arrays, "").items()
    }
    shapes = {name: entry.shape for name, entry in entries.items()}
    values, differences = match(found, present_values(live, entries), shapes)
    constants = store.part(arrays, store.CONSTANTS)
    differences.misshapen.extend(_moved(constants, entries, values))
    if keep_gain:
        values = rescale(live, entries, values, values)
    else:
        differences.fixed.extend(fixed_gains(live, entries, values))
        values = {n: v for n, v in values.items() if n not in differences.fixed}
    states = {}
    if include_state:
        states, others = match(store.part(arrays, store.STATE), _state(live), {})
        joined = (a + b for a, b in zip(differences, others, strict=True))
        differences = Differences(*joined)
    if not partial:
        differences.check(path)
    if not keep_gain:
        _compare_constants(live, constants, path)
    assign(live, entries, values)
    _assign_state(live, states)
    return store.part(arrays, store.EXTRA)


def read_extra(path: store.FilePath) -> Arrays:
    """Return what was given to ``save_params`` as ``extra``."""
    if Path(path).suffix == ".npz":
        return {}
    return store.part(store.read(path), store.EXTRA)


def _saved_value(value: np.ndarray, entry: Entry, example: int | None) -> np.ndarray:
    """A value without its batch axis, if one example can stand for all."""
    if value.ndim == len(entry.shape):
        return value
    if example is not None or all(np.array_equal(value[0], v) for v in value[1:]):
        return pick_example(value, example, entry.name)
    return value


def _loaded_value(
    value: np.ndarray, entry: Entry | None, example: int | None
) -> np.ndarray:
    batched = entry is not None and value.ndim == len(entry.shape) + 1
    if entry is None or example is None or not batched:
        return value
    return pick_example(value, example, entry.name)


def _coordinates(entries: Mapping[str, Entry]) -> Arrays:
    """Row and column of each stored element of sparse weights."""
    return {
        f"{name.removesuffix(WEIGHTS)}{COORDINATES}": np.stack(
            sparse_coordinates(entry.signal), axis=1
        )
        for name, entry in entries.items()
        if entry.signal is not None and entry.signal.sparse
    }


def _moved(
    constants: Mapping[str, np.ndarray], entries: Mapping[str, Entry], values: Arrays
) -> list[str]:
    """Describe sparse weights whose coordinates differ, and take them out of values."""
    moved = []
    for name, here in _coordinates(entries).items():
        weights = f"{name.removesuffix(COORDINATES)}{WEIGHTS}"
        if weights in values and not np.array_equal(here, constants.get(name, here)):
            del values[weights]
            moved.append(f"{weights} (its elements lie elsewhere in the matrix)")
    return moved


def _compare_constants(
    live: Live, constants: Mapping[str, np.ndarray], path: store.FilePath
) -> None:
    differ = [
        f"{name} ({constants[name]} in the file, {here} here)"
        for name, here in constants_of(live.model).items()
        if name in constants
        and not np.allclose(constants[name], here, rtol=_SAME, atol=0, equal_nan=True)
    ]
    if differ:
        warnings.warn(
            f"{path} was saved with other neurons, so the network may behave "
            f"differently: {', '.join(differ)}. If gains and amplitudes were scaled on "
            "purpose, load with keep_gain=True.",
            stacklevel=4,
        )


def _state(live: Live) -> Arrays:
    states = states_of(live.model, live.signals)
    found = {name: np.array(live.signals.peek(s)) for name, s in states.items()}
    return found | {N_STEPS: np.array(live.signals.peek(live.model.step), np.int64)}


def _assign_state(live: Live, values: Mapping[str, np.ndarray]) -> None:
    signals = states_of(live.model, live.signals) | {N_STEPS: live.model.step}
    live.signals.assign({signals[name]: value for name, value in values.items()})
