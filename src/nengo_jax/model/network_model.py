"""The Keras model of a simulator: a network, with losses and metrics by probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import keras
from jax import Array
from nengo.exceptions import SimulationError, ValidationError

from .failed_step import FailedStep
from .grouped import GroupedStep
from .layer import NetworkLayer
from .own_step import StepOptimizer

_STATE = [  # what Keras hands from one training step to the next
    f"{kind}_variables"
    for kind in ("trainable", "non_trainable", "optimizer", "metrics")
]


class PerCall(NamedTuple):
    """How many batches Keras takes in a call while ``fit`` goes on."""

    training: int
    evaluation: int


@dataclass(frozen=True)
class SingleLoss:
    """The loss of the only probe that has one.

    Attributes
    ----------
    name : str
        Of the probe.
    weight : float or None
    mean : keras.metrics.Mean
        Of the loss without its weight, over the batches of an epoch.
    """

    name: str
    weight: float | None
    mean: keras.metrics.Mean


class NetworkModel(keras.Model):
    """A Keras model of nothing but a network, with inputs and outputs by name.

    All losses and metrics have the name of their probe in front. Keras itself leaves
    it out where there is a single target.
    """

    def __init__(self, layer: NetworkLayer, **kwargs: Any):
        super().__init__(dtype=layer.dtype_policy, **kwargs)
        self.network_layer = layer
        self.failed_step = FailedStep() if layer.has_checks else None
        self._single_loss: SingleLoss | None = None
        self._single_target: str | None = None
        self._per_call: PerCall | None = None
        self._after_failed = 0  # batches of the last call after the first that failed
        self.built = True

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Say how to train; see ``keras.Model.compile``."""
        # A new function: JAX would take the program that it has compiled of the same
        # one, and with it what an earlier optimizer was set to.
        self.train_step = partial(type(self).train_step, self)
        super().compile(*args, **kwargs)

    def name_losses(
        self,
        losses: Mapping[str, Any],
        weights: Mapping[str, Any],
        targets: Iterable[str],
    ) -> None:
        """Prepare the names of losses and metrics; those of before are forgotten.

        Parameters
        ----------
        losses, weights : mapping of str to Any
            By name of the probe.
        targets : iterable of str
            Names of all probes that have a loss or a metric.
        """
        names = [name for name, loss in losses.items() if loss is not None]
        # Keras keeps what was compiled before and is not given anew
        self._compile_loss = self._compile_metrics = None
        self._single_loss = None
        if len(names) == 1:
            mean = keras.metrics.Mean(name=f"{names[0]}_loss")
            self._single_loss = SingleLoss(names[0], weights.get(names[0]), mean)
        known = list(targets)
        self._single_target = known[0] if len(known) == 1 else None

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All metrics, losses of probes among them."""
        own = [] if self._single_loss is None else [self._single_loss.mean]
        return [*super().metrics, *own]

    def get_metrics_result(self) -> dict[str, Any]:
        """Return losses and metrics by name."""
        results = super().get_metrics_result()
        if self._single_target is None:
            return results
        named = ("loss", f"{self._single_target}_loss")
        return {
            name if name in named else f"{self._single_target}_{name}": value
            for name, value in results.items()
        }

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Explain how to save instead: the network is no part of a Keras file."""
        raise SimulationError(
            "The Keras model of a simulator cannot be saved whole. Save what it has "
            "learned: sim.save_params, or ModelCheckpoint(save_weights_only=True). "
            "nengo_jax.NengoLayer is saved with the model that it is part of."
        )

    def train_step(self, state: tuple, data: Any) -> tuple[dict[str, Any], tuple]:
        """Train with one batch; an optimizer may do so in its own way."""
        if isinstance(self.optimizer, StepOptimizer):
            logs, after = self.optimizer.train_step(self, state, data)
        else:
            logs, after = super().train_step(state, data)
        if self.failed_step is not None:
            x, *_ = keras.utils.unpack_x_y_sample_weight(data)
            self.failed_step.remember(logs["loss"], state, x)
        return logs, after

    def can_group(self) -> bool:
        """Whether several batches can be trained with in one compiled call."""
        if isinstance(self.optimizer, StepOptimizer):  # which makes the step
            return False
        return self._compiles() and not self.network_layer.calls_python

    @contextmanager
    def batches_per_call(self, count: int) -> Iterator[None]:
        """Let ``fit`` train with several batches in a call; others keep their number.

        Keras takes the number from ``steps_per_execution`` when it makes its iterator,
        just before it makes the training function.
        """
        number, outer = self.steps_per_execution, self._per_call
        self.steps_per_execution = count
        self._per_call = PerCall(training=count, evaluation=number)
        try:
            yield
        finally:
            self.steps_per_execution, self._per_call = number, outer

    def make_train_function(self, force: bool = False) -> None:
        """Compile the training with a batch, or with several of them."""
        if self._per_call is not None:
            self.steps_per_execution = self._per_call.evaluation
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        if not self.can_group():
            return
        single = self.train_function
        grouped = GroupedStep(self.train_step, single)

        def train(state: tuple, iterator: Iterator) -> tuple[dict[str, Any], tuple]:
            self._after_failed = 0
            count = self.steps_per_execution
            if self._per_call is not None:
                count = self._per_call.training
            if count == 1:
                return single(state, iterator)
            logs, state, finite, error = grouped(state, iterator, count)
            self._after_failed = count - 1 - finite
            if error is not None:
                self._jax_state = dict(zip(_STATE, state, strict=True))
                raise error
            return logs, state

        self.train_function = train

    def failed_batch(self, last: int) -> int:
        """Return the number of the batch with which training has failed.

        Parameters
        ----------
        last : int
            Number of the last batch of the call, as Keras tells its callbacks.
        """
        return last - self._after_failed

    def make_test_function(self, force: bool = False) -> None:
        """Compile an evaluation of a batch, with the network's compiler options."""
        if not self._has_options() or (self.test_function is not None and not force):
            super().make_test_function(force)
            return
        self.test_function = self._make_function(self._compile(self.test_step))

    def make_predict_function(self, force: bool = False) -> Callable | None:
        """Compile a prediction of a batch, with the network's compiler options."""
        if not self._has_options() or (self.predict_function is not None and not force):
            return super().make_predict_function(force)

        def step(state: tuple, data: Any) -> tuple[Any, tuple]:
            outputs, non_trainable = self.predict_step(state, data)
            return outputs, (state[0], non_trainable)

        self.predict_function = self._make_function(
            self._compile(step), concatenate_outputs=True
        )
        return self.predict_function

    def _has_options(self) -> bool:
        """Whether there are options, and Keras compiles for a single device."""
        return self.network_layer.compiler_options is not None and self._compiles()

    def _compiles(self) -> bool:
        """Whether Keras compiles, and for a single device."""
        alone = keras.distribution.distribution() is None
        return alone and self.jit_compile and not self.run_eagerly

    def _compile(self, step: Callable) -> Callable:
        options = self.network_layer.compiler_options
        return jax.jit(step, donate_argnums=0, compiler_options=options)

    def call(self, inputs: Mapping[str, Array], training: bool | None = None) -> dict:
        """Run the network; see :meth:`NetworkLayer.call`."""
        return self.network_layer(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Compare those outputs with targets that have any."""
        if y is None:
            raise ValidationError(
                "There are no targets to compare the outputs with. Give y.", attr="y"
            )
        y_pred = _with_target(y_pred, y)
        total = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self._single_loss is not None:
            name, weight = self._single_loss.name, self._single_loss.weight
            own = total - sum(keras.ops.sum(loss) for loss in self.losses)
            own = own if weight is None else own / weight
            self._single_loss.mean.update_state(own, y_pred[name].shape[0])
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Compute metrics of those outputs that have targets."""
        y_pred = _with_target(y_pred, y)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def _with_target(outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> dict:
    return {name: outputs[name] for name in targets}
