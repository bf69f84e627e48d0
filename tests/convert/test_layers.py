"""Every kind of layer gives what Keras gives, before and after training."""

import pytest
from keras import layers
from keras_cases import joined

from nengo_jax.convert import Converter

pytestmark = pytest.mark.usefixtures("seeded")

IMAGE, FIRST = (6, 5, 4), (4, 6, 5)  # channels last, and first
LINE, BLOCK = (7, 4), (4, 5, 3, 4)


def first(kind, *arguments, **keywords):
    return kind(*arguments, data_format="channels_first", **keywords)


def both(kind, *arguments, **keywords):
    """The same for both orders of channels."""
    return {
        "last": (IMAGE, kind(*arguments, **keywords)),
        "first": (FIRST, first(kind, *arguments, **keywords)),
    }


def dense():
    return {
        "vector": ((3,), layers.Dense(4, activation="relu")),
        "without_bias": ((3,), layers.Dense(4, use_bias=False)),
        "matrix": ((3, 2), layers.Dense(4, activation="sigmoid")),
        "image": ((3, 2, 5), [layers.Dense(4, activation="tanh"), layers.Flatten()]),
        "frozen": ((3,), [layers.Dense(4, trainable=False), layers.Dense(2)]),
    }


def convolutions():
    return {
        "line": (LINE, layers.Conv1D(3, 3, activation="relu")),
        "causal": (LINE, layers.Conv1D(3, 2, padding="causal", dilation_rate=2)),
        "line_same": (LINE, layers.Conv1D(3, 2, strides=2, padding="same")),
        "line_first": ((4, 7), first(layers.Conv1D, 3, 2, padding="same")),
        "image": (IMAGE, layers.Conv2D(3, (3, 2), strides=(1, 2), activation="relu")),
        "even": (IMAGE, layers.Conv2D(3, 2, strides=2, padding="same")),
        "uneven": (IMAGE, layers.Conv2D(3, (4, 3), strides=3, padding="same")),
        "groups": (IMAGE, layers.Conv2D(6, 2, groups=2, use_bias=False)),
        "dilated": (IMAGE, layers.Conv2D(3, 2, dilation_rate=(2, 3))),
        "dilated_same": (
            IMAGE,
            layers.Conv2D(3, 3, dilation_rate=2, padding="same", activation="tanh"),
        ),
        "image_first": (
            FIRST,
            first(layers.Conv2D, 3, 3, padding="same", activation="relu"),
        ),
        "block": (BLOCK, layers.Conv3D(2, 2, strides=(1, 2, 1), activation="relu")),
        "block_same": (BLOCK, layers.Conv3D(2, 3, padding="same")),
        "block_first": (BLOCK, first(layers.Conv3D, 2, 2)),
    }


def other_convolutions():
    return {
        "depthwise_line": (
            LINE,
            layers.DepthwiseConv1D(3, depth_multiplier=2, activation="relu"),
        ),
        "depthwise": (IMAGE, layers.DepthwiseConv2D(2, strides=2, padding="same")),
        "depthwise_many": (IMAGE, layers.DepthwiseConv2D(3, depth_multiplier=2)),
        "depthwise_dilated": (IMAGE, layers.DepthwiseConv2D(2, dilation_rate=2)),
        "depthwise_first": (FIRST, first(layers.DepthwiseConv2D, 2, padding="same")),
        "separable_line": (
            LINE,
            layers.SeparableConv1D(3, 2, padding="same", activation="relu"),
        ),
        "separable": (
            IMAGE,
            layers.SeparableConv2D(3, 3, depth_multiplier=2, strides=2),
        ),
        "separable_first": (FIRST, first(layers.SeparableConv2D, 3, 2)),
        "transposed_line": (
            LINE,
            layers.Conv1DTranspose(3, 3, strides=2, activation="relu"),
        ),
        "transposed": (IMAGE, layers.Conv2DTranspose(3, 3, strides=2, padding="same")),
        "transposed_even": (IMAGE, layers.Conv2DTranspose(3, 2, padding="same")),
        "transposed_sparse": (IMAGE, layers.Conv2DTranspose(3, 2, strides=3)),
        "transposed_first": (FIRST, first(layers.Conv2DTranspose, 3, 3, strides=2)),
        "transposed_block": (BLOCK, layers.Conv3DTranspose(2, 2, strides=(1, 2, 1))),
    }


