"""The TensorBoard callback: how losses, learning rate and weights of a model develop.

Folders, names and steps are those of ``keras.callbacks.TensorBoard``, which needs
TensorFlow:

========== =================================== ===============================
folder     name                                step
========== =================================== ===============================
train      epoch_loss, epoch_learning_rate ... epoch
train      batch_loss ...                      batch, over all epochs
train      <path of a weight>/histogram        epoch
validation epoch_loss ...                      epoch
validation evaluation_loss_vs_iterations ...   updates of the weights so far
========== =================================== ===============================
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
from nengo.exceptions import ValidationError

from .events import EventFile, check_installed, histogram, image, scalar
from .pictures import draw_weights

Logs = Mapping[str, Any] | None

_VALIDATION = "val_"  # how Keras begins the names of what validation yields


class TensorBoard(keras.callbacks.Callback):
    """Writes for TensorBoard what Keras logs while it trains and evaluates.

    Parameters
    ----------
    log_dir : path
        Folder for the subfolders "train" and "validation".
    histogram_freq : int
        Write histograms of all weights every so many epochs; 0 for never.
    write_images : bool
        Whether to draw the weights as well, as often as their histograms.
    write_steps_per_second : bool
        Whether to write how many batches were trained in a second, of each epoch.
    update_freq : "epoch", "batch" or int
        Losses and metrics are written after each epoch, and with "batch" or a number
        also after each batch, or every so many batches.

    Raises
    ------
    ImportError
        If the packages of the extra [tensorboard] are not installed.
    ValidationError
        If ``histogram_freq`` or ``update_freq`` are nothing of the above.
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
    ):
        super().__init__()
        check_installed("tensorboard", *(["matplotlib"] if write_images else []))
        self.log_dir = Path(log_dir)
        self.histogram_freq = _check_count(histogram_freq, "histogram_freq", 0)
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = update_freq
        if update_freq not in ("epoch", "batch"):
            _check_count(update_freq, "update_freq", 1)
        self._files: dict[str, EventFile] = {}
        self._batches = 0
        self._epoch_start = (0, 0.0)  # batches and time

    def set_model(self, model: Any) -> None:
        """Begin new files; Keras calls this at the start of fit and evaluate."""
        super().set_model(model)
        self._files = {}

    def on_train_begin(self, logs: Logs = None) -> None:
        """Count batches from one."""
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock of the epoch."""
        self._epoch_start = (self._batches, time.perf_counter())

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write the logs of a batch, if it is its turn."""
        self._batches += 1
        if self.update_freq == "epoch":
            return
        period = 1 if self.update_freq == "batch" else int(self.update_freq)
        if self._batches % period == 0:
            self._write("train", self._batches, "batch_{}", logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the logs of an epoch, and weights if it is their turn."""
        logs = logs or {}
        found = {k: v for k, v in logs.items() if not k.startswith(_VALIDATION)}
        found.update(_learning_rates(self.model.optimizer))
        if self.write_steps_per_second:
            batches, start = self._epoch_start
            seconds = time.perf_counter() - start
            found["steps_per_second"] = (self._batches - batches) / seconds
        self._write("train", epoch, "epoch_{}", found)
        validation = {
            key.removeprefix(_VALIDATION): value
            for key, value in logs.items()
            if key.startswith(_VALIDATION)
        }
        self._write("validation", epoch, "epoch_{}", validation)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)

    def on_test_end(self, logs: Logs = None) -> None:
        """Write what evaluation yields against the number of updates so far."""
        optimizer = self.model.optimizer
        if optimizer is not None:
            updates = int(_read(optimizer.iterations))
            name = "evaluation_{}_vs_iterations"
            self._write("validation", updates, name, logs or {})

    def _write(self, run: str, step: int, name: str, logs: Mapping[str, Any]) -> None:
        """Write numbers; what yields several at once has no place in a curve."""
        found = [scalar(name.format(k), v) for k, v in logs.items() if np.ndim(v) == 0]
        if found:
            self._file(run).write(step, found)

    def _write_weights(self, epoch: int) -> None:
        summaries = []
        for weight in self.model.weights:
            values = _read(weight)
            summaries.append(histogram(f"{weight.path}/histogram", values))
            if self.write_images and values.size:
                summaries.append(image(f"{weight.path}/image", draw_weights(values)))
        self._file("train").write(epoch, summaries)

    def _file(self, run: str) -> EventFile:
        if run not in self._files:
            self._files[run] = EventFile(self.log_dir / run)
        return self._files[run]


def _learning_rates(optimizer: Any) -> dict[str, Any]:
    """The present learning rates, by the names under which they are logged."""
    if optimizer is None:
        return {}
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    several = getattr(optimizer, "optimizers", None)  # of a MultiOptimizer
    if several is not None:
        return {f"learning_rate_{o.name}": _read(o.learning_rate) for o in several}
    return {"learning_rate": _read(optimizer.learning_rate)}


def _read(variable: Any) -> Any:
    """The values of a variable of Keras, which by itself is no array to NumPy 2."""
    return np.asarray(keras.ops.convert_to_tensor(variable))


def _check_count(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        words = " or 'epoch' or 'batch'" if name == "update_freq" else ""
        raise ValidationError(
            f"Must be a whole number of at least {least}{words}, got {value!r}.",
            attr=name,
        )
    return value
