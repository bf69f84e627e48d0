"""Why the loss of a training step is not finite, told by the network itself.

Nodes such as ``plants.PlantNode`` check in a run what they return, and name themselves.
In training they do not: an optimizer may try what it does not take. So where the loss
of a training step is NaN, what the step began with is handed out of the compiled
program, and the network is run on it once more, to let its nodes say what is wrong.
"""

from __future__ import annotations

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
