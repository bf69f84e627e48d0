r"""How well a network does: by labels, or by what the model gives.

The normalised error of results y against those of the model, :math:`\hat y`, is

.. math:: \sqrt{\overline{(y - \hat y)^2} / \mathrm{var}(\hat y)}.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def check_labels(
    labels: Any, leading: tuple[int, ...], shapes: list[tuple[int, ...]]
) -> np.ndarray:
    """Return labels as whole numbers.

    Parameters
    ----------
    labels : array_like, shape (*leading), or (*leading, classes) if one-hot
    leading : tuple of int
        Number of examples, and of frames if there may be several.
    shapes : list of tuple of int
        Shapes of the outputs.

    Returns
    -------
    ndarray of int, shape (*leading)

    Raises
    ------
    ValueError
        If they do not fit.
    """
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise ValueError(
            "labels are for a model that gives one number for each class, but this one "
            f"has outputs of shape {', '.join(map(str, shapes))}. Leave labels out to "
            "compare with the outputs of the model."
        )
    array, classes = np.asarray(labels), max(shapes[0][0], 2)
    if array.ndim == len(leading) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == len(leading) + 1 and array.shape[-1] == classes:
        array = np.argmax(array, axis=-1)
    if array.shape != leading:
        examples, *frames = leading
        steps = f" of {frames[0]} time steps" if frames else ""
        raise ValueError(
            f"labels have shape {np.shape(labels)}, but there are {examples} examples"
            f"{steps} and {classes} classes"
        )
    whole = array.astype(np.int64) if array.dtype.kind in "biuf" else None
    if whole is None or np.any(whole != array):
        raise ValueError(
            f"labels must be whole numbers, one for each result (got {array.dtype}). "
            "For a model whose outputs are no classes leave labels away: then what "
            "counts is the distance to the outputs of the model."
        )
    wrong = (whole < 0) | (whole >= classes)
    if np.any(wrong):
        place = int(np.argmax(wrong.any(axis=tuple(range(1, wrong.ndim)))))
        raise ValueError(
            f"labels must be numbers of classes, from 0 to {classes - 1} (got "
            f"{whole[wrong][0]} for example {place})"
        )
    return whole


def hits(results: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether results name the class of the label.

    Parameters
    ----------
    results : ndarray, shape (..., classes)
        Of one number, it is the probability of class 1.
    labels : ndarray of int, shape (...)
    """
    if results.shape[-1] == 1:
        return (results[..., 0] > 0.5) == labels
    return np.argmax(results, axis=-1) == labels


def variance_of(expected: np.ndarray) -> float:
    """Return the variance that an error is divided by; 1 if nothing varies."""
    return float(np.var(expected)) or 1.0


def normalised_error(results: np.ndarray, expected: np.ndarray) -> float:
    """Return the error of this module; of both arrays, the first axis is examples."""
    error = float(np.mean((results - expected) ** 2))
    return float(np.sqrt(error / variance_of(expected)))
