"""Measures a converted network on examples, in one pass.

Of the layers, spikes are added up piece by piece and not kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np

from ..calibration import Effect
from ..calibration.reference import key_of
from ..converter import Converter
from ..graph import functional_of
from ..records import Converted
from .activity import Activity
from .cost import estimate_cost
from .examples import Examples
from .layers import LayerStatistics
from .paths import find_origin, follow, mean_delay
from .records import LayerReport, Population, Raster, Report
from .reference import make_reference, names_of
from .scoring import Scorer
from .spikes import choose_raster
from .watch import Watch

_NORMALISING = ("Rescaling", "Normalization")


@dataclass(frozen=True)
class Network:
    """What is measured.

    Attributes
    ----------
    converter : Converter
        Tells which object is which layer.
    net : nengo.Network
        Of the converter.
    probe : nengo.Probe
        The output that is scored.
    readout : str
    start : int
        First step of a delayed readout.
    final : callable or None
        Applied to what was read out.
    effects : tuple of Effect
    """

    converter: Converter
    net: nengo.Network
    probe: nengo.Probe
    readout: str
    start: int = 0
    final: Callable[[Any], Any] | None = None
    effects: tuple[Effect, ...] = ()


def measure(
    network: Network, examples: Examples, n_steps: int, dt: float, seed: int
) -> Report:
    """Measure a network; the report has no findings yet.

    Parameters
    ----------
    network : Network
    examples : Examples
    n_steps : int
        Steps for each example.
    dt : float
        Length of a step in s.
    seed : int
        Of initial voltages and noise, if the network has no seed.
    """
    converter = network.converter
    reference, names = make_reference(converter), names_of(converter.calls)
    statistics = [
        LayerStatistics(call, dt, n_steps, key_of(call) in reference)
        for call in converter.calls
        if call.incoming
    ]
    shape = tuple(functional_of(converter.model).outputs[0].shape[1:])
    scorer = Scorer(examples, n_steps, network.final, shape, network.start)
    targets = list(dict.fromkeys(t for s in statistics for t in s.targets))
    flat = [array.reshape(len(array), -1) for array in examples.inputs]
    with (
        closing(Watch(network.net, targets, dt, n_steps, len(examples), seed)) as watch,
        closing(_watch_reference(reference, watch.batch, seed)) as exact,
    ):
        rasters: tuple[Raster, ...] = ()
        for start in range(0, len(examples), watch.batch):
            arrays = [array[start : start + watch.batch] for array in flat]
            wanted = _activations(exact, reference, arrays)
            activities, outputs, spikes = _run(
                watch, network, statistics, arrays, keep=start == 0
            )
            for one in statistics:
                one.add(activities, wanted.get(key_of(one.converted)))
            scorer.add(outputs, start)
            if start == 0:
                rasters = tuple(
                    choose_raster(names[key_of(s.converted)], spikes[s.target])
                    for s in statistics
                    if s.target in spikes
                )
        starts = {
            key_of(s.converted): watch.voltages(s.converted.neurons)
            for s in statistics
            if s.converted.neurons is not None
        }
    populations = {
        key: s.population(starts.get(key))
        for s in statistics
        for key in [key_of(s.converted)]
    }
    layers = _layers(converter, names, statistics, populations)
    energy = estimate_cost(
        converter,
        network.net,
        _rates(statistics, populations),
        dt,
        n_steps,
    )
    return Report(
        model=converter.model.name,
        task=examples.task,
        n_examples=len(examples),
        n_steps=n_steps,
        dt=dt,
        labelled=examples.targets is not None,
        chance=examples.chance,
        ann_score=scorer.ann_score,
        readout=network.readout,
        scores=scorer.scores(),
        output_synapse=mean_delay(network.probe.synapse),
        input_range=(
            float(min(array.min() for array in examples.inputs)),
            float(max(array.max() for array in examples.inputs)),
        ),
        rescales=any(_kind(call) in _NORMALISING for call in converter.calls),
        inference_only=converter.options.inference_only,
        layers=layers,
        origin=find_origin([(a.label, a.error, a.inherited) for a in layers]),
        rasters=rasters,
        energy=energy,
        effects=network.effects,
    )


def _rates(
    statistics: list[LayerStatistics], populations: dict[str, Population | None]
) -> dict[nengo.Ensemble, float]:
    """Return the mean firing rates in Hz of populations that spike."""
    rates: dict[nengo.Ensemble, float] = {}
    for one in statistics:
        neurons, opposite = one.converted.neurons, one.converted.opposite
        found = populations[key_of(one.converted)]
        if neurons is None or found is None or not found.spiking:
            continue
        rates[neurons.ensemble] = found.rates.mean
        if opposite is not None:
            rates[opposite.ensemble] = one.opposite_rate()
    return rates


def _kind(call: Converted) -> str:
    return type(call.layer).__name__


def _watch_reference(reference: dict[str, Any], batch: int, seed: int) -> Watch:
    converter, _ = next(iter(reference.values()))
    targets = dict.fromkeys(call.obj for _, call in reference.values())
    with warnings.catch_warnings():  # about what runs in Python, as the user knows
        warnings.simplefilter("ignore", UserWarning)
        return Watch(converter.net, list(targets), 0.001, 1, batch, seed)


def _activations(
    watch: Watch, reference: dict[str, Any], arrays: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the activations of the Keras model for a batch, by key."""
    converter, _ = next(iter(reference.values()))
    batches = list(watch.run(_by_node(converter, arrays)))
    return {
        key: np.concatenate([seen[call.obj][:, 0] for seen in batches])
        for key, (_, call) in reference.items()
    }


