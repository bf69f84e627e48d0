"""Dilated convolutions against plain ones whose kernels have zeros in the gaps."""

import itertools

import nengo
import numpy as np
import pytest
from helpers import assert_close, compare_networks, run_jax
from nengo.exceptions import ValidationError

import nengo_jax
from nengo_jax.transforms import DilatedConvolution

# (space, kernel, strides, dilation)
CASES = {
    "1-D": ((11,), (3,), (2,), (2,)),
    "2-D": ((7, 9), (2, 3), (1, 2), (3, 2)),
    "3-D": ((5, 4, 5), (2, 2, 3), (1, 1, 2), (2, 1, 2)),
}
CHOICES = list(
    itertools.product(["same", "valid"], [True, False], [(2, 3, 1), (2, 4, 2)])
)


def make_network(dimensions, *, plain):
    """A node that goes through all kinds of convolutions, of the same weights."""
    space, kernel, strides, dilation = CASES[dimensions]
    rng = np.random.RandomState(0)
    with nengo.Network(seed=0) as network:
        size = int(np.prod(space)) * 2
        stimulus = nengo.Node(rng.standard_normal(size))
        for padding, last, (channels, filters, groups) in CHOICES:
            weights = rng.standard_normal((*kernel, channels // groups, filters))
            transform = DilatedConvolution(
                filters,
                (*space, channels) if last else (channels, *space),
                kernel_size=kernel,
                strides=strides,
                padding=padding,
                channels_last=last,
                groups=groups,
                init=weights,
                dilation=dilation,
            )
            if plain:
                wide = np.zeros(transform.with_gaps().kernel_shape)
                wide[tuple(slice(None, None, step) for step in dilation)] = weights
                transform = nengo.Convolution(
                    filters,
                    transform.input_shape,
                    kernel_size=transform.extent,
                    strides=strides,
                    padding=padding,
                    channels_last=last,
                    groups=groups,
                    init=wide,
                )
            target = nengo.Node(size_in=transform.size_out)
            nengo.Connection(stimulus, target, transform=transform, synapse=None)
            nengo.Probe(target)
    return network


@pytest.mark.parametrize("dimensions", CASES)
def test_zeros_in_the_gaps(dimensions):
    networks = [make_network(dimensions, plain=plain) for plain in (False, True)]
    for results in zip(*(run_jax(n, 1).values() for n in networks), strict=True):
        assert_close(*results)


@pytest.mark.parametrize("dimensions", ["1-D", "2-D"])
def test_on_the_reference(dimensions):
    compare_networks(make_network(dimensions, plain=False), 1)


def test_only_the_weights_are_trained():
    with nengo.Network(seed=0) as network:
        stimulus = nengo.Node(np.ones(12))
        transform = DilatedConvolution(
            1, (12, 1), kernel_size=(3,), strides=(1,), dilation=(2,)
        )
        output = nengo.Node(size_in=8)
        nengo.Connection(stimulus, output, transform=transform, synapse=None)
        probe = nengo.Probe(output)
    with nengo_jax.Simulator(network, progress_bar=False, minibatch_size=2) as sim:
        sim.compile("sgd", loss="mse")
        x = np.random.RandomState(0).standard_normal((4, 1, 12))
        targets = x[..., :8] + 2 * x[..., 2:10] - x[..., 4:]
        losses = sim.fit(
            {stimulus: x}, {probe: targets}, epochs=200, verbose=0
        ).history["loss"]
        sim.freeze_params(network)
        assert losses[-1] < 0.01 * losses[0]
    (connection,) = network.connections
    found = connection.transform.init.ravel()
    np.testing.assert_allclose(found, [1, 2, -1], atol=0.2)
    compare_networks(network, 1)


@pytest.mark.parametrize(
    ("dilation", "match"), [((2,), "dimensions"), ((9, 1), "reaches over")]
)
def test_wrong_dilation(dilation, match):
    with pytest.raises(ValidationError, match=match):
        DilatedConvolution(1, (5, 5, 1), kernel_size=(3, 3), dilation=dilation)
