"""Spiking layers for plain Keras models, with a time axis: (batch, steps, ...).

================= =====================================================================
SpikingActivation any activation function, computed by spikes
LIF               leaky integrate-and-fire neurons, trained through time
Lowpass, Alpha    filters with trainable time constants
QCFS              an activation for models that are to run as spikes in few steps
LMU               a memory of a window of time, with or without spikes inside
regularizers      of activities, with targets, ranges and percentiles
constraints       Mean: units share a value
callbacks         DtScheduler: a length of the step that changes in training
default           default.dt, the length of the step of layers that are given none
================= =====================================================================

All but LIF, QCFS and LMU have the names, arguments and defaults of KerasSpiking, so
scripts for it need another import: ``from nengo_jax import layers as keras_spiking``.
Cells of one's own are written in another way, see KerasSpikingCell. In mixed
precision, states stay in single precision. Import this package before a saved model
with its layers is loaded.
"""

from . import callbacks, constraints, regularizers
from .cell import KerasSpikingCell
from .filters import Alpha, AlphaCell, Lowpass, LowpassCell
from .layer import KerasSpikingLayer
from .lif import LIF, LIFCell
from .lmu import LMU, LMUCell
from .qcfs import QCFS
from .spiking_activation import SpikingActivation, SpikingActivationCell
from .timestep import default

__all__ = [
    "LIF",
    "LMU",
    "QCFS",
    "Alpha",
    "AlphaCell",
    "KerasSpikingCell",
    "KerasSpikingLayer",
    "LIFCell",
    "LMUCell",
    "Lowpass",
    "LowpassCell",
    "SpikingActivation",
    "SpikingActivationCell",
    "callbacks",
    "constraints",
    "default",
    "regularizers",
]
