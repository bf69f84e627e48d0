"""A change of weights that is an outer product, kept as its two factors.

PES computes ``delta = r e a^T`` at the end of a step and adds it to the weights in the
next. Keeping the vectors ``r e`` and ``a`` instead of the matrix halves the memory that
a step goes through. The two operators here take the place of SimPES and of the Copy
that applies its delta. If rules rest in training, both write zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder.learning_rules import SimPES
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from ..core import Mode, Run
from .base import Constant, Family, Operand, Settings, Target, signal_shapes
from .learning import at_rest


class KeepFactors(Operator):
    """Update ``rows`` and ``columns``, whose outer product is the delta of a rule."""

    def __init__(self, rule: SimPES):
        super().__init__(tag=rule.tag)
        self.learning_rate = rule.learning_rate
        self.rows = Signal(np.zeros(rule.error.shape), name="PES:rows")
        self.columns = Signal(np.zeros(rule.pre_filtered.shape), name="PES:columns")
        self.sets, self.incs = [], []
        self.reads = [rule.pre_filtered, rule.error]
        self.updates = [self.rows, self.columns]


class OuterInc(Operator):
    """Increment ``Y`` by the outer product of ``rows`` and ``columns``."""

    def __init__(self, rows: Signal, columns: Signal, Y: Signal, tag: str | None):  # noqa: N803
        super().__init__(tag=tag)
        self.sets, self.incs = [], [Y]
        self.reads, self.updates = [rows, columns], []


def _build_keep(ops: Sequence[KeepFactors], settings: Settings) -> Run:
    rates = [-op.learning_rate * settings.dt / op.reads[0].size for op in ops]
    scale: Constant = np.array(rates, settings.dtype)[:, None]

    def rest(pre: Array, error: Array) -> tuple[Array, Array]:
        return jnp.zeros_like(error), pre

    def run(pre: Array, error: Array) -> tuple[Array, Array]:
        return scale * error, pre

    return rest if at_rest(settings) else run


def _build_outer(ops: Sequence[OuterInc], settings: Settings) -> Run:
    shape = len(ops), *ops[0].incs[0].shape

    def rest(rows: Array, columns: Array) -> tuple[Array]:
        return (jnp.zeros(shape, settings.dtype),)

    def run(rows: Array, columns: Array) -> tuple[Array]:
        return (rows[:, :, None] * columns[:, None, :],)

    return rest if at_rest(settings) else run


KEEP_FACTORS = Family(
    name="PES",
    key=lambda op: signal_shapes(*op.reads),
    reads=lambda op: tuple(map(Operand, op.reads)),
    writes=lambda op: tuple(Target(Operand(s), Mode.SET) for s in op.updates),
    build=_build_keep,
)
OUTER = Family(
    name="outer",
    key=lambda op: signal_shapes(*op.reads),
    reads=lambda op: tuple(map(Operand, op.reads)),
    writes=lambda op: (Target(Operand(op.incs[0]), Mode.INC),),
    build=_build_outer,
)
