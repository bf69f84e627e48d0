"""What a network has to remember, each thing under a name that lasts.

Names do not depend on how a network is compiled, nor on addresses in memory. They
start with the path of an object through its subnetworks (``compiler/parameters.py``):

* ``memory.Ensemble1/encoders`` and so on: parameters, also decoders of probes;
* ``memory.Ensemble1/gain``: gains;
* ``memory.Ensemble1/tau_rc``: constants of the neuron type, thresholds among them;
* ``memory.Ensemble1/neurons.voltage``, ``Connection2/weighted.X``: states. A signal
  that belongs to no object is named after one that has a name and takes part in the
  same operator.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from nengo import Connection, Ensemble, Network, Node, Probe
from nengo.builder import Model
from nengo.builder.ensemble import BuiltEnsemble
from nengo.builder.operator import Operator
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.exceptions import ValidationError
from nengo.neurons import Direct, NeuronType, RatesToSpikesNeuronType
from nengo.params import NdarrayParam, NumberParam

from ..compiler.parameters import WEIGHTS, parameters_of, places_of
from ..signals import Signals
from .live import initial_of

GAIN = "gain"


class Entry(NamedTuple):
    """One parameter of a network.

    Attributes
    ----------
    name : str
        Path of the object and attribute.
    obj : Ensemble, Connection, Node or Probe
        A node holds a Keras layer.
    attribute : str
        "encoders", "bias", "weights", "gain", or the name of a variable of a layer.
    signal : Signal or None
        None for gains, which are part of other signals.
    shape : tuple of int
        For sparse weights the number of stored elements.
    trainable : bool
        Whether backpropagation changes it.
    """

    name: str
    obj: Any
    attribute: str
    signal: Signal | None
    shape: tuple[int, ...]
    trainable: bool


def network_of(model: Model) -> Network:
    """Return the network that a model was built from.

    Raises
    ------
    ValidationError
        If it was made of operators alone.
    """
    if model.toplevel is None:
        raise ValidationError(
            "The model was not built from a network, so its parameters have no names. "
            "Give the Simulator a network.",
            attr="model",
        )
    return model.toplevel


def entries_of(model: Model) -> dict[str, Entry]:
    """List all parameters of a built network by name.

    Beside those that can be trained these are gains and the decoders of probes.
    """
    network = network_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # given when the simulator was made
        parameters = parameters_of(network, model)
    found = [
        Entry(p.name, p.obj, p.attribute, p.signal, _shape(p.signal), p.trainable)
        for p in parameters
    ]
    decoded = probe_connections(model)
    for path, obj, _ in places_of(network):
        built = model.params.get(obj)
        if isinstance(built, BuiltEnsemble) and built.gain is not None:
            name = f"{path}/{GAIN}"
            found.append(Entry(name, obj, GAIN, None, built.gain.shape, False))
        if obj in decoded:
            signal = model.sig[decoded[obj]].get("weights")
            if signal is not None:
                name = f"{path}/{WEIGHTS}"
                found.append(Entry(name, obj, WEIGHTS, signal, _shape(signal), False))
    return {entry.name: entry for entry in found}


def probe_connections(model: Model) -> dict[Probe, Connection]:
    """Return the connections that nengo made for probes of decoded values."""
    connections = [obj for obj in model.params if isinstance(obj, Connection)]
    return {c.post_obj: c for c in connections if isinstance(c.post_obj, Probe)}


def constants_of(model: Model) -> dict[str, np.ndarray]:
    """List the constants of the neuron types of a network by name."""
    found = {}
    for path, obj, _ in places_of(network_of(model)):
        if isinstance(obj, Ensemble) and not isinstance(obj.neuron_type, Direct):
            for attribute, value in _constants(obj.neuron_type):
                found[f"{path}/{attribute}"] = np.asarray(value)
    return found


def _constants(neuron_type: NeuronType) -> Iterator[tuple[str, Any]]:
    if isinstance(neuron_type, RatesToSpikesNeuronType):
        yield from _constants(neuron_type.base_type)
    for kind in reversed(type(neuron_type).__mro__):
        for attribute, parameter in vars(kind).items():
            value = getattr(neuron_type, attribute)
            if isinstance(parameter, (NumberParam, NdarrayParam)) and value is not None:
                yield attribute, value


def states_of(model: Model, signals: Signals) -> dict[str, Signal]:
    """List what the next step needs, beside parameters, by name.

    Signals that share their memory are listed once.
    """
    parameters = {e.signal.base for e in entries_of(model).values() if e.signal}
    names = _signal_names(model, signals)
    lasting = [s for s in signals.lasting if s not in parameters]
    return {names[signal]: signal for signal in lasting}


def _signal_names(model: Model, signals: Signals) -> dict[Signal, str]:
    """Name every base signal of a model."""
    names: dict[Signal, str] = {}
    for name, signal in _object_signals(model):
        names.setdefault(signal.base, name)
    for product, factors in signals.factors.items():
        for factor, part in zip(factors, ("rows", "columns"), strict=True):
            names[factor] = f"{names[product.base]}.{part}"
    taken = Counter(names.values())
    operators = signals.operators
    waiting = list(operators)
    while waiting:
        anchored = [op for op in waiting if _anchor(op, names) is not None]
        chosen = anchored or waiting[:1]
        for op in chosen:
            anchor = _anchor(op, names) or f"operator{operators.index(op)}"
            for signal in op.all_signals:
                if signal.base not in names:
                    name = f"{anchor}.{_part(op, signal.base)}"
                    taken[name] += 1
                    count = taken[name]
                    names[signal.base] = name if count == 1 else f"{name}#{count}"
        done = set(chosen)
        waiting = [op for op in waiting if op not in done]
    return names


def _anchor(op: Operator, names: dict[Signal, str]) -> str | None:
    """The first name among what an operator writes and reads."""
    ordered = (*op.updates, *op.sets, *op.incs, *op.reads)
    return next((names[s.base] for s in ordered if s.base in names), None)


def _part(op: Operator, signal: Signal) -> str:
    """What a signal is to an operator."""
    if isinstance(op, SimProcess):
        for name, state in op.state.items():
            if state is signal:
                return name
    part = str(signal.name).rpartition(".")[2]
    return part if part.isidentifier() else type(op).__name__


def _object_signals(model: Model) -> Iterator[tuple[str, Signal]]:
    places = list(places_of(network_of(model)))
    kinds = (Ensemble, Node, Connection, Probe)
    decoded = probe_connections(model)
    for kind in kinds:
        for path, obj, _ in places:
            if not isinstance(obj, kind):
                continue
            yield from _named(f"{path}/", model.sig[obj].items())
            if isinstance(obj, Ensemble):
                own = model.sig[obj.neurons].items()
                yield from _named(f"{path}/neurons.", own)
            if isinstance(obj, Connection) and obj.learning_rule is not None:
                for label, rule in _rules(obj.learning_rule):
                    yield from _named(f"{path}/{label}.", model.sig[rule].items())
            if obj in decoded:
                own = model.sig[decoded[obj]].items()
                yield from _named(f"{path}/decoded.", own)


def _named(
    prefix: str, items: Iterable[tuple[Any, Signal | None]]
) -> Iterator[tuple[str, Signal]]:
    for key, signal in items:
        if signal is not None:
            yield f"{prefix}{key}", signal


def _rules(rule: Any) -> Iterator[tuple[str, Any]]:
    """The learning rules of a connection, which are one, a list or a dictionary."""
    if isinstance(rule, dict):
        yield from ((f"rule_{key}", one) for key, one in rule.items())
    elif isinstance(rule, (list, tuple)):
        yield from ((f"rule{number}", one) for number, one in enumerate(rule))
    else:
        yield "rule", rule


def _shape(signal: Signal) -> tuple[int, ...]:
    return initial_of(signal).shape
