"""Counts of single layers, against the pairs that depend on each other in Keras."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from nengo_jax import layers as nl
from nengo_jax.convert import TABLE
from nengo_jax.energy import LayerCall, ModelEnergy
from nengo_jax.energy.layer_table import LAYERS


def stats_of(layer, *shapes):
    """Count one use of a layer on inputs of some shapes, without the batch axis."""
    inputs = [keras.Input(shape) for shape in shapes]
    layer(inputs[0] if len(inputs) == 1 else inputs)
    return ModelEnergy.compute_layer_stats(layer, layer._inbound_nodes[0])


def name_of(value):
    return value.name if isinstance(value, keras.layers.Layer) else None


def pairs(layer, *shapes):
    """Count the pairs of an input and an output that depends on it."""
    rng = np.random.default_rng(0)
    data = [jnp.float32(rng.uniform(0.5, 1, (1, *shape))) for shape in shapes]
    shapes = [(1, *shape) for shape in shapes]
    layer.build(shapes if len(shapes) > 1 else shapes[0])
    for variable in layer.variables:
        variable.assign(rng.uniform(0.5, 1, variable.shape))

    def call(*xs):
        return layer(list(xs) if len(xs) > 1 else xs[0])

    jacobian = jax.jit(jax.jacobian(call, argnums=tuple(range(len(data)))))
    jacobians = jacobian(*data)
    return sum(int(np.count_nonzero(j)) for j in jacobians)


LINEAR = [
    (kl.Dense(3), (4,)),
    (kl.Dense(3), (2, 5, 4)),
    (kl.Conv1D(3, 2), (6, 4)),
    (kl.Conv1D(4, 2, strides=2, groups=2), (7, 4)),
    (kl.Conv2D(3, (2, 3)), (5, 6, 2)),
    (kl.Conv2D(3, 2, dilation_rate=2), (5, 6, 2)),
    (kl.Conv2D(4, 2, strides=(2, 1), groups=2), (5, 6, 4)),
    (kl.Conv2D(3, 1, padding="same"), (4, 4, 2)),
    (kl.Conv3D(2, 2), (3, 3, 4, 2)),
    (kl.DepthwiseConv1D(2, depth_multiplier=3), (5, 2)),
    (kl.DepthwiseConv2D((2, 3), depth_multiplier=2), (4, 5, 3)),
    (kl.Conv1DTranspose(3, 2, strides=2), (4, 2)),
    (kl.Conv2DTranspose(3, 3, strides=2), (3, 3, 2)),
    (kl.Conv2DTranspose(3, (2, 3)), (3, 4, 2)),
    (kl.Conv3DTranspose(2, 2), (2, 2, 3, 2)),
    (kl.AveragePooling1D(2), (6, 3)),
    (kl.AveragePooling2D(2), (4, 6, 3)),
    (kl.AveragePooling2D(3, strides=1), (4, 6, 3)),
    (kl.AveragePooling3D(2), (4, 4, 2, 2)),
    (kl.GlobalAveragePooling1D(), (5, 2)),
    (kl.GlobalAveragePooling2D(), (3, 4, 2)),
    (kl.GlobalAveragePooling3D(), (3, 2, 2, 2)),
    (kl.UpSampling1D(3), (4, 2)),
    (kl.UpSampling2D((2, 3)), (4, 3, 2)),
    (kl.UpSampling3D(2), (2, 2, 2, 3)),
    (kl.RepeatVector(4), (5,)),
    (kl.Rescaling(0.5), (3, 4)),
    (kl.BatchNormalization(), (3, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), LINEAR, ids=name_of)
def test_connections_of_linear_layers(layer, shape):
    expected = pairs(layer, shape)
    stats = stats_of(layer, shape)
    assert stats["connections"] == expected > 0
    assert stats["neurons"] == 0


def test_connections_of_inputs_that_are_repeated():
    """A gate for each channel is multiplied in each place."""
    for layer in (kl.Multiply(), kl.Add()):
        expected = pairs(type(layer)(), (3, 4, 5), (1, 1, 5))
        assert stats_of(layer, (3, 4, 5), (1, 1, 5))["connections"] == expected == 120


MERGING = [kl.Add(), kl.Subtract(), kl.Average(), kl.Multiply()]


@pytest.mark.parametrize("layer", MERGING, ids=lambda layer: layer.name)
def test_connections_of_layers_that_merge(layer):
    assert stats_of(layer, (3, 4), (3, 4))["connections"] == 24
    assert pairs(type(layer)(), (3, 4), (3, 4)) == 24


def test_layers_that_choose():
    # which input an output depends on depends on the values, so there are no pairs
    assert stats_of(kl.Maximum(), (3, 4), (3, 4), (3, 4))["connections"] == 36
    assert stats_of(kl.Minimum(), (3, 4), (3, 4))["connections"] == 24
    assert stats_of(kl.MaxPooling1D(2), (6, 3))["connections"] == 18
    assert stats_of(kl.MaxPooling2D(2), (4, 6, 3))["connections"] == 72
    assert stats_of(kl.MaxPooling3D(2), (4, 4, 2, 2))["connections"] == 64
    assert stats_of(kl.GlobalMaxPooling2D(), (3, 4, 2))["connections"] == 24


@pytest.mark.parametrize(
    ("axes", "shapes"),
    [(1, [(3, 4), (3, 5)]), (-1, [(4, 3), (5, 3)]), ((2, 1), [(4, 3), (3, 5)])],
)
def test_dot(axes, shapes):
    connections = stats_of(kl.Dot(axes), *shapes)["connections"]
    assert connections == 4 * 5 * 3


def test_separable_convolutions_are_two_convolutions():
    for conv, depthwise, pointwise, shape in [
        (
            kl.SeparableConv2D(5, 3, strides=2, depth_multiplier=2),
            kl.DepthwiseConv2D(3, strides=2, depth_multiplier=2),
            kl.Conv2D(5, 1),
            (7, 8, 3),
        ),
        (
            kl.SeparableConv1D(4, 2),
            kl.DepthwiseConv1D(2),
            kl.Conv1D(4, 1),
            (6, 3),
        ),
    ]:
        between = depthwise.compute_output_shape((None, *shape))[1:]
        expected = pairs(depthwise, shape) + pairs(pointwise, between)
        assert stats_of(conv, shape)["connections"] == expected


def test_interpolation_uses_neighbours():
    """Inside, an output is made of two neighbours along each axis, or of four."""
    for method, neighbours in [("bilinear", 2), ("bicubic", 4)]:
        layer = kl.UpSampling2D(2, interpolation=method)
        outputs = 2 * 8 * 2 * 8
        assert stats_of(layer, (8, 8, 1))["connections"] == outputs * neighbours**2
        assert outputs < pairs(layer, (8, 8, 1)) <= outputs * neighbours**2


def test_data_format_does_not_matter():
    for cls in (kl.Conv2D, kl.Conv2DTranspose, kl.SeparableConv2D):
        layer = cls(4, 3, data_format="channels_first")
        # some convolutions do not run with channels first on a CPU
        layer.build((None, 3, 7, 8))
        outputs = layer.compute_output_shape((None, 3, 7, 8))
        call = LayerCall(layer, ((None, 3, 7, 8),), (outputs,))
        first = ModelEnergy.compute_layer_stats(layer, call)
        assert first == stats_of(cls(4, 3), (7, 8, 3))


def test_same_padding_counts_the_whole_kernel():
    # as in KerasSpiking: outputs times kernel, also where the kernel meets zeros
    stats = stats_of(kl.Conv2D(3, 3, padding="same"), (4, 4, 2))
    assert stats["connections"] == 4 * 4 * 3 * 3 * 3 * 2
    assert pairs(kl.Conv2D(3, 3, padding="same"), (4, 4, 2)) < stats["connections"]


ACTIVE = [
    (kl.Dense(5, activation="relu"), (4,), 5),
    (kl.Conv2D(2, 3, activation="tanh"), (5, 5, 1), 18),
    (kl.Conv2DTranspose(2, 3, activation="relu"), (3, 3, 1), 50),
    (kl.DepthwiseConv2D(3, activation="relu"), (5, 5, 2), 18),
    (kl.SeparableConv2D(3, 3, activation="relu"), (5, 5, 2), 27),
    (kl.Activation("gelu"), (3, 4), 12),
    (kl.Activation("linear"), (3, 4), 0),
    (kl.ReLU(), (3, 4), 12),
    (kl.LeakyReLU(), (3, 4), 12),
    (kl.PReLU(), (3, 4), 12),
    (kl.ELU(), (3, 4), 12),
    (kl.Softmax(), (3, 4), 12),
    (nl.QCFS(), (3, 4), 12),
    (nl.SpikingActivation("relu"), (None, 3, 4), 12),
    (nl.SpikingActivation("linear"), (None, 3, 4), 12),
    (nl.LIF(), (None, 7), 7),
]


@pytest.mark.parametrize(("layer", "shape", "neurons"), ACTIVE, ids=name_of)
def test_neurons(layer, shape, neurons):
    stats = stats_of(layer, shape)
    assert stats["neurons"] == neurons
    assert stats["spiking"] == isinstance(layer, nl.KerasSpikingLayer)


NOTHING = [
    (kl.Flatten(), (3, 4)),
    (kl.Reshape((4, 3)), (3, 4)),
    (kl.Permute((2, 1)), (3, 4)),
    (kl.Identity(), (3, 4)),
    (kl.Masking(), (3, 4)),
    (kl.ZeroPadding2D(2), (3, 4, 1)),
    (kl.Cropping2D(1), (3, 4, 1)),
    (kl.Dropout(0.5), (3,)),
    (kl.SpatialDropout1D(0.5), (3, 4)),
    (kl.SpatialDropout2D(0.5), (3, 4, 2)),
    (kl.AlphaDropout(0.5), (3,)),
    (kl.GaussianDropout(0.5), (3,)),
    (kl.GaussianNoise(0.5), (3,)),
    (kl.ActivityRegularization(), (3,)),
    (kl.RandomFlip(), (4, 4, 1)),
]


@pytest.mark.parametrize(("layer", "shape"), NOTHING, ids=name_of)
def test_layers_that_take_nothing(layer, shape):
    stats = stats_of(layer, shape)
    assert stats == {
        "connections": 0,
        "neurons": 0,
        "spiking": False,
        "every_step": False,
        "steps": 1,
    }


def test_concatenation_takes_nothing():
    assert stats_of(kl.Concatenate(), (3,), (4,))["connections"] == 0


def test_normalisations():
    assert stats_of(kl.LayerNormalization(), (3, 4))["connections"] == 36
    assert stats_of(kl.GroupNormalization(2), (3, 4))["connections"] == 36
    assert stats_of(kl.UnitNormalization(), (3, 4))["connections"] == 24
    normalization = kl.Normalization(mean=0.0, variance=1.0)
    assert stats_of(normalization, (3, 4))["connections"] == 12


@pytest.mark.parametrize(
    ("cls", "products", "neurons"),
    [(kl.SimpleRNN, 0, 1), (kl.LSTM, 3, 5), (kl.GRU, 3, 3)],
)
def test_recurrent_layers(cls, products, neurons):
    layer = cls(5, use_bias=False)
    stats = stats_of(layer, (None, 3))
    # without biases each weight is used once in each step
    assert stats["connections"] == layer.count_params() + products * 5
    assert stats["neurons"] == neurons * 5
    assert stats["every_step"]
    assert stats["steps"] == 1
    assert stats_of(cls(5, use_bias=False), (7, 3)) == {**stats, "steps": 7}
    both = stats_of(kl.Bidirectional(cls(5)), (None, 3))
    assert both["connections"] == 2 * stats["connections"]
    assert stats_of(kl.Bidirectional(cls(5)), (7, 3)) == {**both, "steps": 7}
    cells = [type(layer.cell)(5), type(layer.cell)(5)]
    stacked = stats_of(kl.RNN(cells), (None, 3))
    second = stats_of(cls(5), (None, 5))
    assert stacked["connections"] == stats["connections"] + second["connections"]


def test_linear_recurrent_layers_have_no_neurons():
    assert stats_of(kl.SimpleRNN(5, activation=None), (None, 3))["neurons"] == 0


def test_embedding_reads_one_row_for_each_token():
    stats = stats_of(kl.Embedding(1000, 8), (6,))
    assert stats["connections"] == 48
    assert stats["every_step"]


def test_filters_and_memories():
    assert stats_of(nl.Lowpass(0.1), (None, 5))["connections"] == 5 * 2
    assert stats_of(nl.Alpha(0.1), (None, 5))["connections"] == 5 * 6
    layer = nl.LMU(4, order=3, theta=0.1, memory_d=2)
    stats = stats_of(layer, (None, 5))
    # each weight once in each step, and 3 x 4 matrices for two memories
    assert stats["connections"] == layer.count_params() + 2 * 3 * 4
    assert (stats["neurons"], stats["spiking"]) == (4, False)
    spiking = nl.LMU(
        4, order=3, theta=0.1, activation=nl.SpikingActivationCell(4, "relu")
    )
    assert stats_of(spiking, (None, 5))["spiking"]


def test_time_distributed_counts_one_step():
    plain = stats_of(kl.Conv2D(3, 2, activation="relu"), (5, 6, 2))
    layer = kl.TimeDistributed(kl.Conv2D(3, 2, activation="relu"))
    assert stats_of(layer, (None, 5, 6, 2)) == plain
    layer = kl.TimeDistributed(kl.Conv2D(3, 2, activation="relu"))
    assert stats_of(layer, (4, 5, 6, 2)) == {**plain, "steps": 4}


def test_an_open_axis_is_time():
    assert stats_of(kl.Dense(3), (None, 4)) == stats_of(kl.Dense(3), (4,))


def test_subclasses_count_like_their_class():
    class MyDense(kl.Dense):
        pass

    assert stats_of(MyDense(3), (4,))["connections"] == 12
    with pytest.warns(UserWarning, match=r"lambda \(Lambda\)"):
        assert stats_of(kl.Lambda(abs, name="lambda"), (4,))["connections"] == 0


@pytest.mark.parametrize(
    ("layer", "shape", "places"),
    [
        (kl.ConvLSTM1D(3, 2, use_bias=False), (8, 2), 7),
        (kl.ConvLSTM2D(3, 2, strides=2, use_bias=False), (6, 5, 2), 3 * 2),
        (kl.ConvLSTM3D(3, 1, return_sequences=True, use_bias=False), (2, 3, 2, 2), 12),
    ],
    ids=name_of,
)
def test_recurrent_convolutions(layer, shape, places):
    """Each weight once in each place, and what an LSTM does for each of its units."""
    stats = stats_of(layer, (4, *shape))
    assert stats["connections"] == places * (layer.count_params() + 3 * 3)
    assert stats["neurons"] == places * 3 * 5
    assert stats["steps"] == 4
    assert stats["every_step"]


@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("state", [False, True])
def test_recurrent_convolutions_in_both_directions(merge, state):
    options = {"filters": 3, "kernel_size": 2, "return_state": state}
    one = stats_of(kl.ConvLSTM2D(**options), (4, 6, 5, 2))
    both = stats_of(
        kl.Bidirectional(kl.ConvLSTM2D(**options), merge_mode=merge), (4, 6, 5, 2)
    )
    twice = {name: 2 * one[name] for name in ("connections", "neurons")}
    assert both == one | twice


class Doubling(kl.Layer):
    """A cell that no rule knows."""

    state_size = output_size = 3

    def call(self, x, states):
        return 2 * x, states


def test_unknown_cells_are_unknown_layers():
    with pytest.warns(UserWarning, match="RNN"):
        stats_of(kl.RNN(Doubling()), (4, 3))


def test_every_rule_has_a_layer():
    assert all(issubclass(cls, keras.Operation) for cls in LAYERS)


# -- layers that the Converter knows

KNOWN = sorted(
    (kind for kind in TABLE if kind is not nl.KerasSpikingLayer),
    key=lambda kind: f"{kind.__module__}.{kind.__name__}",
)


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: f"{kind.__name__}")
def test_all_that_the_converter_knows_is_counted(kind):
    """Whoever adds a rule to the Converter has to say what the layer costs."""
    assert any(parent in LAYERS for parent in kind.__mro__), (
        f"{kind.__name__} is in convert.TABLE, but not in energy.layer_table.LAYERS"
    )


@pytest.mark.parametrize(
    ("function", "connections", "neurons"),
    [
        (keras.activations.relu, 0, 24),
        (lambda x: keras.activations.relu(x, max_value=3), 0, 24),
        (ops.leaky_relu, 0, 24),
        (ops.tanh, 0, 24),
        (ops.exp, 0, 24),
        (ops.softmax, 0, 24),
        (lambda x: x + 1, 24, 0),
        (lambda x: x * x, 48, 0),
        (lambda x: x / (x + 3), 72, 0),
        (lambda x: ops.maximum(x, -x), 72, 0),
        (lambda x: x - ops.minimum(x, 1), 72, 0),
        (lambda x: ops.concatenate([x, x]), 0, 0),
        (lambda x: kl.PReLU()(x), 0, 24),
    ],
    ids=[
        "relu",
        "bounded relu",
        "leaky_relu",
        "tanh",
        "exp",
        "softmax",
        "sum",
        "product",
        "quotient",
        "maximum",
        "difference",
        "concatenate",
        "PReLU",
    ],
)
def test_functions_count_like_layers(function, connections, neurons):
    x = keras.Input((6, 4))
    model = keras.Model(x, function(x))
    energy = ModelEnergy(model, np.ones((2, 6, 4)))  # a warning would be an error
    cpu = ModelEnergy.devices["cpu"]
    expected = connections * cpu.energy_per_synop + neurons * cpu.energy_per_neuron
    assert energy.total_energy("cpu") == pytest.approx(expected)
    assert energy.total_energy("loihi") >= 0
