"""Energy of models: as KerasSpiking counts it, with memory, and without spikes.

=================== ==================================================================
ModelEnergy         of a Keras model, layer by layer
estimate            of a Nengo network, from firing rates
Comparison          a spiking network against the same network without spikes
Technology          prices of arithmetic and memory that comparisons use
=================== ==================================================================

Three numbers, because one alone misleads. Synaptic operations times the figure of a
device (the first) leave memory out, and put a chip of 2018 with spikes against one of
2013 without. So both networks are also priced in one technology, with their memory
traffic (the second), and the one without spikes in 8 bits, as it would be deployed (the
third).
"""

from .comparison import Comparison, Workload
from .devices import DEVICES, Device
from .model_energy import ModelEnergy
from .network import NetworkEnergy, estimate
from .stats import LayerCall, LayerStats
from .technology import FLOAT32, INT8, MEMORIES, Technology

__all__ = [
    "DEVICES",
    "FLOAT32",
    "INT8",
    "MEMORIES",
    "Comparison",
    "Device",
    "LayerCall",
    "LayerStats",
    "ModelEnergy",
    "NetworkEnergy",
    "Technology",
    "Workload",
    "estimate",
]
