"""Reads examples from an ``.npz`` file: inputs ``x`` and, if there, labels ``y``."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CommandError

INPUTS, LABELS = "x", "y"


@dataclass(frozen=True)
class Examples:
    """Inputs and labels.

    Attributes
    ----------
    inputs : ndarray, or dict of str to ndarray
    labels : ndarray or None
    """

    inputs: Any
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(next(iter(self.arrays().values())))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the inputs by name."""
        return self.inputs if isinstance(self.inputs, dict) else {INPUTS: self.inputs}

    def part(self, start: int, stop: int | None = None) -> Examples:
        """Return some of the examples, in order."""
        chosen = {name: array[start:stop] for name, array in self.arrays().items()}
        inputs = chosen if isinstance(self.inputs, dict) else chosen[INPUTS]
        return Examples(
            inputs, None if self.labels is None else self.labels[start:stop]
        )


def read_examples(path: Path, names: list[str]) -> Examples:
    """Read examples.

    Parameters
    ----------
    path : Path
    names : list of str
        Of the inputs of the model.

    Raises
    ------
    CommandError
        If there is no such file, it is no ``.npz`` file, or arrays are missing.
    """
    if not path.is_file():
        raise CommandError(f"{path}: there is no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise CommandError(f"{path} is a single array; {_ADVICE}")
        with loaded as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CommandError(
            f"{path} is no .npz file of arrays of numbers; {_ADVICE}"
        ) from error
    labels = arrays.pop(LABELS, None) if LABELS not in names else None
    wanted = names if len(names) > 1 else [INPUTS]
    if len(names) == 1 and INPUTS not in arrays and names[0] in arrays:
        wanted = names
    missing = [name for name in wanted if name not in arrays]
    if missing:
        found = ", ".join(sorted(arrays)) or "none"
        raise CommandError(
            f"{path} has no array {', '.join(missing)} for the inputs (found: "
            f"{found}); {_ADVICE}"
        )
    chosen = {name: arrays[name] for name in wanted}
    _check_counts(path, chosen, labels)
    return Examples(chosen if len(wanted) > 1 else chosen[wanted[0]], labels)


_ADVICE = f"save the examples as numpy.savez(path, {INPUTS}=inputs, {LABELS}=labels)"


def _check_counts(
    path: Path, chosen: dict[str, np.ndarray], labels: np.ndarray | None
) -> None:
    counted = chosen if labels is None else {**chosen, LABELS: labels}
    flat = [name for name, array in counted.items() if array.ndim == 0]
    if flat:
        raise CommandError(
            f"{path}: {flat[0]} is a single number, not an array of examples"
        )
    counts = {name: len(array) for name, array in counted.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise CommandError(f"{path}: arrays differ in the number of examples: {listed}")
    if not next(iter(counts.values())):
        raise CommandError(f"{path} has no examples")
