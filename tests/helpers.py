"""The oracles: nengo computes the same, and the two must agree.

``compare_networks`` runs a whole network on both simulators; ``check_operators`` runs
hand-made operators step by step, by their own ``make_step`` and compiled. Differences
are measured against the largest value of the array that they occur in, so that a small
number which is what is left of large ones is not held to its own size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jax
import nengo
import numpy as np
import pytest
from jax._src import monitoring
from nengo.builder import Model
from nengo.builder.operator import Copy, Operator, Reset
from nengo.builder.signal import Signal

import nengo_jax

MERGED = pytest.mark.parametrize("optimize", [True, False], ids=["merged", "alone"])
WIRES = pytest.mark.parametrize("wires", [False, True], ids=["kept", "wires"])

RTOL = 1e-9  # of the largest value, in float64
_FLOOR = 1e-3  # values below it are as good as this: differences of 1e-12 are allowed

Data = dict[nengo.Probe, np.ndarray]


def assert_close(actual, expected, label: object = "", rtol: float = RTOL) -> None:
    """Fail unless two arrays agree within ``rtol`` of the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (
        f"{label}: shape {actual.shape}, but expected {expected.shape}"
    )
    assert np.all(np.isfinite(actual)), f"{label}: not finite"
    scale = max(float(np.max(np.abs(expected), initial=0)), _FLOOR)
    wrong = np.abs(actual - expected) > rtol * scale
    if np.any(wrong):
        worst = float(np.max(np.abs(actual - expected)) / scale)
        first = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{label}: {np.count_nonzero(wrong)} of {wrong.size} values differ, by up "
            f"to {worst:.3g} of the largest; the first one at {first}: "
            f"{actual[first]!r}, but expected {expected[first]!r}"
        )


def run_reference(network: nengo.Network, steps: int, **options) -> Data:
    """Record all probes of a network on ``nengo.Simulator``."""
    with nengo.Simulator(network, progress_bar=False, **options) as sim:
        sim.run_steps(steps)
    return {probe: np.array(sim.data[probe]) for probe in network.all_probes}


def run_jax(network: nengo.Network, steps: int, data=None, **options) -> Data:
    """Record all probes of a network on ``nengo_jax.Simulator``, in float64."""
    options = {"dtype": "float64", "progress_bar": False, **options}
    with nengo_jax.Simulator(network, **options) as sim:
        sim.run_steps(steps, data)
    return {probe: np.array(sim.data[probe]) for probe in network.all_probes}


def compare_data(actual: Data, expected: Data, rtol: float = RTOL) -> None:
    """Fail unless both hold the same values for each probe."""
    assert actual.keys() == expected.keys()
    for probe, values in expected.items():
        assert_close(actual[probe], values, probe, rtol)


def compare_networks(
    network: nengo.Network, steps: int = 50, rtol: float = RTOL, **options
) -> Data:
    """Fail unless all probes record on nengo_jax what they record on the reference.

    Parameters
    ----------
    network : Network
        Its Python functions keep nothing from one run to the next.
    steps : int
    rtol : float
    **options
        For both simulators: dt, seed, optimize.

    Returns
    -------
    dict of Probe to ndarray
        What was recorded, for tests that check that anything happens at all.
    """
    expected = run_reference(network, steps, **options)
    actual = run_jax(network, steps, **options)
    assert expected
    compare_data(actual, expected, rtol)
    return expected


@contextmanager
def both_simulators(
    make: Callable[[Model], Sequence[Operator]], dt: float, seed: int, **options
) -> Iterator[tuple[nengo.Simulator, nengo_jax.Simulator]]:
    """Open both simulators on models that consist of operators only."""
    models = Model(dt=dt), Model(dt=dt)
    for model in models:
        for op in make(model):
            model.add_op(op)
    options = {"dtype": "float64", **options}
    with (
        nengo.Simulator(
            None, model=models[0], seed=seed, progress_bar=False, optimize=False
        ) as reference,
        nengo_jax.Simulator(
            None, model=models[1], seed=seed, progress_bar=False, **options
        ) as sim,
    ):
        yield reference, sim


def base_signals(model: Model) -> list[Signal]:
    """Dense base signals of a model, in an order that depends on nothing else."""
    found = [signal.base for op in model.operators for signal in op.all_signals]
    return [s for s in dict.fromkeys(found) if not s.sparse]


def outside_signals(operators: Sequence[Operator]) -> list[Signal]:
    """Base signals that operators read and that none of them writes."""
    written = {s.base for op in operators for s in (*op.sets, *op.incs, *op.updates)}
    read = dict.fromkeys(s.base for op in operators for s in op.reads)
    return [s for s in read if s not in written and not s.sparse]


def with_wires(
    make: Callable[[Model], Sequence[Operator]],
) -> Callable[[Model], Sequence[Operator]]:
    """Make what operators read and increment anew in each step.

    What they read is copied from elsewhere, and what they increment is reset first, so
    that no value of theirs lives on to the next step.
    """

    def wired(model: Model) -> Sequence[Operator]:
        operators = list(make(model))
        known = {s.base for op in operators for s in (*op.sets, *op.updates)}
        counted = dict.fromkeys(s.base for op in operators for s in op.incs)
        resets = [Reset(s, value=0.25) for s in counted if s not in known]
        copies = [
            Copy(Signal(np.array(s.initial_value), name=f"{s.name}.source"), s)
            for s in outside_signals(operators)
            if s not in (model.time, model.step)
        ]
        return [*operators, *resets, *copies]

    return wired


def check_operators(
    make: Callable[[Model], Sequence[Operator]],
    *,
    steps: int = 3,
    dt: float = 0.001,
    seed: int = 3,
    rtol: float = RTOL,
    inputs: Callable[[np.random.RandomState, tuple[int, ...]], np.ndarray]
    | None = None,
    **options,
) -> dict[str, np.ndarray]:
    """Fail unless operators do what their own ``make_step`` does.

    The operators run alone. Whatever none of them writes gets new random values before
    each step. All signals are compared after each step, and after some more steps in
    one run.

    Parameters
    ----------
    make : callable
        ``make(model) -> operators``, made anew for each simulator.
    steps : int
        Steps with new values.
    inputs : callable
        ``inputs(rng, shape) -> values``; standard normal by default.
    **options
        For nengo_jax.Simulator.

    Returns
    -------
    dict of str to ndarray
        The reference's signals at the end, by name.
    """
    draw = inputs or (lambda rng, shape: rng.standard_normal(shape))
    rng = np.random.RandomState(seed)
    with both_simulators(make, dt, seed, **options) as (reference, sim):
        pairs = [base_signals(s.model) for s in (reference, sim)]
        clocks = (reference.model.step, reference.model.time)
        outside = set(outside_signals(reference.model.operators)) - set(clocks)
        for count in [1] * steps + [3]:
            for theirs, ours in zip(*pairs, strict=True):
                if theirs in outside and not theirs.readonly:
                    value = draw(rng, theirs.shape)
                    reference.signals[theirs][...] = value
                    sim.signals[ours][...] = value
            reference.run_steps(count)
            sim.run_steps(count)
            for theirs, ours in zip(*pairs, strict=True):
                expected = reference.signals[theirs]
                assert_close(sim.signals[ours], expected, theirs, rtol)
        return {s.name: np.array(reference.signals[s]) for s in pairs[0]}


@contextmanager
def count_compilations() -> Iterator[list[str]]:
    """Collect an entry for each function that JAX compiles, or loads from its cache."""
    compiled: list[str] = []

    def listen(event: str, seconds: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        monitoring.unregister_event_duration_listener(listen)
