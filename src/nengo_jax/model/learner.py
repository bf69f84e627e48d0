"""Training, evaluation and prediction of a simulator's network with Keras.

What a user gives is checked and completed first (``feed.py``); then Keras works on its
own copy of the parameters (``exchange.py``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from nengo import Network, Node, Probe
from nengo.builder import Model
from nengo.exceptions import SimulationError, ValidationError

from ..compiler.parameters import parameters_of
from ..engine import Engine
from ..functional import refuse_host
from ..names import by_name
from ..options import Options
from .exchange import Exchange, keras_context
from .feed import Feed
from .gradients import check, compare_gradients
from .grouped import choose_batches
from .inputs import Inputs
from .layer import STEPS, NetworkLayer
from .network_model import NetworkModel
from .optimizer import check_saved, load_optimizer, save_optimizer
from .python import PythonParts
from .watch import StopAtNaN, Synchronize

_CHECKED_STEPS = 3


class Learner:
    """The Keras side of a simulator.

    Parameters
    ----------
    network : Network
    model : nengo.builder.Model
    engine : Engine
    names : dict of Node or Probe to str
        Of input nodes and probes.
    options : Options
    refresh : callable
        Called when parameters or states have changed.
    """

    def __init__(
        self,
        network: Network,
        model: Model,
        engine: Engine,
        names: dict[Node | Probe, str],
        options: Options,
        refresh: Callable[[], None],
    ):
        self.names = names
        self._probes = {n: p for p, n in self.names.items() if isinstance(p, Probe)}
        self._model = model
        self._layout = engine.compiled.layout
        self._parameters = [p for p in parameters_of(network, model) if p.trainable]
        self._engine = engine
        self._options = options
        self._losses: dict[str, Any] = {}
        self._batch_size = engine.examples
        self._choose_batches = True
        self._python = PythonParts(engine)
        on_host = engine.compiled.program.on_host
        with keras_context(self._engine):
            layer = NetworkLayer(
                network,
                model,
                engine.compiled,
                self.names,
                options,
                self._parameters,
                self._batch_size,
                self._python if on_host else None,
            )
            self.layer = layer
            self.model = NetworkModel(layer)
        self._inputs = Inputs(network, self.names, layer, engine)
        self._feed = Feed(self._inputs, self._batch_size)
        keeps = options.stateful
        self._exchange = Exchange(engine, self.model, keeps, refresh)

    def adopt(self) -> None:
        """Take over what was written into the Keras model since the last call."""
        self._exchange.adopt()

    # -- Keras' own methods

    def compile(
        self,
        *args: Any,
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        """Say how to train; see :meth:`nengo_jax.Simulator.compile`."""
        if not self._probes:
            raise ValidationError(
                "The network has no probes, so there is nothing to compare with a "
                "target. Add a nengo.Probe on what you want to train.",
                attr="network",
            )
        self._losses = _given(self._per_probe(loss, "loss"))
        counted = {
            argument: _given(self._metrics_per_probe(value, argument))
            for argument, value in (
                ("metrics", metrics),
                ("weighted_metrics", kwargs.pop("weighted_metrics", None)),
            )
        }
        weights = self._per_probe(loss_weights, "loss_weights")
        self._feed.targets = {
            **dict.fromkeys(n for found in counted.values() for n in found),
            **self._losses,
        }
        self._choose_batches = "steps_per_execution" not in kwargs
        with keras_context(self._engine):
            self.model.name_losses(self._losses, weights, self._feed.targets)
            self.model.compile(
                *args,
                loss=self._losses or None,
                loss_weights=weights or None,
                **{name: found or None for name, found in counted.items()},
                **kwargs,
            )

    def fit(
        self,
        x: Any,
        y: Any,
        n_steps: int | None,
        stateful: bool,
        validation_data: Any,
        callbacks: Any,
        **kwargs: Any,
    ) -> Any:
        """Train; see :meth:`nengo_jax.Simulator.fit`."""
        self._check_training()
        if validation_data is not None:
            validation_data = self._feed.validation(validation_data, n_steps)
        given = _as_list(callbacks)
        own = [Synchronize(self._exchange.synchronize), StopAtNaN(list(self._losses))]
        with self._call(stateful):
            arguments = self._feed.arguments(x, y, n_steps, kwargs, training=True)
            if validation_data is not None:
                arguments["validation_data"] = validation_data
            count = self._batches_per_call(arguments["x"], given, kwargs)
            with self.model.batches_per_call(count):
                return self.model.fit(**arguments, callbacks=[*own, *given])

    def evaluate(
        self, x: Any, y: Any, n_steps: int | None, stateful: bool, **kwargs: Any
    ) -> dict[str, float]:
        """Compute losses and metrics; see :meth:`nengo_jax.Simulator.evaluate`."""
        with self._call(stateful):
            arguments = self._feed.arguments(x, y, n_steps, kwargs)
            return self.model.evaluate(**arguments, return_dict=True)

    def predict(
        self, x: Any, n_steps: int | None, stateful: bool, **kwargs: Any
    ) -> dict[Probe, np.ndarray]:
        """Return what the probes see; see :meth:`nengo_jax.Simulator.predict`."""
        with self._call(stateful):
            arguments = self._feed.arguments(x, None, n_steps, kwargs)
            outputs = self.model.predict(**arguments)
        return {self._probes[name]: value for name, value in outputs.items()}

    def train_on_batch(
        self, x: Any, y: Any, n_steps: int | None, stateful: bool, **kwargs: Any
    ) -> dict[str, float]:
        """Make one step of training with all examples."""
        self._check_training()
        with self._call(stateful):
            sample_weight = kwargs.pop("sample_weight", None)
            x, y, *weights = self._feed.prepare(x, y, sample_weight, n_steps=n_steps)
            self._feed.check_one_batch(x)
            return self.model.train_on_batch(x, y, *weights, return_dict=True, **kwargs)

    def predict_on_batch(
        self, x: Any, n_steps: int | None, stateful: bool
    ) -> dict[Probe, np.ndarray]:
        """Return what the probes see, for one batch."""
        with self._call(stateful):
            x = self._inputs.complete(x, n_steps, self._batch_size)
            self._feed.check_one_batch(x)
            outputs = self.model.predict_on_batch(x)
        return {self._probes[n]: np.asarray(value) for n, value in outputs.items()}

    def check_gradients(
        self, inputs: Any, outputs: Any, atol: float, rtol: float
    ) -> dict[Probe, dict[str, np.ndarray]]:
        """Compare gradients; see :meth:`nengo_jax.Simulator.check_gradients`."""
        refuse_host(self._engine.compiled.program, SimulationError)
        if inputs is None:
            nodes = self.layer.inputs_taken
            inputs = {
                n: np.zeros((1, _CHECKED_STEPS, s.size)) for n, s in nodes.items()
            }
        completed = self._inputs.complete(inputs, None, 1)
        steps = completed.pop(STEPS).shape[1]
        wanted = list(self._probes)
        if outputs is not None:
            chosen = [outputs] if isinstance(outputs, (str, Probe)) else outputs
            wanted = list(by_name(dict.fromkeys(chosen), self.names, Probe, "outputs"))
        gradients = compare_gradients(
            self._model,
            self._engine,
            self.names,
            self._options,
            {name: value[0] for name, value in completed.items()},
            wanted,
            steps,
        )
        check(gradients, atol, rtol)
        return {self._probes[n]: pair._asdict() for n, pair in gradients.items()}

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Return what the optimizer remembers, by parameter.

        Raises
        ------
        SimulationError
            If the network has not been compiled.
        """
        with keras_context(self._engine):
            return save_optimizer(self.optimizer(), self._parameters, self._layout)

    def check_optimizer(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Check what is to be given to :meth:`restore_optimizer`.

        Raises
        ------
        SimulationError
            If it is of another optimizer or network.
        """
        check_saved(self.optimizer_state(), arrays)

    def restore_optimizer(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Give the optimizer what :meth:`optimizer_state` returned.

        Raises
        ------
        SimulationError
            If it is of another optimizer or network; nothing is changed then.
        """
        with keras_context(self._engine):
            load_optimizer(self.optimizer(), arrays, self._parameters, self._layout)

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Return the optimizer, with variables for all parameters.

        Raises
        ------
        SimulationError
            If the network has not been compiled.
        """
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            raise SimulationError("There is no optimizer yet: call sim.compile first")
        if not optimizer.built:
            with keras_context(self._engine):
                optimizer.build(self.model.trainable_variables)
        return optimizer

    def _batches_per_call(
        self, data: Any, callbacks: Sequence[keras.callbacks.Callback], kwargs: dict
    ) -> int:
        """Choose how many batches a call trains with, unless the user has chosen."""
        model = self.model
        if not (self._choose_batches and model.compiled and model.can_group()):
            return model.steps_per_execution
        if model.steps_per_execution > 1 or kwargs.get("steps_per_epoch") is not None:
            return model.steps_per_execution
        return choose_batches(data, callbacks)

    @contextmanager
    def _call(self, stateful: bool) -> Iterator[None]:
        """Prepare all for a call of Keras, and take back what it changed."""
        with self._python.call(stateful), self._exchange.call(stateful):
            yield

    def _check_training(self) -> None:
        if self._options.inference_only:
            raise SimulationError(
                "The network was configured with inference_only=True, so it cannot be "
                "trained. Remove this option."
            )
        if self.model.compiled and not self._losses:
            raise ValidationError(
                "There is no loss to train for. Give one to sim.compile, as in "
                'sim.compile("adam", loss={probe: "mse"}).',
                attr="loss",
            )
        if not self.model.trainable_variables:
            warnings.warn(
                "Nothing in the network is trained. Its objects are configured as "
                "trainable=False, or there are none with parameters.",
                stacklevel=4,
            )
        if self._options.learning_phase is not False:
            with keras_context(self._engine):
                self.layer.form(training=True)  # errors come before data are looked at
        self._python.warn()

    def _per_probe(self, value: Any, argument: str) -> dict[str, Any]:
        """What is given for each probe, or for all of them, by name."""
        if value is None:
            return {}
        if isinstance(value, dict):
            return by_name(value, self.names, Probe, argument)
        if isinstance(value, (list, tuple)) and argument != "metrics":
            return by_name(value, self.names, Probe, argument)
        return dict.fromkeys(self._probes, value)

    def _metrics_per_probe(self, value: Any, argument: str) -> dict[str, Any]:
        """What is given for each probe; or for all that have a loss, if any has."""
        found = self._per_probe(value, argument)
        if isinstance(value, dict) or not self._losses:
            return found
        return {name: found[name] for name in self._losses if name in found}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _as_list(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Return callbacks of the user, who gives a list, a single one or none."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    if isinstance(callbacks, keras.callbacks.Callback):
        return [callbacks]
    return list(callbacks or ())
