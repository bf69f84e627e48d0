"""Makes a network of the calls of a model, one rule for each call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import nengo
import numpy as np
from nengo.ensemble import Neurons

from ..options import configure_settings
from .activations import describe
from .fallback import convert_exact, joined_steps
from .fold import Choice, fold
from .graph import Graph
from .records import Converted, LayerCall, Options, Source, Value
from .table import Rule, Table, rule_of


@dataclass(frozen=True)
class Conversion:
    """A network, and where the values of the model are in it.

    Attributes
    ----------
    net : nengo.Network
    calls : list of Converted
    sources : dict of Value to Source
    probes : dict of Value to Probe
    networks : dict of tuple of str to Network
        Networks of nested models by their labels; the whole network by ().
    """

    net: nengo.Network
    calls: list[Converted]
    sources: dict[Value, Source]
    probes: dict[Value, nengo.Probe]
    networks: dict[tuple[str, ...], nengo.Network]


def choose_rules(graph: Graph, options: Options, table: Table) -> list[Rule | str]:
    """Return for each call its rule, or the reason why there is none that fits.

    Raises
    ------
    ValueError
        If weights are shared between calls.
    TypeError
        If a layer has to fall back, but must not or cannot.
    """
    _check_shared(graph, options)
    return [_choose_rule(call, options, table) for call in graph.calls]


def _check_shared(graph: Graph, options: Options) -> None:
    if options.split_shared_weights:
        return
    for layer, outputs in graph.layers.items():
        if len(outputs) > 1 and isinstance(layer, keras.Layer) and layer.weights:
            raise ValueError(
                f"The layer {layer.name!r} is called {len(outputs)} times, so its "
                "weights are shared, but connections of nengo have weights of their "
                "own. split_shared_weights=True makes a copy for each call; they are "
                "then trained apart."
            )


def _choose_rule(call: LayerCall, options: Options, table: Table) -> Rule | str:
    rule = rule_of(call.layer, table)
    kind = type(call.layer).__name__
    if call.leading == 2 and rule is not None and not rule.each_step:
        raise joined_steps(call)
    if getattr(call.layer, "activity_regularizer", None) and not options.inference_only:
        raise TypeError(
            f"{call.label} ({kind}) has an activity_regularizer, which would have no "
            "effect in a network. Leave it away with inference_only=True. To train "
            "with it, give a probe of converter.layers[layer] a loss instead, such as "
            "nengo_jax.losses.Regularize()."
        )
    if rule is not None:
        reason = rule.refuse(call, options)
        if reason is None:
            return rule
    else:  # an operation, such as keras.ops.sort, is no layer
        what = "layers" if isinstance(call.layer, keras.Layer) else "functions"
        reason = f"the Converter knows no {kind} {what}"
    if not options.allow_fallback:
        raise TypeError(
            f"{call.label} ({kind}) cannot be converted to nengo objects: {reason}. "
            "With allow_fallback=True it becomes a TensorNode that holds the layer."
        )
    return reason


def make_network(
    graph: Graph, options: Options, table: Table, label: str | None
) -> Conversion:
    """Make a network of a graph.

    Raises
    ------
    ValueError, TypeError
        If something cannot be converted. All calls are looked at before the first
        object is made.
    """
    rules = choose_rules(graph, options, table)
    choice = fold(list(zip(graph.calls, rules, strict=True)), graph, options)
    _warn_of_fallback(choice)
    net = nengo.Network(label=label)
    result = Conversion(net, [], {}, {}, {(): net})
    with net:
        configure_settings(trainable=False)
        if options.inference_only:
            configure_settings(inference_only=True)
        for value in graph.inputs:
            result.sources[value] = Source(_input_node(value), value.shape)
    for call, rule in choice:
        with _inside(result.networks, call.networks):
            converted = _convert(call, rule, result.sources, options, table)
        result.calls.append(converted)
        result.sources.update(zip(call.outputs, converted.outputs, strict=True))
    _warn_of_unused(result.calls, options)
    with net:
        for value in dict.fromkeys(graph.outputs):
            result.probes[value] = _probe(value, result.sources[value].obj, options)
    return result


def _convert(
    call: LayerCall,
    rule: Rule | str,
    known: dict[Value, Source],
    options: Options,
    table: Table,
) -> Converted:
    sources = tuple(known[value] for value in call.inputs)
    if isinstance(rule, Rule):
        return rule.convert(call, sources, options)
    found = rule_of(call.layer, table)
    fallback = convert_exact if found is None else found.fallback
    return replace(fallback(call, sources, options), native=False)


def _warn_of_fallback(choice: Choice) -> None:
    """Name the layers that stay Keras layers, in one warning for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for call, rule in choice:
        if isinstance(rule, str):
            key = type(call.layer).__name__, rule
            reasons.setdefault(key, []).append(call.label)
    for (kind, reason), labels in reasons.items():
        become = (
            "becomes a TensorNode that computes"
            if len(labels) == 1
            else "become TensorNodes that compute"
        )
        warnings.warn(
            f"{', '.join(labels)} ({kind}) {become} as in Keras, without neurons: "
            f"{reason}.",
            stacklevel=4,
        )


@contextmanager
def _inside(
    networks: dict[tuple[str, ...], nengo.Network], path: tuple[str, ...]
) -> Iterator[None]:
    """Enter the network of a nested model; it is made when it is first entered."""
    with ExitStack() as stack:
        for length in range(len(path) + 1):
            inner = path[:length]
            if inner not in networks:
                networks[inner] = nengo.Network(label=inner[-1])
            stack.enter_context(networks[inner])
        yield


def _input_node(value: Value) -> nengo.Node:
    operation = value.tensor._keras_history.operation
    return nengo.Node(np.zeros(math.prod(value.shape)), label=operation.name)


def _probe(value: Value, obj: Any, options: Options) -> nengo.Probe:
    synapse = options.synapse if isinstance(obj, Neurons) else None
    name = value.tensor._keras_history.operation.name
    return nengo.Probe(obj, synapse=synapse, label=f"{name}.output")


def _warn_of_unused(calls: list[Converted], options: Options) -> None:
    """Name activations and layers of the user that no neurons were made for."""
    used = {key for converted in calls for key in converted.swaps}
    unused = [key for key in options.swaps if key not in used]
    if unused:
        warnings.warn(
            "No layer uses these activations of swap_activations: "
            f"{', '.join(map(describe, unused))}.",
            stacklevel=4,
        )
    scaled = options.scales if isinstance(options.scales, Mapping) else {}
    active = {converted.layer for converted in calls if converted.neurons is not None}
    idle = [layer.name for layer in scaled if layer not in active]
    if idle:
        names = ", ".join(sorted(layer.name for layer in active)) or "none"
        warnings.warn(
            f"These layers of scale_firing_rates have no neurons: {', '.join(idle)}. "
            f"Scale the layers that have the activations instead: {names}.",
            stacklevel=4,
        )
