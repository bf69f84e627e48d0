"""Operators in, fewer operators out: what comes from outside is fed, not computed.

* the clock, node functions of time and processes without input become sources;
* a FilteredNoise becomes white noise that is fed and a filter that is computed;
* random neurons get their random stream as a signal, like any other state;
* a PES rule whose delta only goes to its weights keeps two vectors instead of it;
* probes compute nothing.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from nengo import Node
from nengo.builder import Model
from nengo.builder.learning_rules import SimPES
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import Copy, Operator, SimPyFunc, TimeUpdate
from nengo.builder.probe import SimProbe
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.processes import FilteredNoise
from nengo.synapses import Alpha, LinearFilter, Lowpass, Triangle

from ..families.neurons import model_of
from ..families.neurons.mt19937 import stream_of
from ..families.neurons.spiking import RNG_STATE
from ..families.outer import KeepFactors, OuterInc
from .sources import Source, function_source, noise_source, process_source

_SHIPPED = (Lowpass, Alpha, LinearFilter, Triangle)


class Simplified(NamedTuple):
    """What is left to compute, and what is given from outside.

    Attributes
    ----------
    operators : list of Operator
    sources : tuple of Source
    streams : frozenset of Signal
        Random streams of neurons; a reset does not turn them back.
    products : dict of Signal to (Signal, Signal)
        Signals that are no longer computed, and the factors whose outer product
        they are.
    """

    operators: list[Operator]
    sources: tuple[Source, ...]
    streams: frozenset[Signal]
    products: dict[Signal, tuple[Signal, Signal]]


def simplify(model: Model) -> Simplified:
    """Split the operators of a model into those to compute and those to feed.

    Nothing of the model is changed; operators that differ are copies.
    """
    sources = constant_sources(model)
    operators: list[Operator] = []
    streams: list[Signal] = []
    for op in model.operators:
        if isinstance(op, (SimProbe, TimeUpdate)):
            continue
        if type(op) is SimPyFunc and op.x is None:
            sources.append(function_source(op, model.dt))
        elif type(op) is SimProcess and op.input is None and op.mode != "update":
            source, replacements = _feed_process(op, model.dt)
            sources.append(source)
            operators += replacements
        elif _has_native_stream(op):
            replacement, stream = _with_stream(op)
            operators.append(replacement)
            streams.append(stream)
        else:
            operators.append(op)
    operators, products = _factor_rules(operators, model)
    return Simplified(operators, tuple(sources), frozenset(streams), products)


def constant_sources(model: Model) -> list[Source]:
    """Sources for the nodes whose output is a constant array."""
    nodes = [obj for obj in model.params if isinstance(obj, Node)]
    return [
        Source(str(node), model.sig[node]["out"])
        for node in nodes
        if node.size_in == 0 and isinstance(node.output, np.ndarray)
        if model.sig[node].get("out") is not None
    ]


def _has_native_stream(op: Operator) -> bool:
    """Whether an operator stands for random neurons that run natively."""
    random = type(op) is SimNeurons and set(op.state_extra) == {RNG_STATE}
    return random and model_of(op.neurons) is not None


def _feed_process(op: SimProcess, dt: float) -> tuple[Source, list[Operator]]:
    process = op.process
    filtered = (
        isinstance(process, FilteredNoise)
        and type(process).make_step is FilteredNoise.make_step
        and type(process).make_state is FilteredNoise.make_state
    )
    if filtered and type(process.synapse) in _SHIPPED:
        noise = Signal(np.zeros_like(op.output.initial_value), name=f"{process}.noise")
        synapse = SimProcess(
            process.synapse, noise, op.output, op.t, op.mode, op.state, str(process)
        )
        return noise_source(op, noise, dt), [synapse]
    if op.mode == "set":
        return process_source(op, op.output, dt), []
    fed = Signal(np.zeros_like(op.output.initial_value), name=f"{process}.output")
    return process_source(op, fed, dt), [Copy(fed, op.output, inc=True, tag=op.tag)]


def _with_stream(op: SimNeurons) -> tuple[SimNeurons, Signal]:
    stream = Signal(stream_of(op.state_extra[RNG_STATE]), name=f"{op.neurons}.rng")
    twin = copy.copy(op)
    twin.state_idxs = {**op.state_idxs, RNG_STATE: len(op.sets)}
    twin.sets = [*op.sets, stream]
    return twin, stream


def _factor_rules(
    operators: list[Operator], model: Model
) -> tuple[list[Operator], dict[Signal, tuple[Signal, Signal]]]:
    """Replace each PES rule and the copy of its delta, if nothing else needs it."""
    users: dict[Signal, list[Operator]] = defaultdict(list)
    for op in operators:
        for base in {signal.base for signal in op.all_signals}:
            users[base].append(op)
    probed = {model.sig[probe]["in"].base for probe in model.probes}
    replaced: dict[Operator, Operator] = {}
    products: dict[Signal, tuple[Signal, Signal]] = {}
    for rule in operators:
        if type(rule) is not SimPES or rule.delta in probed:
            continue
        others = [op for op in users[rule.delta.base] if op is not rule]
        if len(others) == 1 and _applies(others[0], rule.delta):
            kept = KeepFactors(rule)
            copied = others[0]
            replaced[rule] = kept
            replaced[copied] = OuterInc(kept.rows, kept.columns, copied.dst, copied.tag)
            products[rule.delta] = (kept.rows, kept.columns)
    return [replaced.get(op, op) for op in operators], products


def _applies(op: Operator, delta: Signal) -> bool:
    """Whether an operator adds the whole of ``delta`` to something, and no more."""
    if type(op) is not Copy or not op.inc or op.src is not delta or delta.is_view:
        return False
    plain = op.src_slice is None and op.dst_slice is None
    return plain and op.dst.shape == delta.shape
