"""What can be calibrated: a model with its conversion, or a network of neurons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from .records import Assembled, Settings
from .reference import Reference


class Subject(ABC):
    """Makes networks with different settings, and knows what they should compute."""

    @abstractmethod
    def assemble(
        self, settings: Settings, *, fold: bool = True, shifted: bool = False
    ) -> Assembled:
        """Make a network.

        Parameters
        ----------
        settings : Settings
        fold : bool
            Whether BatchNormalization becomes part of the layers before it.
        shifted : bool
            Whether all parts get a node for a shift, or only those that are shifted.
        """

    @abstractmethod
    def check(self, data: Any) -> list[np.ndarray]:
        """Return data as arrays, in the order of the inputs.

        Raises
        ------
        ValueError
            If they do not fit.
        """

    @abstractmethod
    def measure(
        self,
        arrays: Sequence[np.ndarray],
        percentile: float,
        *,
        per_channel: bool,
        mean_examples: int,
    ) -> Reference:
        """Measure what should be computed.

        Parameters
        ----------
        arrays : sequence of ndarray
            From :meth:`check`.
        percentile : float
        per_channel : bool
        mean_examples : int
            How many examples means are taken over.
        """

    @abstractmethod
    def differs_by_folding(self, folded: Assembled) -> bool:
        """Whether a network with ``fold=True`` is another one than without."""

    @abstractmethod
    def check_trainable(self) -> None:
        """Raise ValueError unless it can be fine-tuned."""
