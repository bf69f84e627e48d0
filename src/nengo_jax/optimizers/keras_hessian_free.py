"""Hessian-free optimization as a Keras optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import keras
from jax import Array

from .hessian_free import HessianFreeSettings, HessianFreeState, hessian_free
from .keras_loss import Batch, KerasLoss, hidden_outputs
from .second_order import SecondOrder


@keras.saving.register_keras_serializable(package="nengo_jax")
class HessianFree(SecondOrder):
    r"""Hessian-free optimization (Martens, 2010) for the network of a Simulator.

    Also for any Keras model on the JAX backend, after :func:`second_order`.

    Parameters
    ----------
    damping : float
        The first damping, in units of the curvature of the loss. It adapts itself.
    iterations : int
        The largest number of iterations of conjugate gradients in an update.
    tolerance : float
        When they end; 5e-4 as in Martens (2010). Smaller means later.
    decay : float
        What is left of the last direction when the next search begins there.
    adapt : bool
        Whether the damping changes.
    structural_damping : float
        How much, relative to the damping, to hold on to some outputs: their change is
        penalised in the quadratic model (Martens and Sutskever, 2011).
    damped_outputs : str, int, or sequence of them
        Those outputs, by name or position; of a Simulator, ``sim.get_name(probe)``.
        They need no loss.
    preconditioner : int
        Number of samples for the preconditioner; 0 for none.
    curvature_share : float
        The share of each batch that products with the curvature are computed with.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
        The step length that the line search tries first.
    name : str

    Raises
    ------
    ValidationError
        If a number is out of range; in ``fit``, if there are no targets, or the loss
        depends on a variable in a way that has no derivative.

    Notes
    -----
    Losses should be convex in the outputs: cross-entropy of logits rather than of
    probabilities. Large batches are best. The training logs hold, of the last batch of
    each epoch, what :class:`HessianFreeReport` has: ``damping``, ``cg_iterations``,
    ``backtracked``, ``reduction_ratio``, ``step_length`` (0 if no step made the loss
    smaller), ``update_norm`` and ``gradient_norm``.

    Activity is kept sparse by a loss on an output: ``Regularize(order=1)`` of
    ``nengo_jax.losses`` on a probe of neurons, or "mse" and a target.

    Examples
    --------
    >>> import nengo, nengo_jax, numpy as np
    >>> from nengo_jax.optimizers import HessianFree
    >>> with nengo.Network(seed=0) as network:
    ...     a = nengo.Node([0.0])
    ...     ensemble = nengo.Ensemble(20, 1, neuron_type=nengo.LIFRate())
    ...     b = nengo.Node(size_in=1)
    ...     _ = nengo.Connection(a, ensemble, synapse=None)
    ...     _ = nengo.Connection(ensemble, b, synapse=None)
    ...     probe = nengo.Probe(b)
    >>> x = np.linspace(-1, 1, 32).reshape(-1, 1, 1)
    >>> with nengo_jax.Simulator(network, minibatch_size=32, progress_bar=False) as sim:
    ...     sim.compile(HessianFree(iterations=20), loss="mse")
    ...     history = sim.fit(x, np.sin(3 * x), epochs=10, verbose=0)
    >>> history.history["loss"][-1] < 0.01 * history.history["loss"][0]
    True
    """

    def __init__(
        self,
        damping: float = 1.0,
        iterations: int = 250,
        tolerance: float = 5e-4,
        decay: float = 0.95,
        adapt: bool = True,
        structural_damping: float = 0.0,
        damped_outputs: str | int | Sequence[str | int] = (),
        preconditioner: int = 0,
        curvature_share: float = 1.0,
        learning_rate: Any = 1.0,
        name: str = "hessian_free",
    ):
        super().__init__(learning_rate, curvature_share, name)
        self.settings = HessianFreeSettings(
            damping,
            iterations,
            tolerance,
            decay,
            adapt,
            structural_damping,
            preconditioner,
        )
        single = isinstance(damped_outputs, (str, int))
        self.damped_outputs = (damped_outputs,) if single else tuple(damped_outputs)
        # Whether outputs are missing is known only now, not when a batch comes.
        hessian_free(_nothing, _nothing, self.settings, hidden=self._hidden())

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make variables for the damping and the last direction."""
        super().build(variables)
        first = keras.initializers.Constant(self.settings.damping)
        self._damping = self.add_variable((), first, name="damping")
        self._direction = self.add_optimizer_variables(variables, "direction")

    def _hidden(self) -> Any:
        return hidden_outputs(self.damped_outputs) if self.damped_outputs else None

    def _read(self, names: list[str]) -> HessianFreeState:
        direction = [variable.value for variable in self._direction]
        return HessianFreeState(
            self._damping.value,
            self.iterations.value,
            dict(zip(names, direction, strict=True)),
        )

    def _write(self, names: list[str], memory: HessianFreeState) -> None:
        self._damping.assign(memory.damping)
        for name, variable in zip(names, self._direction, strict=True):
            variable.assign(memory.direction[name])

    def _update(
        self,
        loss: KerasLoss,
        params: Mapping[str, Array],
        batch: Batch,
        curvature_batch: Batch | None,
        memory: HessianFreeState,
        longest: Array,
    ) -> tuple[Mapping[str, Array], HessianFreeState, dict[str, Array]]:
        method = hessian_free(
            loss.predict,
            loss.loss,
            self.settings,
            hidden=self._hidden(),
            penalty=loss.penalty,
        )
        params, memory, report = method.update(
            memory, params, batch, curvature_batch, longest
        )
        numbers = report._asdict()
        del numbers["loss"]  # Keras has it
        return params, memory, numbers

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same optimizer."""
        return {
            **asdict(self.settings),
            "damped_outputs": list(self.damped_outputs),
            "curvature_share": self.curvature_share,
            "learning_rate": super().get_config()["learning_rate"],
            "name": self.name,
        }


def _nothing(*_: Any) -> Any:
    """Stand for the functions of a model that is not known yet."""
