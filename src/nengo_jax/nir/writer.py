"""The objects and links of a network, written into a draft of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nengo
import nir
import numpy as np
from nengo.ensemble import Neurons
from nengo.exceptions import BuildError

from ..neurons.nir import Heaviside
from .convolution_out import to_node as convolution
from .draft import Draft
from .filters import FilterKind, kind_of
from .layout import plan_layout
from .links import Kernel, Link
from .neurons import Population
from .neurons import to_node as population
from .parameters import Parameters


class Writer:
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
        exported = population(
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
        if isinstance(kind, Heaviside):
            return kind.amplitude
        return kind.amplitude / self._parameters.dt

    def _weights(self, link: Link) -> nir.NIRNode | None:
        """Return the node of NIR for the weights of a link; None if they are 1."""
        height = self._height(link.source)
        here, there = self.layout.image(link.source), self.layout.image(link.target)
        if isinstance(link.weights, Kernel):
            if here is not None and there is not None:
                kernel = link.weights.weights * height
                return convolution(link.weights.transform, kernel)
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
