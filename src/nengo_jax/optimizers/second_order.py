"""Keras optimizers that look at the loss, and models that let them.

Keras computes gradients and gives an optimizer nothing else. So the optimizers here
make the whole training step (``model/own_step.py``), and :func:`second_order` changes a
model so that it asks them. The network of a Simulator does so anyway.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array
from nengo.exceptions import SimulationError, ValidationError

from ..model.own_step import StepOptimizer
from .checks import check_range
from .keras_loss import (
    Batch,
    KerasLoss,
    check_batch,
    check_targets,
    first_examples,
    keras_loss,
    variable_names,
)


class SecondOrder(StepOptimizer):
    """What second-order optimizers have in common under Keras.

    Parameters
    ----------
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
        The longest step, in units of the step that the quadratic model proposes.
    curvature_share : float
        The share of each batch that products with the curvature are computed with.
    name : str
    """

    def __init__(self, learning_rate: Any, curvature_share: float, name: str):
        check_range("curvature_share", curvature_share, 0, 1, open_below=True)
        if isinstance(learning_rate, Real):
            check_range("learning_rate", learning_rate, 0)
            learning_rate = float(learning_rate)
        super().__init__(learning_rate, name=name)
        self.curvature_share = curvature_share
        self._compiled: tuple[Any, Callable[..., Any]] | None = None

    @abstractmethod
    def _update(
        self,
        loss: KerasLoss,
        params: Mapping[str, Array],
        batch: Batch,
        curvature_batch: Batch | None,
        memory: Any,
        longest: Array,
    ) -> tuple[Mapping[str, Array], Any, dict[str, Array]]:
        """Return new parameters, a new memory, and numbers for the logs."""

    @abstractmethod
    def _read(self, names: list[str]) -> Any:
        """Return the present memory."""

    @abstractmethod
    def _write(self, names: list[str], memory: Any) -> None:
        """Keep a new memory."""

    def train_step(
        self, model: keras.Model, state: tuple, data: Any
    ) -> tuple[dict[str, Any], tuple]:
        """Train with one batch; see :class:`StepOptimizer`.

        This is compiled in any case: with ``run_eagerly=True`` or ``jit_compile=False``
        the loops in it would be compiled anew for each batch.
        """
        # Keras makes another function after each compile, with which all may differ.
        if self._compiled is None or self._compiled[0] is not model.train_function:
            step = jax.jit(partial(self._train_step, model))
            self._compiled = model.train_function, step
        return self._compiled[1](state, data)

    def _train_step(
        self, model: keras.Model, state: tuple, data: Any
    ) -> tuple[dict[str, Any], tuple]:
        trained, others, own, metrics = state
        batch = keras.utils.unpack_x_y_sample_weight(data)
        check_batch(model, batch)
        x, y, sample_weight = batch
        # Its gradient is not asked for: outputs, metrics and what layers change.
        _, (value, outputs, others_after, metrics) = model.compute_loss_and_updates(
            trained, others, metrics, *batch, training=True, optimizer_variables=own
        )
        variables = model.trainable_variables
        names = variable_names(model)
        with keras.StatelessScope(zip(self.variables, own, strict=True)) as scope:
            memory, longest = self._read(names), jnp.asarray(self.learning_rate)
            part = None
            if self.curvature_share < 1:
                part = first_examples(batch, self.curvature_share)
        loss = keras_loss(model, trained, others, metrics)
        params, memory, numbers = self._update(
            loss, dict(zip(names, trained, strict=True)), batch, part, memory, longest
        )
        with scope:
            self._write(names, memory)
            self.iterations.assign_add(1)
        own = [scope.get_current_value(variable) for variable in self.variables]
        trained = [
            params[name] if v.constraint is None else v.constraint(params[name])
            for name, v in zip(names, variables, strict=True)
        ]
        logs, metrics = model._update_metrics_variables(
            metrics, value, x, y, outputs, sample_weight
        )
        return {**logs, **numbers}, (trained, others_after, own, metrics)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Explain that gradients are not enough."""
        raise ValidationError(
            f"{type(self).__name__} needs the loss itself, not only gradients. Call "
            "nengo_jax.optimizers.second_order(model) once, before model.fit. Custom "
            "training loops use the pure functions of nengo_jax.optimizers instead.",
            attr="optimizer",
        )


