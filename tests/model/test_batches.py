"""Batches hold the examples of the arrays, in memory that JAX uses as it is."""

import jax
import keras
import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_jax.model.batches import ArrayBatches, split

X = np.arange(7 * 3 * 2, dtype="float32").reshape(7, 3, 2)
Y = np.arange(7.0)


def joined(batches: ArrayBatches, part: int, name: str) -> np.ndarray:
    return np.concatenate([batches[k][part][name] for k in range(len(batches))])


def test_all_examples_in_order():
    batches = ArrayBatches(({"a": X}, {"p": Y}), 3)
    assert [len(batches[k][0]["a"]) for k in range(len(batches))] == [3, 3, 1]
    np.testing.assert_array_equal(joined(batches, 0, "a"), X)
    np.testing.assert_array_equal(joined(batches, 1, "p"), Y)


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_shuffling(shuffle):
    """Each epoch has its own order, which follows the seed that is set in Keras."""
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        batches = ArrayBatches(({"p": Y},), 3, shuffle)
        runs.append([])
        for _ in range(2):
            runs[-1].append(joined(batches, 0, "p"))
            batches.on_epoch_end()
    np.testing.assert_array_equal(runs[0], runs[1])
    first, second = runs[0]
    assert (first != second).any()
    assert (first != Y).any()
    np.testing.assert_array_equal(np.sort(first), Y)
    if shuffle == "batch":
        assert set(first[:3]) == set(Y[:3])


def test_jax_does_not_copy():
    (batch,) = ArrayBatches(({"a": np.ones((64, 1000), "float32")},), 64)[0]
    array = jax.device_put(batch["a"])
    if array.device.platform == "cpu":
        assert array.unsafe_buffer_pointer() == batch["a"].ctypes.data


def test_split():
    training, validation = split(({"a": X}, {"p": Y}), 0.3)
    np.testing.assert_array_equal(training[1]["p"], Y[:4])
    np.testing.assert_array_equal(validation[1]["p"], Y[4:])
    with pytest.raises(ValidationError, match=r"1.5 of 7 examples leaves nothing to t"):
        split(({"p": Y},), 1.5)
