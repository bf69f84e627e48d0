"""Neuron types beyond nengo's own.

================ ===================================================================
SoftLIFRate      a LIFRate whose threshold is smooth
LeakyReLU        a RectifiedLinear with a small slope below zero
SpikingLeakyReLU its spiking form, whose spikes may be negative
BoundedReLU      a RectifiedLinear with a largest output, such as ReLU6
SoftResetIntegrateAndFire
                 spikes for the mean of an uneven current; for converted networks
ELU, GELU, SiLU, Mish, Softplus, Softsign, HardSigmoid, HardSiLU, Exponential
                 the activation functions of these names
================ ===================================================================

They run in every nengo simulator; nengo_jax compiles them like nengo's own. Those that
do not spike are made to by ``nengo.RegularSpiking``. Where the response is bounded or
never zero, ensembles need ``gain`` and ``bias`` instead of ``max_rates``.
"""

from .functions import (
    ELU,
    GELU,
    Exponential,
    HardSigmoid,
    HardSiLU,
    Mish,
    SiLU,
    Softplus,
    Softsign,
)
from .rectified import BoundedReLU, LeakyReLU, SpikingLeakyReLU
from .soft import SoftLIFRate
from .soft_reset import SoftResetIntegrateAndFire

__all__ = [
    "ELU",
    "GELU",
    "BoundedReLU",
    "Exponential",
    "HardSiLU",
    "HardSigmoid",
    "LeakyReLU",
    "Mish",
    "SiLU",
    "SoftLIFRate",
    "SoftResetIntegrateAndFire",
    "Softplus",
    "Softsign",
    "SpikingLeakyReLU",
]
