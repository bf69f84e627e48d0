"""The values of all inputs for the next steps, gathered from data and sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from nengo.builder.signal import Signal

from .compiler import CONSTANTS, INPUTS, Compiled, Sampler

Data = Mapping[Signal, np.ndarray]
Samplers = Sequence[Mapping[int, Sampler]]


class Fed(NamedTuple):
    """Inputs of some steps.

    Attributes
    ----------
    sequences : mapping of str to ndarray, shape ([batch,] capacity, size)
        Input blocks.
    steps : int
        Number of steps that are filled.
    error : BaseException or None
        What a source raised after these steps.
    """

    sequences: dict[str, np.ndarray]
    steps: int
    error: BaseException | None


class Feeder:
    """Fills the input blocks of a program.

    Parameters
    ----------
    compiled : Compiled
    batch_size : int or None
    """

    def __init__(self, compiled: Compiled, batch_size: int | None):
        self._slots = compiled.layout.slots
        self._program = compiled.program
        self._dtype = compiled.layout.dtype
        self._sources = compiled.sources
        self._examples = 1 if batch_size is None else batch_size
        self._lead = () if batch_size is None else (batch_size,)
        self._on_host = compiled.program.on_host  # not worked out in each step
        self._step, self._time = compiled.clock
        self._fills = INPUTS in self._program.blocks
        order = [s.source for s in compiled.starters if s.source is not None]
        self._python = [n for n in order if self._sources[n].python]
        self._ready_made = [n for n in order if not self._sources[n].python]

    def take(
        self, samplers: Samplers, first: int, count: int, capacity: int, data: Data
    ) -> Fed:
        """Return the inputs of ``count`` steps from number ``first`` on.

        Functions of the user are called step by step, each once, in the order of the
        reference, and not at all for inputs that ``data`` gives.
        """
        if not self._sources and not self._fills:
            return Fed({}, count, None)
        values: dict[Signal, np.ndarray] = dict(data)
        count, error = self._call_python(samplers, first, count, values)
        for number in self._ready_made:
            source = self._sources[number]
            if source.signal is not None and source.signal not in values:
                rows = [own.take(first, count) for own in self._own(samplers, number)]
                values[source.signal] = rows[0] if len(rows) == 1 else np.stack(rows)
        steps = np.arange(first, first + count)
        clock = {self._step: steps, self._time: steps * self._program.dt}
        values |= {signal: time[:, None] for signal, time in clock.items()}
        return Fed(dict(self._fill(values, count, capacity, data)), count, error)

    def take_still(
        self, data: Data, constants: Any
    ) -> tuple[dict[str, np.ndarray], Data]:
        """Take from the data of a run those of constant nodes, if they do not change.

        What follows from them is then worked out once and not in each step.

        Parameters
        ----------
        data : mapping of Signal to ndarray, shape ([batch,] steps, size)
        constants : Array, shape ([batch,] size), or None
            The present block of constant nodes.

        Returns
        -------
        still : dict of str to ndarray, shape ([batch,] size)
            At most the block of constant nodes.
        rest : mapping of Signal to ndarray
        """
        slots = self._slots
        given = {s: v for s, v in data.items() if s in slots}
        given = {s: v for s, v in given.items() if slots[s].block == CONSTANTS}
        if not given or self._on_host:
            return {}, data
        if any(v.shape[-2] > 1 and (v != v[..., :1, :]).any() for v in given.values()):
            return {}, data
        initial = np.asarray(constants)
        block = np.empty((*self._lead, initial.shape[-1]), initial.dtype)
        block[...] = initial
        for signal, value in given.items():
            start = slots[signal].offset
            block[..., start : start + signal.size] = value[..., 0, :]
        rest = {s: v for s, v in data.items() if s not in given}
        return {CONSTANTS: block}, rest

    def blank(self, data: Data) -> dict[str, np.ndarray]:
        """Return inputs of one step that have the shapes of those of :meth:`take`.

        Nothing is called or drawn for them.
        """
        values: dict[Signal, np.ndarray] = {}
        for source in self._sources:
            if source.signal is not None:
                lead = () if source.shared or self._examples == 1 else (self._examples,)
                values[source.signal] = np.zeros((*lead, 1, source.signal.size))
        return dict(self._fill({**values, **data}, 1, 1, data))

    def _own(self, samplers: Samplers, number: int) -> list[Sampler]:
        shared = self._sources[number].shared
        return [own[number] for own in (samplers[:1] if shared else samplers)]

    def _call_python(
        self, samplers: Samplers, first: int, count: int, values: dict
    ) -> tuple[int, BaseException | None]:
        wanted = [n for n in self._python if self._sources[n].signal not in values]
        tables: dict[int, np.ndarray] = {}
        rows: list[tuple[np.ndarray, Sampler]] = []
        for number in wanted:
            signal, own = self._sources[number].signal, self._own(samplers, number)
            shape = (0,) if signal is None else signal.shape
            tables[number] = np.zeros((len(own), count, *shape))
            rows += zip(tables[number], own, strict=True)
        done, error = count, None
        for k in range(count if rows else 0):
            try:
                for row, sampler in rows:
                    row[k] = sampler.now(first + k)
            except BaseException as raised:
                done, error = k, raised
                break
        for number, table in tables.items():
            signal = self._sources[number].signal
            if signal is not None:
                values[signal] = (table[0] if len(table) == 1 else table)[..., :done, :]
        return done, error

    def _fill(
        self, values: Data, count: int, capacity: int, data: Data
    ) -> Iterator[tuple[str, np.ndarray]]:
        given = {self._slots[s].block for s in data if s in self._slots}
        for name in (CONSTANTS, INPUTS):
            if name not in self._program.blocks or (
                name == CONSTANTS and name not in given
            ):
                continue
            here = {
                s: v.reshape(*v.shape[:-1], s.size) if v.ndim < 2 else v
                for s, v in values.items()
                if s in self._slots and self._slots[s].block == name
            }
            batched = any(v.ndim == 3 for v in here.values())
            shape = (capacity, self._program.blocks[name].size)
            shape = (self._examples, *shape) if batched else shape
            block = np.zeros(shape, self._dtype)
            block[...] = self._program.initial[name]
            for signal, value in here.items():
                start = self._slots[signal].offset
                block[..., :count, start : start + signal.size] = value[..., :count, :]
            yield name, block
