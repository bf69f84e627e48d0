"""A nengo.Network or a Simulator becomes a NIR graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nengo
import nir
import numpy as np
from nengo.base import Process
from nengo.exceptions import ValidationError

from .layout import Layout
from .links import links_of
from .parameters import Parameters, parameters_of
from .simplify import simplify
from .writer import Writer


@dataclass(frozen=True)
class Export:
    """A graph, and which of its nodes the inputs and outputs of the network are.

    Attributes
    ----------
    graph : nir.NIRGraph
    inputs : dict of Node to str
    outputs : dict of Probe to str
    layout : Layout
    """

    graph: nir.NIRGraph
    inputs: Mapping[nengo.Node, str]
    outputs: Mapping[nengo.Probe, str]
    layout: Layout


def export(
    source: Any,
    path: str | Path | None = None,
    *,
    inputs: Iterable[nengo.Node] | None = None,
    outputs: Iterable[nengo.Probe] | None = None,
    dt: float | None = None,
    compose: bool = True,
) -> nir.NIRGraph:
    """Return a network as a NIR graph, and write it to a file if a path is given.

    ========================= =========================================================
    nodes without an input    Input; constants that are not zero become biases
    probes                    Output
    LIF, types of this module LIF, IF, CubaLIF, Threshold
    decoders, encoders        Linear, Affine
    transforms                Linear, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d
    Lowpass, Alpha and others LI, CubaLI, I, Delay
    ========================= =========================================================

    Images have their channels first, also if those of nengo come last. What no output
    depends on is left out.

    Parameters
    ----------
    source : nengo.Network, Simulator, Converter or Calibrated
        Of a Simulator, of nengo_jax or nengo, the present, trained parameters are
        exported.
    path : str or Path, optional
        Where to write the graph.
    inputs : iterable of Node, optional
        The nodes that are inputs. By default all nodes without an input that are
        functions, processes or zero.
    outputs : iterable of Probe, optional
        By default all probes.
    dt : float, optional
        For a network: the step in seconds that it is simulated with, 0.001 by default,
        or that it was calibrated for.
        Spikes of nengo have the height 1 / dt, those of NIR 1, so weights depend on it.
    compose : bool
        Whether decoders and encoders, and other matrices in a row, are multiplied, and
        the weights before LIF and IF neurons take their gains and biases. Most
        simulators expect one matrix between two layers, and neurons without gains.

    Returns
    -------
    nir.NIRGraph

    Raises
    ------
    BuildError
        If NIR cannot express the network, with the object and the reason.
    ValidationError
        If ``inputs``, ``outputs`` or ``dt`` are not valid.
    TypeError
        If ``source`` has no network.

    Examples
    --------
    >>> import nengo, nengo_jax.nir, numpy as np
    >>> lif = nengo.LIF(tau_ref=0, min_voltage=-np.inf)
    >>> with nengo.Network(seed=1) as network:
    ...     stimulus = nengo.Node(np.sin, label="stimulus")
    ...     ensemble = nengo.Ensemble(50, 1, neuron_type=lif, label="ensemble")
    ...     _ = nengo.Connection(stimulus, ensemble, synapse=None)
    ...     probe = nengo.Probe(ensemble, synapse=0.01, label="decoded")
    >>> graph = nengo_jax.nir.export(network)
    >>> sorted((name, type(node).__name__) for name, node in graph.nodes.items())
    ... # doctest: +NORMALIZE_WHITESPACE
    [('decoded', 'Output'), ('decoded_synapse', 'LI'), ('ensemble', 'LIF'),
     ('ensemble_encoders', 'Affine'), ('ensemble_to_decoded', 'Linear'),
     ('stimulus', 'Input')]
    """
    chosen = None if inputs is None else list(inputs)
    probes = None if outputs is None else list(outputs)
    parameters = parameters_of(source, dt)
    graph = export_parameters(parameters, chosen, probes, compose=compose).graph
    if path is not None:
        nir.write(str(path), graph)
    return graph


def export_parameters(
    parameters: Parameters,
    inputs: Sequence[nengo.Node] | None,
    outputs: Sequence[nengo.Probe] | None,
    *,
    compose: bool,
) -> Export:
    """Return a network with its parameters as a NIR graph."""
    network = parameters.network
    inputs = _inputs(network, inputs)
    probes = _outputs(network, outputs)
    gains = {e: given["gain"] for e, given in parameters.ensembles.items()}
    links = links_of(network, parameters.model, parameters.data, gains, probes)
    writer = Writer(parameters, inputs, probes, links)
    draft = writer.write()
    simplify(draft, compose)
    graph = nir.NIRGraph(
        draft.nodes,
        draft.edges,
        {"dt": parameters.dt, "method": writer.method, "writer": "nengo_jax"},
    )
    names = writer.names
    return Export(
        graph,
        {node: names[node] for node in inputs if names[node] in graph.nodes},
        {probe: names[probe] for probe in probes},
        writer.layout,
    )


def _inputs(
    network: nengo.Network, chosen: Sequence[nengo.Node] | None
) -> list[nengo.Node]:
    free = [
        node for node in network.all_nodes if node.size_in == 0 and node.size_out > 0
    ]
    if chosen is None:
        return [node for node in free if is_dynamic(node) or not np.any(node.output)]
    for node in chosen:
        if node not in free:
            raise ValidationError(
                f"{node!r} is no node of the network without an input", attr="inputs"
            )
    for node in free:
        if node not in chosen and is_dynamic(node):
            raise ValidationError(
                f"{node!r} is a function or process, so it can only be an input",
                attr="inputs",
            )
    return list(chosen)


def is_dynamic(node: nengo.Node) -> bool:
    """Whether a node without an input is a function or a process."""
    return callable(node.output) or isinstance(node.output, Process)


def _outputs(
    network: nengo.Network, chosen: Sequence[nengo.Probe] | None
) -> list[nengo.Probe]:
    probes = list(network.all_probes)
    if chosen is not None:
        for probe in chosen:
            if probe not in probes:
                raise ValidationError(
                    f"{probe!r} is no probe of the network", attr="outputs"
                )
        probes = list(chosen)
    if not probes:
        raise ValidationError(
            "the network has no probes, so the graph would have no outputs. Add a "
            "nengo.Probe for each output",
            attr="outputs",
        )
    return probes