def activations():
    names = [
        *("relu", "sigmoid", "tanh", "leaky_relu", "relu6", "elu", "celu", "selu"),
        *("gelu", "silu", "swish", "mish", "softplus", "softsign", "hard_sigmoid"),
        *("hard_silu", "exponential", "linear", "softmax", "log_softmax", "hard_tanh"),
    ]
    kinds = {
        "rectifier": layers.ReLU(),
        "limited": layers.ReLU(max_value=0.4),
        "six": layers.ReLU(max_value=6),
        "general": layers.ReLU(max_value=0.5, negative_slope=0.2, threshold=0.1),
        "leaky": layers.LeakyReLU(0.1),
        "exponential_linear": layers.ELU(0.7),
        "soft": layers.Softmax(),
        "parametric": layers.PReLU(),
        "parametric_shared": layers.PReLU(shared_axes=[1]),
        "parametric_alone": layers.PReLU(shared_axes=[1, 2]),
        "parametric_rows": layers.PReLU(shared_axes=[2]),
    }
    shape = (3, 4)
    return {
        "parametric_first": (
            FIRST,
            [first(layers.Conv2D, 2, 2), layers.PReLU(shared_axes=[2, 3])],
        ),
        **{f"function_{name}": (shape, layers.Activation(name)) for name in names},
        **{name: (shape, layer) for name, layer in kinds.items()},
    }


def merging():
    pair = [(3, 4), (3, 4)]
    return {
        "add": (pair, layers.Add()),
        "add_wide": ([(3, 4), (1, 4), (4,)], layers.Add()),
        "average": ([*pair, (3, 4)], layers.Average()),
        "subtract": (pair, layers.Subtract()),
        "multiply": ([(3, 4), (1, 4)], layers.Multiply()),
        "maximum": (pair, layers.Maximum()),
        "minimum": (pair, layers.Minimum()),
        "dot": ([(3, 4), (3, 5)], layers.Dot(axes=1)),
        "cosine": ([(4,), (4,)], layers.Dot(axes=1, normalize=True)),
        "concatenate": ([(3, 4), (3, 2)], layers.Concatenate()),
        "concatenate_first": ([(3, 4), (2, 4)], layers.Concatenate(axis=1)),
        "concatenate_middle": ([(3, 4, 2), (3, 1, 2)], layers.Concatenate(axis=-2)),
    }


def reshaping():
    return {
        "flatten": (IMAGE, layers.Flatten()),
        "flatten_first": (FIRST, first(layers.Flatten)),
        "reshape": (IMAGE, layers.Reshape((4, -1))),
        "permute": (IMAGE, layers.Permute((3, 1, 2))),
        "repeat": ((4,), layers.RepeatVector(3)),
        "pad_line": (LINE, layers.ZeroPadding1D((1, 2))),
        "pad": (IMAGE, layers.ZeroPadding2D(((1, 0), (2, 1)))),
        "pad_first": (FIRST, first(layers.ZeroPadding2D, 1)),
        "pad_block": (BLOCK, layers.ZeroPadding3D((1, 0, 2))),
        "crop_line": (LINE, layers.Cropping1D((1, 2))),
        "crop": (IMAGE, layers.Cropping2D(((1, 2), (0, 1)))),
        "crop_first": (FIRST, first(layers.Cropping2D, 1)),
        "crop_block": (BLOCK, layers.Cropping3D(((1, 0), (1, 1), (0, 1)))),
        "up_line": (LINE, layers.UpSampling1D(2)),
        "up": (IMAGE, layers.UpSampling2D((2, 3))),
        "up_first": (FIRST, first(layers.UpSampling2D, 2)),
        "up_smooth": (IMAGE, layers.UpSampling2D(2, interpolation="bilinear")),
        "up_block": (BLOCK, layers.UpSampling3D((1, 2, 2))),
        "identity": (IMAGE, layers.Identity()),
    }


