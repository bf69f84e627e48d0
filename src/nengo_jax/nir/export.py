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
from nengo.builder import Model
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError, ValidationError

from ..neurons.nir import Heaviside
from ..simulator import Simulator
from . import convolution
from .draft import Draft
from .filters import FilterKind, kind_of
from .layout import Layout, plan_layout
from .links import Kernel, Link, links_of
from .neurons import Population, to_node
from .simplify import simplify

_DT = 0.001  # of nengo


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


@dataclass(frozen=True)
class Parameters:
    """A network with its present parameters.

    Attributes
    ----------
    network : nengo.Network
    model : nengo.builder.Model
    dt : float
        Length of a step in seconds.
    data : mapping of nengo objects to what was built for them
    ensembles : mapping of Ensemble to dict
        "encoders" (divided by the radius), "gain" and "bias".
    """

    network: nengo.Network
    model: Model
    dt: float
    data: Mapping[Any, Any]
    ensembles: Mapping[nengo.Ensemble, Mapping[str, np.ndarray]]


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
    source : nengo.Network, nengo_jax.Simulator or nengo.Simulator
        Of a Simulator the present, trained parameters are exported.
    path : str or Path, optional
        Where to write the graph.
    inputs : iterable of Node, optional
        The nodes that are inputs. By default all nodes without an input that are
        functions, processes or zero.
    outputs : iterable of Probe, optional
        By default all probes.
    dt : float, optional
        For a network: the step in seconds that it is simulated with, 0.001 by default.
        Spikes of nengo have the height 1 / dt, those of NIR 1, so weights depend on it.
    compose : bool
        Whether decoders and encoders, and other matrices in a row, are multiplied. Most
        simulators expect one matrix between two layers.

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
        If ``source`` is no network or Simulator.

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
     ('ensemble_encoders', 'Linear'), ('ensemble_to_decoded', 'Linear'),
     ('stimulus', 'Input')]
    """
    chosen = None if inputs is None else list(inputs)
    probes = None if outputs is None else list(outputs)
    parameters = parameters_of(source, dt)
    graph = export_parameters(parameters, chosen, probes, compose=compose).graph
    if path is not None:
        nir.write(str(path), graph)
    return graph


def step_of(dt: float | None) -> float:
    """Return the step in seconds that a network is simulated with."""
    step = _DT if dt is None else dt
    if not 0 < step < np.inf:
        raise ValidationError(f"must be positive (got {step!r})", attr="dt")
    return float(step)


def parameters_of(source: Any, dt: float | None) -> Parameters:
    """Return a network or what a Simulator simulates, with its parameters."""
    if isinstance(source, nengo.Network):
        model = Model(dt=step_of(dt))
        model.build(source)
        return _parameters(source, model, model.params)
    if not isinstance(source, Simulator | nengo.Simulator):
        raise TypeError(f"Expected a nengo.Network or a Simulator, got {source!r}.")
    model = source.model
    if model.toplevel is None:
        raise ValidationError(
            "the Simulator was built from a model without a network", attr="source"
        )
    if dt is not None and dt != model.dt:
        raise ValidationError(
            f"is {model.dt} s in the Simulator (got {dt!r}); leave it out", attr="dt"
        )
    return _parameters(model.toplevel, model, source.data, source)


def _parameters(
    network: nengo.Network, model: Model, data: Mapping[Any, Any], source: Any = None
) -> Parameters:
    ensembles = {}
    for ensemble in network.all_ensembles:
        if isinstance(ensemble.neuron_type, nengo.Direct):
            continue  # refused where it is used
        if isinstance(source, Simulator):
            given = source.get_nengo_params(ensemble)
        else:
            built = data[ensemble]
            given = {name: getattr(built, name) for name in _NAMES}
        encoders = given["encoders"] / ensemble.radius
        ensembles[ensemble] = {
            "encoders": np.asarray(encoders, np.float64),
            "gain": np.asarray(given["gain"], np.float64),
            "bias": np.asarray(given["bias"], np.float64),
        }
    return Parameters(network, model, model.dt, data, ensembles)


_NAMES = ("encoders", "gain", "bias")


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
    writer = _Writer(parameters, inputs, probes, links)
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
        return [node for node in free if _is_dynamic(node) or not np.any(node.output)]
    for node in chosen:
        if node not in free:
            raise ValidationError(
                f"{node!r} is no node of the network without an input", attr="inputs"
            )
    for node in free:
        if node not in chosen and _is_dynamic(node):
            raise ValidationError(
                f"{node!r} is a function or process, so it can only be an input",
                attr="inputs",
            )
    return list(chosen)


def _is_dynamic(node: nengo.Node) -> bool:
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


class _Writer:
    """Writes the objects and links of a network into a draft."""

    def __init__(
        self,
        parameters: Parameters,
        inputs: Sequence[nengo.Node],
        probes: Sequence[nengo.Probe],
        links: Sequence[Link],
    ):
        self._parameters = parameters
        self._inputs = inputs
        self._probes = probes
        self._links = links
        self._constants = {
            node
            for node in parameters.network.all_nodes
            if node.size_in == 0 and node not in inputs
        }
        self._methods: dict[str, Any] = {}
        self._filters: dict[tuple[str, FilterKind], str] = {}
        self._flat: dict[str, str] = {}
        self._draft = Draft()
        self.layout = plan_layout(links, self._constants)
        self.names: dict[Any, str] = {}

    @property
    def method(self) -> str:
        """How the steps of the network are computed."""
        return next(iter(self._methods), "exact")

    def write(self) -> Draft:
        """Return the draft."""
        for number, node in enumerate(self._inputs):
            shape = self.layout.shape(node, node.size_out)
            self._add(node, nir.Input({"input": np.array(shape)}), f"input{number}")
        for number, probe in enumerate(self._probes):
            size = self._rows(probe)
            shape = self.layout.shape(probe, size)
            name = f"output{number}"
            self._add(probe, nir.Output({"output": np.array(shape)}), name)
        for node in self._parameters.network.all_nodes:
            if node.size_in > 0:
                self._add_relay(node)
        for ensemble in self._parameters.ensembles:
            self._add_ensemble(ensemble)
        for link in self._links:
            self._write_link(link)
        return self._draft

    def _rows(self, probe: nengo.Probe) -> int:
        return next(link.size_out for link in self._links if link.owner is probe)

    def _add(self, obj: Any, node: nir.NIRNode, otherwise: str) -> None:
        wanted = self._draft.unique(obj.label, otherwise)
        self.names[obj] = self._draft.add(wanted, node)

    def _add_relay(self, node: nengo.Node) -> None:
        if node.output is not None:
            raise BuildError(
                f"{node} computes a function of its input, and NIR has no functions. "
                "Compute it in an ensemble, or make the node an input without one."
            )
        wanted = self._draft.unique(node.label, "node")
        self.names[node] = self._draft.relay(
            wanted, self.layout.shape(node, node.size_in)
        )

    def _add_ensemble(self, ensemble: nengo.Ensemble) -> None:
        given = self._parameters.ensembles[ensemble]
        neurons, size = ensemble.neurons, ensemble.n_neurons
        signals = self._parameters.model.sig[neurons]
        state = {
            name: signals[name].initial_value
            for name in ensemble.neuron_type.state
            if name in signals
        }
        exported = to_node(
            Population(
                ensemble,
                given["gain"],
                given["bias"],
                state,
                self.layout.order(neurons, size),
                self.layout.shape(neurons, size),
            )
        )
        self._note(exported.method, ensemble)
        wanted = self._draft.unique(ensemble.label, "ensemble")
        name = self._draft.add(wanted, exported.node)
        self.names[neurons] = name
        if exported.bias is not None:
            self._add_bias(name, exported.bias)
        if any(link.target is ensemble for link in self._links):
            encoders = nir.Linear(given["encoders"])
            self.names[ensemble] = self._draft.add(f"{name}_encoders", encoders)
            self._draft.connect(self.names[ensemble], name)

    def _note(self, method: str | None, owner: Any) -> None:
        if method is None:
            return
        self._methods.setdefault(method, owner)
        if len(self._methods) > 1:
            first, second = self._methods.items()
            raise BuildError(
                f"{first[1]} is computed with the method {first[0]!r}, but "
                f"{second[1]} with {second[0]!r}. A NIR graph is read with one method "
                "for all: give all neurons and synapses the same."
            )

    def _add_bias(self, name: str, bias: np.ndarray) -> None:
        self._draft.biases[name] = self._draft.biases.get(name, 0) + bias

    def _write_link(self, link: Link) -> None:
        target = self._filter(link)
        if link.source in self._constants:
            size = link.size_out
            value = link.apply(np.asarray(link.source.output, np.float64))
            shape = self.layout.shape(link.target, size)
            order = self.layout.order(link.target, size)
            self._add_bias(target, value[order].reshape(shape))
            return
        names = [self.names[link.source]]
        node = self._weights(link)
        if type(node) is nir.Linear:
            names[0] = self._flattened(names[0], link.source)
        if node is not None:
            name = self._draft.add(self._name_of(link), node)
            self._draft.made.add(name)
            names.append(name)
        self._draft.chain([*names, target])

    def _name_of(self, link: Link) -> str:
        label = link.owner.label if isinstance(link.owner, nengo.Connection) else None
        ends = f"{self.names[link.source]}_to_{self._target_name(link)}"
        return self._draft.unique(label, ends)

    def _target_name(self, link: Link) -> str:
        target = link.target
        obj = target.neurons if isinstance(target, nengo.Ensemble) else target
        return self.names[obj]

    def _filter(self, link: Link) -> str:
        """Return the node that the weighted values go to: a filter, or the target."""
        target = self.names[link.target]
        if link.synapse is None:
            return target
        kind = kind_of(link.synapse, link.owner)
        self._note(kind.method, link.owner)
        if (target, kind) not in self._filters:
            shape = self.layout.shape(link.target, link.size_out)
            node = kind.node(shape, self._parameters.dt)
            name = self._draft.add(f"{self._target_name(link)}_synapse", node)
            self._draft.made.add(name)
            self._draft.connect(name, target)
            self._filters[target, kind] = name
            if kind == FilterKind(steps=1):
                self._draft.steps.add(name)
        return self._filters[target, kind]

    def _height(self, source: nengo.Node | Neurons) -> float:
        """Return what nengo's output is where NIR's is 1."""
        if not isinstance(source, Neurons):
            return 1.0
        kind = source.ensemble.neuron_type
        amplitude = kind.amplitude
        return (
            amplitude
            if isinstance(kind, Heaviside)
            else (amplitude / self._parameters.dt)
        )

    def _weights(self, link: Link) -> nir.NIRNode | None:
        """Return the node of NIR for the weights of a link; None if they are 1."""
        height = self._height(link.source)
        here, there = self.layout.image(link.source), self.layout.image(link.target)
        if isinstance(link.weights, Kernel):
            if here is not None and there is not None:
                kernel = link.weights.weights * height
                return convolution.to_node(link.weights.transform, kernel)
        elif link.weights.ndim == 1 and here == there:
            factors = link.weights * height
            if np.all(factors == 1):
                return None
            size = len(factors)
            order = self.layout.order(link.source, size)
            return nir.Scale(
                factors[order].reshape(self.layout.shape(link.source, size))
            )
        matrix = link.as_matrix() * height
        return nir.Linear(matrix[:, self.layout.order(link.source, matrix.shape[1])])

    def _flattened(self, name: str, source: nengo.Node | Neurons) -> str:
        """Return the node that shows the values of a source as a vector."""
        if self.layout.image(source) is None:
            return name
        if name not in self._flat:
            shape = self.layout.shape(source, source.size_out)
            node = nir.Flatten({"input": np.array(shape)}, 0)
            self._flat[name] = self._draft.add(f"{name}_flat", node)
            self._draft.made.add(self._flat[name])
            self._draft.connect(name, self._flat[name])
        return self._flat[name]
