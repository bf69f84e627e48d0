"""What a report is measured on: inputs and labels, checked against the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...energy.rates import check_data
from ...families.keras_layer import usual_promotion
from ..graph import functional_of
from .records import CLASSIFICATION, REGRESSION

_BATCH = 64


@dataclass(frozen=True)
class Examples:
    """Inputs, and what should come out.

    Attributes
    ----------
    inputs : list of ndarray, shape (examples, ...)
        In the order of ``model.inputs``.
    expected : ndarray, shape (examples, size)
        Output of the Keras model.
    task : str
    targets : ndarray or None
        Labels of shape (examples,), or values of shape (examples, size).
    threshold : float
        Above which a single output means yes.
    """

    inputs: list[np.ndarray]
    expected: np.ndarray
    task: str
    targets: np.ndarray | None
    threshold: float = 0.0

    def __len__(self) -> int:
        return len(self.expected)

    @property
    def chance(self) -> float | None:
        """Score of always giving the most frequent label, or the mean."""
        if self.targets is None:
            return None
        if self.task == REGRESSION:
            return float(np.sqrt(self.targets.var(0).mean()))
        return float(np.bincount(self.targets).max() / len(self.targets))

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """Return the labels that outputs, of shape (..., size), stand for."""
        if outputs.shape[-1] == 1:
            return (outputs[..., 0] > self.threshold).astype(int)
        return outputs.argmax(-1)


def check_examples(model: Any, data: Any, labels: Any) -> Examples:
    """Check data and labels, and ask the model for its output.

    Parameters
    ----------
    model : keras.Model
    data : ndarray, list of ndarray or dict of ndarray
        As for ``model.predict``.
    labels : array or None
        Whole numbers, one for each example, or one-hot rows; for regression the wanted
        outputs. For a model of several outputs, of the first one.

    Raises
    ------
    ValueError
        If something does not fit the model.
    """
    functional = functional_of(model)
    inputs = check_data(model, data, "data")
    with usual_promotion():
        results = functional.predict(
            keras.tree.pack_sequence_as(functional.input, inputs),
            batch_size=_BATCH,
            verbose=0,
        )
    expected = np.asarray(keras.tree.flatten(results)[0]).reshape(len(inputs[0]), -1)
    threshold = 0.5 if np.all((expected >= 0) & (expected <= 1)) else 0.0
    if labels is None:
        return Examples(inputs, expected, _guess(model, expected), None, threshold)
    task, targets = _check_labels(np.asarray(labels), *expected.shape)
    return Examples(inputs, expected, task, targets, threshold)


def _guess(model: Any, expected: np.ndarray) -> str:
    """Guess the task of a model: shares that add up to 1 tell classes apart."""
    shares = np.all(expected >= 0) and np.allclose(expected.sum(-1), 1, atol=1e-3)
    loss = str(getattr(model, "loss", "")).lower()
    return CLASSIFICATION if shares or "crossentropy" in loss else REGRESSION


def _check_labels(labels: np.ndarray, count: int, size: int) -> tuple[str, np.ndarray]:
    if labels.ndim == 0 or labels.dtype.kind not in "buif" or len(labels) != count:
        raise ValueError(
            f"labels must be {count} numbers, one for each example (got an array of "
            f"{labels.dtype} of shape {labels.shape})"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("labels contain values that are not finite")
    flat = labels.reshape(count, -1)
    if size > 1 and flat.shape[1] == size:
        single = np.all((flat == 0) | (flat == 1)) and np.all(flat.sum(-1) == 1)
        if single:
            return CLASSIFICATION, flat.argmax(-1)
        return REGRESSION, flat.astype(float)
    whole = np.array_equal(flat, np.round(flat))
    if flat.shape[1] == 1 and size > 1 and not whole:
        raise ValueError(
            f"labels are not whole numbers, as {flat[flat != np.round(flat)][0]:g}: "
            f"give whole numbers from 0 to {size - 1}, one-hot rows, or wanted outputs "
            f"of shape ({count}, {size})"
        )
    if flat.shape[1] != 1:
        raise ValueError(
            f"labels have shape {labels.shape}, but the model has {size} outputs: give "
            f"whole numbers from 0 to {size - 1} of shape ({count},), one-hot rows, or "
            f"wanted outputs of shape ({count}, {size})"
        )
    if size == 1 and not np.all((flat == 0) | (flat == 1)):
        return REGRESSION, flat.astype(float)
    low, high = int(flat.min()), int(flat.max())
    if size > 1 and (low < 0 or high >= size):
        raise ValueError(
            f"labels go from {low} to {high}, but the model has {size} outputs, so "
            f"they must be whole numbers from 0 to {size - 1}"
        )
    return CLASSIFICATION, flat[:, 0].astype(int)
