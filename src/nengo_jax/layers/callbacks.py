"""A length of the step that changes while a model is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class DtScheduler(keras.callbacks.Callback):
    """Sets the length of a step of spiking layers before each batch of training.

    Layers that were given the same variable as their ``dt`` follow it, without being
    compiled again. After training the variable keeps its last value.

    Parameters
    ----------
    dt : keras.Variable
        The variable that the layers were given.
    scheduler : keras.optimizers.schedules.LearningRateSchedule or callable
        ``scheduler(batch) -> seconds``, for the number of the batch, counted from the
        beginning of training.
    verbose : bool
        Whether to print the value of each batch.

    Raises
    ------
    TypeError
        If ``dt`` is no variable.

    Examples
    --------
    >>> import keras
    >>> from nengo_jax import layers
    >>> dt = keras.Variable(1.0, trainable=False)
    >>> spiking = layers.SpikingActivation("relu", dt=dt)
    >>> halved = keras.optimizers.schedules.ExponentialDecay(1.0, 100, 0.5)
    >>> callback = layers.callbacks.DtScheduler(dt, halved)
    """

    def __init__(
        self, dt: keras.Variable, scheduler: Callable[[int], Any], verbose: bool = False
    ):
        super().__init__()
        if not isinstance(dt, keras.Variable):
            raise TypeError(
                f"dt must be the keras.Variable that layers were given, got {dt!r}. "
                "Write dt = keras.Variable(0.01, trainable=False), and "
                "SpikingActivation(..., dt=dt)."
            )
        self.dt = dt
        self.scheduler = scheduler
        self.verbose = verbose
        self._batches_before = 0
        self._last_batch = -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Count the batches of earlier epochs."""
        steps = (self.params or {}).get("steps")
        if steps is not None:
            self._batches_before = epoch * steps
        else:  # the length of the data is not known before the first epoch ends
            self._batches_before += self._last_batch + 1
        self._last_batch = -1

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the length of a step."""
        value = float(self.scheduler(self._batches_before + batch))
        # Keras holds the values of variables itself while it trains, and gives them
        # back when asked
        self.model.jax_state_sync()
        self.dt.assign(value)
        if self.verbose:
            print(f"\nBatch {self._batches_before + batch}: dt = {value:g} s")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Remember how many batches there were."""
        self._last_batch = batch
