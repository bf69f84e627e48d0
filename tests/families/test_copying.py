"""Copy and Reset against their own ``make_step``."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import (
    MERGED,
    WIRES,
    check_operators,
    with_wires,
)
from nengo.builder import Model
from nengo.builder.operator import Copy, Reset
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError

import nengo_jax

MASK = np.array([True, False, True, True, False, False])

# name: (source shape, destination shape, source slice, destination slice)
SLICES = {
    "whole": ((6,), (6,), None, None),
    "scalar": ((), (), None, None),
    "matrix": ((3, 4), (3, 4), None, None),
    "slices": ((6,), (4,), slice(1, 5, 2), slice(0, 2)),
    "step": ((6,), (6,), slice(None, None, 3), slice(1, None, 4)),
    "negative step": ((6,), (3,), slice(None, None, -2), None),
    "negative start": ((6,), (2,), slice(-2, None), None),
    "source list": ((6,), (4,), [5, 0, 0, -2], None),
    "destination list": ((3,), (6,), None, [4, 0, -1]),
    "both lists": ((6,), (6,), [0, 1, 2], [3, 1, 5]),
    "list to slice": ((6,), (6,), [3, 3], slice(2, 4)),
    "source mask": ((6,), (3,), MASK, None),
    "destination mask": ((3,), (6,), None, MASK),
    "row of matrix": ((3, 4), (1, 4), slice(1, 2), None),
    "rows of matrix": ((3, 4), (5, 4), [2, 0], [1, 4]),
    "broadcast to row": ((5,), (1, 5), None, None),
    "broadcast to rows": ((5,), (3, 5), None, None),
    "broadcast to columns": ((3, 1), (3, 5), None, None),
    "broadcast one": ((1,), (5,), None, None),
    "broadcast scalar": ((), (5,), None, None),
    "broadcast slice": ((5,), (6,), slice(2, 3), slice(1, 4)),
    "one element": ((6,), (6,), slice(2, 3), slice(5, 6)),
}


def copy_of(name: str, inc: bool, number: int = 0) -> Copy:
    source, target, source_slice, target_slice = SLICES[name]
    rng = np.random.RandomState(number)
    return Copy(
        Signal(rng.standard_normal(source), name=f"source of {name}"),
        Signal(rng.standard_normal(target), name=f"target of {name}"),
        src_slice=source_slice,
        dst_slice=target_slice,
        inc=inc,
    )


@MERGED
@WIRES
@pytest.mark.parametrize("inc", [False, True], ids=["set", "inc"])
def test_all_slices_at_once(inc, wires, optimize):
    """Every kind of slice twice, in one model, so that they are merged if they may."""

    def make(model):
        return [copy_of(name, inc, k) for name in SLICES for k in range(2)]

    check_operators(with_wires(make) if wires else make, optimize=optimize)


@pytest.mark.parametrize("name", SLICES)
def test_alone(name):
    check_operators(lambda model: [copy_of(name, inc=True)])


@MERGED
def test_repeated_indices_are_incremented_once_for_each(optimize):
    def make(model):
        return [
            Copy(
                Signal(np.arange(4.0) + k, name="source"),
                Signal(np.zeros(5), name="target"),
                dst_slice=[1, 3, 1, -2],
                inc=True,
            )
            for k in range(3)
        ]

    values = check_operators(make, optimize=optimize)
    assert np.all(values["target"][[0, 2, 4]] == 0)
    assert np.all(values["target"][[1, 3]] != 0)


def test_repeated_indices_cannot_be_set():
    model = Model(dt=0.001)
    source, target = Signal(np.ones(3), name="s"), Signal(np.zeros(3), name="t")
    model.add_op(Copy(source, target, dst_slice=[0, 0, 1], tag="my copy"))
    with pytest.raises(BuildError, match="my copy"):
        nengo_jax.Simulator(None, model=model, progress_bar=False)


@MERGED
def test_views_of_one_signal(optimize):
    """Several copies write to, and read from, different parts of one signal."""

    def make(model):
        whole = Signal(np.arange(12.0).reshape(3, 4), name="whole")
        target = Signal(np.zeros(12), name="target")
        matrix = Signal(np.zeros((4, 4)), name="matrix")
        return [
            Copy(whole[0].reshape((4,)), target[0:4]),
            Copy(whole[2].reshape((4,)), target[8:12]),
            Copy(whole[1].reshape((4,)), target[4:8]),
            Copy(whole[:, 1], matrix[:3, 0], inc=True),
            Copy(whole[::2, 3], matrix[1::2, 2], inc=True),
            Copy(whole[1, ::-1], matrix[2], inc=True),
            Copy(whole.reshape((12,))[5:9], matrix[3], inc=True),
            Copy(whole[0:2, 1:3], matrix[0:2, 2:4], inc=True),
        ]

    check_operators(make, optimize=optimize)


@MERGED
def test_leading_axes_of_one_are_dropped(optimize):
    """As NumPy does in ``dst[...] = src``, though not in ``dst[...] += src``."""

    def make(model):
        return [
            Copy(Signal(np.ones((1, 4)), name="row"), Signal(np.zeros(4), name="a")),
            Copy(
                Signal(np.ones((1, 1, 2)), name="r"), Signal(np.zeros(3), name="b")[:2]
            ),
        ]

    check_operators(make, optimize=optimize)


@MERGED
def test_increments_of_the_same_elements_add_up(optimize):
    def make(model):
        target = Signal(np.zeros(6), name="target")
        return [
            Copy(Signal(np.ones(size), name=f"s{size}"), target[:size], inc=True)
            for size in (2, 4, 6, 4, 2)
        ]

    check_operators(make, optimize=optimize)


@MERGED
def test_chain_of_copies_within_one_step(optimize):
    def make(model):
        signals = [Signal(np.zeros(3), name=f"s{k}") for k in range(6)]
        pairs = list(itertools.pairwise(signals))
        return [Copy(a, b) for a, b in reversed(pairs)]

    check_operators(make, optimize=optimize)


@MERGED
def test_reset(optimize):
    def make(model):
        shapes = {(): 2.5, (3,): 0, (4,): 0, (2, 3): -1.25, (1,): 1e300}
        signals = [Signal(np.ones(s), name=f"signal {s}") for s in shapes]
        whole = Signal(np.ones((4, 3)), name="whole")
        return [
            *(Reset(s, v) for s, v in zip(signals, shapes.values(), strict=True)),
            Reset(whole[1], 3),
            Reset(whole[3], 4),
            Reset(Signal(np.ones(6), name="every other")[::2], 5),
        ]

    check_operators(make, optimize=optimize)


@MERGED
def test_reset_then_increment(optimize):
    def make(model):
        target = Signal(np.zeros(5), name="target")
        return [
            Copy(Signal(np.zeros(2), name="two"), target[3:], inc=True),
            Copy(Signal(np.zeros(5), name="five"), target, inc=True),
            Reset(target, 7),
        ]

    check_operators(make, optimize=optimize)
