"""Parameters and states, handed over between a simulation and its Keras model.

The engine owns them. They are copied to the variables of the model before each call of
Keras, and back after it, as Keras gives its arrays away while it trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
import keras

from ..compiler import CONSTANTS
from ..core import Role
from ..engine import Engine
from .network_model import NetworkModel


@contextmanager
def keras_context(engine: Engine) -> Iterator[None]:
    """Precision and device of a simulation, in JAX and in Keras."""
    before = keras.config.floatx()
    with engine.context():
        keras.config.set_floatx(engine.compiled.layout.dtype.name)
        try:
            yield
        finally:
            keras.config.set_floatx(before)


class Exchange:
    """Keeps an engine and a Keras model of the same network alike.

    Parameters
    ----------
    engine : Engine
    model : NetworkModel
    keeps_state : bool
        Whether calls may be stateful.
    refresh : callable
        Called when parameters or states of the engine have changed.
    """

    def __init__(
        self,
        engine: Engine,
        model: NetworkModel,
        keeps_state: bool,
        refresh: Callable[[], None],
    ):
        self._engine = engine
        self._model = model
        self._layer = model.network_layer
        self._keeps_state = keeps_state
        self._refresh = refresh
        self._calls = 0  # that are going on, one in a callback of the other
        self._held = self._keras_arrays()

    @contextmanager
    def call(self, stateful: bool) -> Iterator[None]:
        """Give Keras the present values; take back what a call changed."""
        stateful = stateful and self._keeps_state
        self._calls += 1
        try:
            with keras_context(self._engine), self._saved_state():
                self._push(stateful)
                try:
                    yield
                except BaseException:
                    self._recover(stateful)
                    raise
                self._take_back(stateful)
        finally:
            self._calls -= 1
            self._held = self._keras_arrays()

    def adopt(self) -> None:
        """Take over what was written into the Keras model since the last call.

        As by ``sim.keras_model.load_weights``.
        """
        if self._calls:
            return
        now = self._keras_arrays()
        if any(now[name] is not self._held[name] for name in now):
            self._held = now
            with keras_context(self._engine):
                self._pull()
            self._refresh()

    def _keras_arrays(self) -> dict[str, Any]:
        shared = self._engine.compiled.program.names(Role.SHARED)
        names = [*self._engine.params, *shared]
        return {name: self._layer.blocks[name].value for name in names}

    def _take_back(self, stateful: bool) -> None:
        self._pull()
        if stateful:
            self._pull_state()
        self._refresh()

    def _recover(self, stateful: bool) -> None:
        """Take back what Keras has after an error, if it still has anything.

        While it trains, Keras takes the arrays out of its variables; an error in the
        first step loses them, and those of the optimizer.
        """
        try:
            self._take_back(stateful)
        except (RuntimeError, TypeError):
            self._push(stateful)
            self._model.compiled = False

    @contextmanager
    def _saved_state(self) -> Iterator[None]:
        """Give a call the state back if a callback of it made another call."""
        layer = self._layer
        variables = [layer.step_count, layer.stateful_call]
        program = self._engine.compiled.program
        variables += [layer.blocks[name] for name in program.names(Role.STATE)]
        saved = [jnp.array(variable.value) for variable in variables]
        try:
            yield
        finally:
            for variable, value in zip(variables, saved, strict=True):
                variable.assign(value)

    def synchronize(self) -> None:
        """Show the present parameters while a call goes on."""
        self._pull()
        self._refresh()

    def _push(self, stateful: bool) -> None:
        engine, blocks = self._engine, self._layer.blocks
        values = {**engine.params, **engine.state}
        if engine.constants is not None:
            values[CONSTANTS] = engine.constants
        for name, value in values.items():
            value = jnp.broadcast_to(value, blocks[name].shape)
            blocks[name].assign(jnp.array(value))  # a copy, as Keras gives it away
        self._layer.step_count.assign(engine.n_steps)
        self._layer.stateful_call.assign(stateful)

    def _pull(self) -> None:
        blocks = self._layer.blocks
        params = {n: jnp.array(blocks[n].value) for n in self._engine.params}
        self._engine.params = params
        shared = self._engine.compiled.program.names(Role.SHARED)
        self._engine.state = {
            **self._engine.state,
            **{n: jnp.array(blocks[n].value) for n in shared},
        }

    def _pull_state(self) -> None:
        blocks, engine = self._layer.blocks, self._engine
        lead = engine.batch_size is not None
        own = engine.compiled.program.names(Role.STATE)
        engine.state = {
            **engine.state,
            **{
                name: jnp.array(blocks[name].value if lead else blocks[name].value[0])
                for name in own
            },
        }
        engine.n_steps = int(self._layer.step_count.value)
