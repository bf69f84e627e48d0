"""Callbacks that every training has.

Nodes such as ``plants.PlantNode`` check in a run what they return, and name themselves.
In training they do not: an optimizer may try what it does not take. So where the loss
of a training step is NaN, what the step began with is handed out of the compiled
program, and the network is run on it once more, to let its nodes say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array, lax
from jax.errors import JaxRuntimeError
from nengo.exceptions import SimulationError

from ..hosted import plain_error


class Synchronize(keras.callbacks.Callback):
    """Gives trained parameters to the simulator at the end of each epoch."""

    def __init__(self, pull: Callable[[], None]):
        super().__init__()
        self._pull = pull

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the parameters over before other callbacks look at them."""
        self._pull()


class FailedStep:
    """What the first training step began with whose loss was not finite.

    It knows no model: what JAX has compiled holds on to it as long as the process runs.
    """

    def __init__(self) -> None:
        self._began: tuple[Any, ...] | None = None

    def remember(self, loss: Array, state: tuple, x: Any) -> None:
        """Keep the variables and inputs of a step if its loss is not finite.

        It is called while the step is compiled; Python is called only if it fails.
        """
        lax.cond(
            jnp.isfinite(loss),
            lambda *_: None,
            lambda *began: jax.debug.callback(self._keep, *began),
            *(*state[:2], x),
        )

    def _keep(self, *began: Any) -> None:
        if self._began is None:
            self._began = jax.tree.map(np.array, began)

    def forget(self) -> None:
        """Wait for the next one."""
        self._began = None

    def explain(self, model: keras.Model) -> str | None:
        """Run the network as in that step; return what a node says.

        Nothing if parameters were not finite before: then no node is to blame.
        """
        jax.effects_barrier()
        began, self._began = self._began, None
        if began is None or not all(np.isfinite(value).all() for value in began[0]):
            return None
        run = partial(model.stateless_call, training=False)
        try:  # compiled, or Keras adds its own words to the error
            jax.block_until_ready(jax.jit(run)(*began))
        except (JaxRuntimeError, SimulationError) as error:
            said = plain_error(error)
            if isinstance(said, SimulationError):
                return str(said)
            if isinstance(said, KeyboardInterrupt):
                raise said from error
        return None


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
            f"{self._epoch + 1}, batch {batch + 1}. {said or _ADVICE}"
        )


_ADVICE = (
    "A smaller learning rate, or clipping gradients (clipnorm of the optimizer), often "
    "helps; check the targets for NaN, too (nengo_jax.losses.nan_mse ignores them)."
)
