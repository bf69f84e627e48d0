"""Windows of a recording, as examples to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import keras
import numpy as np
from nengo.exceptions import ValidationError

Batch = tuple[dict[Any, np.ndarray], ...]


class Windows(keras.utils.PyDataset):
    """Batches of windows, read from disk when they are needed.

    Made by :meth:`Playback.windows`.

    Parameters
    ----------
    parts : sequence of mapping to h5py.Dataset
        Inputs, then targets if there are any. Time is the first axis of a dataset, and
        a batch the second one if ``examples`` is given.
    starts : ndarray of int, shape (windows,)
        Rows at which windows begin.
    n_steps : int
        Rows of a window.
    batch_size : int
        The last batch may be smaller.
    examples : int or None
        Length of the batch axis of the datasets; each example gives windows of its own.
    rng : numpy.random.Generator or None
        Draws the order of the windows in each epoch. None: as recorded.
    """

    def __init__(
        self,
        parts: Sequence[Mapping[Any, h5py.Dataset]],
        starts: np.ndarray,
        n_steps: int,
        batch_size: int,
        examples: int | None = None,
        rng: np.random.Generator | None = None,
    ):
        super().__init__()
        check_count(batch_size, "batch_size")
        self._parts = parts
        self._n_steps = n_steps
        self._batch_size = batch_size
        self._rng = rng
        self._places = [
            (slice(start, start + n_steps), *example)
            for start in starts.tolist()
            for example in (
                [()] if examples is None else [(k,) for k in range(examples)]
            )
        ]
        self._order = np.arange(len(self._places))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._places) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        first = index * self._batch_size
        return self._read(self._order[first : first + self._batch_size])

    def on_epoch_end(self) -> None:
        """Draw another order."""
        if self._rng is not None:
            self._order = self._rng.permutation(len(self._places))

    def arrays(self) -> Batch:
        """Return all windows at once, in the order in which they were recorded.

        Returns
        -------
        tuple of dict to ndarray, shape (windows, n_steps, size)
            Inputs, and targets if there are any.
        """
        return self._read(np.arange(len(self._places)))

    def _read(self, numbers: np.ndarray) -> Batch:
        return tuple(
            {
                key: np.stack([dataset[self._places[number]] for number in numbers])
                for key, dataset in part.items()
            }
            for part in self._parts
        )


def window_starts(steps: np.ndarray, n_steps: int, every: int) -> np.ndarray:
    """Say where windows begin, so that each consists of steps in a row.

    Parameters
    ----------
    steps : ndarray of int, shape (rows,)
        Numbers of the steps.
    n_steps : int
        Length of a window.
    every : int
        Rows from the beginning of a window to that of the next.

    Returns
    -------
    ndarray of int, shape (windows,)

    Raises
    ------
    ValidationError
        If there is no window of this length.
    """
    check_count(n_steps, "n_steps")
    check_count(every, "every")
    ends = np.flatnonzero(np.diff(steps) != 1) + 1
    pieces = list(zip([0, *ends], [*ends, len(steps)], strict=True))
    starts = [np.arange(first, last - n_steps + 1, every) for first, last in pieces]
    found = np.concatenate(starts)
    if found.size == 0:
        longest = max(last - first for first, last in pieces)
        raise ValidationError(
            f"There is no window of {n_steps} steps: the longest piece of the "
            f"recording without a gap or reset has {longest}",
            attr="n_steps",
        )
    return found


def check_count(value: Any, name: str) -> None:
    """Raise ValidationError unless there can be so many of something."""
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValidationError(
            f"Must be a positive whole number (got {value!r})", attr=name
        )
