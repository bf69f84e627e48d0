"""Whether a network and what comes back from its export do the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nengo
import numpy as np
from nengo.exceptions import SimulationError, ValidationError

from ..simulator import Simulator
from .export import export_parameters, is_dynamic
from .load import load
from .parameters import network_of, parameters_of, step_of


def verify(
    source: Any,
    *,
    data: Mapping[nengo.Node, np.ndarray] | None = None,
    n_steps: int = 100,
    dt: float | None = None,
    tolerance: float = 1e-6,
) -> dict[nengo.Probe, float]:
    """Run a network and what comes back from its NIR graph, and compare the outputs.

    Both run in ``nengo.Simulator`` (a nengo_jax.Simulator that is given runs itself).
    Spikes have to come in the same steps.

    Parameters
    ----------
    source : nengo.Network, Simulator, Converter or Calibrated
        As for :func:`~nengo_jax.nir.export`. A Simulator is reset, and simulates
        ``n_steps``.
    data : mapping of Node to ndarray, shape (n_steps, size), optional
        Values for input nodes with a constant output. Others show what they compute.
    n_steps : int
        How many steps to run.
    dt : float, optional
        As for :func:`~nengo_jax.nir.export`.
    tolerance : float
        Largest difference, relative to the largest value of an output.

    Returns
    -------
    dict of Probe to float
        The largest relative difference of each output.

    Raises
    ------
    SimulationError
        If an output differs by more than the tolerance.
    BuildError
        If NIR cannot express the network.
    """
    source, dt = network_of(source, dt)
    if isinstance(source, nengo.Network):
        with nengo.Simulator(source, dt=step_of(dt), progress_bar=False) as sim:
            return _compare(sim, None, data or {}, n_steps, tolerance)
    return _compare(source, dt, data or {}, n_steps, tolerance)


def _compare(
    sim: Any,
    dt: float | None,
    data: Mapping[nengo.Node, np.ndarray],
    n_steps: int,
    tolerance: float,
) -> dict[nengo.Probe, float]:
    if isinstance(sim, Simulator) and sim.minibatch_size is not None:
        raise ValidationError(
            "simulates a batch; give a Simulator without minibatch_size",
            attr="source",
        )
    exported = export_parameters(parameters_of(sim, dt), None, None, compose=True)
    _check(data, exported.inputs, n_steps)
    given = _run(sim, list(exported.inputs), data, n_steps)
    loaded = load(exported.graph)
    for node, name in exported.inputs.items():
        order = exported.layout.order(node, node.size_out)
        loaded.inputs[name].output = _play(given[node][:, order], loaded.dt)
    # nengo's optimizer takes minutes for many small operators, as there are here
    again = nengo.Simulator(
        loaded.network, dt=loaded.dt, optimize=False, progress_bar=False
    )
    with again:
        again.run_steps(n_steps, progress_bar=False)
    differences = {}
    for probe, name in exported.outputs.items():
        result = again.data[loaded.outputs[name]]
        result = result[_sampled(probe, n_steps, loaded.dt)]
        expected = np.asarray(sim.data[probe])
        expected = expected[:, exported.layout.order(probe, expected.shape[-1])]
        differences[probe] = _difference(expected, result, name, tolerance)
    return differences


def _check(
    data: Mapping[nengo.Node, np.ndarray],
    inputs: Mapping[nengo.Node, str],
    n_steps: int,
) -> None:
    for node, values in data.items():
        if node not in inputs:
            raise ValidationError(f"{node!r} is no input of the graph", attr="data")
        if is_dynamic(node):
            raise ValidationError(
                f"{node!r} has values of its own; set its output to zeros, or leave "
                "it out",
                attr="data",
            )
        if np.shape(values) != (n_steps, node.size_out):
            raise ValidationError(
                f"of {node!r} has the shape {np.shape(values)}; expected "
                f"{(n_steps, node.size_out)}",
                attr="data",
            )


def _run(
    sim: Any,
    nodes: list[nengo.Node],
    data: Mapping[nengo.Node, np.ndarray],
    n_steps: int,
) -> dict[nengo.Node, np.ndarray]:
    """Simulate from the beginning, and return what nodes showed in each step."""
    if isinstance(sim, Simulator):
        sim.reset(include_trainable=False)
        # what a function of time returned is not among its signals
        reference = nengo.Simulator(
            None, model=sim.model, dt=sim.dt, optimize=False, progress_bar=False
        )
        with reference:
            given = _record(reference, nodes, data, n_steps)
        sim.run_steps(n_steps, given, progress_bar=False)
        return given
    sim.reset()
    return _record(sim, nodes, data, n_steps)


def _record(
    sim: nengo.Simulator,
    nodes: list[nengo.Node],
    data: Mapping[nengo.Node, np.ndarray],
    n_steps: int,
) -> dict[nengo.Node, np.ndarray]:
    signals = {node: sim.model.sig[node]["out"] for node in nodes}
    shown = {node: np.empty((n_steps, node.size_out)) for node in nodes}
    for number in range(n_steps):
        for node, values in data.items():
            sim.signals[signals[node]][...] = values[number]
        sim.step()
        for node, values in shown.items():
            values[number] = sim.signals[signals[node]]
    return shown


def _sampled(probe: nengo.Probe, n_steps: int, dt: float) -> np.ndarray:
    """Return the steps in which a probe takes a sample, as nengo counts them."""
    period = 1 if probe.sample_every is None else probe.sample_every / dt
    return np.arange(1, n_steps + 1) % period < 1


def _play(values: np.ndarray, dt: float) -> Any:
    def output(t: float) -> np.ndarray:
        return values[round(t / dt) - 1]

    return output


def _difference(
    expected: np.ndarray, result: np.ndarray, name: str, tolerance: float
) -> float:
    largest = np.abs(expected).max(initial=0)
    error = np.abs(result - expected) / (largest or 1)
    worst = float(error.max(initial=0))
    if not worst <= tolerance:
        step, element = np.argwhere(~(error <= tolerance))[0]
        raise SimulationError(
            f"Output {name!r} of the graph is not what the network does: in step "
            f"{step + 1}, element {element} is {result[step, element]:.6g} instead of "
            f"{expected[step, element]:.6g}. Differences up to {worst:.2g} of its "
            f"largest value; allowed: {tolerance:.2g}. Simulators that compute in "
            "single precision need a larger tolerance, and their spikes may come a "
            "step earlier or later."
        )
    return worst
