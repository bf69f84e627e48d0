"""The handwritten digits that ship with scikit-learn: 1797 images of 8 x 8 pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SIDE = 8
KINDS = 10
_BRIGHTEST = 16
_MOVES = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


class Digits(NamedTuple):
    """Images with their labels, split into two parts.

    Attributes
    ----------
    train_images, test_images : ndarray, shape (images, 64)
        Brightness of the pixels, from 0 to 1.
    train_labels, test_labels : ndarray of int, shape (images,)
    """

    train_images: np.ndarray
    test_images: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray


def load(seed: int) -> Digits:
    """Load the digits and put a random quarter of each kind aside for the test."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        images / _BRIGHTEST, labels, test_size=0.25, stratify=labels, random_state=seed
    )
    return Digits(*parts)


def moved(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return five copies of each image, four of them moved by one pixel, and labels.

    A digit that is a little further to the left is still the same digit: who learns
    from moved copies reads new digits better.
    """
    wide = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)))
    copies = [
        wide[:, 1 + down : 1 + down + SIDE, 1 + right : 1 + right + SIDE]
        for down, right in _MOVES
    ]
    return np.concatenate(copies).reshape(-1, SIDE**2), np.tile(labels, len(_MOVES))
