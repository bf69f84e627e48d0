r"""Online learning rules: a change of weights that is applied one step later.

With learning rate kappa, filtered activities a (pre) and b (post), error e:

==== ==================================================================
PES  delta = -kappa dt / n  e a^T, n the number of presynaptic neurons
BCM  delta = kappa dt  (b (b - theta)) a^T
Oja  delta = kappa dt (b a^T - beta W b^2)
Voja delta = kappa dt l (s b x^T - b E), E the scaled encoders, s = gain / radius
RLS  P -= k (P a)(P a)^T, delta = -k e (P a)^T, k = 1 / (1 + a^T P a)
==== ==================================================================

In training the rules may rest: then delta is 0 and P stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder.learning_rules import SimBCM, SimOja, SimPES, SimRLS, SimVoja
from nengo.builder.operator import Operator

from ..core import Mode, Run
from .base import Constant, Family, Operand, Settings, Target, signal_shapes


def _outer(rows: Array, columns: Array) -> Array:
    return rows[:, :, None] * columns[:, None, :]


def _stack(ops: Sequence[Operator], value: Callable, settings: Settings) -> Constant:
    return np.stack([np.asarray(value(op), settings.dtype) for op in ops])


def at_rest(settings: Settings) -> bool:
    """Whether online rules do nothing, as may be asked for in training."""
    return settings.training is not None and not settings.training.online_rules


def _rest(ops: Sequence[Any], dtype: np.dtype, kept: int) -> Run:
    shape = (len(ops), *ops[0].delta.shape)

    def run(*operands: Array) -> tuple[Array, ...]:
        return jnp.zeros(shape, dtype), *operands[len(operands) - kept :]

    return run


def _learning_family(
    name: str, signals: tuple[str, ...], build: Callable, kept: tuple[str, ...] = ()
) -> Family:
    """Make the family of a rule that reads ``signals`` and updates ``delta``.

    ``kept`` names the signals that it reads and updates as well.
    """

    def build_or_rest(ops: Sequence[Operator], settings: Settings) -> Run:
        if at_rest(settings):
            return _rest(ops, settings.dtype, len(kept))
        return build(ops, settings)

    return Family(
        name=name,
        key=lambda op: signal_shapes(
            *(getattr(op, s) for s in (*signals, *kept, "delta"))
        ),
        reads=lambda op: tuple(Operand(getattr(op, s)) for s in (*signals, *kept)),
        writes=lambda op: tuple(
            Target(Operand(getattr(op, s)), Mode.SET) for s in ("delta", *kept)
        ),
        build=build_or_rest,
    )


def _pes(ops: Sequence[SimPES], settings: Settings) -> Run:
    def scale(op: SimPES) -> float:
        return -op.learning_rate * settings.dt / op.pre_filtered.shape[0]

    rate = _stack(ops, scale, settings)[:, None]

    def run(pre: Array, error: Array) -> tuple[Array]:
        return (_outer(rate * error, pre),)

    return run


def _bcm(ops: Sequence[SimBCM], settings: Settings) -> Run:
    rate = _stack(ops, lambda op: op.learning_rate * settings.dt, settings)[:, None]

    def run(pre: Array, post: Array, theta: Array) -> tuple[Array]:
        return (_outer(rate * post * (post - theta), pre),)

    return run


def _oja(ops: Sequence[SimOja], settings: Settings) -> Run:
    rate = _stack(ops, lambda op: op.learning_rate * settings.dt, settings)[:, None]
    beta = _stack(ops, lambda op: op.beta, settings)[:, None, None]

    def run(pre: Array, post: Array, weights: Array) -> tuple[Array]:
        forgotten = beta * weights * (rate * post * post)[:, :, None]
        return (_outer(rate * post, pre) - forgotten,)

    return run


def _voja(ops: Sequence[SimVoja], settings: Settings) -> Run:
    rate = _stack(ops, lambda op: op.learning_rate * settings.dt, settings)
    scale = _stack(ops, lambda op: op.scale, settings)

    def run(x: Array, post: Array, encoders: Array, learning: Array) -> tuple[Array]:
        pull = _outer(scale * post, x) - post[:, :, None] * encoders
        return ((rate[:, None] * learning)[:, :, None] * pull,)

    return run


def _rls(ops: Sequence[SimRLS], settings: Settings) -> Run:
    def run(pre: Array, error: Array, gamma: Array) -> tuple[Array, Array]:
        projected = jnp.einsum("gij,gj->gi", gamma, pre)
        k = 1 / (1 + jnp.einsum("gi,gi->g", pre, projected))[:, None]
        delta = _outer(-error, k * projected)
        return delta, gamma - _outer(projected, k * projected)

    return run


PES = _learning_family("PES", ("pre_filtered", "error"), _pes)
BCM = _learning_family("BCM", ("pre_filtered", "post_filtered", "theta"), _bcm)
OJA = _learning_family("Oja", ("pre_filtered", "post_filtered", "weights"), _oja)
VOJA = _learning_family(
    "Voja",
    ("pre_decoded", "post_filtered", "scaled_encoders", "learning_signal"),
    _voja,
)
RLS = _learning_family("RLS", ("pre_filtered", "error"), _rls, kept=("inv_gamma",))