def second_order(model: keras.Model) -> keras.Model:
    """Let a Keras model be trained by optimizers that need more than gradients.

    Parameters
    ----------
    model : keras.Model
        Any model that leaves the training step to Keras. It may already be compiled.
        Other optimizers work as before.

    Returns
    -------
    keras.Model
        The same model. This is not saved with it: call it again on a loaded model.

    Raises
    ------
    ValidationError
        If the model has a training step of its own.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nengo_jax.optimizers import HessianFree, second_order
    >>> layer = keras.layers.Dense(1, use_bias=False)
    >>> model = keras.Sequential([keras.Input((1,)), layer])
    >>> second_order(model).compile(HessianFree(), loss="mse")
    >>> x = np.linspace(-1, 1, 8).reshape(-1, 1)
    >>> history = model.fit(x, 3 * x, epochs=30, verbose=0)
    >>> history.history["loss"][-1] < 1e-6
    True
    """
    if "make_train_function" in vars(model):
        return model  # it has been called before
    own = type(model).train_step
    if own is not keras.Model.train_step:
        raise ValidationError(
            f"{type(model).__name__} has a training step of its own, which "
            "second_order would replace. Write it with the pure functions of "
            "nengo_jax.optimizers.",
            attr="model",
        )
    plain_step, plain_make = model.train_step, model.make_train_function
    plain_fit = model.fit

    def make_train_function(force: bool = False) -> None:
        def train_step(state: tuple, data: Any) -> tuple[dict[str, Any], tuple]:
            if isinstance(model.optimizer, StepOptimizer):
                return model.optimizer.train_step(model, state, data)
            return plain_step(state, data)

        # A new function each time: JAX would take the program that it has compiled of
        # the same one, and with it the optimizer of an earlier compile.
        model.train_step = train_step
        plain_make(force)

    def fit(
        x: Any = None, y: Any = None, *args: Any, callbacks: Any = None, **kwargs: Any
    ) -> Any:
        if not isinstance(model.optimizer, StepOptimizer):
            return plain_fit(x, y, *args, callbacks=callbacks, **kwargs)
        if y is None and isinstance(x, (np.ndarray, Array, Mapping, list, tuple)):
            check_targets(model, y)  # Keras' own message does not say what is missing
        given = callbacks or []
        given = given if isinstance(given, (list, tuple)) else [given]
        saved = [(v, jnp.array(v.value)) for v in model.variables]
        try:
            return plain_fit(x, y, *args, callbacks=[_StopAtNaN(), *given], **kwargs)
        except BaseException:
            for variable, value in saved:
                _restore(variable, value)
            raise

    model.make_train_function, model.fit = make_train_function, fit
    return model


def _restore(variable: keras.Variable, value: Array) -> None:
    """Give a variable its value back if an error in the first step has lost it.

    Keras takes the arrays out of its variables while it trains.
    """
    try:
        lost = variable.value.is_deleted()
    except (RuntimeError, TypeError, AttributeError):
        lost = True
    if lost:
        variable.assign(value)


class _StopAtNaN(keras.callbacks.Callback):
    """Raises an error if the loss is no longer a finite number."""

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None):
        loss = float((logs or {}).get("loss", 0.0))
        if not np.isfinite(loss):
            raise SimulationError(
                f"The loss is {loss} in epoch {self._epoch + 1}, batch {batch + 1}. "
                "The parameters are those from before this batch. Check inputs and "
                "targets for NaN (nengo_jax.losses.nan_mse ignores targets that are "
                "NaN), or use more damping."
            )
