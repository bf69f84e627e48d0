"""Time steps of a program that calls Python in the middle of each step.

The step is cut where Python is called, and each piece is one compiled function.
Calling a compiled function takes less time than a callback out of a compiled loop,
errors reach the caller as they are, and user code runs in the caller's own thread.

With one cut, steps are run as ``first | host | turn | host | turn | host | last``:
the turn is the end of one step and the beginning of the next, so each step takes one
compiled call. All that goes from one call to the next is the *carry*: states, wires
that cross a cut, what the host reads and what the probes see, packed into few arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..core import Access, Group, Program, Role
from .compiler_options import options_for
from .cut import Part, cut
from .host import split_results
from .memory import read
from .packing import Carried, Packing
from .step import (
    Memory,
    Operands,
    Split,
    read_operands,
    run_groups,
    sample,
    split_by_time,
    state_axes,
    store,
)

Carry = list[Any]
_READS, _SAMPLES = "<reads>", "<samples>"  # no block is called so


@dataclass(frozen=True)
class Piece:
    """One compiled function: one part of a step, or the end of one and the next start.

    Attributes
    ----------
    inputs, fresh : tuple of str
        Input blocks of the present step and, for a turn, of the next one.
    gives : tuple of int
        Numbers of the arrays of the carry that it changes.
    constants : callable
        ``constants(fixed, operands) -> list of Array``: what it needs of all that does
        not change over time.
    run : callable
        ``run(constants, carry, inputs, fresh, results) -> changed arrays``.
    """

    inputs: tuple[str, ...]
    fresh: tuple[str, ...]
    gives: tuple[int, ...]
    constants: Callable[[Memory, Operands], list[Array]]
    run: Callable


class HostLoop:
    """A program with host groups, cut into compiled pieces.

    Parameters
    ----------
    program : Program
    held : collection of str
        Input blocks that never change and have no batch axis.
    batch_size : int or None
        Length of the batch axis of all blocks that change; None if they have none.
    """

    def __init__(self, program: Program, held: Collection[str], batch_size: int | None):
        self._program = program
        self._lead = () if batch_size is None else (batch_size,)
        self._held = tuple(held)
        self._axes = state_axes(program)
        self._states = tuple(self._axes)
        self._shared = frozenset(program.names(Role.SHARED))
        self._split = split_by_time(program, held)
        self._parts = cut(program, self._split.each)
        self._packing = self._pack_carry()
        self._prepare = jax.jit(partial(_prepare, program, self._split))
        self._shapes = jax.eval_shape(self._prepare, self._source_shapes())
        count = len(self._parts)
        self._pieces = [self._compile((k,)) for k in range(count)]
        self._turn = self._compile((count - 1, 0))
        self._nothing = np.zeros((*self._lead, 0), np.float32)
        self._pack = jax.jit(self._pack_states)
        self._source: Memory = {}
        self._constants: dict[int, list[Array]] = {}
        self._last: tuple[Callable[[], Memory], Memory, list[np.ndarray]] | None = None

    def load(self, params: Memory, held: Memory) -> None:
        """Take new values for all that does not change over time."""
        self._source = {**params, **held}
        prepared = self._prepare(self._source)
        self._constants = {
            id(piece): jax.jit(piece.constants)(*prepared)
            for piece in [*self._pieces, self._turn]
        }

    def warm_up(self, state: Memory, inputs: Memory, dtype: np.dtype) -> None:
        """Compile the pieces of a single step, with zeros for what Python returns.

        Parameters
        ----------
        state, inputs : mapping of str to Array
        dtype : dtype
            Type of what Python returns.
        """
        carry, results = self._enter(state), self._nothing
        for part, piece in zip(self._parts, self._pieces, strict=True):
            carry = self._call(piece, carry, inputs, {}, results)
            if part.after is not None:
                size = sum(write.access.size for write in part.after.writes)
                results = np.zeros((*self._lead, size), dtype)

    def run(
        self,
        state: Memory,
        inputs: Sequence[Callable[[], Memory]],
        call: Callable[[Group, Sequence[np.ndarray]], np.ndarray],
    ) -> Iterator[tuple[Carry, Callable[[], Memory]]]:
        """Run one step for each item of ``inputs``.

        Parameters
        ----------
        state : mapping of str to Array
        inputs : sequence of callable
            Called at the beginning of each step; gives the input blocks.
        call : callable
            ``call(group, operands) -> array``, the Python work of a host group.

        Yields
        ------
        carry : list of Array
            For :meth:`samples`.
        settle : callable
            ``settle() -> state`` gives the state after the step, should the run end
            there.
        """
        first, *between, last = self._pieces
        before: Callable[[], Memory] = lambda: state  # noqa: E731
        now = inputs[0]()
        carry = self._call(first, self._enter(state), now, {}, self._nothing)
        for number in range(len(inputs)):
            history: list[np.ndarray] = []
            for part, piece in zip(self._parts, [*between, None], strict=False):
                assert part.after is not None
                history.append(call(part.after, self._reads(part.after, carry)))
                if piece is not None:
                    carry = self._call(piece, carry, now, {}, history[-1])
            settle = partial(self._settle, carry, now, history[-1])
            self._last = before, now, history
            if number + 1 == len(inputs):
                carry = self._call(last, carry, now, {}, history[-1])
                yield carry, partial(self._leave, carry)
                return
            try:
                following = inputs[number + 1]()
            except BaseException:
                yield self._call(last, carry, now, {}, history[-1]), settle
                raise
            carry = self._call(self._turn, carry, now, following, history[-1])
            now, before = following, settle
            yield carry, settle

    def samples(self, carry: Carry) -> list[np.ndarray]:
        """What the probes see after the step, shape ([batch,] size) each."""
        return self._joined(carry, _SAMPLES, [s.access for s in self._program.samples])

    def last_wires(self) -> tuple[Callable[[], Memory], Memory]:
        """Return what works out the wires of the last step, and its inputs."""
        assert self._last is not None
        return partial(self._again, *self._last), self._last[1]

    def _again(
        self, before: Callable[[], Memory], inputs: Memory, history: list[np.ndarray]
    ) -> Memory:
        """Repeat a step without compiling it, and keep the wires."""
        split = split_by_time(self._program, self._held, everything=True)
        fixed = run_groups(self._program, split.once, self._source, {})
        parts = cut(self._program, split.each)

        def again(state: Memory, inputs: Memory, history: list[np.ndarray]) -> Memory:
            memory = {**fixed, **state, **inputs}
            for part, results in zip(parts, [None, *history], strict=True):
                if part.before is not None and results is not None:
                    own = split_results(part.before, jnp.asarray(results))
                    memory = store(self._program, part.before, own, memory)
                memory = run_groups(self._program, part.numbers, memory, {})
            return {n: memory[n] for n in self._program.names(Role.WIRE)}

        state = {name: jnp.asarray(value) for name, value in before().items()}
        if self._lead:
            again = jax.vmap(again, in_axes=(self._axes, 0, 0))
        return again(state, inputs, history)

    # -- the carry

    def _pack_carry(self) -> Packing:
        blocks = self._program.blocks
        crossing = {
            name
            for k, part in enumerate(self._parts)
            for later in self._parts[k + 1 :]
            for name in part.written & later.touched
        }
        names = [*self._states, *sorted(crossing - set(self._states))]
        arrays = {n: ((blocks[n].size,), blocks[n].dtype) for n in names}
        seen = [[s.access for s in self._program.samples]]
        seen += [list(part.after.reads) for part in self._parts if part.after]
        types = {blocks[a.block].dtype for accesses in seen for a in accesses}
        (joint,) = types or {np.dtype(np.float32)}
        widths = [sum(a.size for a in accesses) for accesses in seen]
        arrays[_SAMPLES] = ((widths[0],), joint)
        arrays[_READS] = ((max(widths[1:], default=0),), joint)
        return Packing(arrays, self._shared)

    def _pack_states(self, state: Memory) -> Carry:
        zeros = {
            name: jnp.zeros(
                place.shape if name in self._shared else (*self._lead, *place.shape),
                self._packing.types[name],
            )
            for name, place in self._packing.places.items()
        }
        return self._packing.pack({**zeros, **state})

    def _enter(self, state: Memory) -> Carry:
        if isinstance(state, Carried) and state.packing is self._packing:
            return state.carry
        return self._pack(dict(state))

    def _leave(self, carry: Carry) -> Carried:
        return Carried(self._packing, carry, self._states)

    def _settle(self, carry: Carry, inputs: Memory, results: np.ndarray) -> Carried:
        return self._leave(self._call(self._pieces[-1], carry, inputs, {}, results))

    def _call(
        self,
        piece: Piece,
        carry: Carry,
        inputs: Memory,
        fresh: Memory,
        results: np.ndarray,
    ) -> Carry:
        """Run a piece; return the new carry."""
        changed = piece.run(
            self._constants[id(piece)],
            carry,
            [inputs[name] for name in piece.inputs],
            [fresh[name] for name in piece.fresh],
            results,
        )
        carry = list(carry)
        for number, array in zip(piece.gives, changed, strict=True):
            carry[number] = array
        return carry

    def _reads(self, group: Group, carry: Carry) -> list[np.ndarray]:
        values = self._joined(carry, _READS, group.reads)
        shapes = [(*self._lead, *access.shape) for access in group.reads]
        return [v.reshape(s) for v, s in zip(values, shapes, strict=True)]

    def _joined(
        self, carry: Carry, name: str, accesses: Sequence[Access]
    ) -> list[np.ndarray]:
        number, start, _ = self._packing.places[name]
        array = np.asarray(carry[number])
        values = []
        for access in accesses:
            values.append(array[..., start : start + access.size])
            start += access.size
        return values

    # -- compiling

    def _source_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        blocks = self._program.blocks
        names = [*self._program.names(Role.PARAM), *self._held]
        return {
            n: jax.ShapeDtypeStruct((blocks[n].size,), blocks[n].dtype) for n in names
        }

    def _compile(self, order: tuple[int, ...]) -> Piece:
        """Compile one part, or the last and the first part of the next step."""
        program, packing = self._program, self._packing
        parts = [self._parts[k] for k in order]
        states = set(self._states)
        inputs = set(program.names(Role.INPUT)) - set(self._held)
        made = {n for part in self._parts[: order[0]] for n in part.written}
        kept = [n for n in packing.places if n in states | made]
        here = tuple(sorted(parts[0].touched & inputs))
        fresh = tuple(sorted(parts[-1].touched & inputs)) if len(parts) == 2 else ()
        written = {_READS, _SAMPLES}.union(*(part.written for part in parts))
        gives = {packing.places[n].array for n in written if n in packing.places}
        constants, unpack = self._choose_constants(parts)

        def run(packed_constants, carry, values, fresh_values, results):
            base, operands = unpack(packed_constants)
            old = packing.unpack(carry)
            memory = {**base, **{n: old[n] for n in kept}}
            memory |= dict(zip(here, values, strict=True))
            new = dict(old)
            for number, part in enumerate(parts):
                if number:  # a new step: only states live on
                    memory = {**base, **{n: memory[n] for n in states}}
                    memory |= dict(zip(fresh, fresh_values, strict=True))
                if part.before is not None:
                    own = split_results(part.before, results)
                    memory = store(program, part.before, own, memory)
                memory = run_groups(program, part.numbers, memory, operands)
                if part.after is None:
                    new[_SAMPLES] = _fill(old[_SAMPLES], sample(program, memory))
                else:
                    reads = [read(memory[a.block], a) for a in part.after.reads]
                    new[_READS] = _fill(old[_READS], reads)
            new |= {n: memory[n] for n in old if n in memory}
            packed = packing.pack(new)
            return [packed[number] for number in sorted(gives)]

        if self._lead:
            axes = [None if self._shared & {*m} else 0 for m in packing.members]
            run = jax.vmap(
                run,
                in_axes=(None, axes, 0, 0, 0 if parts[0].before else None),
                out_axes=[axes[number] for number in sorted(gives)],
            )
        compiled = jax.jit(run, compiler_options=options_for(program))
        return Piece(here, fresh, tuple(sorted(gives)), constants, compiled)

    def _choose_constants(self, parts: Sequence[Part]) -> tuple[Callable, Callable]:
        """Functions that pack and unpack the constants of some parts."""
        numbers = {number for part in parts for number in part.numbers}
        touched = frozenset().union(*(part.touched for part in parts))

        def choose(fixed: Memory, operands: Operands) -> tuple[Memory, Operands]:
            return (
                {n: v for n, v in fixed.items() if n in touched},
                {key: v for key, v in operands.items() if key[0] in numbers},
            )

        leaves, form = jax.tree.flatten(choose(*self._shapes))
        packing = Packing({k: (v.shape, v.dtype) for k, v in enumerate(leaves)})

        def pack(fixed: Memory, operands: Operands) -> list[Array]:
            return packing.pack(
                dict(enumerate(jax.tree.leaves(choose(fixed, operands))))
            )

        def unpack(packed: Sequence[Array]) -> tuple[Memory, Operands]:
            arrays = packing.unpack(packed)
            return jax.tree.unflatten(form, [arrays[k] for k in range(len(leaves))])

        return pack, unpack


def _fill(old: Array, values: Sequence[Array]) -> Array:
    """Join values at the beginning of an array, and leave the rest as it is."""
    flat = [value.reshape(-1) for value in values]
    used = sum(value.shape[0] for value in flat)
    return jnp.concatenate([*flat, old[used:]])


def _prepare(program: Program, split: Split, memory: Memory) -> tuple[Memory, Operands]:
    fixed = run_groups(program, split.once, memory, {})
    return fixed, read_operands(program, split, fixed)
