"""A compiled model with its memory: it advances in time and remembers nothing else.

The engine feeds inputs, calls the compiled functions, and hands out what the probes
recorded, some steps at a time. What a user sees of it is the Simulator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import JaxRuntimeError

from .compiler import CONSTANTS, Compiled
from .compiler.seeds import seed_layers
from .core import Group, Role
from .feeder import Data, Feeder
from .hosted import Hosted, plain_error
from .runtime.host import call_group
from .runtime.stages import HostLoop
from .runtime.unroll import Inputs, compile_chunk, sample_rows

_CHUNK_BYTES = 32 * 2**20  # samples and inputs that may lie on the device at a time
_CHUNK_STEPS = 1000
_CHUNK_SECONDS = 0.25  # after which a run reports progress and can be interrupted
_FIRST_STEPS = 100
_FEWEST_STEPS = 25


class Recorded(NamedTuple):
    """What happened in some steps: how many, and the rows of each probe."""

    steps: int
    rows: list[np.ndarray]


class Engine:
    """The state of one simulation.

    Parameters
    ----------
    compiled : Compiled
    batch_size : int or None
        Number of examples; None for one example without a batch axis.
    device : jax.Device or None
    """

    def __init__(
        self,
        compiled: Compiled,
        batch_size: int | None = None,
        device: Any = None,
    ):
        self.compiled = compiled
        self.batch_size = batch_size
        self.n_steps = 0
        self._wires: Callable[[], Mapping[str, jax.Array]] = dict
        self._fed: Mapping[str, Any] = {}  # input blocks in the last step
        self.hosted = Hosted(compiled, batch_size)
        self._on_host = compiled.program.on_host  # not worked out in each step
        self._device = device
        self._feeder = Feeder(compiled, batch_size)
        self._capacity = self._choose_capacity()
        self._steps_per_call = min(self._capacity, _FIRST_STEPS)
        self._compiled_chunks: dict[Hashable, Callable] = {}
        self._rows: dict[tuple[int, ...], tuple] = {}
        self._loop: HostLoop | None = None
        self._loops: dict[tuple[str, ...], HostLoop] = {}
        self._loaded: tuple = (None, None, None)
        self._constants_vary = False
        self._still: dict[str, np.ndarray] = {}
        self._settle: Callable[[], Mapping[str, jax.Array]] | None = None
        with self.context():
            self.params = self._initial(Role.PARAM)
            self.state = self._initial_state()
            self.constants = self._initial_constants()

    @contextmanager
    def context(self) -> Iterator[None]:
        """Precision and device of this simulation, whatever the global settings."""
        double = self.compiled.layout.dtype.itemsize == 8
        with ExitStack() as stack:
            stack.enter_context(jax.enable_x64(double))
            if self._device is not None:
                stack.enter_context(jax.default_device(self._device))
            yield

    @property
    def examples(self) -> int:
        """Number of examples that are simulated."""
        return 1 if self.batch_size is None else self.batch_size

    def reset(self, seed: int, processes: bool = True) -> None:
        """Go back to step 0. Random streams of neurons go on, as in the reference.

        Parameters
        ----------
        seed : int
        processes : bool
            Whether processes start anew as well, or go on.
        """
        samplers = self.hosted.samplers
        with self.context():
            self.state = self._keep_streams(self._initial_state())
            self.params = self._initial(Role.PARAM)
            self.constants = self._initial_constants()
        self.n_steps = 0
        self._wires, self._fed = dict, {}
        self.start(seed)
        if not processes:
            self.hosted.samplers = samplers

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let a run leave no trace in the engine, but that noise goes on."""
        before = self.state, self.n_steps, self._wires, self._fed
        calls = self.hosted.calls
        self.hosted.calls = self.hosted.copy_calls()
        try:
            yield
        finally:
            self.state, self.n_steps, self._wires, self._fed = before
            self.hosted.calls = calls

    def start(self, seed: int) -> None:
        """Start processes and host operators anew, example k with ``seed + k``."""
        program, layout = self.compiled.program, self.compiled.layout
        seeded = seed_layers(program.initial, self.compiled.seeds, layout, seed)
        for name, value in seeded.items():
            self.poke(name, value)
        self.hosted.start(seed)

    def run(self, steps: int, data: Data) -> Iterator[Recorded]:
        """Advance by ``steps``; yield what the probes recorded, piece by piece.

        If Python code of the model raises, the steps before it are kept and yielded
        before the error goes on.

        Parameters
        ----------
        steps : int
        data : mapping of Signal to ndarray, shape ([batch,] steps, size)
            Values for input signals, in place of their sources.
        """
        advance = self._advance_host if self._on_host else self._advance_device
        capacity = 1 if steps == 1 else self._capacity
        self._still, data = self._feeder.take_still(data, self.constants)
        done = 0
        while done < steps:
            count = min(steps - done, self._steps_per_call, capacity)
            part = {s: v[..., done : done + count, :] for s, v in data.items()}
            started = time.perf_counter()
            try:
                with self.context(), np.errstate(invalid="raise", divide="ignore"):
                    recorded, error = advance(count, capacity, part)
            except JaxRuntimeError as raised:
                plain = plain_error(raised)
                if plain is raised:  # which must not be its own cause
                    raise
                raise plain from raised
            self._pace(count, time.perf_counter() - started)
            yield recorded
            if error is not None:
                raise plain_error(error)
            done += count

    def warm_up(self, data: Data) -> None:
        """Compile what one step with such data needs, and change nothing.

        Parameters
        ----------
        data : mapping of Signal to ndarray, shape ([batch,] 1, size)
        """
        self._still, data = self._feeder.take_still(data, self.constants)
        blank = self._feeder.blank(data)
        with self.context():
            if self._on_host:
                loop = self._host_loop(data)
                loop.warm_up(
                    self.state, self._step_blocks(blank), self.compiled.layout.dtype
                )
            else:
                inputs, batched = self._chunk_inputs(blank)
                _, on_device = self._sample_rows(1, 1)
                self._chunk_function(1, batched)(
                    self.params, self.state, inputs, *on_device
                )

    def _record(self, steps: int, rows: list[np.ndarray]) -> Recorded:
        """Give the rows of each probe the shape of what it probes."""
        lead = () if self.batch_size is None else (self.batch_size,)
        samples = self.compiled.program.samples
        shaped = [
            value.reshape(len(value), *lead, *probe.access.shape)
            for value, probe in zip(rows, samples, strict=True)
        ]
        return Recorded(steps, shaped)

    def _pace(self, count: int, seconds: float) -> None:
        """Choose pieces long enough to be cheap and short enough to stop between."""
        if seconds < _CHUNK_SECONDS / 2 and count == self._steps_per_call:
            self._steps_per_call = min(2 * self._steps_per_call, self._capacity)
        elif seconds > 2 * _CHUNK_SECONDS:
            # not fewer: each call also has a cost that does not depend on its steps
            self._steps_per_call = max(self._steps_per_call // 2, _FEWEST_STEPS)

    # -- all steps in one compiled loop

    def _advance_device(self, count: int, capacity: int, data: Data):
        program = self.compiled.program
        sequences, count, error = self._feeder.take(
            self.hosted.samplers, self.n_steps + 1, count, capacity, data
        )
        if count == 0:
            return Recorded(0, [np.zeros((0,)) for _ in program.samples]), error
        inputs, batched = self._chunk_inputs(sequences)
        rows, on_device = self._sample_rows(count, capacity)
        arguments = (self.params, self.state, inputs, *on_device)
        chunk = self._chunk_function(capacity, batched)(*arguments)
        self.state = chunk.state
        self._wires = partial(self._device_wires, capacity, batched, arguments)
        self._fed = {n: np.array(v[..., count - 1, :]) for n, v in sequences.items()}
        self.n_steps += count
        kept = [
            # a copy, as a view would keep the whole buffer in memory
            _time_first(
                np.array(np.asarray(buffer)[..., : row[-1], :]), self.batch_size
            )
            for buffer, row in zip(chunk.samples, rows, strict=True)
        ]
        return self._record(count, kept), error

    def _chunk_inputs(self, sequences: dict[str, np.ndarray]) -> tuple[Inputs, Inputs]:
        """Inputs of a compiled loop, and which of them have a batch axis."""
        held = {} if CONSTANTS in sequences else self._held()
        held |= self._still
        batched = Inputs(
            {name: value.ndim == 2 for name, value in held.items()},
            {name: value.ndim == 3 for name, value in sequences.items()},
        )
        return Inputs(held, sequences), batched

    def _sample_rows(self, count: int, capacity: int):
        """Rows for the samples of the next steps, and the same as JAX arrays."""
        program = self.compiled.program
        first = self.n_steps + 1
        same = all(sample.period <= 1 for sample in program.samples)
        key = (count, capacity) if same else (count, capacity, first)
        if key not in self._rows:
            rows = sample_rows(program, first, count, capacity)
            self._rows = {key: (rows, (jnp.array(rows), jnp.array(count, jnp.int32)))}
        return self._rows[key]

    def _chunk_function(
        self, capacity: int, batched: Inputs, keep_wires: bool = False
    ) -> Callable:
        flags = (tuple(sorted(part.items())) for part in batched)
        key = (capacity, keep_wires, *flags)
        if key not in self._compiled_chunks:
            self._compiled_chunks[key] = compile_chunk(
                self.compiled.program, capacity, batched, self.batch_size, keep_wires
            )
        return self._compiled_chunks[key]

    def _device_wires(self, capacity: int, batched: Inputs, arguments: tuple):
        """Run the last piece again, for the wires that were not kept."""
        return self._chunk_function(capacity, batched, keep_wires=True)(
            *arguments
        ).wires

    # -- one step at a time, with Python in between

    def _advance_host(self, count: int, capacity: int, data: Data):
        samples = self.compiled.program.samples
        rows: list[list[np.ndarray]] = [[] for _ in samples]
        first, done, error = self.n_steps + 1, 0, None
        inputs = [partial(self._inputs_of_step, first, k, data) for k in range(count)]
        try:
            loop = self._host_loop(data)
            for carry, settle in loop.run(self.state, inputs, self._call_host):
                self._settle = settle
                self.n_steps += 1
                done += 1
                due = [self.n_steps % probe.period < 1 for probe in samples]
                values = loop.samples(carry) if any(due) else [()] * len(samples)
                for now, value, kept in zip(due, values, rows, strict=True):
                    if now:
                        kept.append(np.array(value))
        except BaseException as raised:
            error = raised
        if self._settle is not None:
            self.state = self._settle()
            self._settle = None
            assert self._loop is not None
            self._wires, self._fed = self._loop.last_wires()
        return self._record(done, [_stack(kept) for kept in rows]), error

    def _call_host(self, group: Group, reads: Sequence[np.ndarray]):
        results = call_group(
            group,
            reads,
            self.hosted.calls,
            self.batch_size is not None,
            self.n_steps + 1,
            self.compiled.program.dt,
        )
        return results.astype(self.compiled.layout.dtype)

    def _inputs_of_step(self, first: int, k: int, data: Data) -> dict[str, Any]:
        part = {signal: value[..., k : k + 1, :] for signal, value in data.items()}
        fed = self._feeder.take(self.hosted.samplers, first + k, 1, 1, part)
        if fed.error is not None:
            raise fed.error
        return self._step_blocks(fed.sequences)

    def _step_blocks(self, sequences: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Input blocks of a single step."""
        inputs = {name: value[..., 0, :] for name, value in sequences.items()}
        if CONSTANTS not in inputs and self._constants_vary:
            inputs |= self._held()
        if self.batch_size is not None:
            inputs = {n: _with_batch(v, self.batch_size) for n, v in inputs.items()}
        return inputs

    def _host_loop(self, data: Data) -> HostLoop:
        """The compiled pieces of a step, with the present parameters."""
        slots = self.compiled.layout.slots
        given = any(s in slots and slots[s].block == CONSTANTS for s in data)
        self._constants_vary = given or (
            self.constants is not None and self.constants.ndim == 2
        )
        held = {} if self._constants_vary else self._held()
        names = tuple(held)
        if names not in self._loops:
            self._loops[names] = HostLoop(self.compiled.program, names, self.batch_size)
        source = (self._loops[names], self.params, self.constants)
        if any(a is not b for a, b in zip(self._loaded, source, strict=True)):
            self._loops[names].load(self.params, held)
            self._loaded = source
        self._loop = self._loops[names]
        return self._loop

    # -- memory

    def peek(self, name: str) -> np.ndarray | None:
        """Return the value of a block, or None for a wire before the first step."""
        if name in self.params:
            return np.asarray(self.params[name])
        if name in self.state:
            return np.asarray(self.state[name])
        if name == CONSTANTS and self.constants is not None:
            return np.asarray(self.constants)
        if name in self._fed:
            value = self._fed[name]
            return (
                value if self.batch_size is None else _with_batch(value, self.examples)
            )
        with self.context():
            wires = self._wires()
        self._wires = lambda: wires
        return np.asarray(wires[name]) if name in wires else None

    def poke(self, name: str, value: np.ndarray) -> None:
        """Replace the value of a block of parameters, states or constant inputs."""
        with self.context():
            if name in self.params:
                self.params = {**self.params, name: jnp.array(value)}
            elif name in self.state:
                self.state = {**self.state, name: jnp.array(value)}
            elif name == CONSTANTS:
                self.constants = jnp.array(value)

    def snapshot(self) -> dict[str, Any]:
        """Return all that the engine remembers, but for random streams on the host."""
        return {
            "blocks": {
                n: np.array(v) for n, v in {**self.params, **self.state}.items()
            },
            "constants": self.peek(CONSTANTS),
            "n_steps": self.n_steps,
            "hosted": self.hosted.snapshot(),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back to a snapshot of the same model."""
        for name, value in snapshot["blocks"].items():
            self.poke(name, value)
        if snapshot["constants"] is not None:
            self.poke(CONSTANTS, snapshot["constants"])
        self.n_steps = snapshot["n_steps"]
        self.hosted.restore(snapshot["hosted"])

    def _initial_constants(self) -> jax.Array | None:
        value = self.compiled.program.initial.get(CONSTANTS)
        return None if value is None else jnp.array(value)

    def _held(self) -> dict[str, Any]:
        return {} if self.constants is None else {CONSTANTS: self.constants}

    def _initial(self, role: Role) -> dict[str, jax.Array]:
        program = self.compiled.program
        values = {name: program.initial[name] for name in program.names(role)}
        if role is Role.STATE and self.batch_size is not None:
            values = {n: _with_batch(v, self.batch_size) for n, v in values.items()}
        return {name: jnp.array(value) for name, value in values.items()}

    def _initial_state(self) -> dict[str, jax.Array]:
        return {**self._initial(Role.STATE), **self._initial(Role.SHARED)}

    def _keep_streams(self, fresh: dict[str, jax.Array]) -> dict[str, jax.Array]:
        slots = self.compiled.layout.slots
        for signal in self.compiled.streams:
            name, start, _ = slots[signal]
            here = (..., slice(start, start + signal.size))
            fresh[name] = fresh[name].at[here].set(self.state[name][here])
        return fresh

    def _choose_capacity(self) -> int:
        program = self.compiled.program
        elements = sum(s.access.size / max(s.period, 1) for s in program.samples)
        elements += sum(program.blocks[n].size for n in program.names(Role.INPUT))
        per_step = elements * self.compiled.layout.dtype.itemsize * self.examples
        affordable = int(_CHUNK_BYTES / max(per_step, 1))
        return max(2, min(_CHUNK_STEPS, affordable))


def _with_batch(value: Any, size: int) -> np.ndarray:
    return value if value.ndim == 2 else np.broadcast_to(value, (size, *value.shape))


def _time_first(buffer: np.ndarray, batch_size: int | None) -> np.ndarray:
    return buffer if batch_size is None else np.swapaxes(buffer, 0, 1)


def _stack(rows: list[np.ndarray]) -> np.ndarray:
    return np.stack(rows) if rows else np.zeros((0,))
