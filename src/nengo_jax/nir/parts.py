"""What each node of NIR is in nengo: one function for each type, and their table.

A part is an object of nengo that shows the output of the node, and the wires by which
what comes before is connected to it. All values are flat, with the channels first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nengo
import nir
import numpy as np
import scipy.sparse
from nengo.dists import Choice
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError
from nengo.neurons import NeuronType
from nengo.synapses import Synapse
from nengo.transforms import Dense, Sparse, Transform

from ..neurons.nir import (
    CurrentBased,
    Heaviside,
    IntegrateAndFire,
    LeakyIntegrateAndFire,
)
from . import filters
from .convolution_in import to_transform
from .shapes import Shape


@dataclass(frozen=True)
class Place:
    """A node of a graph and what its part depends on.

    Attributes
    ----------
    name : str
    node : nir.NIRNode
    shape_in, shape_out : tuple of int
    dt : float
        Length of a step in seconds.
    method : str
        "exact" or "euler".
    """

    name: str
    node: Any
    shape_in: Shape
    shape_out: Shape
    dt: float
    method: str

    @property
    def size(self) -> int:
        """Number of values that come out."""
        return int(np.prod(self.shape_out))

    def values(self, parameter: str) -> np.ndarray:
        """Return a parameter of the node with one value per element, flat."""
        given = np.asarray(getattr(self.node, parameter), np.float64)
        if given.size == 1:
            return np.full(self.size, given.item())
        return given.ravel()


@dataclass(frozen=True)
class Wire:
    """How what comes before is connected to a part.

    Attributes
    ----------
    elements : ndarray of int or None
        Elements of both ends that it connects; None for all.
    transform : Transform or None
    synapse : Synapse or None
    """

    elements: np.ndarray | None = None
    transform: Transform | None = None
    synapse: Synapse | None = None


@dataclass(frozen=True)
class Part:
    """A node of a graph in nengo.

    Attributes
    ----------
    target : Node or Neurons
        Gets what comes before, and shows the output.
    wires : tuple of Wire
    holds : bool
        Whether it shows its value before the step.
    """

    target: nengo.Node | Neurons
    wires: tuple[Wire, ...] = (Wire(),)
    holds: bool = False


def make_part(place: Place) -> Part:
    """Make the objects of a node, in the network that is open.

    Raises
    ------
    BuildError
        If nengo cannot express the node.
    """
    return _PARTS[type(place.node)](place)


def _passthrough(place: Place) -> nengo.Node:
    return nengo.Node(size_in=place.size, label=place.name)


def _add(part: Part, values: np.ndarray, synapse: Synapse | None = None) -> None:
    if values.any():
        constant = nengo.Node(values, label=f"constant of {part.target.label}")
        nengo.Connection(constant, part.target, synapse=synapse)


def _scaling(factors: np.ndarray) -> Transform | None:
    if np.all(factors == 1):
        return None
    return Dense((len(factors), len(factors)), init=factors)


def _input(place: Place) -> Part:
    return Part(nengo.Node(np.zeros(place.size), label=place.name))


def _relay(place: Place) -> Part:
    return Part(_passthrough(place))


def _matrix(place: Place) -> Part:
    weight = np.asarray(place.node.weight, np.float64)
    if weight.ndim == 2:
        transform: Transform = Dense(weight.shape, init=weight)
    else:
        blocks = weight.reshape(-1, *weight.shape[-2:])
        matrix = scipy.sparse.block_diag(list(blocks), "csr")
        transform = Sparse(matrix.shape, init=matrix)
    part = Part(_passthrough(place), (Wire(transform=transform),))
    if isinstance(place.node, nir.Affine):
        _add(part, place.values("bias"))
    return part


def _scale(place: Place) -> Part:
    transform = _scaling(place.values("scale"))
    return Part(_passthrough(place), (Wire(transform=transform),))


def _convolution(place: Place) -> Part:
    transform = to_transform(place.node, place.shape_in, place.shape_out)
    part = Part(_passthrough(place), (Wire(transform=transform),))
    if isinstance(place.node, nir.Conv1d | nir.Conv2d):
        bias = np.asarray(place.node.bias, np.float64).ravel()
        if bias.size not in (1, place.shape_out[0]):
            raise BuildError(
                f"Node {place.name!r} has {bias.size} biases for {place.shape_out[0]} "
                "channels."
            )
        each = np.broadcast_to(bias, place.shape_out[0])
        _add(part, np.repeat(each, place.size // place.shape_out[0]))
    return part


def _same(*parameters: np.ndarray) -> Iterator[tuple[tuple[float, ...], Any]]:
    """Yield each combination of parameters, and the elements that have it."""
    rows = np.stack(parameters, axis=1)
    found, numbers = np.unique(rows, axis=0, return_inverse=True)
    for i, row in enumerate(found):
        alike = None if len(found) == 1 else np.flatnonzero(numbers.ravel() == i)
        yield tuple(row.tolist()), alike


def _of(values: np.ndarray, elements: np.ndarray | None) -> np.ndarray:
    return values if elements is None else values[elements]


def _filtered(place: Place, make: Callable[..., Synapse | None], *names: str, factor):
    """Make a part whose wires are filters, one for each combination of parameters."""
    wires = tuple(
        Wire(elements, _scaling(_of(factor, elements)), make(*parameters))
        for parameters, elements in _same(*(place.values(name) for name in names))
    )
    holds = all(wire.synapse is not None for wire in wires)
    return Part(_passthrough(place), wires, holds=holds)


def _leak(place: Place, part: Part, tau: np.ndarray) -> None:
    """Add the leak voltage, which a voltage that is 0 at first relaxes to."""
    leak = place.values("v_leak")
    for (constant,), elements in _same(tau):
        voltage = np.zeros(place.size)
        chosen = slice(None) if elements is None else elements
        voltage[chosen] = leak[chosen]
        _add(part, voltage, filters.lowpass(constant, place.method))


def _leaky_integrator(place: Place) -> Part:
    _check_positive(place, "tau")
    part = _filtered(
        place,
        lambda tau: filters.lowpass(tau, place.method),
        "tau",
        factor=place.values("r"),
    )
    _leak(place, part, place.values("tau"))
    return part


def _current_based_integrator(place: Place) -> Part:
    _check_positive(place, "tau_syn", "tau_mem")
    part = _filtered(
        place,
        lambda tau_syn, tau: filters.double_lowpass(tau_syn, tau, place.method),
        "tau_syn",
        "tau_mem",
        factor=place.values("r") * place.values("w_in"),
    )
    _leak(place, part, place.values("tau_mem"))
    return part


def _integrator(place: Place) -> Part:
    wire = Wire(
        transform=_scaling(place.values("r")), synapse=filters.integrator(place.method)
    )
    return Part(_passthrough(place), (wire,), holds=True)


def _delay(place: Place) -> Part:
    return _filtered(
        place,
        lambda seconds: filters.delay(seconds, place.dt, place.name),
        "delay",
        factor=np.ones(place.size),
    )


def _neurons(
    place: Place, kind: NeuronType, gain: np.ndarray, bias: np.ndarray
) -> Part:
    ensemble = nengo.Ensemble(
        place.size,
        dimensions=1,
        neuron_type=kind,
        encoders=np.ones((place.size, 1)),
        gain=gain,
        bias=bias,
        label=place.name,
    )
    return Part(ensemble.neurons)


def _spiking(place: Place) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return reset, unit of the voltage, and the state in which NIR's voltage is 0."""
    reset, threshold = place.values("v_reset"), place.values("v_threshold")
    unit = threshold - reset
    wrong = np.flatnonzero(~(unit > 0))
    if len(wrong):
        at = wrong[0]
        raise BuildError(
            f"Neuron {at} of {place.name!r} has the threshold {threshold[at]} and goes "
            f"back to {reset[at]} after a spike, so it would spike in every step. The "
            "threshold has to be above v_reset."
        )
    if not reset.any():
        return reset, unit, {"voltage": Choice([0])}
    voltage = -reset / unit
    if np.any(voltage > 1):
        raise BuildError(
            f"{place.name!r} has negative thresholds. NIR's voltages are 0 at first, "
            "so its neurons would spike at once. Shift v_threshold, v_reset and v_leak "
            "so that 0 is where they begin."
        )
    return reset, unit, {"voltage": voltage}


