"""How well outputs fit labels after each step, for several ways to read them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..calibration.results import apply_final
from .examples import Examples
from .records import CLASSIFICATION, Score

READOUTS = ("last", "mean", "late")
DELAYED = "delayed"


def read_out(outputs: np.ndarray, start: int = 0) -> dict[str, np.ndarray]:
    """Return what each readout gives after each step.

    Parameters
    ----------
    outputs : ndarray, shape (examples, steps, size)
    start : int
        First step, from 0, of a delayed readout; 0 if there is none.

    Returns
    -------
    dict of str to ndarray, shape (examples, steps, size)
        ``last``: as it is; ``mean``: mean until then; ``late``: mean over the second
        half of the time until then; ``delayed``: mean from ``start`` on, and of all
        steps before it.
    """
    steps = np.arange(1, outputs.shape[1] + 1)
    sums = np.cumsum(outputs, axis=1, dtype=np.float64)
    half = steps // 2
    before = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)

    def mean_from(begin: np.ndarray) -> np.ndarray:
        return (sums - before[:, begin]) / (steps - begin)[:, None]

    found = {
        "last": outputs,
        "mean": mean_from(np.zeros_like(steps)),
        "late": mean_from(half),
    }
    if start:
        found[DELAYED] = mean_from(np.where(steps > start, start, 0))
    return found


class Scorer:
    """Adds up scores over batches of examples.

    Parameters
    ----------
    examples : Examples
    n_steps : int
    final : callable or None
        Applied to what was read out, as a softmax.
    shape : tuple of int
        Of the output for one example.
    start : int
        First step of a delayed readout; 0 if there is none.
    """

    def __init__(
        self,
        examples: Examples,
        n_steps: int,
        final: Callable[[Any], Any] | None,
        shape: tuple[int, ...],
        start: int,
    ):
        self._examples = examples
        self._final, self._shape, self._start = final, shape, start
        names = (*READOUTS, DELAYED) if start else READOUTS
        self._sums = {name: np.zeros((2, n_steps)) for name in names}

    def add(self, outputs: np.ndarray, start: int) -> None:
        """Take in the outputs of examples from number ``start`` on.

        Parameters
        ----------
        outputs : ndarray, shape (examples, steps, size)
        start : int
        """
        chosen = slice(start, start + len(outputs))
        expected = self._examples.expected[chosen]
        targets = self._examples.targets
        for name, read in read_out(outputs, self._start).items():
            values = self._finish(read)
            agreement = self._compare(values, self._reference(expected))
            self._sums[name][1] += agreement
            self._sums[name][0] += (
                agreement if targets is None else self._compare(values, targets[chosen])
            )

    def scores(self) -> tuple[Score, ...]:
        """Return accuracies, or root mean square errors."""
        found = []
        for name, sums in self._sums.items():
            means = self._mean(sums)
            found.append(Score(name, *(tuple(map(float, row)) for row in means)))
        return tuple(found)

    @property
    def ann_score(self) -> float | None:
        """The same of the Keras model, if there are labels."""
        examples = self._examples
        if examples.targets is None:
            return None
        sums = self._compare(examples.expected[:, None], examples.targets)
        return float(self._mean(sums)[0])

    def _finish(self, values: np.ndarray) -> np.ndarray:
        if self._final is None:
            return values
        return apply_final(values, self._final, self._shape).reshape(values.shape)

    def _reference(self, expected: np.ndarray) -> np.ndarray:
        if self._examples.task == CLASSIFICATION:
            return self._examples.answers(expected)
        return expected

    def _compare(self, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Return the number of right answers, or the sum of mean squares, by step."""
        if self._examples.task == CLASSIFICATION:
            return (self._examples.answers(values) == wanted[:, None]).sum(0)
        return ((values - wanted[:, None]) ** 2).mean(-1).sum(0)

    def _mean(self, sums: np.ndarray) -> np.ndarray:
        means = sums / len(self._examples)
        return means if self._examples.task == CLASSIFICATION else np.sqrt(means)
