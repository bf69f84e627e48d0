"""All products of signals against their own ``make_step``."""

from __future__ import annotations

import itertools

import jax
import nengo
import numpy as np
import pytest
import scipy.sparse
from helpers import (
    MERGED,
    WIRES,
    assert_close,
    check_operators,
    with_wires,
)
from nengo.builder.operator import BsrDotInc, DotInc, ElementwiseInc, SparseDotInc
from nengo.builder.signal import Signal
from nengo.transforms import SparseMatrix

import nengo_jax
from nengo_jax.families.spikes import spike_matvec

# shapes of A, X and Y in Y += A * X
PRODUCTS = [
    ((), (), ()),
    ((), (5,), (5,)),
    ((5,), (), (5,)),
    ((5,), (5,), (5,)),
    ((1,), (5,), (5,)),
    ((5,), (1,), (5,)),
    ((), (3, 4), (3, 4)),
    ((3, 4), (3, 4), (3, 4)),
    ((3, 1), (1, 4), (3, 4)),
    ((1, 4), (3, 1), (3, 4)),
    ((3, 1), (4,), (3, 4)),
    ((4,), (3, 4), (3, 4)),
    ((1, 1), (3, 4), (3, 4)),
    ((1,), (1,), (1,)),
    ((2,), (2,), (1, 2)),
]

# shapes of A, X and Y in Y += A . X
DOTS = [
    ((4, 3), (3,), (4,)),
    ((4, 3), (3, 1), (4, 1)),
    ((1, 3), (3,), (1,)),
    ((4, 1), (1,), (4,)),
    ((1, 1), (1,), (1,)),
    ((), (), ()),
    ((), (5,), (5,)),
    ((5,), (), (5,)),
    ((3,), (3,), ()),
    ((3,), (3,), (1,)),
    ((1, 3), (3, 1), (1, 1)),
    ((3,), (3, 1), (1,)),
]


def signals(*shapes: tuple[int, ...], number: int = 0) -> list[Signal]:
    rng = np.random.RandomState(number)
    return [
        Signal(rng.standard_normal(shape), name=f"{name}{shape}")
        for name, shape in zip("AXY", shapes, strict=True)
    ]