def pooling():
    return {
        "line": (LINE, layers.AveragePooling1D(3)),
        "line_same": (LINE, layers.AveragePooling1D(3, strides=2, padding="same")),
        "image": (IMAGE, layers.AveragePooling2D((3, 2), strides=(1, 2))),
        "same": (IMAGE, layers.AveragePooling2D(3, strides=2, padding="same")),
        "even": (IMAGE, layers.AveragePooling2D(2, strides=1, padding="same")),
        "first": (FIRST, first(layers.AveragePooling2D, 2)),
        "first_same": (FIRST, first(layers.AveragePooling2D, 3, padding="same")),
        "block": (BLOCK, layers.AveragePooling3D(2, padding="same")),
        "all_line": (LINE, layers.GlobalAveragePooling1D()),
        "all_line_first": (LINE, first(layers.GlobalAveragePooling1D)),
        "all": (IMAGE, layers.GlobalAveragePooling2D()),
        "all_kept": (IMAGE, layers.GlobalAveragePooling2D(keepdims=True)),
        "all_first": (FIRST, first(layers.GlobalAveragePooling2D, keepdims=True)),
        "all_block": (BLOCK, layers.GlobalAveragePooling3D()),
    }


def normalization():
    scaled = layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 3, 0])
    return {
        "rescaling": (IMAGE, layers.Rescaling(0.5, offset=-1)),
        "rescaling_channels": (IMAGE, layers.Rescaling([1.0, 2, 3, 4], offset=1)),
        "normalization": ((3, 4), scaled),
        "inverse": ((3, 4), layers.Normalization(mean=2.0, variance=3.0, invert=True)),
        "layer": ((3, 4), layers.LayerNormalization()),
        "group": (IMAGE, layers.GroupNormalization(2)),
        "rms": ((3, 4), layers.RMSNormalization()),
        "unit": ((3, 4), layers.UnitNormalization()),
        "frozen": (IMAGE, layers.BatchNormalization(trainable=False)),
        "frozen_first": (FIRST, layers.BatchNormalization(axis=1, trainable=False)),
        "frozen_after": (
            IMAGE,
            [layers.Conv2D(3, 2), layers.BatchNormalization(trainable=False)],
        ),
        "frozen_both": (
            (3,),
            [
                layers.Dense(4, trainable=False),
                layers.BatchNormalization(trainable=False),
            ],
        ),
    }


def noise():
    return {
        "dropout": (IMAGE, [layers.Dropout(0.5, seed=1), layers.Dense(2)]),
        "spatial": (IMAGE, layers.SpatialDropout2D(0.5, seed=2)),
        "gaussian": (IMAGE, layers.GaussianNoise(0.5, seed=3)),
        "gaussian_dropout": (IMAGE, layers.GaussianDropout(0.5, seed=4)),
        "alpha": (IMAGE, layers.AlphaDropout(0.5, seed=5)),
    }


GROUPS = [
    dense,
    convolutions,
    pytest.param(other_convolutions, marks=pytest.mark.slow),
    pytest.param(activations, marks=pytest.mark.slow),
    merging,
    reshaping,
    pooling,
    normalization,
    noise,
]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_layers(group):
    """Without a warning, and without falling back."""
    trained = group in (activations, merging, reshaping, pooling, noise)
    model = joined(group(), trained=trained)
    assert Converter(model, allow_fallback=False).verify(training=True)