def _integrate_and_fire(place: Place) -> Part:
    _, unit, state = _spiking(place)
    kind = IntegrateAndFire(amplitude=place.dt, initial_state=state)
    return _neurons(place, kind, place.values("r") / unit, np.zeros(place.size))


def _leaky_integrate_and_fire(place: Place) -> Part:
    _check_positive(place, "tau")
    reset, unit, state = _spiking(place)
    kind = LeakyIntegrateAndFire(
        _uniform(place.values("tau")), place.method, place.dt, state
    )
    bias = (place.values("v_leak") - reset) / unit
    return _neurons(place, kind, place.values("r") / unit, bias)


def _current_based(place: Place) -> Part:
    _check_positive(place, "tau_syn", "tau_mem")
    reset, unit, state = _spiking(place)
    kind = CurrentBased(
        _uniform(place.values("tau_syn")),
        _uniform(place.values("tau_mem")),
        _uniform((place.values("v_leak") - reset) / unit),
        place.method,
        place.dt,
        state,
    )
    gain = place.values("r") * place.values("w_in") / unit
    return _neurons(place, kind, gain, np.zeros(place.size))


def _threshold(place: Place) -> Part:
    kind = Heaviside()
    return _neurons(place, kind, np.ones(place.size), -place.values("threshold"))


def _uniform(values: np.ndarray) -> np.ndarray:
    return values[0] if np.all(values == values[0]) else values


def _check_positive(place: Place, *names: str) -> None:
    for name in names:
        values = place.values(name)
        if not np.all(values > 0):
            raise BuildError(
                f"Node {place.name!r} has the time constant {name} = {values.min()} s. "
                "Time constants have to be positive."
            )


_PARTS: dict[type[nir.NIRNode], Callable[[Place], Part]] = {
    nir.Input: _input,
    nir.Output: _relay,
    nir.Linear: _matrix,
    nir.Affine: _matrix,
    nir.Scale: _scale,
    nir.Conv1d: _convolution,
    nir.Conv2d: _convolution,
    nir.SumPool2d: _convolution,
    nir.AvgPool2d: _convolution,
    nir.Flatten: _relay,
    nir.I: _integrator,
    nir.LI: _leaky_integrator,
    nir.CubaLI: _current_based_integrator,
    nir.IF: _integrate_and_fire,
    nir.LIF: _leaky_integrate_and_fire,
    nir.CubaLIF: _current_based,
    nir.Threshold: _threshold,
    nir.Delay: _delay,
}
