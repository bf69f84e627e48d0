"""Copy and Reset: ``dst[...] = src[...]``, ``dst[...] += src[...]``, ``dst[...] = c``.

Copies work on numbered elements, so slices, index lists (with repeats), boolean
masks and NumPy broadcasting are all the same to them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jax import Array
from nengo.builder.operator import Copy, Operator, Reset
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

from ..core import Mode, Run
from .base import Family, Operand, Settings, Target, per_element


def element_numbers(signal: Signal) -> np.ndarray:
    """Numbers of a signal's elements within its base, in the signal's shape."""
    numbers = np.asarray(signal.elemoffset, dtype=np.int64)
    for axis, (count, stride) in enumerate(
        zip(signal.shape, signal.elemstrides, strict=True)
    ):
        steps = np.arange(count, dtype=np.int64) * stride
        numbers = numbers[..., None] + steps.reshape((1,) * axis + (-1,))
    return numbers


def _copy_operands(op: Copy) -> tuple[Operand, Operand]:
    source, target = Operand(op.src), Operand(op.dst)
    plain = op.src_slice is None and op.dst_slice is None
    if plain and op.src.shape == op.dst.shape:
        return source, target
    taken = element_numbers(op.src)[Ellipsis if op.src_slice is None else op.src_slice]
    placed = element_numbers(op.dst)[Ellipsis if op.dst_slice is None else op.dst_slice]
    repeated = len(np.unique(placed)) < placed.size
    if repeated and not op.inc:
        raise BuildError(
            f"{op}: dst_slice names an element twice, so which value it gets is "
            "undefined. Use each index once, or make the copy an increment."
        )
    while not op.inc and taken.ndim > placed.ndim and taken.shape[0] == 1:
        taken = taken[0]  # as NumPy does when it assigns
    try:
        taken = np.broadcast_to(taken, placed.shape)
    except ValueError as error:
        raise BuildError(
            f"{op}: cannot copy shape {taken.shape} to shape {placed.shape}."
        ) from error
    return Operand(op.src, taken, placed.shape), Operand(op.dst, placed, placed.shape)


def _build_copy(ops: Sequence[Operator], settings: Settings) -> Run:
    def run(source: Array) -> tuple[Array]:
        return (source,)

    return run


COPY = Family(
    name="copy",
    key=lambda op: op.inc,
    reads=lambda op: (_copy_operands(op)[0],),
    writes=lambda op: (
        Target(_copy_operands(op)[1], Mode.INC if op.inc else Mode.SET),
    ),
    build=_build_copy,
    flat=True,
)


def _build_reset(ops: Sequence[Reset], settings: Settings) -> Run:
    sizes = [op.dst.size for op in ops]
    value = per_element([op.value for op in ops], sizes, settings.dtype)
    value = np.broadcast_to(value, (sum(sizes),)) if value.ndim == 0 else value

    def run() -> tuple[np.ndarray]:
        return (value,)

    return run


RESET = Family(
    name="reset",
    key=lambda op: (),
    reads=lambda op: (),
    writes=lambda op: (Target(Operand(op.dst), Mode.SET),),
    build=_build_reset,
    flat=True,
)
