"""Many time steps of a program, for one example or a batch.

The number of steps is an argument and the buffers for samples have a fixed capacity,
so that runs of any length share one compiled function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..core import Program, Role
from .compiler_options import options_for
from .parts import map_examples, part_size
from .step import (
    Memory,
    read_operands,
    run_groups,
    sample,
    split_by_time,
    state_axes,
)


class Inputs(NamedTuple):
    """The input blocks of a run.

    Attributes
    ----------
    held : mapping of str to Array, shape ([batch,] size)
        Blocks that hold the same values in all steps.
    sequences : mapping of str to Array, shape ([batch,] capacity, size)
        Blocks with values for each step.
    """

    held: Mapping[str, Any]
    sequences: Mapping[str, Any]


class Chunk(NamedTuple):
    """What a run of some steps leaves behind.

    Attributes
    ----------
    state : mapping of str to Array, shape ([batch,] size)
        Blocks after the last step; those of the whole batch have no batch axis.
    wires : mapping of str to Array, shape ([batch,] size)
        The same for blocks that are made anew in each step; empty unless asked for.
    samples : tuple of Array, shape ([batch,] rows, size)
        One buffer for each probe.
    """

    state: Memory
    wires: Memory
    samples: tuple[Array, ...]


def sample_rows(program: Program, first: int, count: int, capacity: int) -> np.ndarray:
    """Say in which row of its buffer each probe stores each step.

    A step that is not recorded is stored in a row that a later one overwrites, or
    that nobody reads.

    Parameters
    ----------
    program : Program
    first : int
        Number of the first step (the very first step of a simulation is 1).
    count, capacity : int
        Steps to run, and the number that the buffers are made for.

    Returns
    -------
    ndarray of int32, shape (probes, capacity + 1)
        The last column holds the number of recorded rows.
    """
    steps = np.arange(first, first + capacity)
    table = np.zeros((len(program.samples), capacity + 1), np.int32)
    for rows, probe in zip(table, program.samples, strict=True):
        kept = (steps % probe.period < 1) & (steps < first + count)
        rows[1:] = np.cumsum(kept)
        rows[:-1] = rows[1:] - kept
    return table


def buffer_rows(period: float, capacity: int) -> int:
    """Rows that a probe needs for ``capacity`` steps, and one to spare."""
    return int(np.ceil(capacity / max(period, 1.0))) + 2


def run_chunk(
    program: Program,
    capacity: int,
    params: Memory,
    state: Memory,
    inputs: Inputs,
    rows: Array,
    count: Array,
    keep_wires: bool = False,
) -> Chunk:
    """Run ``count`` steps (at most ``capacity``) of one example.

    Parameters
    ----------
    program : Program
        Without host groups.
    capacity : int
    params, state : mapping of str to Array
    inputs : Inputs
    rows : Array of int32, shape (probes, capacity + 1)
        From :func:`sample_rows`.
    count : Array of int32, shape ()
    keep_wires : bool
        Whether to return all wires, those included that nothing depends on.
    """
    split = split_by_time(program, inputs.held.keys(), everything=keep_wires)
    fixed = run_groups(program, split.once, {**params, **inputs.held}, {})
    operands = read_operands(program, split, fixed)
    wires = program.names(Role.WIRE) if keep_wires else ()
    varying = [n for n in wires if _changes(program, split.each, n)]

    def body(k: Array, carry: Chunk) -> Chunk:
        now = {name: value[k] for name, value in inputs.sequences.items()}
        memory = {**fixed, **carry.state, **now}
        memory = run_groups(program, split.each, memory, operands)
        buffers = tuple(
            lax.dynamic_update_slice(buffer, value[None], (row[k], jnp.int32(0)))
            for buffer, value, row in zip(
                carry.samples, sample(program, memory), rows, strict=True
            )
        )
        return Chunk(
            {name: memory[name] for name in carry.state},
            {name: memory[name] for name in varying},
            buffers,
        )

    def zeros(name: str) -> Array:
        return jnp.zeros(program.blocks[name].size, program.blocks[name].dtype)

    buffers = tuple(
        jnp.zeros(
            (buffer_rows(s.period, capacity), s.access.size),
            program.blocks[s.access.block].dtype,
        )
        for s in program.samples
    )
    start = Chunk(state, {name: zeros(name) for name in varying}, buffers)
    if capacity == 1:
        done = body(jnp.int32(0), start)
    else:
        done = lax.fori_loop(jnp.int32(0), count, body, start)
    settled = {n: fixed[n] for n in wires if n not in done.wires}
    return done._replace(wires={**done.wires, **settled})


def _changes(program: Program, numbers: tuple[int, ...], name: str) -> bool:
    writes = (write for n in numbers for write in program.groups[n].writes)
    return any(write.access.block == name for write in writes)


def batch(
    program: Program, function: Callable, batched_inputs: Inputs, size: int
) -> Callable:
    """Make ``function(params, state, inputs, rows, count)`` work on a batch.

    Parameters are shared; states belong to one example each, or to all together.

    Parameters
    ----------
    program : Program
    function : callable
    batched_inputs : Inputs of bool
        Which input blocks have a batch axis.
    size : int
        Number of examples.
    """
    axes = jax.tree.map(lambda has_axis: 0 if has_axis else None, batched_inputs)
    states = state_axes(program)
    part = part_size(program, size)
    if part < size:
        return partial(_run_in_parts, function, batched_inputs, part)
    return jax.vmap(
        function,
        in_axes=(None, states, axes, None, None),
        out_axes=Chunk(states, 0, 0),  # pyright: ignore[reportArgumentType]
        axis_size=size,  # nothing that goes in need have a batch axis
    )


def _run_in_parts(
    function: Callable,
    batched_inputs: Inputs,
    part: int,
    params: Memory,
    state: Memory,
    inputs: Inputs,
    *rows: Array,
) -> Chunk:
    def choose(own: bool) -> Inputs:
        pairs = zip(inputs, batched_inputs, strict=True)
        return Inputs(
            *(
                {name: v for name, v in values.items() if has_axis[name] is own}
                for values, has_axis in pairs
            )
        )

    shared = choose(False)

    def one(state: Memory, own: Inputs) -> Chunk:
        joined = [{**a, **b} for a, b in zip(shared, own, strict=True)]
        return function(params, state, Inputs(*joined), *rows)

    return map_examples(one, (state, choose(True)), part)


def compile_chunk(
    program: Program,
    capacity: int,
    batched_inputs: Inputs,
    batch_size: int | None,
    keep_wires: bool = False,
) -> Callable[..., Chunk]:
    """Compile :func:`run_chunk` for some capacity.

    Parameters
    ----------
    program : Program
    capacity : int
    batched_inputs : Inputs of bool
        Which input blocks have a batch axis.
    batch_size : int or None
        None for a single example.
    keep_wires : bool
        As for :func:`run_chunk`.
    """
    function = partial(run_chunk, program, capacity, keep_wires=keep_wires)
    if batch_size is not None:
        function = batch(program, function, batched_inputs, batch_size)
    return jax.jit(function, compiler_options=options_for(program))
