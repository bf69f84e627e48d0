"""The parameters of a network by object and attribute, and which of them are trained.

Every value that a network has learned or may learn has a name that does not depend on
how the network is compiled: the path of an object through its subnetworks, and the
attribute. The path is made of labels; an object without one is called by its type and
its number among the objects of this type in its network, as in ``memory.Ensemble1``.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from nengo import Connection, Ensemble, Network, Node
from nengo.builder import Model
from nengo.builder.signal import Signal
from nengo.neurons import Direct

from ..families.layer import SimTensorNode
from ..options import is_trainable

ENCODERS, BIAS, WEIGHTS = "encoders", "bias", "weights"


class Place(NamedTuple):
    """An object of a network.

    Attributes
    ----------
    path : str
        Name that is unique in the network.
    obj : Ensemble, Connection, Node or Probe
    networks : list of Network
        The networks around it, the innermost first.
    """

    path: str
    obj: Any
    networks: list[Network]


class Parameter(NamedTuple):
    """A value of a network that may be learned.

    Attributes
    ----------
    name : str
        Path of the object and attribute, as in ``"memory.Ensemble1/encoders"``.
    obj : Ensemble, Connection or Node
    attribute : str
        "encoders", "bias" or "weights"; in a node with a Keras layer the path of the
        variable, as in "dense/kernel".
    signal : Signal
        Encoders are scaled: multiplied by gain and divided by radius.
    trainable : bool
        Whether backpropagation changes it.
    """

    name: str
    obj: Ensemble | Connection | Node
    attribute: str
    signal: Signal
    trainable: bool


def places_of(network: Network) -> Iterator[Place]:
    """List the objects of a network and its subnetworks, with unique paths."""
    yield from _places(network, "", [network])


def _places(network: Network, prefix: str, networks: list[Network]) -> Iterator[Place]:
    taken: Counter[str] = Counter()
    kinds = (network.ensembles, network.nodes, network.connections, network.probes)
    for objects in kinds:
        for number, obj in enumerate(objects):
            yield Place(prefix + _name(obj, number, taken), obj, networks)
    for number, inner in enumerate(network.networks):
        path = prefix + _name(inner, number, taken) + "."
        yield from _places(inner, path, [inner, *networks])


def _name(obj: Any, number: int, taken: Counter[str]) -> str:
    name = obj.label or f"{type(obj).__name__}{number}"
    name = name.replace("/", "_")
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}#{taken[name]}"


def parameters_of(network: Network | None, model: Model) -> list[Parameter]:
    """List the parameters of a built network.

    Parameters
    ----------
    network : Network or None
        None gives no parameters: a model alone does not know its network.
    model : nengo.builder.Model

    Returns
    -------
    list of Parameter
        In the order of the network; each signal once.
    """
    if network is None:
        return []
    places = list(places_of(network))
    connections = [p.obj for p in places if isinstance(p.obj, Connection)]
    driven = {connection.post_obj for connection in connections}
    written = _written(model)
    layers = {op.node: op for op in model.operators if isinstance(op, SimTensorNode)}
    found: dict[Signal, Parameter] = {}
    for path, obj, networks in places:
        for weight in layers[obj].weights if obj in layers else ():
            trainable = weight.trainable and weight.signal not in written
            found.setdefault(
                weight.signal,
                Parameter(
                    f"{path}/{weight.name}", obj, weight.name, weight.signal, trainable
                ),
            )
        for attribute, owners, signal in _values(obj, model):
            if signal is None or signal.base in found:
                continue
            wanted = is_trainable(owners, networks)
            if wanted is None:  # encoders of an ensemble without input do not matter
                wanted = attribute != ENCODERS or obj in driven
            elif wanted and signal.base in written:
                warnings.warn(
                    f"The {attribute} of {obj} are changed by an online learning rule, "
                    "so backpropagation does not train them.",
                    stacklevel=2,
                )
            trainable = wanted and signal.base not in written
            name = f"{path}/{attribute}"
            found[signal.base] = Parameter(name, obj, attribute, signal, trainable)
    return list(found.values())


def _values(obj: Any, model: Model) -> Iterator[tuple[str, tuple, Signal | None]]:
    """The parameters of one object: attribute, what configures it, signal."""
    if isinstance(obj, Ensemble) and not isinstance(obj.neuron_type, Direct):
        yield ENCODERS, (obj,), model.sig[obj].get("encoders")
        yield BIAS, (obj.neurons, obj), model.sig[obj.neurons].get("bias")
    elif isinstance(obj, Connection):
        yield WEIGHTS, (obj,), model.sig[obj].get("weights")


def _written(model: Model) -> set[Signal]:
    """Signals that change while the network runs, weights under a rule among them."""
    return {
        signal.base
        for op in model.operators
        for signal in (*op.sets, *op.incs, *op.updates)
    }
