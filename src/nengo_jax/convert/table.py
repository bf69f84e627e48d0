"""Which layer is converted how.

Each type of layer has a rule: a function that makes nengo objects, and a function that
says why it cannot, if it cannot. A layer is found by its type, or by the type that it
inherits ``call`` from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from keras import layers
from keras.src.ops import nn, numpy

from ..layers import Alpha, KerasSpikingLayer, Lowpass, SpikingActivation
from ..layers.qcfs import QCFS
from .activation import OPERATIONS, convert_activation, refuse_function
from .convolution import (
    convert_convolution,
    convert_depthwise,
    convert_separable,
    convert_transposed,
    refuse_transposed,
)
from .dense import convert_dense
from .fallback import convert_exact
from .linear import refuse_kernel
from .merging import convert_concatenate, convert_sum, refuse_axis
from .normalization import convert_affine, refuse_training
from .parametric import convert_parametric, refuse_parametric
from .pooling import convert_global_pooling, convert_pooling, refuse_maximum
from .quantized import convert_quantized
from .records import Converted, LayerCall, Options, Source
from .regularization import convert_noise
from .reshaping import convert_flatten, convert_moved, convert_same
from .temporal import (
    convert_filter,
    convert_recurrent,
    convert_spiking,
    refuse_filter,
    refuse_recurrent,
    refuse_spiking,
)

Convert = Callable[[LayerCall, tuple[Source, ...], Options], Converted]


def never(call: LayerCall, options: Options) -> str | None:
    """Refuse nothing."""
    return None


@dataclass(frozen=True)
class Rule:
    """How one type of layer is converted.

    Attributes
    ----------
    convert : callable
        ``convert(call, sources, options) -> Converted``. Called inside the network that
        the objects are to be part of. Changes nothing else.
    refuse : callable
        ``refuse(call, options) -> reason or None``: why this call has to fall back to a
        TensorNode, if it has to.
    each_step : bool
        Whether the layer treats each time step alone, if there is an axis of time.
    fallback : callable
        As ``convert``, for calls that are refused.
    folds : bool
        Whether ``convert`` takes account of ``call.affine``: of factors and offsets of
        a layer that follows.
    """

    convert: Convert
    refuse: Callable[[LayerCall, Options], str | None] = never
    each_step: bool = True
    fallback: Convert = convert_exact
    folds: bool = False


Table = Mapping[Any, Rule]

_SUM = Rule(convert_sum)
_CONVOLUTION = Rule(convert_convolution, refuse_kernel, each_step=False, folds=True)
_DEPTHWISE = Rule(convert_depthwise, refuse_kernel, each_step=False, folds=True)
_SEPARABLE = Rule(convert_separable, refuse_kernel, each_step=False, folds=True)
_TRANSPOSED = Rule(convert_transposed, refuse_transposed, each_step=False, folds=True)
_POOLING = Rule(convert_pooling, each_step=False)
_MAXIMUM = Rule(convert_pooling, refuse_maximum, each_step=False)
_GLOBAL = Rule(convert_global_pooling, each_step=False)
_GLOBAL_MAXIMUM = Rule(convert_global_pooling, refuse_maximum, each_step=False)
_ACTIVATION = Rule(convert_activation, refuse_function)
_MOVED = Rule(convert_moved, each_step=False)
_AFFINE = Rule(convert_affine)
_NOISE = Rule(convert_noise)
_EXACT = Rule(convert_exact)
_RECURRENT = Rule(convert_recurrent, refuse_recurrent, fallback=convert_recurrent)
_FILTER = Rule(convert_filter, refuse_filter, fallback=convert_recurrent)
_SPIKING = Rule(convert_spiking, refuse_spiking, fallback=convert_recurrent)

TABLE: Table = MappingProxyType(
    {
        layers.Dense: Rule(convert_dense, refuse_kernel, folds=True),
        layers.Conv1D: _CONVOLUTION,
        layers.Conv2D: _CONVOLUTION,
        layers.Conv3D: _CONVOLUTION,
        layers.DepthwiseConv1D: _DEPTHWISE,
        layers.DepthwiseConv2D: _DEPTHWISE,
        layers.SeparableConv1D: _SEPARABLE,
        layers.SeparableConv2D: _SEPARABLE,
        layers.Conv1DTranspose: _TRANSPOSED,
        layers.Conv2DTranspose: _TRANSPOSED,
        layers.Conv3DTranspose: _TRANSPOSED,
        layers.Activation: _ACTIVATION,
        layers.ReLU: _ACTIVATION,
        layers.LeakyReLU: _ACTIVATION,
        layers.ELU: _ACTIVATION,
        QCFS: Rule(convert_quantized),
        **dict.fromkeys(OPERATIONS, _ACTIVATION),
        numpy.Add: _SUM,
        numpy.Subtract: _SUM,
        numpy.Multiply: _EXACT,
        numpy.Divide: _EXACT,
        numpy.TrueDivide: _EXACT,
        numpy.Negative: _EXACT,
        numpy.Maximum: _EXACT,
        numpy.Minimum: _EXACT,
        numpy.Concatenate: _EXACT,
        nn.Softmax: _EXACT,
        layers.Add: _SUM,
        layers.Average: _SUM,
        layers.Subtract: _SUM,
        layers.Concatenate: Rule(convert_concatenate, refuse_axis),
        layers.Flatten: Rule(convert_flatten, each_step=False),
        layers.Reshape: Rule(convert_same, each_step=False),
        layers.Identity: Rule(convert_same),
        layers.Permute: _MOVED,
        layers.RepeatVector: _MOVED,
        layers.ZeroPadding1D: _MOVED,
        layers.ZeroPadding2D: _MOVED,
        layers.ZeroPadding3D: _MOVED,
        layers.Cropping1D: _MOVED,
        layers.Cropping2D: _MOVED,
        layers.Cropping3D: _MOVED,
        layers.UpSampling1D: _MOVED,
        layers.UpSampling2D: _MOVED,
        layers.UpSampling3D: _MOVED,
        layers.AveragePooling1D: _POOLING,
        layers.AveragePooling2D: _POOLING,
        layers.AveragePooling3D: _POOLING,
        layers.MaxPooling1D: _MAXIMUM,
        layers.MaxPooling2D: _MAXIMUM,
        layers.MaxPooling3D: _MAXIMUM,
        layers.GlobalAveragePooling1D: _GLOBAL,
        layers.GlobalAveragePooling2D: _GLOBAL,
        layers.GlobalAveragePooling3D: _GLOBAL,
        layers.GlobalMaxPooling1D: _GLOBAL_MAXIMUM,
        layers.GlobalMaxPooling2D: _GLOBAL_MAXIMUM,
        layers.GlobalMaxPooling3D: _GLOBAL_MAXIMUM,
        layers.Multiply: _EXACT,
        layers.Maximum: _EXACT,
        layers.Minimum: _EXACT,
        layers.Dot: _EXACT,
        layers.Softmax: _EXACT,
        layers.LayerNormalization: _EXACT,
        layers.GroupNormalization: _EXACT,
        layers.RMSNormalization: _EXACT,
        layers.UnitNormalization: _EXACT,
        layers.PReLU: Rule(convert_parametric, refuse_parametric),
        layers.BatchNormalization: Rule(convert_affine, refuse_training),
        layers.Normalization: _AFFINE,
        layers.Rescaling: _AFFINE,
        layers.Dropout: _NOISE,
        layers.SpatialDropout1D: _NOISE,
        layers.SpatialDropout2D: _NOISE,
        layers.SpatialDropout3D: _NOISE,
        layers.AlphaDropout: _NOISE,
        layers.GaussianDropout: _NOISE,
        layers.GaussianNoise: _NOISE,
        layers.ActivityRegularization: _NOISE,
        layers.RNN: _RECURRENT,
        layers.SimpleRNN: _RECURRENT,
        layers.LSTM: _RECURRENT,
        layers.GRU: _RECURRENT,
        layers.ConvLSTM1D: _RECURRENT,
        layers.ConvLSTM2D: _RECURRENT,
        layers.ConvLSTM3D: _RECURRENT,
        KerasSpikingLayer: _RECURRENT,
        SpikingActivation: _SPIKING,
        Lowpass: _FILTER,
        Alpha: _FILTER,
    }
)


def rule_of(layer: Any, table: Table) -> Rule | None:
    """Return the rule for a layer, or None.

    A subclass is what its parent is if it inherits ``call``.
    """
    kind = type(layer)
    for parent in kind.__mro__:
        if parent in table:
            return table[parent] if kind.call is parent.call else None
    return None
