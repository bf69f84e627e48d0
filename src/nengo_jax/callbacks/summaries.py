"""Histograms of what a nengo network learns, with firing rates and spikes as it learns.

========================== ==================================== ======================
object                     name in TensorBoard                  content
========================== ==================================== ======================
Ensemble                   <path>/encoders                      encoders, scaled
Neurons                    <path of the ensemble>/bias          bias currents
Connection                 <path>/weights                       weights, or decoders
Probe of neurons           <path>/firing_rates, <path>/raster   Hz; a picture
========================== ==================================== ======================

A path leads through the subnetworks, as in ``memory.Ensemble1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from nengo import Connection, Ensemble, Probe
from nengo.builder import Model
from nengo.builder.signal import Signal
from nengo.ensemble import Neurons
from nengo.exceptions import SimulatorClosed, ValidationError
from nengo.neurons import Direct
from scipy.sparse import issparse

from ..compiler.parameters import BIAS, ENCODERS, WEIGHTS, places_of
from ..options import keeps_history
from .events import EventFile, check_installed, histogram, image
from .pictures import draw_raster


class Simulation(Protocol):
    """What is needed of a :class:`nengo_jax.Simulator`."""

    closed: bool
    model: Model

    @property
    def dt(self) -> float:
        """Length of a time step in seconds."""
        ...

    @property
    def signals(self) -> Mapping[Signal, Any] | None:
        """Live values."""
        ...

    def predict(
        self, x: Any = None, *, n_steps: int | None = None, **kwargs: Any
    ) -> Mapping[Probe, Any]:
        """Return arrays of shape (batch, steps, size)."""
        ...


class NengoSummaries(keras.callbacks.Callback):
    """Writes for TensorBoard, after each epoch, how the parts of a network are doing.

    Parameters
    ----------
    log_dir : path
        Folder for the event file.
    sim : nengo_jax.Simulator
        The simulator that is trained.
    objects : list of Ensemble, Neurons, Connection and Probe
        What to write. Probes are those of the output of neurons; the network is run for
        them after each epoch, from its initial state.
    data : dict of Node to ndarray, shape (batch, steps, size), or None
        Inputs of these runs, as ``sim.predict`` takes them. A small batch is enough:
        firing rates are averaged over all examples, and the first one is drawn.
    n_steps : int or None
        Length of these runs; None if ``data`` tell.

    Raises
    ------
    ImportError
        If the packages of the extra [tensorboard] are not installed.
    SimulatorClosed
        If the simulator has been closed.
    ValidationError
        If one of the objects has nothing to write.

    Notes
    -----
    Encoders are multiplied by the gains of the neurons and divided by the radius, which
    is how they are trained.
    """

    def __init__(
        self,
        log_dir: str | PathLike[str],
        sim: Simulation,
        objects: list[Any],
        data: Any = None,
        n_steps: int | None = None,
    ):
        super().__init__()
        probes = [obj for obj in objects if isinstance(obj, Probe)]
        check_installed("tensorboard", *(["matplotlib"] if probes else []))
        if sim.closed:
            raise SimulatorClosed("NengoSummaries needs a simulator that is open.")
        if probes and data is None and n_steps is None:
            raise ValidationError(
                f"{probes[0]} is to be recorded after each epoch, so NengoSummaries "
                "needs `data` to run the network with, or the number of steps, "
                "`n_steps`.",
                attr="data",
            )
        self.log_dir = Path(log_dir)
        self.sim = sim
        self.data, self.n_steps = data, n_steps
        paths = _paths(sim.model)
        self._signals = dict(
            _signal(obj, sim.model, paths) for obj in objects if obj not in probes
        )
        self._probes = {_check_probe(p, sim.model, paths): p for p in probes}
        self._file: EventFile | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin a new file."""
        self._file = EventFile(self.log_dir)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write all objects."""
        assert self._file is not None
        assert self.sim.signals is not None
        summaries = [
            histogram(name, _dense(self.sim.signals[signal]))
            for name, signal in self._signals.items()
        ]
        if self._probes:
            outputs = self.sim.predict(self.data, n_steps=self.n_steps, verbose=0)
            for path, probe in self._probes.items():
                summaries += self._activity(path, probe, np.asarray(outputs[probe]))
        self._file.write(epoch, summaries)

    def _activity(self, path: str, probe: Probe, output: np.ndarray) -> list[Any]:
        """Summarise the output of neurons, shape (batch, steps, neurons)."""
        kind = probe.obj.ensemble.neuron_type
        # Neurons with an amplitude multiply their output by it; a rate has none.
        rates = output.mean(axis=1) / getattr(kind, "amplitude", 1)
        spiking = kind.spiking and probe.synapse is None
        title = f"{path}, mean {rates[0].mean():.1f} Hz"
        png = draw_raster(output[0], self.sim.dt, title, spiking)
        return [histogram(f"{path}/firing_rates", rates), image(f"{path}/raster", png)]


def _paths(model: Model) -> dict[Any, str]:
    network = model.toplevel
    return {} if network is None else {p.obj: p.path for p in places_of(network)}


def _path(obj: Any, owner: Any, paths: Mapping[Any, str]) -> str:
    if owner not in paths:
        raise _wrong(obj, "is not part of the simulated network.")
    return paths[owner]


def _signal(obj: Any, model: Model, paths: Mapping[Any, str]) -> tuple[str, Signal]:
    """Find the signal that an object learns, and its name."""
    if isinstance(obj, Ensemble):
        owner, attribute = obj, ENCODERS
    elif isinstance(obj, Neurons):
        owner, attribute = obj.ensemble, BIAS
    elif isinstance(obj, Connection):
        owner, attribute = obj, WEIGHTS
    else:
        raise _wrong(
            obj, "is neither an Ensemble, Neurons, a Connection nor a Probe of neurons."
        )
    path = _path(obj, owner, paths)
    if isinstance(owner, Ensemble) and isinstance(owner.neuron_type, Direct):
        raise _wrong(obj, f"has no {attribute}: its neuron type is Direct.")
    signal = model.sig[obj].get(attribute)
    if signal is None:
        raise _wrong(obj, f"has no {attribute}.")
    return f"{path}/{attribute}", signal


def _check_probe(probe: Probe, model: Model, paths: Mapping[Any, str]) -> str:
    """Check that a probe records the activity of neurons, and return its path."""
    path = _path(probe, probe, paths)
    if not isinstance(probe.obj, Neurons) or probe.attr != "output":
        raise _wrong(
            probe,
            f"records {probe.attr!r} of {probe.obj}. Probe the output of neurons, as "
            "in nengo.Probe(ensemble.neurons).",
        )
    if not keeps_history(probe, model.toplevel):
        raise _wrong(
            probe, "keeps only the last step: configure it with keep_history=True."
        )
    return path


def _wrong(obj: Any, problem: str) -> ValidationError:
    return ValidationError(f"{obj} {problem}", attr="objects")


def _dense(value: Any) -> np.ndarray:
    return value.data if issparse(value) else value
