"""A program over a sequence of inputs, in a form that can be differentiated.

The number of steps is fixed, and the result holds what the probes see in every step.
Backpropagation needs the values of every step. In a long sequence these are too many,
so the sequence is cut into segments: only the state at the beginning of each is kept,
and its steps are computed again on the way back (Chen et al., 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from ..core import Block, Program, Role
from .distribution import distribute, run_stages
from .refine import Refined
from .step import Memory, read_operands, run_groups, sample, split_by_time
from .unroll import Inputs

_KEEP_BYTES = 2**29  # of intermediate values that "auto" keeps
_VALUES_PER_ELEMENT = 4  # kept for each element of a state or wire, about


def run_sequence(
    refined: Refined,
    params: Memory,
    state: Memory,
    inputs: Inputs,
    steps: int,
    *,
    checkpoint_every: int | None = None,
    truncation: int | None = None,
    layerwise: bool = True,
) -> tuple[Memory, tuple[Array, ...]]:
    """Run all steps for one example.

    Parameters
    ----------
    refined : Refined
        A program without host groups.
    params, state : mapping of str to Array
        Blocks of that program before it was cut.
    inputs : Inputs
        Blocks of the program that was cut. Sequences have shape (steps, size).
    steps : int
    checkpoint_every : int or None
        Length of a segment; None keeps the values of all steps.
    truncation : int or None
        Number of steps after which no error is propagated back; None for all.
    layerwise : bool
        Whether to take the loop apart where that can be done.

    Returns
    -------
    state : mapping of str to Array
        After the last step.
    samples : tuple of Array, shape (steps, size)
        One for each probe.
    """
    program = refined.program
    split = split_by_time(program, inputs.held.keys())
    stages = distribute(program, split) if layerwise and steps > 1 else ()
    fixed = run_groups(program, split.once, {**params, **inputs.held}, {})
    operands = read_operands(program, split, fixed)

    def step(state: Memory, now: Memory) -> tuple[Memory, tuple[Array, ...]]:
        memory = run_groups(program, split.each, {**fixed, **state, **now}, operands)
        after = {name: memory[name] for name in state}
        return after, tuple(sample(program, memory))

    def scan(state: Memory, part: Memory, count: int):
        return lax.scan(step, state, part, length=count)

    run: Callable = scan
    if stages:
        run = partial(run_stages, program, stages, fixed, operands)
    if checkpoint_every is not None:
        run = partial(_scan_in_segments, run, length=checkpoint_every, remake=True)
    if truncation is not None:
        run = partial(_scan_in_segments, _detached(run), length=truncation)
    after, samples = run(refined.split(state), dict(inputs.sequences), steps)
    return refined.join(after, tuple(state)), samples


def _scan_in_segments(
    run: Callable,
    state: Memory,
    sequences: Memory,
    steps: int,
    *,
    length: int,
    remake: bool = False,
) -> tuple[Memory, tuple[Array, ...]]:
    """Run segments of some length, one after the other, and what is left over."""
    count, rest = divmod(steps, length)

    def segment(state: Memory, part: Memory):
        return run(state, part, length)

    segment = jax.checkpoint(segment) if remake else segment
    parts = {
        name: value[: count * length].reshape(count, length, *value.shape[1:])
        for name, value in sequences.items()
    }
    state, samples = lax.scan(segment, state, parts, length=count)
    samples = [value.reshape(count * length, *value.shape[2:]) for value in samples]
    if not rest:
        return state, tuple(samples)
    left = {name: value[count * length :] for name, value in sequences.items()}
    state, last = run(state, left, rest)
    joined = zip(samples, last, strict=True)
    return state, tuple(jnp.concatenate(pair) for pair in joined)


def _detached(run: Callable) -> Callable:
    """Let no error pass into the state from which a run starts."""

    def detached(state: Memory, part: Memory, count: int):
        return run(jax.tree.map(lax.stop_gradient, state), part, count)

    return detached


def choose_segments(program: Program, steps: int, examples: int) -> int | None:
    """Choose the length of the segments by the memory that all steps would take.

    Returns
    -------
    int or None
        None if all steps can be kept. Otherwise about the square root of their number,
        for which segments and what is kept of them take the least memory together.
    """
    elements = sum(block.size for block in program.blocks.values() if _changes(block))
    itemsize = max(block.dtype.itemsize for block in program.blocks.values())
    kept = _VALUES_PER_ELEMENT * itemsize * elements * steps * examples
    return None if kept <= _KEEP_BYTES else max(1, round(steps**0.5))


def _changes(block: Block) -> bool:
    return block.role in (Role.STATE, Role.WIRE)
