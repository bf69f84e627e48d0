"""Linear filters: Lowpass, Alpha and any other :class:`nengo.LinearFilter`.

nengo discretises the transfer function to A, B, C, D and picks one of four steps
(u: input, x: state, y: output):

============ =============================== ======================
no state     y = D u
first order  x = a x + b u (D = 0)           y = x
delay-free   x = A x + B u (D = 0)           y = C x, x new
general      y = C x + D u, x old            x = A x + B u
============ =============================== ======================
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from nengo.builder.processes import SimProcess
from nengo.synapses import LinearFilter

from ...core import Mode, Run
from ..base import Family, Operand, Settings, Target, per_element
from ..copying import element_numbers

_FIRST_ORDER = (LinearFilter.OneX, LinearFilter.OneXScalar)
_KNOWN = (LinearFilter.NoX, *_FIRST_ORDER, LinearFilter.NoD, LinearFilter.General)
MODES = {"set": Mode.SET, "update": Mode.SET, "inc": Mode.INC}


def is_native(op: SimProcess) -> bool:
    """Whether the operator filters its input with nengo's own linear filter."""
    process = op.process
    return (
        isinstance(process, LinearFilter)
        and type(process).make_step is LinearFilter.make_step
        and type(process).make_state is LinearFilter.make_state
        and op.input is not None
        and set(op.state_idxs) == {"X"}
    )


def order(op: SimProcess) -> int:
    """Number of state variables of the filter."""
    return op.state["X"].shape[0]


def is_first_order(op: SimProcess) -> bool:
    """Whether the filter is a lowpass: one state variable and no passthrough.

    True when the numerator has lower order than the denominator, as nengo's
    discretisations (all but bilinear and gbt) then give D = 0.
    """
    process = op.process
    plain = process.analog and process.method in ("zoh", "euler")
    return order(op) == 1 and plain and len(np.trim_zeros(process.num, "f")) == 1


def discretized(op: SimProcess, dt: float) -> LinearFilter.Step:
    """Let nengo discretise the filter; the result holds A, B, C and D."""
    state = {"X": op.state["X"].initial_value}
    return op.process.make_step(op.input.shape, op.output.shape, dt, None, state)


def _signature(process: LinearFilter) -> Hashable:
    num, den = process.num.tobytes(), process.den.tobytes()
    return num, den, process.analog, process.method, type(process)


def _stateless_key(op: SimProcess) -> Hashable:
    return op.mode


def _lowpass_key(op: SimProcess) -> Hashable:
    return op.mode, output_is_state(op)


def _state_key(op: SimProcess) -> Hashable:
    return op.mode, op.state["X"].shape


def output_is_state(op: SimProcess) -> bool:
    """Whether a lowpass need not keep its state beside its output: they are equal."""
    state, output = op.state["X"], op.output
    kept = op.mode == "update" and not output.is_view and state.size == output.size
    return kept and np.array_equal(
        state.initial_value.reshape(-1), output.initial_value.reshape(-1)
    )


def _flat_state(op: SimProcess) -> Operand:
    state = op.state["X"]
    return Operand(state, element_numbers(state).reshape(-1), (state.size,))


def _lowpass_reads(op: SimProcess) -> tuple[Operand, ...]:
    state = Operand(op.output) if output_is_state(op) else _flat_state(op)
    return Operand(op.input), state


def _lowpass_writes(op: SimProcess) -> tuple[Target, ...]:
    if output_is_state(op):
        return (_output(op),)
    return _output(op), Target(_flat_state(op), Mode.SET)


def _discretize_all(ops: Sequence[SimProcess], dt: float) -> list[LinearFilter.Step]:
    """Discretise each different filter once."""
    known: dict[Hashable, LinearFilter.Step] = {}
    steps = []
    for op in ops:
        key = (_signature(op.process), op.state["X"].size == 1)
        if key not in known:
            known[key] = discretized(op, dt)
        steps.append(known[key])
    return steps


def _build_first_order(ops: Sequence[SimProcess], settings: Settings) -> Run:
    steps = _discretize_all(ops, settings.dt)
    sizes = [op.output.size for op in ops]
    a = per_element([step.A.item() for step in steps], sizes, settings.dtype)
    b = per_element(
        [step.C.item() * step.B.item() for step in steps], sizes, settings.dtype
    )

    results = 1 if output_is_state(ops[0]) else 2

    def run(x: Array, state: Array) -> tuple[Array, ...]:
        return (a * state + b * x,) * results

    return run


def _build_stateless(ops: Sequence[SimProcess], settings: Settings) -> Run:
    steps = _discretize_all(ops, settings.dt)
    sizes = [op.output.size for op in ops]
    d = per_element([step.D.item() for step in steps], sizes, settings.dtype)

    def run(x: Array) -> tuple[Array]:
        return (d * x,)

    return run


def _build_higher_order(ops: Sequence[SimProcess], settings: Settings) -> Run:
    steps = _discretize_all(ops, settings.dt)
    if not all(isinstance(step, _KNOWN) for step in steps):
        raise AssertionError("nengo has a new kind of linear filter step")
    # nengo keeps C x, not x, as the state of a filter of first order
    first_order = [isinstance(step, _FIRST_ORDER) for step in steps]
    b_of = [s.B * s.C if f else s.B for s, f in zip(steps, first_order, strict=True)]
    c_of = [s.C / s.C if f else s.C for s, f in zip(steps, first_order, strict=True)]
    a = np.stack([step.A for step in steps]).astype(settings.dtype)
    b, c = (
        np.stack([np.reshape(part, -1) for part in parts]).astype(settings.dtype)
        for parts in (b_of, c_of)
    )
    d = np.stack([step.D.item() for step in steps]).astype(settings.dtype)
    # a filter without passthrough answers with the new state, without delay
    fresh = np.array([isinstance(s, (*_FIRST_ORDER, LinearFilter.NoD)) for s in steps])

    def run(x: Array, state: Array) -> tuple[Array, Array]:
        x = x.reshape(len(ops), 1, -1)
        flat = state.reshape(*state.shape[:2], -1)
        new = jnp.einsum("gij,gjn->gin", a, flat) + b[:, :, None] * x
        seen = new if fresh.all() else jnp.where(fresh[:, None, None], new, flat)
        output = jnp.einsum("gi,gin->gn", c, seen) + d[:, None] * x[:, 0]
        return output.reshape(len(ops), *ops[0].output.shape), new.reshape(state.shape)

    return run


def _output(op: SimProcess) -> Target:
    return Target(Operand(op.output), MODES[op.mode])


STATELESS_FILTER = Family(
    name="filter (no state)",
    key=_stateless_key,
    reads=lambda op: (Operand(op.input),),
    writes=lambda op: (_output(op),),
    build=_build_stateless,
    flat=True,
)
LOWPASS = Family(
    name="filter (first order)",
    key=_lowpass_key,
    reads=_lowpass_reads,
    writes=_lowpass_writes,
    build=_build_first_order,
    flat=True,
)
LINEAR_FILTER = Family(
    name="filter",
    key=_state_key,
    reads=lambda op: (Operand(op.input), Operand(op.state["X"])),
    writes=lambda op: (_output(op), Target(Operand(op.state["X"]), Mode.SET)),
    build=_build_higher_order,
)
