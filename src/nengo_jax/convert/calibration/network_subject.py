"""A network of ensembles, whose rates stand for what it should compute.

Gains and biases of an ensemble are multiplied by its scale and the amplitude is divided
by it, so decoders and weights are those of the network that was given.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import nengo
import numpy as np
from nengo import Ensemble, Network, Node, Probe
from nengo.neurons import NeuronType, RatesToSpikesNeuronType

from ...compiler import build_model
from ...neurons import LeakyReLU, SoftResetIntegrateAndFire, SpikingLeakyReLU
from ...simulator import Simulator
from ..scaling import replace
from .assemble import finish
from .keras_subject import check_arrays
from .presentation import present
from .records import Assembled, Part, Settings
from .reference import Reference
from .subject import Subject

_OUTPUTS = ("output", "decoded_output")
_BATCH = 64


@dataclass(frozen=True, eq=False)
class NetworkSubject(Subject):
    """A network of ensembles.

    Parameters
    ----------
    network : Network
        Is not changed.
    given : tuple of Node
        The nodes that data are for.
    n_steps : int
    dt : float
        Length of a step in seconds.
    seed : int
        Of the network, if it has none.

    Attributes
    ----------
    plain : Network
        A copy whose objects have the seeds that they are built with.
    tuning : dict of str to tuple of ndarray
        Gains and biases by label of the ensemble.
    """

    network: Network
    given: tuple[Node, ...]
    n_steps: int
    dt: float
    seed: int = 0
    plain: Network = field(init=False)
    tuning: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        """Build the network once, to know gains and biases."""
        plain = _copy(self.network)
        if plain.seed is None:
            plain.seed = self.seed
        for probe in plain.all_probes:
            probe.sample_every = None
        model = build_model(plain, None, self.dt, False)
        objects = (plain.all_ensembles, plain.all_connections, plain.all_probes)
        for obj in (obj for kind in objects for obj in kind):
            obj.seed = model.seeds[obj]  # that of the first build, whatever is added
        built = {
            label: model.params[ensemble]
            for label, ensemble in _ensembles(plain).items()
        }
        object.__setattr__(self, "plain", plain)
        tuning = {label: (ens.gain, ens.bias) for label, ens in built.items()}
        object.__setattr__(self, "tuning", tuning)

    def assemble(
        self, settings: Settings, *, fold: bool = True, shifted: bool = False
    ) -> Assembled:
        """Make a network; see :meth:`Subject.assemble`."""
        net, parts = _copy(self.plain), []
        for label, ensemble in _ensembles(net).items():
            gain, bias = self.tuning[label]
            amplitude = _amplitude(ensemble.neuron_type)
            scale = np.asarray(settings.scales.get(label, 1.0))
            if label in settings.scales:
                ensemble.gain, ensemble.bias = gain * scale, bias * scale
                ensemble.neuron_type = replace(
                    ensemble.neuron_type, amplitude=amplitude / float(scale)
                )
            neurons, numbers = ensemble.neurons, np.arange(ensemble.n_neurons)
            slope = gain * amplitude
            parts.append(Part(label, neurons, neurons, neurons, numbers, slope))
        nodes = dict(zip(self.network.all_nodes, net.all_nodes, strict=True))
        twins = dict(zip(self.network.all_probes, net.all_probes, strict=True))
        probes = {
            old: new
            for old, new in twins.items()
            if new.attr in _OUTPUTS and not isinstance(new.obj, nengo.Connection)
        }
        assembled = Assembled(
            net,
            [nodes[node] for node in self.given],
            list(probes.values()),
            parts,
            [None] * len(probes),
            [(probe.size_in,) for probe in probes.values()],
            {node: nodes[node] for node in self.given},
            probes,
        )
        return finish(assembled, settings, shifted=shifted)

    def check(self, data: Any) -> list[np.ndarray]:
        """Return data as arrays in the order of the nodes."""
        if isinstance(data, Mapping):
            if set(data) != set(self.given):
                raise ValueError(
                    f"data must be for {', '.join(map(str, self.given))} (got "
                    f"{', '.join(map(str, data))})"
                )
            data = [data[node] for node in self.given]
        several = isinstance(data, (list, tuple)) and len(data) == len(self.given)
        arrays = [np.asarray(array) for array in (data if several else [data])]
        check_arrays(arrays, [(None, node.size_out) for node in self.given])
        return arrays

    def measure(
        self,
        arrays: Sequence[np.ndarray],
        percentile: float,
        *,
        per_channel: bool,
        mean_examples: int,
    ) -> Reference:
        """Simulate the network with rates in place of spikes.

        Results and percentiles are those of the last step, means those of all.
        """
        assembled = self.assemble(Settings())
        for label, ensemble in _ensembles(assembled.net).items():
            ensemble.neuron_type = rates_of(ensemble.neuron_type, label)
        with assembled.net:
            activities = [Probe(part.source) for part in assembled.parts]
        probes = [*assembled.probes, *activities]
        last: list[list[np.ndarray]] = [[] for _ in probes]
        totals = [np.zeros(probe.size_in) for probe in activities]
        batch, offset = min(_BATCH, len(arrays[0])), len(assembled.probes)
        frames = assembled.frames_of(arrays)
        counted = min(mean_examples, len(arrays[0]))
        with Simulator(
            assembled.net, self.dt, minibatch_size=batch, progress_bar=False
        ) as sim:
            pieces = present(sim, assembled.nodes, frames, probes, self.n_steps)
            for piece in pieces:
                averaged = max(counted - piece.first_example, 0)
                for total, rows in zip(totals, piece.rows[offset:], strict=True):
                    total += rows[:averaged].sum(axis=(0, 1))
                if piece.stop == self.n_steps:
                    for kept, rows in zip(last, piece.rows, strict=True):
                        kept.append(rows[:, -1].copy())
        final = [np.concatenate(parts) for parts in last]
        labels = [part.label for part in assembled.parts]
        return Reference(
            final[:offset],
            {
                n: t / (counted * self.n_steps)
                for n, t in zip(labels, totals, strict=True)
            },
            {
                label: np.atleast_1d(np.percentile(values, percentile))
                for label, values in zip(labels, final[offset:], strict=True)
            },
        )

    def differs_by_folding(self, folded: Assembled) -> bool:
        """There is no BatchNormalization."""
        return False

    def check_trainable(self) -> None:
        """Raise ValueError, as it is not known what the outputs mean."""
        raise ValueError(
            "fine_tune is for converted Keras models. Train this network with "
            'nengo_jax.Simulator.fit and configure_settings(training="surrogate").'
        )


def _copy(network: Network) -> Network:
    """Copy a network; nengo warns of each node that sums what it gets."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'Node.size_out' is being overwritten")
        return network.copy()


