"""The families: one record for each type of operator that nengo_jax knows.

``FAMILIES`` maps an operator type to its candidates, tried in order; each candidate
is a pair of a family and a test whether it can run the operator. An operator that no
candidate accepts runs on the host through its own ``make_step``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nengo.builder.learning_rules import SimBCM, SimOja, SimPES, SimRLS, SimVoja
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import (
    BsrDotInc,
    Copy,
    DotInc,
    ElementwiseInc,
    Operator,
    Reset,
    SimPyFunc,
    SparseDotInc,
)
from nengo.builder.processes import SimProcess
from nengo.builder.transforms import ConvInc, ConvTransposeInc, GeneralConvInc

from ..transforms import DilatedConvInc
from . import dot, learning, neurons
from .base import Family, Host, HostPlace, Operand, Settings, Target, Training
from .convolution import CONVOLUTION
from .copying import COPY, RESET
from .host import FUNCTION, OPERATOR, is_python
from .layer import LAYER, SimTensorNode
from .outer import KEEP_FACTORS, OUTER, KeepFactors, OuterInc
from .process import linear, triangle
from .products import BLOCK_DOT, ELEMENTWISE, SPARSE_DOT

Candidate = tuple[Family, Callable[[Any], bool]]
FamilyTable = Mapping[type[Operator], tuple[Candidate, ...]]


def _always(op: Operator) -> bool:
    return True


def _filter_order(count: Callable[[int], bool]) -> Callable[[Any], bool]:
    return lambda op: linear.is_native(op) and count(linear.order(op))


def _lowpass(op: SimProcess) -> bool:
    return linear.is_native(op) and linear.is_first_order(op)


FAMILIES: FamilyTable = {
    Reset: ((RESET, _always),),
    Copy: ((COPY, _always),),
    ElementwiseInc: ((ELEMENTWISE, _always),),
    DotInc: (
        (dot.LARGE_DOT, dot.is_large),
        (dot.DOT, dot.is_matvec),
        (dot.GENERAL_DOT, _always),
    ),
    SparseDotInc: ((SPARSE_DOT, _always),),
    BsrDotInc: ((BLOCK_DOT, _always),),
    ConvInc: ((CONVOLUTION, _always),),
    ConvTransposeInc: ((CONVOLUTION, _always),),
    GeneralConvInc: ((CONVOLUTION, _always),),
    DilatedConvInc: ((CONVOLUTION, _always),),
    SimNeurons: ((neurons.NEURONS, neurons.is_native),),
    SimProcess: (
        (linear.STATELESS_FILTER, _filter_order(lambda n: n == 0)),
        (linear.LOWPASS, _lowpass),
        (linear.LINEAR_FILTER, _filter_order(lambda n: n > 0)),
        (triangle.TRIANGLE, triangle.is_native),
    ),
    SimPES: ((learning.PES, _always),),
    KeepFactors: ((KEEP_FACTORS, _always),),
    OuterInc: ((OUTER, _always),),
    SimBCM: ((learning.BCM, _always),),
    SimOja: ((learning.OJA, _always),),
    SimVoja: ((learning.VOJA, _always),),
    SimRLS: ((learning.RLS, _always),),
    SimPyFunc: ((FUNCTION, _always),),
    SimTensorNode: ((LAYER, _always),),
}


def family_of(op: Operator, table: FamilyTable) -> Family:
    """Return the family that runs an operator; the host family if none knows it.

    Subclasses are not assumed to do what their parents do: types match exactly.
    """
    for family, accepts in table.get(type(op), ()):
        if accepts(op):
            return family
    return OPERATOR


__all__ = [
    "FAMILIES",
    "OPERATOR",
    "Family",
    "FamilyTable",
    "Host",
    "HostPlace",
    "Operand",
    "Settings",
    "Target",
    "Training",
    "family_of",
    "is_python",
]
