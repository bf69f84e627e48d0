"""Which rule counts which layer of Keras.

A rule takes a layer and one use of it, with shapes, and returns a
:class:`~.stats.LayerStats`, or None if it cannot tell. A layer that is not in the table
is counted like the nearest class above it that is. Functions that are called on tensors
of a model, such as ``x + y``, are operations in its graph, so they have rules, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras import layers
from keras.src.activations import activations
from keras.src.ops import nn, numpy

from ..layers import QCFS, KerasSpikingLayer
from .elementwise import (
    activation,
    dot,
    neurons,
    norm_and_scale,
    nothing,
    per_input,
    per_operand,
    per_output,
    pooling,
    statistics_and_scale,
    up_sampling,
)
from .recurrent import bidirectional, convolutional, recurrent
from .stats import Rule
from .weighted import (
    convolution,
    dense,
    depthwise_convolution,
    embedding,
    separable_convolution,
    transposed_convolution,
)

_FUNCTIONS = (
    activations.ReLU,
    nn.Relu,
    nn.Relu6,
    nn.LeakyRelu,
    nn.Sigmoid,
    nn.Elu,
    nn.Selu,
    nn.Celu,
    nn.Gelu,
    nn.Silu,
    nn.Softplus,
    nn.Softsign,
    nn.HardSigmoid,
    nn.HardSilu,
    nn.Softmax,
    numpy.Tanh,
    numpy.Exp,
)

LAYERS: Mapping[type, Rule] = {
    # weights
    layers.Dense: dense,
    layers.Conv1D: convolution,
    layers.Conv2D: convolution,
    layers.Conv3D: convolution,
    layers.DepthwiseConv1D: depthwise_convolution,
    layers.DepthwiseConv2D: depthwise_convolution,
    layers.SeparableConv1D: separable_convolution,
    layers.SeparableConv2D: separable_convolution,
    layers.Conv1DTranspose: transposed_convolution,
    layers.Conv2DTranspose: transposed_convolution,
    layers.Conv3DTranspose: transposed_convolution,
    layers.Embedding: embedding,
    # recurrent
    layers.RNN: recurrent,
    layers.Bidirectional: bidirectional,
    layers.ConvLSTM1D: convolutional,
    layers.ConvLSTM2D: convolutional,
    layers.ConvLSTM3D: convolutional,
    KerasSpikingLayer: recurrent,
    # activations
    layers.Activation: activation,
    layers.ReLU: neurons,
    layers.LeakyReLU: neurons,
    layers.PReLU: neurons,
    layers.ELU: neurons,
    layers.Softmax: neurons,
    QCFS: neurons,
    # pooling
    layers.AveragePooling1D: pooling,
    layers.AveragePooling2D: pooling,
    layers.AveragePooling3D: pooling,
    layers.MaxPooling1D: pooling,
    layers.MaxPooling2D: pooling,
    layers.MaxPooling3D: pooling,
    layers.GlobalAveragePooling1D: per_input,
    layers.GlobalAveragePooling2D: per_input,
    layers.GlobalAveragePooling3D: per_input,
    layers.GlobalMaxPooling1D: per_input,
    layers.GlobalMaxPooling2D: per_input,
    layers.GlobalMaxPooling3D: per_input,
    # merging
    layers.Add: per_operand,
    layers.Subtract: per_operand,
    layers.Multiply: per_operand,
    layers.Average: per_operand,
    layers.Maximum: per_operand,
    layers.Minimum: per_operand,
    layers.Dot: dot,
    layers.Concatenate: nothing,
    # scaling
    layers.BatchNormalization: per_input,
    layers.LayerNormalization: statistics_and_scale,
    layers.GroupNormalization: statistics_and_scale,
    layers.RMSNormalization: norm_and_scale,
    layers.UnitNormalization: norm_and_scale,
    layers.Normalization: per_input,
    layers.Rescaling: per_input,
    # copying
    layers.UpSampling1D: up_sampling,
    layers.UpSampling2D: up_sampling,
    layers.UpSampling3D: up_sampling,
    layers.RepeatVector: per_output,
    # moving
    layers.InputLayer: nothing,
    layers.Identity: nothing,
    layers.Flatten: nothing,
    layers.Reshape: nothing,
    layers.Permute: nothing,
    layers.Masking: nothing,
    layers.ZeroPadding1D: nothing,
    layers.ZeroPadding2D: nothing,
    layers.ZeroPadding3D: nothing,
    layers.Cropping1D: nothing,
    layers.Cropping2D: nothing,
    layers.Cropping3D: nothing,
    layers.CenterCrop: nothing,
    # in training only
    layers.Dropout: nothing,
    layers.AlphaDropout: nothing,
    layers.GaussianDropout: nothing,
    layers.GaussianNoise: nothing,
    layers.ActivityRegularization: nothing,
    layers.RandomBrightness: nothing,
    layers.RandomContrast: nothing,
    layers.RandomFlip: nothing,
    layers.RandomRotation: nothing,
    layers.RandomTranslation: nothing,
    layers.RandomZoom: nothing,
    # functions of keras.activations and keras.ops, which count like layers
    **dict.fromkeys(_FUNCTIONS, neurons),
    numpy.Add: per_operand,
    numpy.Subtract: per_operand,
    numpy.Multiply: per_operand,
    numpy.Divide: per_operand,
    numpy.TrueDivide: per_operand,
    numpy.Maximum: per_operand,
    numpy.Minimum: per_operand,
    numpy.Negative: per_output,
    numpy.Concatenate: nothing,
}
