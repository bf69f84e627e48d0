"""One example of a network over a number of steps, as a function that JAX can handle.

This joins what the runtime keeps apart: values of input nodes, by name, become input
blocks, the clock is worked out, and samples get the names and shapes of their probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from nengo import Node, Probe
from nengo.builder import Model
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError

from .compiler import CONSTANTS, INPUTS, Compiled
from .core import Program
from .options import AUTOMATIC, Options
from .runtime.callbacks import CALLED, called
from .runtime.refine import Part, refine
from .runtime.sequence import choose_segments, run_sequence
from .runtime.step import Memory
from .runtime.unroll import Inputs

Names = Mapping[Node | Probe, str]


class Piece(NamedTuple):
    """Elements of a signal that is fed, from ``start`` to before ``stop``."""

    signal: Signal
    start: int
    stop: int


class Result(NamedTuple):
    """What a number of steps leave behind.

    Attributes
    ----------
    state : mapping of str to Array, shape (size,)
    outputs : dict of str to Array, shape (steps, size)
        By name of the probe; with the shape of the weights for a probe of weights.
    """

    state: Memory
    outputs: dict[str, Array]


class Forward:
    """Runs a compiled network on values of its input nodes.

    Parameters
    ----------
    model : nengo.builder.Model
    compiled : Compiled
    program : Program
        The form of the compiled program to run.
    names : mapping of Node or Probe to str
        Names of the input nodes and probes.
    options : Options
    layerwise : bool
        Whether loops over time may be taken apart: faster to train, slower to run.

    Attributes
    ----------
    inputs : dict of str to Signal
        What can be given: nodes without input, and noise.
    required : frozenset of str
        What must be given: all but the constant nodes.
    outputs : dict of str to int
        Sizes of the probes.
    shapes : dict of str to tuple of int
        Shapes of what the probes see in a step.
    """

    def __init__(
        self,
        model: Model,
        compiled: Compiled,
        program: Program,
        names: Names,
        options: Options,
        layerwise: bool,
    ):
        self._refined = refine(program)
        self._layerwise = layerwise
        self._options = options
        self._step, self._time = compiled.clock
        slots = compiled.layout.slots
        fed = {
            s: slot for s, slot in slots.items() if slot.block in (CONSTANTS, INPUTS)
        }
        self._offsets = {s: t.offset for s, t in fed.items() if t.block == CONSTANTS}
        self._pieces = {
            part.name: _pieces_of(
                part, {s: t.offset for s, t in fed.items() if t.block == block}
            )
            for block in (CONSTANTS, INPUTS)
            if block in program.blocks
            for part in self._refined.parts_of(block)
        }
        self.inputs = _name_inputs(model, compiled, names)
        self.required = frozenset(
            n for n, s in self.inputs.items() if s in fed and fed[s].block == INPUTS
        )
        samples = dict(
            zip((names[p] for p in model.probes), program.samples, strict=True)
        )
        self.outputs = {name: sample.access.size for name, sample in samples.items()}
        self.shapes = {name: sample.access.shape for name, sample in samples.items()}

    def run(
        self,
        params: Memory,
        state: Memory,
        constants: Array | None,
        given: Mapping[str, Array],
        first: Array,
        steps: int,
        examples: int = 1,
        example: Array | int = 0,
    ) -> Result:
        """Run one example.

        Parameters
        ----------
        params, state : mapping of str to Array, shape (size,)
            Blocks.
        constants : Array, shape (size,), or None
            The block of constant nodes.
        given : mapping of str to Array, shape (steps, size) or (size,)
            Values by name of the input; those without a time axis are held.
        first : Array of int, shape ()
            Number of steps before this one.
        steps : int
        examples : int
            Number of examples at a time, to estimate memory.
        example : Array of int, shape ()
            Which of them this is, for Python that is called in each step.

        Raises
        ------
        ValidationError
            If a value that is needed is not given.
        """
        missing = sorted(self.required - set(given))
        if missing:
            raise ValidationError(
                f"Values are missing for {', '.join(missing)}: inputs that are not "
                "constant have to be given.",
                attr="inputs",
            )
        inputs = self._blocks(constants, given, first, steps)
        every = self._options.checkpoint_every
        if every == AUTOMATIC:
            every = choose_segments(self._refined.program, steps, examples)
        if CALLED in self._refined.program.blocks:
            place = {CALLED: called(first, steps, example)}
            inputs = Inputs(inputs.held, {**inputs.sequences, **place})
            every = None  # so that Python is called once
        state, samples = run_sequence(
            self._refined,
            params,
            state,
            inputs,
            steps,
            checkpoint_every=every if isinstance(every, int) else None,
            truncation=self._options.truncation,
            layerwise=self._layerwise,
        )
        named = zip(self.shapes.items(), samples, strict=True)
        outputs = {n: value.reshape(steps, *shape) for (n, shape), value in named}
        return Result(state, outputs)

    def _blocks(
        self,
        constants: Array | None,
        given: Mapping[str, Array],
        first: Array,
        steps: int,
    ) -> Inputs:
        """Join the values of inputs to blocks."""
        values: dict[Signal, Any] = {
            signal: given[name] for name, signal in self.inputs.items() if name in given
        }
        blocks = self._refined.program.blocks
        numbers = first + 1 + jnp.arange(steps, dtype=first.dtype)
        held, sequences = {}, {}
        for name, pieces in self._pieces.items():
            dtype = blocks[name].dtype
            time = numbers.astype(dtype) * dtype.type(self._refined.program.dt)
            values[self._step] = numbers.astype(dtype)[:, None]
            values[self._time] = time[:, None]
            parts = [
                values[s].astype(dtype)[..., start:stop]
                if s in values
                else self._constant(constants, s)[start:stop]
                for s, start, stop in pieces
            ]
            if all(part.ndim == 1 for part in parts):
                held[name] = jnp.concatenate(parts)
            else:
                sequences[name] = _side_by_side(parts, steps)
        return Inputs(held, sequences)

    def _constant(self, constants: Array | None, signal: Signal) -> Array:
        assert constants is not None
        start = self._offsets[signal]
        return constants[start : start + signal.size]


def _pieces_of(part: Part, offsets: Mapping[Signal, int]) -> list[Piece]:
    """Find the signals, or pieces of signals, that a part of a block consists of."""
    pieces = [
        Piece(s, max(part.start - offset, 0), min(part.stop - offset, s.size))
        for s, offset in sorted(offsets.items(), key=lambda item: item[1])
    ]
    return [piece for piece in pieces if piece.start < piece.stop]


def _side_by_side(parts: Sequence[Array], steps: int) -> Array:
    wide = [jnp.broadcast_to(part, (steps, part.shape[-1])) for part in parts]
    return jnp.concatenate(wide, axis=-1)


def _name_inputs(model: Model, compiled: Compiled, names: Names) -> dict[str, Signal]:
    """Names of all signals that are fed; noise is called by its process."""
    nodes = {
        model.sig[node]["out"]: name
        for node, name in names.items()
        if isinstance(node, Node)
    }
    found: dict[str, Signal] = {}
    for number, source in enumerate(compiled.sources):
        if source.signal is not None:
            name = nodes.get(source.signal, f"{source.label}#{number}")
            found[name] = source.signal
    return found
