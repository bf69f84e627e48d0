"""Sources of batches: generators, datasets and loaders, checked batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from inspect import isgenerator
from typing import Any

import keras
import numpy as np

Convert = Callable[[Any], tuple]


class CheckedDataset(keras.utils.PyDataset):
    """A dataset whose batches are checked and completed.

    Parameters
    ----------
    dataset : keras.utils.PyDataset
    convert : callable
        ``convert(batch) -> batch``.
    """

    def __init__(self, dataset: keras.utils.PyDataset, convert: Convert):
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self._dataset = dataset
        self._convert = convert

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def num_batches(self) -> int | None:
        """Number of batches, if it is known."""
        return self._dataset.num_batches

    def __getitem__(self, index: int) -> tuple:
        return self._convert(self._dataset[index])

    def on_epoch_begin(self) -> None:
        """Tell the dataset."""
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the dataset."""
        self._dataset.on_epoch_end()


def adapt(source: Any, convert: Convert) -> tuple[Any, int | None] | None:
    """Turn a source of batches into one that Keras takes.

    Parameters
    ----------
    source : Any
        A generator, ``keras.utils.PyDataset``, ``tf.data.Dataset``, PyTorch
        ``DataLoader``, or anything else that can be iterated over more than once.
    convert : callable
        ``convert(batch) -> batch`` checks and completes a batch.

    Returns
    -------
    (source, batches) or None
        None if it is no source of batches; otherwise what to give to Keras, and the
        number of batches if Keras cannot know it.
    """
    if isinstance(source, keras.utils.PyDataset):
        return CheckedDataset(source, convert), None
    if isgenerator(source):
        return (convert(batch) for batch in source), None
    plain = source is None or isinstance(source, (np.ndarray, list, tuple, dict))
    if plain or hasattr(source, "__array__") or not isinstance(source, Iterable):
        return None
    length = len(source) if isinstance(source, Sized) else None
    return _again_and_again(source, convert, endless=length is not None), length


def _again_and_again(source: Any, convert: Convert, endless: bool) -> Iterator[tuple]:
    while True:
        for batch in source:
            yield convert(_to_numpy(batch))
        if not endless:
            return


def _to_numpy(batch: Any) -> Any:
    if isinstance(batch, (tuple, list)):
        return tuple(map(_to_numpy, batch))
    if isinstance(batch, dict):
        return {key: _to_numpy(value) for key, value in batch.items()}
    return np.asarray(batch)
