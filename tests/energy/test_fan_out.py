"""Fan-outs against the entries of the matrix that nengo's own operator applies."""

import nengo
import numpy as np
import pytest
from nengo.dists import Uniform
from nengo.exceptions import ValidationError
from nengo.transforms import (
    ChannelShape,
    Convolution,
    ConvolutionTranspose,
    Dense,
    NoTransform,
    Sparse,
    SparseMatrix,
    Transform,
)
from scipy import sparse

from nengo_jax.energy.fan_out import pattern_of
from nengo_jax.transforms import DilatedConvolution

POSITIVE = Uniform(0.5, 1.0)  # so that no two weights cancel


def applied_matrix(transform):
    """Let nengo apply a transform to each unit vector; shape (outputs, inputs)."""
    size = transform.size_in
    with nengo.Network(seed=0) as network:
        source = nengo.Node(lambda t: np.eye(size)[round(t / 0.001) - 1])
        target = nengo.Node(size_in=transform.size_out)
        nengo.Connection(source, target, transform=transform, synapse=None)
        probe = nengo.Probe(target)
    with nengo.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(size)
    return sim.data[probe].T


def convolution(kind, space, channels, filters, **kwargs):
    last = kwargs.get("channels_last", True)
    shape = (*space, channels) if last else (channels, *space)
    return kind(filters, ChannelShape(shape, last), init=POSITIVE, **kwargs)


CONVOLUTIONS = [
    convolution(Convolution, (6,), 2, 3, kernel_size=(3,), strides=(2,)),
    convolution(
        Convolution, (7,), 1, 2, kernel_size=(4,), strides=(2,), padding="same"
    ),
    convolution(Convolution, (5, 4), 2, 3),
    convolution(Convolution, (5, 4), 2, 3, padding="same", strides=(2, 1)),
    convolution(Convolution, (5, 4), 2, 3, channels_last=False, padding="same"),
    convolution(Convolution, (5, 5), 4, 6, groups=2, kernel_size=(2, 3)),
    convolution(Convolution, (4, 4), 3, 3, groups=3, padding="same"),
    convolution(  # strides that skip elements of the input
        Convolution, (7, 7), 1, 2, kernel_size=(1, 2), strides=(3, 3)
    ),
    convolution(ConvolutionTranspose, (4,), 2, 3, kernel_size=(3,), strides=(2,)),
    convolution(ConvolutionTranspose, (3, 4), 2, 3, strides=(2, 2)),
    convolution(ConvolutionTranspose, (3, 4), 2, 3, strides=(2, 1), padding="same"),
    convolution(
        ConvolutionTranspose,
        (3, 3),
        1,
        2,
        strides=(2, 2),
        padding="same",
        output_shape=ChannelShape((6, 5, 2)),
    ),
    convolution(ConvolutionTranspose, (3, 4), 2, 3, channels_last=False),
    convolution(
        DilatedConvolution, (9,), 1, 2, kernel_size=(3,), strides=(1,), dilation=(2,)
    ),
    convolution(
        DilatedConvolution, (8, 9), 2, 4, strides=(1, 2), dilation=(2, 3), groups=2
    ),
    convolution(DilatedConvolution, (6, 7), 1, 2, padding="same", dilation=(3, 2)),
]
MATRIX = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
TRANSFORMS = [
    *CONVOLUTIONS,
    NoTransform(4),
    Dense((3, 3)),
    Dense((3, 3), init=[1.0, 0.0, -2.0]),
    Dense((2, 3), init=MATRIX),
    Dense((2, 3), init=POSITIVE),
    Sparse((2, 3), init=sparse.csr_matrix(MATRIX)),
    Sparse((2, 3), indices=[(0, 1), (1, 1)], init=[2.0, 0.0]),
    Sparse((2, 3), indices=[(0, 1), (1, 2)], init=POSITIVE),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_pattern_is_that_of_the_applied_matrix(transform):
    connected = applied_matrix(transform) != 0
    pattern = pattern_of(transform)
    np.testing.assert_array_equal(pattern.fan_out(), connected.sum(axis=0))
    values = np.random.default_rng(0).uniform(size=transform.size_in)
    np.testing.assert_allclose(pattern.spread(values), connected @ values)


def test_three_dimensions_of_space():
    # nengo's own operator does not know them, so count by hand
    shape, size, strides = (4, 3, 5), (2, 3, 2), (1, 2, 2)
    transform = Convolution(
        2, ChannelShape((*shape, 3)), kernel_size=size, strides=strides, init=POSITIVE
    )
    expected = np.zeros((*shape, 3))
    for place in np.ndindex(*transform.output_shape.spatial_shape):
        window = tuple(
            slice(p * s, p * s + k)
            for p, s, k in zip(place, strides, size, strict=True)
        )
        expected[window] += 2
    fan_out = pattern_of(transform).fan_out()
    np.testing.assert_array_equal(fan_out, expected.ravel())


def test_an_element_that_is_given_twice_is_one_connection():
    matrix = SparseMatrix([(0, 0), (0, 0), (1, 2)], [1.0, 2.0, 3.0], (2, 3))
    transform = Sparse((2, 3), indices=matrix.indices, init=matrix.data)
    np.testing.assert_array_equal(pattern_of(transform).fan_out(), [1, 0, 1])


def test_a_large_convolution_takes_little_memory():
    transform = Convolution(
        512, ChannelShape((224, 224, 256)), padding="same", init=POSITIVE
    )
    pattern = pattern_of(transform)
    assert sum(factor.size for factor in pattern.factors) < 300_000
    assert pattern.fan_out().max() == 9 * 512


def test_unknown_transform():
    class Other(Transform):
        size_in = size_out = 3

    with pytest.raises(ValidationError, match="Other cannot be counted"):
        pattern_of(Other())
