"""Callbacks that every training has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from nengo.exceptions import SimulationError


class Synchronize(keras.callbacks.Callback):
    """Gives trained parameters to the simulator at the end of each epoch."""

    def __init__(self, pull: Callable[[], None]):
        super().__init__()
        self._pull = pull

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the parameters over before other callbacks look at them."""
        self._pull()


class StopAtNaN(keras.callbacks.Callback):
    """Raises an error at the step in which the loss is no longer a finite number.

    Parameters
    ----------
    names : sequence of str
        Names of the probes that have a loss.
    """

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self._names = names
        self._epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget steps of earlier calls."""
        if self.model.failed_step is not None:
            self.model.failed_step.forget()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None):
        """Look at the losses."""
        logs = logs or {}
        if np.isfinite(float(logs.get("loss", 0.0))):
            return
        bad = [
            name
            for name in self._names
            if not np.isfinite(float(logs.get(f"{name}_loss", np.nan)))
        ]
        failed = self.model.failed_step
        said = None if failed is None else failed.explain(self.model)
        raise SimulationError(
            f"The loss of {' and '.join(bad)} is {logs['loss']} in epoch "
            f"{self._epoch + 1}, batch {self.model.failed_batch(batch) + 1}. "
            f"{said or _ADVICE}"
        )


_ADVICE = (
    "A smaller learning rate, or clipping gradients (clipnorm of the optimizer), often "
    "helps; check the targets for NaN, too (nengo_jax.losses.nan_mse ignores them)."
)
