"""Give parameters new values: everything is checked before anything changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from nengo import Connection, Ensemble
from nengo.builder import Model
from nengo.builder.learning_rules import SimVoja
from nengo.builder.operator import ElementwiseInc
from nengo.builder.signal import Signal
from nengo.ensemble import Neurons
from nengo.exceptions import SimulationError
from nengo.neurons import Direct

from ..compiler.parameters import BIAS, ENCODERS, WEIGHTS
from .live import Live
from .names import GAIN, Entry

Named = Mapping[str, np.ndarray]
_SAME_GAIN = 1e-5  # relative difference of gains that were only rounded


class Differences(NamedTuple):
    """How the names and shapes of a file differ from those of a network."""

    missing: list[str]
    extra: list[str]
    misshapen: list[str]
    fixed: list[str]

    def check(self, path: object) -> None:
        """Raise an error that lists all of them, if there are any.

        Raises
        ------
        SimulationError
        """
        titles = {
            "Missing in the file": self.missing,
            "Not in the network": self.extra,
            "Of another shape or type": self.misshapen,
            "Built into a Voja rule, so they cannot be replaced": self.fixed,
        }
        lists = [
            f"{title}: {', '.join(names)}." for title, names in titles.items() if names
        ]
        if lists:
            raise SimulationError(
                f"{path} does not fit the network; nothing was changed. "
                f"{' '.join(lists)} Build the network as it was when the file was "
                "written, or load what fits with partial=True."
            )


def match(
    found: Named,
    expected: Named,
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, np.ndarray], Differences]:
    """Compare arrays with those that they are to replace.

    Parameters
    ----------
    found : mapping of str to ndarray
    expected : mapping of str to ndarray
        The present values.
    shapes : mapping of str to tuple of int
        Shapes of one example. A present value with a batch axis may be replaced by one
        value for all examples.

    Returns
    -------
    fitting : dict of str to ndarray
        What can replace a present value, with its type and shape.
    differences : Differences
        All else.
    """
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    fitting, misshapen = {}, []
    for name, now in expected.items():
        if name not in found:
            continue
        value = found[name]
        fits = value.shape in (now.shape, shapes.get(name, now.shape))
        if fits and value.dtype.kind == now.dtype.kind:
            fitting[name] = np.broadcast_to(value, now.shape).astype(now.dtype)
        else:
            there = f"{value.dtype} {value.shape} in the file"
            misshapen.append(f"{name} ({there}, {now.dtype} {now.shape} here)")
    return fitting, Differences(missing, extra, misshapen, [])


def present_values(live: Live, entries: Mapping[str, Entry]) -> dict[str, np.ndarray]:
    """Return the present values of parameters by name."""
    return {
        name: live.gain(entry.obj)
        if entry.signal is None
        else live.signals.peek(entry.signal)
        for name, entry in entries.items()
    }


def fixed_gains(live: Live, entries: Mapping[str, Entry], values: Named) -> list[str]:
    """Names of new gains that differ from those that are part of a Voja rule."""
    rules = [op for op in live.model.operators if isinstance(op, SimVoja)]
    targets = {rule.scaled_encoders.base for rule in rules}
    return [
        name
        for name, entry in entries.items()
        if entry.attribute == GAIN and name in values
        if live.model.sig[entry.obj]["encoders"].base in targets
        if not np.allclose(values[name], live.gain(entry.obj), rtol=_SAME_GAIN)
    ]


def assign(live: Live, entries: Mapping[str, Entry], values: Named) -> None:
    """Replace the values of parameters.

    Parameters
    ----------
    live : Live
    entries : mapping of str to Entry
    values : mapping of str to ndarray
        Of the shapes of the present values.
    """
    signals: dict[Signal, np.ndarray] = {}
    for name, value in values.items():
        signal = entries[name].signal
        if signal is not None:
            signals[signal] = value
    gains = {
        entries[name].obj: value
        for name, value in values.items()
        if entries[name].attribute == GAIN
    }
    for connection, signal in _gain_signals(live.model) if gains else ():
        ensemble = connection.post_obj.ensemble
        if ensemble in gains:
            signals[signal] = gains[ensemble][connection.post_slice]
    live.signals.assign(signals)
    live.gains.update(gains)


def rescale(
    live: Live, entries: Mapping[str, Entry], values: Named, found: Named
) -> dict[str, np.ndarray]:
    """Adapt values to the present gains, in place of taking over those of a file.

    A neuron's input grows by the ratio of its gains: its scaled encoders, bias and
    weights that bypass the encoders.

    Parameters
    ----------
    live : Live
    entries : mapping of str to Entry
    values : mapping of str to ndarray
        Values that are to be assigned.
    found : mapping of str to ndarray
        Gains that belong to them, by name.

    Returns
    -------
    dict of str to ndarray
        New values, without gains.
    """
    ratios: dict[Ensemble, np.ndarray] = {}
    for name, entry in entries.items():
        if entry.attribute == GAIN and name in found:
            former = np.where(found[name] == 0, 1, found[name])
            ratios[entry.obj] = live.gain(entry.obj) / former
    result = {}
    for name, value in values.items():
        entry = entries[name]
        if entry.attribute == GAIN:
            continue
        ratio = ratios.get(_driven_directly(entry))
        if ratio is not None:
            ratio = ratio if entry.attribute == BIAS else ratio[:, None]
            value = (value * ratio).astype(value.dtype)
        result[name] = value
    return result


def _driven_directly(entry: Entry) -> Ensemble | None:
    """The ensemble whose input currents a parameter gives, with gains included."""
    if entry.attribute in (ENCODERS, BIAS):
        return entry.obj
    whole = entry.attribute == WEIGHTS and isinstance(entry.obj, Connection)
    if whole and has_full_weights(entry.obj):
        return entry.obj.post_obj
    return None


def has_full_weights(connection: Connection) -> bool:
    """Whether the weights of a connection include decoders and encoders."""
    to_ensemble = isinstance(connection.post_obj, Ensemble)
    return is_decoded(connection) and connection.solver.weights and to_ensemble


def is_decoded(connection: Connection) -> bool:
    """Whether the weights of a connection include decoders."""
    pre = connection.pre_obj
    return isinstance(pre, Ensemble) and not isinstance(pre.neuron_type, Direct)


def _gain_signals(model: Model) -> Iterator[tuple[Connection, Signal]]:
    """The signals of gains of the connections to neurons, in the order of building."""
    connections = [
        obj
        for obj in model.params
        if isinstance(obj, Connection) and isinstance(obj.post_obj, Neurons)
    ]
    operators: Sequence[ElementwiseInc] = [
        op
        for op in model.operators
        if isinstance(op, ElementwiseInc)
        and str(op.tag).endswith(".gains_elementwiseinc")
    ]
    return zip(connections, (op.A for op in operators), strict=True)
