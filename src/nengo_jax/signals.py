"""The values of all signals between two runs, to read and to write.

A value that has been looked at once is mirrored in NumPy: what a user writes into it,
in place, takes effect in the next run, and after the run it shows the new values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from nengo.builder import Model
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from .compiler import CONSTANTS
from .compiler.layout import Slot
from .core import Role
from .engine import Engine
from .families.products import sparse_coordinates, sparse_data


class Signals(Mapping[Signal, np.ndarray]):
    """Map from signal to live array.

    Shapes are those of the signals; states of a batch have a leading batch axis.

    Parameters
    ----------
    model : Model
    engine : Engine
    """

    def __init__(self, model: Model, engine: Engine):
        self._model = model
        self._engine = engine
        self._mirrors: dict[str, np.ndarray] = {}
        self._others: dict[Signal, np.ndarray] = {}
        self._known = set(self)
        for named in model.sig.values():
            self._known.update(s.base for s in named.values() if s is not None)

    def __getitem__(self, signal: Signal) -> np.ndarray:
        if not isinstance(signal, Signal):
            raise KeyError(f"{signal!r} is not a Signal. Take one from sim.model.sig.")
        model, base = self._model, signal.base
        known = base in self._known or base in self._engine.compiled.layout.slots
        if not known:
            raise KeyError(f"{signal} is not part of the simulated model.")
        if base is model.step:
            return np.array(self._engine.n_steps, base.dtype)
        if base is model.time:
            return np.array(self._engine.n_steps * model.dt, base.dtype)
        if base in self._engine.compiled.products:
            return self._product(signal)
        slot = self._engine.compiled.layout.slots.get(base)
        if slot is None:
            return self._beside_blocks(signal)
        if base.sparse:
            return _sparse_matrix(signal, self._mirror(slot.block), slot)
        return _view(signal, self._mirror(slot.block), slot)

    def __setitem__(self, signal: Signal, value: np.ndarray) -> None:
        """Write a value; the next run starts from it."""
        self[signal][...] = value

    def __iter__(self) -> Iterator[Signal]:
        seen = dict.fromkeys(
            signal for op in self._model.operators for signal in op.all_signals
        )
        return iter(dict.fromkeys([*(signal.base for signal in seen), *seen]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def peek(self, signal: Signal) -> np.ndarray:
        """Look at a signal without keeping a mirror of it, which each run would update.

        Returns
        -------
        ndarray
            Read-only. Of a sparse signal the stored elements, shape (elements,).
        """
        slot = self._engine.compiled.layout.slots.get(signal.base)
        block = None if slot is None else self._now(slot.block)
        if slot is None and signal.sparse:
            return sparse_data(signal)
        if slot is None or block is None or signal.base in self.factors:
            value = self[signal].view()
        elif signal.sparse:
            count = len(sparse_coordinates(signal)[0])
            value = block[slot.offset : slot.offset + count]
        else:
            value = _view(signal, block, slot)
        value.setflags(write=False)
        return value

    def assign(self, values: Mapping[Signal, np.ndarray]) -> None:
        """Replace the values of many signals; takes effect at once.

        Parameters
        ----------
        values : mapping of Signal to ndarray
            Shapes are those of ``peek``. Values of parameters and states last; those
            of other signals are made anew in the next step.
        """
        slots = self._engine.compiled.layout.slots
        blocks: dict[str, np.ndarray] = {}
        for signal, value in values.items():
            slot = slots.get(signal.base)
            if signal.base is self._model.step:
                self._engine.n_steps = int(value)
            elif slot is None:
                if not self._engine.hosted.write(signal.base, value):
                    self[signal][...] = value
            else:
                if slot.block not in blocks:
                    blocks[slot.block] = np.array(self._now(slot.block))
                block = blocks[slot.block]
                if signal.sparse:
                    block[slot.offset : slot.offset + value.size] = value
                else:
                    _view(signal, block, slot)[...] = value
        for name, block in blocks.items():
            self._engine.poke(name, block)
            if name in self._mirrors:
                self._mirrors[name][...] = block

    @property
    def lasting(self) -> list[Signal]:
        """Base signals that the next step needs: states, and held inputs.

        Those of processes and host operators are among them.
        """
        compiled = self._engine.compiled
        states = (Role.STATE, Role.SHARED, Role.HOST)
        kept = [base for base, role in compiled.layout.roles.items() if role in states]
        kept += [s for s, slot in compiled.layout.slots.items() if slot[0] == CONSTANTS]
        for samplers in self._engine.hosted.samplers[:1]:
            for sampler in samplers.values():
                kept += sampler.signals
        return list(dict.fromkeys(signal for signal in kept if not signal.sparse))

    @property
    def operators(self) -> list[Operator]:
        """Operators of the model, and those that take the place of some of them."""
        planned = [op for part in self._engine.compiled.planned for op in part.ops]
        return list(dict.fromkeys([*self._model.operators, *planned]))

    @property
    def factors(self) -> Mapping[Signal, tuple[Signal, Signal]]:
        """Signals that are kept as the two factors of an outer product."""
        return self._engine.compiled.products

    @property
    def batch_size(self) -> int | None:
        """Number of examples; None for one example without a batch axis."""
        return self._engine.batch_size

    def _now(self, name: str) -> np.ndarray | None:
        """The present value of a block, in its mirror if there is one."""
        if name in self._mirrors:
            return self._mirrors[name]
        return self._engine.peek(name)

    def _product(self, signal: Signal) -> np.ndarray:
        """Work out a signal that is kept as two factors; it cannot be written."""
        rows, columns = self._engine.compiled.products[signal.base]
        value = self[rows][..., :, None] * self[columns][..., None, :]
        flat = value.reshape(*value.shape[:-2], -1)
        view = _view(signal, flat, Slot("", 0, False))
        view.setflags(write=False)
        return view

    def push(self) -> None:
        """Give the engine what was written into mirrors since the last run."""
        for name, mirror in self._mirrors.items():
            current = self._engine.peek(name)
            if current is not None and not np.array_equal(mirror, current):
                self._engine.poke(name, mirror)

    def pull(self) -> None:
        """Show the values after a run in all mirrors."""
        for name, mirror in self._mirrors.items():
            current = self._engine.peek(name)
            if current is None:
                current = self._initial_wire(name, mirror.shape[-1], mirror.dtype)
            mirror[...] = current

    def _mirror(self, name: str) -> np.ndarray:
        if name not in self._mirrors:
            value = self._engine.peek(name)
            if value is None:
                block = self._engine.compiled.program.blocks[name]
                value = self._initial_wire(name, block.size, block.dtype)
            self._mirrors[name] = np.array(value)
        return self._mirrors[name]

    def _initial_wire(self, name: str, size: int, dtype: np.dtype) -> np.ndarray:
        values = np.zeros(size, dtype)
        for base, slot in self._engine.compiled.layout.slots.items():
            if slot.block == name:
                here = slice(slot.offset, slot.offset + base.size)
                values[here] = base.initial_value.reshape(-1)
        batch = self._engine.batch_size
        return values if batch is None else np.tile(values, (batch, 1))

    def _beside_blocks(self, signal: Signal) -> np.ndarray:
        base = signal.base
        value = self._engine.hosted.read(base)
        if value is None:
            if base not in self._others:
                initial = base.initial_value
                self._others[base] = initial if base.sparse else np.array(initial)
            value = self._others[base]
        if base.sparse:
            return value
        slot = Slot("", 0, False)
        return _view(
            signal, value.reshape(*value.shape[: -base.ndim or None], -1), slot
        )


def _view(signal: Signal, block: np.ndarray, slot: Slot) -> np.ndarray:
    """See a signal in its block, without a copy."""
    strides = signal.elemstrides
    offset = slot.offset + signal.elemoffset
    if slot.by_column:
        rows, columns = signal.base.shape
        first, second = divmod(signal.elemoffset, columns)
        offset = slot.offset + second * rows + first
        strides = tuple(_by_column(s, columns, rows) for s in strides)
    size = block.itemsize
    lead = block.shape[:-1]
    return np.ndarray(
        (*lead, *signal.shape),
        block.dtype,
        buffer=block,
        offset=offset * size,
        strides=(*block.strides[:-1], *(s * size for s in strides)),
    )


def _by_column(stride: int, columns: int, rows: int) -> int:
    """Stride in a matrix stored by column, from the one in a matrix stored by row."""
    down, across = divmod(stride, columns)
    return down + across * rows


def _sparse_matrix(signal: Signal, block: np.ndarray, slot: Slot):
    from scipy.sparse import csr_matrix

    row, column = sparse_coordinates(signal)
    data = block[slot.offset : slot.offset + len(row)]
    matrix = csr_matrix((data, (row, column)), shape=signal.shape)
    matrix.data.setflags(write=False)
    return matrix
