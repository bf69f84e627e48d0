"""Optimizers that need more than gradients, and make the training step themselves.

Keras gives an optimizer nothing but gradients. One that has to look at the loss, as
those of second order do, derives from the class here; a model that knows of it hands it
the whole step.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras


class StepOptimizer(keras.optimizers.Optimizer):
    """An optimizer that makes the training step of a model."""

    @abstractmethod
    def train_step(
        self, model: keras.Model, state: tuple, data: Any
    ) -> tuple[dict[str, Any], tuple]:
        """Train with one batch; arguments and results are those of a Keras model.

        Parameters
        ----------
        model : keras.Model
        state : tuple
            Trainable variables, others, those of the optimizer, those of metrics.
        data : tuple
            ``(x, y, sample_weight)``, the last two of which may be missing.

        Returns
        -------
        logs : dict of str to Array
        state : tuple
        """
