"""Python inside of compiled loops, for training.

A simulation is cut where Python is called (``stages.py``), which is fast but leaves
nothing to differentiate. Here the host groups of a program become callbacks instead, so
that all its steps are one function. No derivative passes through Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental import io_callback

from ..core import Access, Block, Group, Program, Role
from .exact import call_exactly
from .host import split_results
from .whole_batch import call_with_batch

# A block that holds the number of the step, and that of the example, which gives it a
# batch axis: so all examples are called even if nothing else differs between them.
CALLED = "<called>"
_PLACE = Block(CALLED, Role.INPUT, 2, np.dtype(np.int32))

Python = Callable[[Group, int, int, Sequence[np.ndarray]], np.ndarray]


def with_callbacks(program: Program, python: Python) -> Program:
    """Return a program whose host groups are callbacks.

    Parameters
    ----------
    program : Program
    python : callable
        ``python(group, step, examples, operands) -> results`` does the work of a host
        group for the first examples of a batch; operands and results have a batch
        axis, and the results are joined end to end. It is called once for each step,
        in order.

    Returns
    -------
    Program
        With one more input block, :data:`CALLED`. It must run within ``vmap``.
    """
    groups = tuple(
        _with_callback(program, group, python) if group.calls else group
        for group in program.groups
    )
    return replace(program, groups=groups, blocks={**program.blocks, CALLED: _PLACE})


def called(first: Array, steps: int, example: Array | int) -> Array:
    """Return what :data:`CALLED` holds in some steps, shape (steps, 2)."""
    numbers = (first + 1).astype(_PLACE.dtype) + jnp.arange(steps, dtype=_PLACE.dtype)
    own = jnp.broadcast_to(jnp.asarray(example, _PLACE.dtype), numbers.shape)
    return jnp.stack([numbers, own], axis=-1)


def _with_callback(program: Program, group: Group, python: Python) -> Group:
    size = sum(target.access.size for target in group.writes)
    (dtype,) = {program.blocks[t.access.block].dtype for t in group.writes} or {
        np.dtype(np.float32)
    }

    def on_host(*operands: np.ndarray) -> np.ndarray:
        *values, place = operands
        results = python(group, int(place[0, 0]), len(place), values)
        return results.reshape(len(place), size)

    def whole(weights: object, shared: object, own: Sequence[Array]) -> list[Array]:
        results = jax.ShapeDtypeStruct((len(own[-1]), size), dtype)
        return [call_exactly(io_callback, on_host, results, *own, ordered=True)]

    def run(*reads: Array) -> tuple[Array, ...]:
        own = [lax.stop_gradient(value) for value in reads]
        (results,) = call_with_batch(whole, [], [], own, kept=0)
        return tuple(split_results(group, results))

    reads = (*group.reads, Access(CALLED, (2,)))
    return replace(group, reads=reads, run=run, calls=())
