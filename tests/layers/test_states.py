"""What is known of states before a layer is built."""

import jax
import keras
import numpy as np
import pytest

from nengo_jax import layers
from nengo_jax.layers.cell import random_voltage

UNITS = {
    "SpikingActivation": lambda **options: layers.SpikingActivation("relu", **options),
    "Lowpass": lambda **options: layers.Lowpass(0.1, **options),
    "Alpha": lambda **options: layers.Alpha(0.1, **options),
    "LIF": lambda **options: layers.LIF(**options),
}
EACH = pytest.mark.parametrize("kind", UNITS)


def check_shapes(layer, shape):
    """The shapes that an unbuilt layer promises are those that it returns."""
    promised = layer.compute_output_shape(shape)
    assert not layer.built
    returned = layer(np.zeros(shape, np.float32))
    assert [tuple(p) for p in promised] == [r.shape for r in returned]
    assert layer.compute_output_shape(shape) == promised


@EACH
@pytest.mark.parametrize("size", [(3,), (2, 3)])
def test_shapes(kind, size):
    check_shapes(UNITS[kind](return_state=True), (2, 4, *size))


@EACH
def test_shapes_of_the_last_step_with_time_first(kind):
    layer = UNITS[kind](return_state=True, return_sequences=False, time_major=True)
    check_shapes(layer, (4, 2, 3))


def test_shapes_of_a_memory():
    inner = layers.SpikingActivationCell(5, "relu")
    layer = layers.LMU(5, 4, 0.05, memory_d=2, activation=inner, return_state=True)
    check_shapes(layer, (2, 4, 3))


def test_unknown_sizes():
    layer = layers.Alpha(0.1, return_state=True)
    assert layer.compute_output_shape((None, None, 3))[1:] == [(None, 3), (None, 3)]
    assert keras.Sequential([keras.Input((None, 3)), layers.Lowpass(0.1)]).built


def test_voltages_are_those_of_a_draw_in_all_dimensions():
    """Drawn flat to compile sooner; a seed means the same as without that."""
    shape = (2, 3, 4)
    expected = jax.random.uniform(jax.random.key(5), shape, "float32")
    np.testing.assert_array_equal(random_voltage(5, shape, "float32"), expected)
