"""Natural gradient descent as a Keras optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from jax import Array

from .fisher import ITERATIVE, NaturalGradientSettings
from .keras_loss import Batch, KerasLoss
from .natural_descent import DESCENT, NaturalDescentState, natural_descent
from .second_order import SecondOrder


@keras.saving.register_keras_serializable(package="nengo_jax")
class NaturalGradient(SecondOrder):
    r"""Natural gradient descent for the network of a Simulator.

    Also for any Keras model on the JAX backend, after :func:`second_order`. For
    policies there is :func:`natural_gradient`.

    Parameters
    ----------
    radius : float
        The squared length of a step, measured by the Fisher matrix. It is that of the
        Gauss-Newton matrix of the loss, see ``natural_descent.py``.
    damping : float
        Added to the diagonal of the Fisher matrix.
    iterations : int
        The largest number of iterations of conjugate gradients in an update.
    tolerance : float
        When they end, see ``conjugate_gradient.py``.
    curvature_share : float
        The share of each batch that the Fisher matrix is computed with.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
        Factor of the step. All steps are as long as ``radius`` says, so let it become
        smaller in the end.
    name : str

    Raises
    ------
    ValidationError
        As for :class:`HessianFree`.

    Notes
    -----
    The training logs hold ``squared_norm`` (:math:`g^T F^{-1} g`), ``step_length``,
    ``cg_iterations`` and ``update_norm`` of the last batch of each epoch.
    """

    def __init__(
        self,
        radius: float = DESCENT.radius,
        damping: float = DESCENT.damping,
        iterations: int = DESCENT.iterations,
        tolerance: float = DESCENT.tolerance,
        curvature_share: float = 1.0,
        learning_rate: Any = 1.0,
        name: str = "natural_gradient",
    ):
        super().__init__(learning_rate, curvature_share, name)
        self.settings = NaturalGradientSettings(
            radius, ITERATIVE, tolerance, damping, iterations
        )

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make variables for the last natural gradient."""
        super().build(variables)
        self._direction = self.add_optimizer_variables(variables, "direction")

    def _read(self, names: list[str]) -> NaturalDescentState:
        direction = [variable.value for variable in self._direction]
        return NaturalDescentState(dict(zip(names, direction, strict=True)))

    def _write(self, names: list[str], memory: NaturalDescentState) -> None:
        for name, variable in zip(names, self._direction, strict=True):
            variable.assign(memory.direction[name])

    def _update(
        self,
        loss: KerasLoss,
        params: Mapping[str, Array],
        batch: Batch,
        curvature_batch: Batch | None,
        memory: NaturalDescentState,
        longest: Array,
    ) -> tuple[Mapping[str, Array], NaturalDescentState, dict[str, Array]]:
        method = natural_descent(
            loss.predict, loss.loss, self.settings, penalty=loss.penalty
        )
        params, memory, report = method.update(
            memory, params, batch, curvature_batch, longest
        )
        numbers = report._asdict()
        numbers["cg_iterations"] = numbers.pop("rank")
        return params, memory, numbers

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same optimizer."""
        return {
            "radius": self.settings.radius,
            "damping": self.settings.damping,
            "iterations": self.settings.iterations,
            "tolerance": self.settings.tolerance,
            "curvature_share": self.curvature_share,
            "learning_rate": super().get_config()["learning_rate"],
            "name": self.name,
        }
