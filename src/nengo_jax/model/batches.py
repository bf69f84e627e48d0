"""Arrays cut into batches that JAX can use where they lie.

JAX copies an array from NumPy unless it begins at a multiple of 64 bytes, and for large
arrays the copy takes longer than reading the memory twice: the system has to provide it
anew each time. Here batches are gathered into memory that begins where JAX wants it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import keras
import numpy as np
from nengo.exceptions import ValidationError

Arrays = Mapping[str, np.ndarray]

_ALIGNMENT = 64  # bytes; that of XLA on a CPU


class ArrayBatches(keras.utils.PyDataset):
    """Batches of arrays that have the same number of examples.

    Parameters
    ----------
    parts : tuple of mapping of str to ndarray, shape (examples, ...)
        Inputs, then targets and weights if there are any.
    batch_size : int
        The last batch is smaller if the number of examples is no multiple of it.
    shuffle : bool or "batch"
        Whether examples come in a new order in each epoch, drawn from NumPy's global
        stream as Keras does for arrays; "batch": within their batch only.
    """

    def __init__(
        self,
        parts: tuple[Arrays, ...],
        batch_size: int,
        shuffle: bool | Literal["batch"] = False,
    ):
        super().__init__()
        self._parts = parts
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._order: np.ndarray | None = None
        self._examples = len(next(iter(parts[0].values())))

    @property
    def steps(self) -> int:
        """Time steps of the longest input."""
        return max(value.shape[1] for value in self._parts[0].values())

    @property
    def batch_bytes(self) -> int:
        """Bytes of a whole batch."""
        values = (value for part in self._parts for value in part.values())
        return sum(self._batch_size * value[:1].nbytes for value in values)

    def __len__(self) -> int:
        return -(-self._examples // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Arrays, ...]:
        first = index * self._batch_size
        here = np.arange(first, min(first + self._batch_size, self._examples))
        if self._shuffle == "batch":
            here = np.random.permutation(here)  # noqa: NPY002, Keras' own stream
        elif self._shuffle:
            if self._order is None:
                self._order = np.random.permutation(self._examples)  # noqa: NPY002
            here = self._order[here]
        return tuple(
            {name: _gather(value, here) for name, value in part.items()}
            for part in self._parts
        )

    def on_epoch_end(self) -> None:
        """Forget the order of this epoch."""
        self._order = None


def split(parts: tuple[Arrays, ...], share: float) -> tuple[tuple[Arrays, ...], ...]:
    """Keep the last examples for validation.

    Parameters
    ----------
    parts : tuple of mapping of str to ndarray, shape (examples, ...)
    share : float
        Part of the examples, between 0 and 1.

    Returns
    -------
    training, validation : tuple of mapping of str to ndarray

    Raises
    ------
    ValidationError
        If one of them would be empty.
    """
    examples = len(next(iter(parts[0].values())))
    first = int(np.floor(examples * (1 - share)))
    if not 0 < first < examples:
        raise ValidationError(
            f"{share} of {examples} examples leaves nothing to "
            f"{'train on' if first <= 0 else 'validate with'}. It must be between 0 "
            "and 1.",
            attr="validation_split",
        )
    ranges = (slice(first), slice(first, None))
    return tuple(
        tuple({name: value[here] for name, value in part.items()} for part in parts)
        for here in ranges
    )


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return new memory that JAX can use where it lies."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def _gather(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Copy some rows into new memory that JAX need not copy again."""
    batch = aligned((len(rows), *array.shape[1:]), array.dtype)
    return np.take(array, rows, axis=0, out=batch, mode="clip")  # unbuffered
