"""Convolutions: in 1-D and 2-D as nengo, in 1-D to 3-D as written out in NumPy."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import nengo
import numpy as np
import pytest
from helpers import (
    MERGED,
    assert_close,
    both_simulators,
    check_operators,
    compare_networks,
    with_wires,
)
from nengo.builder import Model
from nengo.builder.signal import Signal
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.transforms import ChannelShape, Convolution, ConvolutionTranspose

import nengo_jax
from nengo_jax.families import convolution_forms
from nengo_jax.families.convolution_forms import (
    Geometry,
    convolve,
    convolve_channels,
    convolve_folded,
    convolve_patches,
)

# spatial shape, kernel size, strides
SPACES = {
    "1-D": [
        ((7,), (3,), (1,)),
        ((8,), (3,), (2,)),
        ((9,), (2,), (3,)),
        ((5,), (5,), (1,)),
        ((7,), (2,), (2,)),
    ],
    "2-D": [
        ((5, 6), (3, 3), (1, 1)),
        ((6, 7), (3, 2), (2, 2)),
        ((7, 5), (2, 4), (1, 3)),
        ((4, 4), (1, 1), (2, 2)),
        ((5, 5), (4, 4), (3, 1)),
        ((7, 8), (3, 2), (3, 2)),
    ],
    "3-D": [
        ((4, 3, 5), (2, 2, 3), (1, 1, 1)),
        ((5, 4, 4), (3, 2, 2), (2, 1, 2)),
        ((3, 3, 3), (3, 1, 2), (1, 2, 3)),
        ((4, 3, 5), (2, 1, 3), (2, 1, 3)),
    ],
}
# channels in, filters, groups
CHANNELS = [(1, 1, 1), (2, 3, 1), (4, 6, 2), (3, 3, 3), (2, 4, 2)]
PADDINGS = ["same", "valid"]
ORDERS = [True, False]  # channels last


def convolutions(dimensions: str) -> list[Convolution]:
    cases = itertools.product(SPACES[dimensions], CHANNELS, PADDINGS, ORDERS)
    return [
        Convolution(
            filters,
            (*space, channels) if last else (channels, *space),
            kernel_size=kernel,
            strides=strides,
            padding=padding,
            channels_last=last,
            groups=groups,
        )
        for (space, kernel, strides), (
            channels,
            filters,
            groups,
        ), padding, last in cases
    ]


def transposed(dimensions: str) -> list[ConvolutionTranspose]:
    """Make transposes, with every output shape that leads to the given input shape."""
    found = []
    cases = itertools.product(SPACES[dimensions], CHANNELS[:2], PADDINGS, ORDERS)
    for (space, kernel, strides), (channels, filters, _), padding, last in cases:
        for more in range(max(strides)):
            wanted = tuple(
                (n - 1) * s + (k if padding == "valid" else 1) + min(more, s - 1)
                for n, k, s in zip(space, kernel, strides, strict=True)
            )
            found.append(
                ConvolutionTranspose(
                    filters,
                    (*space, channels) if last else (channels, *space),
                    output_shape=(*wanted, filters) if last else (filters, *wanted),
                    kernel_size=kernel,
                    strides=strides,
                    padding=padding,
                    channels_last=last,
                )
            )
    return found


def operator(conv, number: int = 0) -> ConvInc | ConvTransposeInc:
    rng = np.random.RandomState(number)
    kind = ConvTransposeInc if isinstance(conv, ConvolutionTranspose) else ConvInc
    return kind(
        Signal(rng.standard_normal(conv.kernel_shape), name=f"kernel of {conv}"),
        Signal(rng.standard_normal(conv.size_in), name="X"),
        Signal(rng.standard_normal(conv.size_out), name="Y"),
        conv,
    )


def channels_last(shape: ChannelShape, value: np.ndarray) -> np.ndarray:
    value = value.reshape(shape.shape)
    return value if shape.channels_last else np.moveaxis(value, 0, -1)


def written_out(conv, kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Convolve one position and one element of the kernel at a time.

    A transposed convolution gives back what a convolution would have read.
    """
    transpose = isinstance(conv, ConvolutionTranspose)
    x = channels_last(conv.input_shape, x)
    y = np.zeros((*conv.output_shape.spatial_shape, conv.n_filters))
    large, small = (y.shape, x.shape) if transpose else (x.shape, y.shape)
    space = list(zip(large, small, conv.kernel_size, conv.strides, strict=False))
    before = [0] * conv.dimensions
    if conv.padding == "same":
        before = [max((n - 1) * s + k - size, 0) // 2 for size, n, k, s in space]
    for position in np.ndindex(*small[:-1]):
        for offset in np.ndindex(*conv.kernel_size):
            place = tuple(
                n * s + k - b
                for n, k, s, b in zip(
                    position, offset, conv.strides, before, strict=True
                )
            )
            if any(not 0 <= p < n for p, n in zip(place, large, strict=False)):
                continue
            if transpose:
                y[place] += x[position] @ kernel[offset]
                continue
            for group in range(conv.groups):
                width = kernel.shape[-2]
                count = conv.n_filters // conv.groups
                read = slice(group * width, (group + 1) * width)
                made = slice(group * count, (group + 1) * count)
                y[position][made] += x[place][read] @ kernel[offset][:, made]
    return (y if conv.channels_last else np.moveaxis(y, -1, 0)).ravel()


def all_of(dimensions: str) -> list:
    return [*convolutions(dimensions), *transposed(dimensions)]


@MERGED
@pytest.mark.parametrize("dimensions", ["1-D", "2-D"])
def test_many_at_once(dimensions, optimize):
    """A part of all combinations, each twice, with different kernels."""
    cases = all_of(dimensions)[::13]

    def make(model):
        return [operator(conv, k) for conv in cases for k in range(2)]

    check_operators(make, optimize=optimize, steps=1)


def test_on_wires():
    def make(model):
        return [operator(conv, k) for conv in all_of("2-D")[5::23] for k in range(2)]

    check_operators(with_wires(make), steps=1)


@pytest.mark.parametrize("dimensions", SPACES)
@pytest.mark.parametrize(
    "every", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_combinations_written_out(dimensions, every):
    """All combinations, each with its own kernel, against loops in NumPy.

    nengo has no convolutions in 3-D to compare with.
    """
    cases = all_of(dimensions)[::every]
    model = Model(dt=0.001)
    operators = [operator(conv, k) for k, conv in enumerate(cases)]
    for op in operators:
        model.add_op(op)
    with nengo_jax.Simulator(
        None, model=model, dtype="float64", progress_bar=False
    ) as sim:
        sim.step()
        for op, conv in zip(operators, cases, strict=True):
            kernel, x, y = (s.initial_value for s in (op.W, op.X, op.Y))
            expected = y + written_out(conv, kernel, x)
            assert_close(sim.signals[op.Y], expected, conv)


@pytest.mark.parametrize("dimensions", ["1-D", "2-D"])
def test_what_is_written_out_is_what_nengo_does(dimensions):
    cases = all_of(dimensions)[::5]
    with both_simulators(lambda model: [operator(c) for c in cases[:1]], 0.001, 0) as (
        reference,
        _,
    ):
        for conv in cases:
            op = operator(conv)
            signals = {s: np.array(s.initial_value) for s in (op.W, op.X, op.Y)}
            op.make_step(signals, reference.dt, None)()
            kernel, x, y = (s.initial_value for s in (op.W, op.X, op.Y))
            assert_close(signals[op.Y], y + written_out(conv, kernel, x), conv)


@MERGED
def test_learned_image_network(optimize):
    """Convolutions between neurons, in the middle of a network."""
    rng = np.random.RandomState(5)
    images = rng.uniform(-1, 1, size=(3, 36))
    with nengo.Network(seed=2) as network:
        stimulus = nengo.Node(nengo.processes.PresentInput(images, 0.01))
        first = Convolution(3, (6, 6, 1), strides=(2, 2), padding="same")
        second = Convolution(2, first.output_shape, kernel_size=(2, 2))
        back = ConvolutionTranspose(
            1, second.output_shape, output_shape=(6, 6, 1), strides=(3, 3)
        )
        hidden = nengo.Ensemble(first.size_out, 1, neuron_type=nengo.LIFRate())
        output = nengo.Ensemble(second.size_out, 1)
        nengo.Connection(stimulus, hidden.neurons, transform=first, synapse=None)
        nengo.Connection(hidden.neurons, output.neurons, transform=second)
        restored = nengo.Node(size_in=36)
        nengo.Connection(output.neurons, restored, transform=back)
        nengo.Probe(restored)
        nengo.Probe(output.neurons, "voltage")
        nengo.Probe(hidden.neurons, "input")
    recorded = compare_networks(network, 40, optimize=optimize)
    assert all(np.any(values) for values in recorded.values())


@pytest.mark.parametrize("dimensions", ["1-D", "2-D"])
@pytest.mark.parametrize("channels", [(3, 3, 3), (2, 4, 2), (5, 2, 1)])
@pytest.mark.parametrize("last", ORDERS)
def test_forms_for_training_say_the_same(dimensions, channels, last):
    """Values and derivatives, to and fro, of patches and of single channels."""
    rng = np.random.RandomState(0)
    inputs, filters, groups = channels
    space, sizes, strides = SPACES[dimensions][1]  # strides of two
    ones, padding = (1,) * len(space), [(1, 0), (0, 0)][: len(space)]
    geometry = Geometry(strides, ones, ones, padding, groups, last)
    shape = (*space, inputs) if last else (inputs, *space)
    kernel = rng.standard_normal((*sizes, inputs // groups, filters))
    values = rng.standard_normal(shape), kernel
    wanted = derivatives(convolve, geometry, values)
    forms = [convolve_patches, *[convolve_channels] * (groups == inputs)]
    for form in forms:
        found = derivatives(form, geometry, values)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("space", "sizes", "strides", "padding"),
    [
        ((9,), (4,), (2,), (0, 0)),
        ((7, 8), (4, 5), (2, 3), (1, 2)),  # the last ones are left out
        ((8, 9), (4, 3), (2, 2), (2, -1)),
        ((13, 13), (3, 3), (2, 2), (0, 0)),
        ((6, 5), (1, 2), (2, 2), (0, 1)),
        ((4, 5, 6), (2, 3, 3), (1, 2, 3), (1, 0)),
    ],
)
@pytest.mark.parametrize("last", ORDERS)
@pytest.mark.parametrize("folds", [True, False], ids=["folds", "does not"])
def test_folding_strides_changes_nothing(
    space, sizes, strides, padding, last, folds, monkeypatch
):
    """Alone, and as the derivative of patches, which are checkpointed in a batch."""
    monkeypatch.setattr(convolution_forms, "_is_faster_folded", lambda *_: folds)
    rng = np.random.RandomState(0)
    ones = (1,) * len(space)
    geometry = Geometry(strides, ones, ones, [padding] * len(space), 1, last)
    shape = (*space, 5) if last else (5, *space)
    kernel = rng.standard_normal((*sizes, 5, 2))
    images = rng.standard_normal((3, *shape))
    batch = images, kernel
    for form, values in [
        (convolve_folded, (images[0], kernel)),
        (convolve_patches, (images[0], kernel)),
        (in_a_batch(jax.checkpoint(convolve_patches, static_argnums=2)), batch),
    ]:
        plain = convolve if values[0].ndim == len(shape) else in_a_batch(convolve)
        wanted = derivatives(plain, geometry, values)
        found = derivatives(form, geometry, values)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def in_a_batch(form):
    def batch(images, kernel, geometry):
        return jax.vmap(lambda image: form(image, kernel, geometry))(images)

    return batch


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "channels", "images", "folds"),
    [
        (20, 4, 2, 128, 1, True),
        (20, 3, 1, 8, 1000, False),  # nothing to fold
        (20, 2, 2, 8, 1000, False),  # windows do not overlap
        (13, 3, 2, 32, 512, True),
        (13, 3, 2, 32, 32, False),
        (13, 3, 2, 128, 512, False),
    ],
)
def test_what_is_faster_folded(size, kernel, stride, channels, images, folds):
    geometry = Geometry((stride,) * 2, (1, 1), (1, 1), [(0, 0)] * 2, 1, True)
    batch = np.broadcast_to(np.float32(0), (images, size, size, channels))
    weights = np.broadcast_to(np.float32(0), (kernel, kernel, channels, 2))
    assert convolution_forms._is_faster_folded(batch, weights, geometry) is folds


def derivatives(form, geometry, values):
    """Return a value, its change for some changes, and the gradients of some sum."""
    rng = np.random.RandomState(1)
    changes = tuple(rng.standard_normal(value.shape) for value in values)

    @jax.jit
    def work_out(values, changes):
        value, change = jax.jvp(partial(form, geometry=geometry), values, changes)
        _, pull = jax.vjp(partial(form, geometry=geometry), *values)
        return value, change, *pull(jax.numpy.cos(value))

    with jax.enable_x64(True):
        return work_out(values, changes)
