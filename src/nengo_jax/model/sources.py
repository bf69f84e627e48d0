"""Sources of batches: generators, datasets and loaders, checked batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from nengo.exceptions import ValidationError

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


class IteratedDataset(keras.utils.PyDataset):
    """What can be iterated over again and again, as a dataset for Keras.

    Keras takes some batches of an iterator in advance, to look at them, and would give
    them twice to a later validation.

    Parameters
    ----------
    source : iterable of batches
    convert : callable
        ``convert(batch) -> batch``.
    """

    def __init__(self, source: Iterable, convert: Convert):
        super().__init__()
        self._source = source
        self._convert = convert
        self._length = _count(source)
        self._batches = iter(())

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple:
        if index == 0:
            self._batches = iter(self._source)
        for batch in self._batches:
            return self._convert(_to_numpy(batch))
        raise ValidationError(
            f"{type(self._source).__name__} has only {index} batches, but promised "
            f"{self._length}",
            attr="x",
        )


def adapt(source: Any, convert: Convert) -> Any:
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
    generator, keras.utils.PyDataset or None
        None if it is no source of batches.
    """
    if isinstance(source, keras.utils.PyDataset):
        return CheckedDataset(source, convert)
    plain = source is None or isinstance(source, (np.ndarray, list, tuple, dict))
    if plain or hasattr(source, "__array__") or not isinstance(source, Iterable):
        return None
    if isinstance(source, Iterator):
        return (convert(_to_numpy(batch)) for batch in source)
    return IteratedDataset(source, convert)


def _count(source: Iterable) -> int:
    """Return the number of batches; of what does not know it, by going through it."""
    try:
        return len(source)  # type: ignore[arg-type]
    except TypeError as error:
        if "infinite" in str(error):  # tf.data says so
            raise ValidationError(
                "The dataset is endless. Give an iterator over it, iter(dataset), and "
                "the number of steps: steps_per_epoch, validation_steps or steps.",
                attr="x",
            ) from error
        return sum(1 for _ in source)


def _to_numpy(batch: Any) -> Any:
    if isinstance(batch, (tuple, list)):
        return tuple(map(_to_numpy, batch))
    if isinstance(batch, Mapping):
        return {key: _to_numpy(value) for key, value in batch.items()}
    return None if batch is None else np.asarray(batch)