def _by_node(converter: Converter, arrays: Sequence[np.ndarray]) -> dict[Any, Any]:
    return dict(zip(converter.inputs.values(), arrays, strict=True))


def _run(
    watch: Watch,
    network: Network,
    statistics: list[LayerStatistics],
    arrays: list[np.ndarray],
    keep: bool,
) -> tuple[dict[Any, Activity], np.ndarray, dict[Any, np.ndarray]]:
    """Run a batch.

    Returns
    -------
    activities : dict of Node or Neurons to Activity
    outputs : ndarray, shape (examples, steps, size)
    spikes : dict of Neurons to ndarray of bool, shape (steps, neurons)
        Of the first example, if they are to be kept.
    """
    count = len(arrays[0])
    targets = dict.fromkeys(t for s in statistics for t in s.targets)
    activities = {target: Activity(count, target.size_out) for target in targets}
    spiking = [
        s.target
        for s in statistics
        if s.converted.neurons is not None
        and s.converted.neurons.ensemble.neuron_type.spiking
    ]
    outputs, spikes = [], {target: [] for target in spiking if keep}
    for seen in watch.run(_by_node(network.converter, arrays)):
        for target, activity in activities.items():
            activity.add(seen[target])
        for target, pieces in spikes.items():
            pieces.append(seen[target][0] != 0)
        outputs.append(seen[network.probe])
    return (
        activities,
        np.concatenate(outputs, axis=1),
        {target: np.concatenate(pieces) for target, pieces in spikes.items()},
    )


def _layers(
    converter: Converter,
    names: dict[str, str],
    statistics: list[LayerStatistics],
    populations: dict[str, Population | None],
) -> tuple[LayerReport, ...]:
    errors = {key_of(s.converted): s.error for s in statistics}
    arriving = follow(converter.calls, errors)
    ends = {probe.target for probe in converter.outputs.values()}
    return tuple(
        LayerReport(
            label=names[key],
            kind=_kind(call),
            shape=tuple(map(int, call.shape)),
            native=call.native,
            folded=tuple(layer.name for layer in call.call.folded),
            last=call.obj in ends,
            spikes_in=arriving[key].spikes,
            delay=arriving[key].delay,
            error=errors[key],
            inherited=arriving[key].error,
            population=populations[key],
        )
        for call in (s.converted for s in statistics)
        for key in [key_of(call)]
    )
