"""Where signals lie: one array per block, filled in the order of first use.

Operators that run as one group touch signals together, so the signals of one operand
are placed side by side the first time a group needs them. Most operands are then a
whole block or a slice of one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from nengo.builder.signal import Signal

from ..core import Access, Block, Role
from ..families import Operand
from ..families.copying import element_numbers
from ..families.products import sparse_data

_WORTH_ROWS = 4  # elements in a row from which gathering rows beats gathering elements


class Slot(NamedTuple):
    """Place of a base signal: block, first element, storage order."""

    block: str
    offset: int
    by_column: bool


def stored_size(base: Signal) -> int:
    """Number of elements that a signal takes in its block."""
    return sparse_data(base).size if base.sparse else base.size


class Layout:
    """Places of all signals, made while planning and read ever after.

    Parameters
    ----------
    roles : mapping of Signal to Role
    dtype : dtype
    trainable : collection of Signal
        Parameters that are trained; they share no block with those that are not.
    """

    def __init__(
        self,
        roles: Mapping[Signal, Role],
        dtype: np.dtype,
        trainable: Collection[Signal] = (),
    ):
        self.roles = roles
        self.dtype = dtype
        self.trainable = trainable
        self.slots: dict[Signal, Slot] = {}
        self._sizes: dict[str, int] = {}
        self._kinds: dict[str, tuple[Role, np.dtype, bool]] = {}

    def element_type(self, base: Signal) -> np.dtype:
        """Type in which the elements of a signal are kept."""
        words = np.dtype(np.uint32)
        return words if base.dtype == words else self.dtype

    def signature(self, operand: Operand):
        """What must agree for operands to be read or written in one access."""
        base = operand.signal.base
        if base in self.slots:
            slot = self.slots[base]
            return slot.block, slot.by_column
        return (
            self.roles[base],
            self.element_type(base),
            operand.by_column,
            base in self.trainable,
        )

    def place(self, operands: Sequence[Operand]) -> None:
        """Give the signals of one operand that have no place yet one new block."""
        new = [op for op in operands if op.signal.base not in self.slots]
        if not new:
            return
        base = new[0].signal.base
        role = self.roles[base]
        number = 1 + sum(kind[0] is role for kind in self._kinds.values())
        self.add_block(
            f"{role.value}{number}",
            role,
            [op.signal.base for op in new],
            by_column=new[0].by_column,
        )

    def add_block(
        self, name: str, role: Role, bases: Iterable[Signal], by_column: bool = False
    ) -> None:
        """Make a block of the given signals, in this order."""
        unique = list(dict.fromkeys(bases))
        offset = 0
        for base in unique:
            self.slots[base] = Slot(name, offset, by_column)
            offset += stored_size(base)
        self._sizes[name] = offset
        first = unique[0]
        self._kinds[name] = (role, self.element_type(first), first in self.trainable)

    def share(self, base: Signal, other: Signal) -> None:
        """Let a signal lie where another one lies that always has the same value."""
        self.slots[base] = self.slots[other]

    @property
    def blocks(self) -> dict[str, Block]:
        """All blocks by name."""
        return {
            name: Block(name, role, self._sizes[name], dtype, trainable)
            for name, (role, dtype, trainable) in self._kinds.items()
        }

    def initial(self) -> dict[str, np.ndarray]:
        """Initial values of the blocks, all roles but WIRE."""
        arrays = {
            name: np.zeros(block.size, block.dtype)
            for name, block in self.blocks.items()
            if block.role is not Role.WIRE
        }
        for base, slot in self.slots.items():
            if slot.block in arrays:
                stop = slot.offset + stored_size(base)
                arrays[slot.block][slot.offset : stop] = stored_values(base, slot)
        return arrays

    def access(self, operands: Sequence[Operand], flat: bool) -> Access:
        """Describe where the elements of an operand of a group lie.

        Parameters
        ----------
        operands : sequence of Operand
            One for each member; all placed in the same block.
        flat : bool
            Whether the members are joined end to end, or stacked.
        """
        block = self.slots[operands[0].signal.base].block
        shapes = [_shape(op) for op in operands]
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
        shape = (sum(sizes),) if flat else (len(operands), *shapes[0])
        runs = [self._run(op) for op in operands]
        if all(run is not None for run in runs):
            starts = np.array(runs, dtype=np.int64)
            ends = starts + np.array(sizes, dtype=np.int64)
            if np.array_equal(ends[:-1], starts[1:]):
                return Access(block, shape, int(starts[0]))
            return _gather_runs(block, shape, starts, sizes)
        if len(operands) == 1 and not flat and self._is_transposed(operands[0]):
            start = self.slots[operands[0].signal.base].offset
            return Access(block, shape, start, order=(0, 2, 1))
        numbers = np.concatenate([self._elements(op).reshape(-1) for op in operands])
        if numbers.size and np.array_equal(
            numbers, np.arange(numbers[0], numbers[0] + numbers.size)
        ):
            return Access(block, shape, int(numbers[0]))
        return Access(block, shape, rows=numbers)

    def access_alone(self, operand: Operand) -> Access:
        """Describe where the operand of a single operator lies, in its own shape."""
        self.place([operand])
        access = self.access([operand], flat=True)
        return replace(access, shape=_shape(operand))

    def access_signal(self, signal: Signal) -> Access:
        """Describe where a signal lies, placing it if no group has needed it."""
        return self.access_alone(Operand(signal))

    def _is_transposed(self, operand: Operand) -> bool:
        base = operand.signal.base
        whole = operand.elements is None and operand.signal.shape == base.shape
        return self.slots[base].by_column and whole and base.ndim == 2

    def _run(self, operand: Operand) -> int | None:
        """First element of an operand that is one contiguous run, else None."""
        signal, slot = operand.signal, self.slots[operand.signal.base]
        if signal.sparse:
            return slot.offset
        if operand.elements is not None or slot.by_column:
            numbers = (
                self._elements(operand).reshape(-1) if not slot.by_column else None
            )
            if numbers is None or not numbers.size:
                return None
            consecutive = numbers.size == 1 or bool(np.all(np.diff(numbers) == 1))
            return int(numbers[0]) if consecutive else None
        return slot.offset + signal.elemoffset if _is_contiguous(signal) else None

    def _elements(self, operand: Operand) -> np.ndarray:
        base, slot = operand.signal.base, self.slots[operand.signal.base]
        numbers = operand.elements
        if numbers is None:
            numbers = element_numbers(operand.signal)
        if slot.by_column:
            rows, columns = base.shape
            numbers = (numbers % columns) * rows + numbers // columns
        return numbers + slot.offset


def stored_values(base: Signal, slot: Slot) -> np.ndarray:
    """Initial value of a signal as it lies in its block."""
    if base.sparse:
        return sparse_data(base)
    value = base.initial_value
    return (value.T if slot.by_column else value).reshape(-1)


def _shape(operand: Operand) -> tuple[int, ...]:
    if operand.shape is not None:
        return operand.shape
    signal = operand.signal
    return (sparse_data(signal).size,) if signal.sparse else signal.shape


def _is_contiguous(signal: Signal) -> bool:
    expected = 1
    for count, stride in zip(
        reversed(signal.shape), reversed(signal.elemstrides), strict=True
    ):
        if count != 1 and stride != expected:
            return False
        expected *= count
    return True


def _gather_runs(
    block: str, shape: tuple[int, ...], starts: np.ndarray, sizes: list[int]
) -> Access:
    width = int(np.gcd.reduce([*starts, *sizes]))
    if width < _WORTH_ROWS and any(size != width for size in sizes):
        width = 1
    rows = [
        np.arange(start // width, (start + size) // width)
        for start, size in zip(starts, sizes, strict=True)
    ]
    return Access(block, shape, rows=np.concatenate(rows), width=width)
