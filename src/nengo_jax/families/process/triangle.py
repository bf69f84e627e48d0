"""Triangle: a finite impulse response that falls linearly to zero over n taps.

With weights n, n-1, ..., 1 (normalised) the output changes from one step to the next
by ``n0 u`` minus one ``ndiff u`` for each of the last n inputs, so a ring of those n
products is all the memory that is needed:

    y += n0 u - sum(X);  i = (i + 1) mod n;  X[i] = ndiff u
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder.processes import SimProcess
from nengo.synapses import Triangle

from ...core import Mode, Run
from ..base import Family, Operand, Settings, Target
from .linear import MODES

_STATE = ("Y", "X", "Xi")


def is_native(op: SimProcess) -> bool:
    """Whether the operator filters its input with nengo's own Triangle."""
    return (
        isinstance(op.process, Triangle)
        and type(op.process).make_step is Triangle.make_step
        and type(op.process).make_state is Triangle.make_state
        and op.input is not None
        and set(op.state_idxs) == set(_STATE)
    )


def _key(op: SimProcess) -> Hashable:
    return op.mode, op.state["X"].shape


def _states(op: SimProcess) -> tuple[Operand, ...]:
    return tuple(Operand(op.state[name]) for name in _STATE)


def _build(ops: Sequence[SimProcess], settings: Settings) -> Run:
    taps = ops[0].state["X"].shape[0]
    rank = ops[0].state["X"].ndim
    weights = np.arange(taps, 0, -1, dtype=np.float64)
    weights /= weights.sum()
    first, difference = (settings.dtype.type(weights[k]) for k in (0, -1))
    numbers = np.arange(taps, dtype=settings.dtype)
    numbers = numbers.reshape(1, taps, *(1,) * (rank - 1))

    def run(x: Array, y: Array, ring: Array, position: Array) -> tuple[Array, ...]:
        y = y + first * x - ring.sum(axis=1)
        position = jnp.mod(position + 1, taps)
        here = numbers == position.reshape(len(ops), *(1,) * rank)
        return y, y, jnp.where(here, difference * x[:, None], ring), position

    return run


TRIANGLE = Family(
    name="triangle",
    key=_key,
    reads=lambda op: (Operand(op.input), *_states(op)),
    writes=lambda op: (
        Target(Operand(op.output), MODES[op.mode]),
        *(Target(state, Mode.SET) for state in _states(op)),
    ),
    build=_build,
)