def find_inputs(network: Network, data: Any) -> tuple[Node, ...]:
    """Return the nodes that data are for.

    Raises
    ------
    ValueError
        If they are no input nodes of the network.
    """
    nodes = [node for node in network.all_nodes if not node.size_in and node.size_out]
    if not isinstance(data, Mapping):
        if not nodes:
            raise ValueError(f"{network} has no node without input to give data to")
        return (nodes[0],)
    wrong = [obj for obj in data if obj not in nodes]
    if wrong or not data:
        raise ValueError(
            f"data must be by input node of the network: {', '.join(map(str, nodes))} "
            f"(got {', '.join(map(str, wrong)) or 'none'})"
        )
    return tuple(data)


def rates_of(neurons: NeuronType, label: str) -> NeuronType:
    """Return the neuron type whose output is the firing rate.

    Raises
    ------
    ValueError
        If none is known.
    """
    if not neurons.spiking:
        return neurons
    if isinstance(neurons, RatesToSpikesNeuronType):
        base = neurons.base_type
        return replace(base, amplitude=_amplitude(base) * neurons.amplitude)
    if isinstance(neurons, SpikingLeakyReLU):
        return LeakyReLU(neurons.negative_slope, neurons.amplitude)
    if type(neurons) in (nengo.SpikingRectifiedLinear, SoftResetIntegrateAndFire):
        return nengo.RectifiedLinear(neurons.amplitude)
    if type(neurons) is nengo.LIF:
        return nengo.LIFRate(neurons.tau_rc, neurons.tau_ref, neurons.amplitude)
    raise ValueError(
        f"{label}: calibrate knows no rates of {neurons}, so it does not know what "
        "they should give. It knows those of SpikingRectifiedLinear, LIF, "
        "SoftResetIntegrateAndFire, SpikingLeakyReLU, RegularSpiking, PoissonSpiking "
        "and StochasticSpiking."
    )


def _ensembles(network: Network) -> dict[str, Ensemble]:
    """Ensembles of neurons by label; with a number where labels are not unique."""
    found = [
        ensemble
        for ensemble in network.all_ensembles
        if not isinstance(ensemble.neuron_type, nengo.Direct)
    ]
    labels = [ensemble.label or "ensemble" for ensemble in found]
    count = Counter(labels)
    return {
        label if count[label] == 1 else f"{label}.{number}": ensemble
        for number, (label, ensemble) in enumerate(zip(labels, found, strict=True))
    }


def _amplitude(neurons: NeuronType) -> float:
    return float(getattr(neurons, "amplitude", 1.0))