def sparse(kind: str, rows: int, columns: int, number: int):
    """Make a sparse matrix with an empty row and an empty column."""
    rng = np.random.RandomState(number)
    dense = rng.standard_normal((rows, columns))
    dense[rng.uniform(size=dense.shape) < 0.5] = 0
    dense[rows // 2], dense[:, columns // 2] = 0, 0
    if kind != "nengo":
        return getattr(scipy.sparse, f"{kind}_matrix")(dense)
    indices = np.argwhere(dense)
    indices = indices[rng.permutation(len(indices))]
    return SparseMatrix(indices, dense[tuple(indices.T)], dense.shape)


@MERGED
@WIRES
def test_elementwise(wires, optimize):
    def make(model):
        return [
            ElementwiseInc(*signals(*shapes, number=k))
            for shapes in PRODUCTS
            for k in range(2)
        ]

    check_operators(with_wires(make) if wires else make, optimize=optimize)


@pytest.mark.parametrize("shapes", PRODUCTS, ids=str)
def test_elementwise_alone(shapes):
    check_operators(lambda model: [ElementwiseInc(*signals(*shapes))])


@MERGED
@WIRES
def test_dot(wires, optimize):
    def make(model):
        return [
            DotInc(*signals(*shapes, number=k)) for shapes in DOTS for k in range(3)
        ]

    check_operators(with_wires(make) if wires else make, optimize=optimize)


@pytest.mark.parametrize("shapes", DOTS, ids=str)
def test_dot_alone(shapes):
    check_operators(lambda model: [DotInc(*signals(*shapes))])


@MERGED
def test_dots_into_views_of_one_signal(optimize):
    """As in an ensemble array: one matrix for parts of one vector."""

    def make(model):
        matrix, x, y = signals((6, 4), (12,), (18,))
        parts = [
            DotInc(matrix, x[4 * k : 4 * k + 4], y[6 * k : 6 * k + 6]) for k in range(3)
        ]
        parts += [
            DotInc(matrix[k : k + 2], x[2 * k : 2 * k + 4], y[3 * k : 3 * k + 2])
            for k in range(4)
        ]
        return [*parts, DotInc(matrix[::2, ::-2], x[1::6], y[2:14:4])]

    check_operators(make, optimize=optimize)


@MERGED
def test_dots_that_share_their_target(optimize):
    def make(model):
        _, _, y = signals((), (), (5,))
        return [
            DotInc(*signals((5, n), (n,), (), number=n)[:2], y) for n in (3, 3, 4, 3, 1)
        ]

    check_operators(make, optimize=optimize)


@MERGED
def test_chain_of_dots(optimize):
    """Each product waits for the one before it."""

    def make(model):
        vectors = [Signal(np.zeros(3), name=f"v{k}") for k in range(5)]
        return [
            DotInc(signals((3, 3), (), (), number=k)[0], a, b)
            for k, (a, b) in enumerate(itertools.pairwise(vectors))
        ]

    check_operators(with_wires(make), optimize=optimize)


@MERGED
@WIRES
@pytest.mark.parametrize("kind", ["nengo", "csr", "csc", "coo", "bsr"])
def test_sparse_dot(kind, wires, optimize):
    def make(model):
        operators = []
        for number, (rows, columns) in enumerate([(6, 4), (4, 6), (6, 4), (1, 7)]):
            a = Signal(sparse(kind, rows, columns, number), name="A", readonly=True)
            _, x, y = signals((), (columns,), (rows,), number=number)
            operators.append(SparseDotInc(a, x, y))
        return operators

    check_operators(with_wires(make) if wires else make, optimize=optimize)


@pytest.mark.parametrize("kind", ["nengo", "csr"])
def test_sparse_dot_with_repeated_and_missing_entries(kind):
    indices, values = [[0, 1], [2, 0], [0, 1]], [1.5, 2.0, -4.0]
    rows, columns = np.transpose(indices)

    def make(model):
        full = SparseMatrix(indices, values, (3, 2))
        empty = SparseMatrix(np.zeros((0, 2), int), np.zeros(0), (3, 2))
        if kind == "csr":
            full = scipy.sparse.csr_matrix((values, (rows, columns)), shape=(3, 2))
            empty = scipy.sparse.csr_matrix((3, 2))
        return [
            SparseDotInc(
                Signal(a, name="A", readonly=True), *signals((), (2,), (3,))[1:]
            )
            for a in (full, empty)
        ]

    check_operators(make)


def test_sparse_scalar_init_of_a_transform():
    """One value for all entries, as ``nengo.Sparse`` makes it by default."""

    def make(model):
        matrix = SparseMatrix([[0, 0], [1, 2], [2, 1]], 2.0, (3, 3))
        return [
            SparseDotInc(
                Signal(matrix, name="A", readonly=True), *signals((), (3,), (3,))[1:]
            )
        ]

    check_operators(make)


@MERGED
@WIRES
def test_block_sparse_dot(wires, optimize):
    def make(model):
        return [
            BsrDotInc(
                *signals((3, 2, 4), (), (), number=k)[:1],
                *signals((), (8,), (6,), number=k)[1:],
                indices=np.array([1, 0, 1]),
                indptr=np.array(pointers),
                reshape=False,
            )
            for k, pointers in enumerate([[0, 2, 2, 3], [0, 1, 2, 3]])
        ]

    check_operators(with_wires(make) if wires else make, optimize=optimize)


@MERGED
def test_model_that_nengo_has_optimized(optimize):
    """Its optimizer merges products of one size to one block-sparse product."""
    with nengo.Network(seed=3) as network:
        stimulus = nengo.Node(lambda t: [np.sin(20 * t), np.cos(20 * t), t])
        array = nengo.networks.EnsembleArray(15, 3)
        other = nengo.networks.EnsembleArray(15, 3)
        nengo.Connection(stimulus, array.input)
        nengo.Connection(array.output, other.input)
        probe = nengo.Probe(other.output, synapse=0.01)
        spikes = nengo.Probe(other.ea_ensembles[1].neurons)
    with nengo.Simulator(network, progress_bar=False, seed=1) as reference:
        reference.run_steps(60)
        expected = [np.array(reference.data[p]) for p in (probe, spikes)]
        model = reference.model
    assert any(isinstance(op, BsrDotInc) for op in model.operators)
    with nengo_jax.Simulator(
        None, model=model, dtype="float64", progress_bar=False, optimize=optimize
    ) as sim:
        sim.run_steps(60)
        for p, values in zip((probe, spikes), expected, strict=True):
            assert_close(sim.data[p], values, p)


@pytest.mark.parametrize("share", [0, 0.001, 0.03, 0.2, 0.24, 0.26, 0.5, 1])
def test_spike_matvec(share, rng):
    matrix = rng.standard_normal((203, 57))
    x = rng.standard_normal(203) * (rng.uniform(size=203) < share)
    with jax.enable_x64(True):
        assert_close(jax.jit(spike_matvec)(matrix, x), x @ matrix)


@pytest.mark.parametrize("share", [0.02, 0.9], ids=["few spikes", "dense"])
def test_large_dot(share):
    """A product large enough to look for zeros first; stored by column."""

    def make(model):
        return [DotInc(*signals((1000, 1100), (1100,), (1000,)))]

    def draw(rng, shape):
        return rng.standard_normal(shape) * (rng.uniform(size=shape) < share)

    check_operators(make, inputs=draw, steps=2)
