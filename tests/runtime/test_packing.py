"""Small arrays travel together, large ones alone; all come out as they went in."""

import nengo
import numpy as np
import pytest
from helpers import compare_networks

from nengo_jax.runtime.packing import Packing


@pytest.fixture
def arrays():
    shapes = {0: (3,), 1: (100, 50), 2: (2, 2), 3: (), 4: (70, 70), 5: (4,)}
    types = {2: "int32", 5: "int32"}
    return {
        k: np.full(shape, k, types.get(k, "float32")) for k, shape in shapes.items()
    }


@pytest.mark.parametrize("lead", [(), (2,)])
def test_what_is_packed_comes_back_by_its_name(arrays, lead):
    packing = Packing({k: (v.shape, v.dtype) for k, v in arrays.items()})
    packed = packing.pack(
        {k: np.tile(v, (*lead, *[1] * v.ndim)) for k, v in arrays.items()}
    )
    assert len(packed) == 4
    unpacked = packing.unpack(packed)
    for name, value in arrays.items():
        assert unpacked[name].shape == (*lead, *value.shape)
        assert np.all(unpacked[name] == name)


def test_large_and_small_operands_beside_python():
    """Fixed operands of many sizes keep their places in the pieces of a step."""
    with nengo.Network(seed=1) as network:
        node = nengo.Node(lambda t, x: np.cos(x), size_in=2)
        for size in (3000, 20, 5000, 7):
            ensemble = nengo.Ensemble(size, 2, eval_points=np.eye(2))
            nengo.Connection(node, ensemble, synapse=0.01)
            nengo.Connection(ensemble, node, transform=0.1, synapse=0.01)
            nengo.Probe(ensemble.neurons[:3])
    compare_networks(network, steps=20)
