"""The table of the primitives of NIR that can be loaded: all of them."""

from __future__ import annotations

from collections.abc import Callable

import nir

from . import integrators, linear, populations
from .parts import Part, Place


def make_part(place: Place) -> Part:
    """Make the objects of a node, in the network that is open.

    Raises
    ------
    BuildError
        If nengo cannot express the node.
    """
    return _PARTS[type(place.node)](place)


_PARTS: dict[type[nir.NIRNode], Callable[[Place], Part]] = {
    nir.Input: linear.input_node,
    nir.Output: linear.relay,
    nir.Linear: linear.matrix,
    nir.Affine: linear.matrix,
    nir.Scale: linear.scale,
    nir.Conv1d: linear.convolution,
    nir.Conv2d: linear.convolution,
    nir.SumPool2d: linear.convolution,
    nir.AvgPool2d: linear.convolution,
    nir.Flatten: linear.relay,
    nir.I: integrators.integrator,
    nir.LI: integrators.leaky_integrator,
    nir.CubaLI: integrators.current_based_integrator,
    nir.IF: populations.integrate_and_fire,
    nir.LIF: populations.leaky_integrate_and_fire,
    nir.CubaLIF: populations.current_based,
    nir.Threshold: populations.threshold,
    nir.Delay: integrators.delay,
}
