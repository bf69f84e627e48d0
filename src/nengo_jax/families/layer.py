"""A function on arrays or a Keras layer in a node, called with the whole batch.

The variables of a layer are signals of the operator. Weights, trained or frozen, are
parameters. What the layer itself changes, such as the statistics of BatchNormalization
or the random state of Dropout, belongs to the whole batch; the state of an RNN cell
belongs to each example. What knows Keras is imported when there is such a node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nengo.builder.operator import Operator
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from ..core import Mode, Run
from .base import Family, Operand, Settings, Target


class Weight(NamedTuple):
    """A value of a layer that is worth keeping: all variables but random states.

    Attributes
    ----------
    name : str
        As in ``"sequential/dense_1/kernel"``.
    variable : keras.Variable
    signal : Signal
    trainable : bool
    """

    name: str
    variable: Any
    signal: Signal
    trainable: bool


class SimTensorNode(Operator):
    """Set a signal to what a function or Keras layer makes of others.

    Parameters
    ----------
    node : TensorNode
    inputs : sequence of Signal
        The time, if it is passed, and the input, if there is any.
    output : Signal
    variables : sequence of Signal
        One for each variable of the layer, in Keras' order.
    changed : sequence of bool
        Which of them the layer changes.
    states : sequence of Signal
        State of an RNN cell.
    """

    def __init__(
        self,
        node: Any,
        inputs: Sequence[Signal],
        output: Signal,
        variables: Sequence[Signal] = (),
        changed: Sequence[bool] = (),
        states: Sequence[Signal] = (),
    ):
        super().__init__(tag=str(node))
        self.node = node
        self.inputs, self.output = tuple(inputs), output
        self.variables, self.states = tuple(variables), tuple(states)
        pairs = list(zip(variables, changed, strict=True))
        self.fixed = tuple(signal for signal, changes in pairs if not changes)
        self.changed = tuple(signal for signal, changes in pairs if changes)
        self.sets, self.incs = [output], []
        self.reads = [*inputs, *self.fixed]
        self.updates = [*self.changed, *states]

    def make_step(self, signals: Any, dt: float, rng: Any) -> Callable:
        """Explain that only nengo_jax can run this."""
        raise SimulationError(not_here(self.node))

    @property
    def weights(self) -> list[Weight]:
        """All variables but random states."""
        from .layer_run import weights_of  # imports Keras, which takes long

        return weights_of(self)

    @property
    def seeds(self) -> list[Signal]:
        """Random states whose seed is left to the simulation."""
        from .layer_run import seeds_of

        return seeds_of(self)


def not_here(node: Any) -> str:
    """Say why another simulator cannot run a node."""
    return (
        f"{node} holds a function on JAX arrays or a Keras layer, which only "
        "nengo_jax.Simulator can run. Simulate the network with it, or use nengo.Node."
    )


def _build(ops: Sequence[SimTensorNode], settings: Settings) -> Run:
    from .layer_run import build  # imports Keras, which takes long

    return build(ops, settings)


def _kept(op: SimTensorNode) -> tuple[Operand, ...]:
    """What is both read and written."""
    return (
        *(Operand(signal, shared=True) for signal in op.changed),
        *(Operand(signal) for signal in op.states),
    )


LAYER = Family(
    name="layer",
    key=id,  # each one runs alone
    reads=lambda op: (*map(Operand, (*op.inputs, *op.fixed)), *_kept(op)),
    writes=lambda op: tuple(
        Target(operand, Mode.SET) for operand in (Operand(op.output), *_kept(op))
    ),
    build=_build,
    flat=True,
)
