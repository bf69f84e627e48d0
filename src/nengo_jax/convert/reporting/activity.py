"""What one layer does while a batch of examples is presented."""

from __future__ import annotations

import numpy as np


class Activity:
    """Adds up the output of a layer, step by step.

    Attributes
    ----------
    total, size : ndarray, shape (examples, elements)
        Sums of the output and of its absolute value.
    first : ndarray of int, shape (examples, elements)
        Number of the first step with an output, from 1; 0 if there was none.
    steps : int
        How many there were.
    """

    def __init__(self, examples: int, elements: int):
        self.total = np.zeros((examples, elements))
        self.size = np.zeros((examples, elements))
        self.first = np.zeros((examples, elements), int)
        self.steps = 0

    def add(self, values: np.ndarray) -> None:
        """Take in some steps, of shape (examples, steps, elements)."""
        self.total += values.sum(1, dtype=np.float64)
        self.size += np.abs(values).sum(1, dtype=np.float64)
        on = values != 0
        begins = (self.first == 0) & on.any(1)
        self.first[begins] = (on.argmax(1) + self.steps + 1)[begins]
        self.steps += values.shape[1]

    @property
    def mean(self) -> np.ndarray:
        """Mean output."""
        return self.total / self.steps
