"""Synapses against their own ``make_step``, in the modes "update" and "set"."""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from helpers import (
    MERGED,
    assert_close,
    check_operators,
    compare_networks,
    run_jax,
)
from nengo.builder.processes import SimProcess
from nengo.builder.signal import Signal
from nengo.synapses import Alpha, LinearFilter, Lowpass, Triangle

METHODS = ["gbt", "bilinear", "euler", "backward_diff", "zoh"]

FILTERS = {
    "order 0": [LinearFilter([0.7], [2.0])],
    "order 0, digital": [LinearFilter([-0.7], [1.0], analog=False)],
    "lowpass": [Lowpass(0.005), Lowpass(0.1), Lowpass(0.02)],
    "no delay": [Lowpass(0), Lowpass(1e-5), Alpha(0)],
    "alpha": [Alpha(0.005), Alpha(0.1)],
    "order 1": [LinearFilter([3.0], [0.01, 2.0]), LinearFilter([1.0], [0.5, 0])],
    "order 1 with passthrough": [
        LinearFilter([0.02, 1.0], [0.01, 1.0]),
        LinearFilter([1.0, 0.0], [0.01, 1.0]),
    ],
    "order 2": [
        LinearFilter([1.0], [1e-4, 1e-2, 1]),
        LinearFilter([0.01, 1.0], [1e-4, 2e-2, 1]),
    ],
    "order 2 with passthrough": [LinearFilter([1e-4, 1e-3, 0], [1e-4, 1e-2, 1])],
    "order 3": [LinearFilter([1.0, 5.0], np.poly([-50, -80, -120]))],
    "order 4": [
        LinearFilter([1e6], np.poly([-50, -80, -120, -30])),
        Alpha(0.01).combine(Alpha(0.03)),
    ],
    "order 4 with passthrough": [
        LinearFilter([1.0, 0, 0, 0, 1e4], np.poly([-50, -80, -120, -30]))
    ],
    "digital, order 1": [LinearFilter([0.1], [1, -0.9], analog=False)],
    "digital, order 1 with passthrough": [
        LinearFilter([0.1, 0.3], [1, -0.9], analog=False)
    ],
    "digital, order 2": [LinearFilter([0.1, 0.05], [1, -1.5, 0.6], analog=False)],
    "digital, order 3 with passthrough": [
        LinearFilter([1, 0.5, 0.1, 0], [1, -1.1, 0.3, 0.01], analog=False)
    ],
    "digital, order 4": [LinearFilter([0.2], [1, -0.5, 0.2, -0.1, 0.05], analog=False)],
    "triangle": [Triangle(0.01), Triangle(0.003), Triangle(0.01)],
    "triangle of one tap": [Triangle(0), Triangle(1e-4)],
}


def operator(
    model, synapse, shape: tuple[int, ...], mode: str, y0: float = 0.0
) -> SimProcess:
    state = synapse.make_state(shape, shape, model.dt, dtype=np.float64, y0=y0)
    return SimProcess(
        synapse,
        Signal(np.zeros(shape), name="input"),
        Signal(np.zeros(shape), name=f"output of {synapse}"),
        model.time,
        mode=mode,
        state={name: Signal(value, name=name) for name, value in state.items()},
    )


@pytest.mark.parametrize(
    ("mode", "optimize"),
    [("update", True), ("update", False), ("set", True), ("inc", True)],
)
@pytest.mark.parametrize("kind", ["linear", "triangle"])
def test_all_filters_at_once(kind, mode, optimize):
    """All filters, for inputs of several sizes."""
    chosen = [
        synapse
        for name, group in FILTERS.items()
        for synapse in group
        if (kind == "triangle") == name.startswith("triangle")
        # nengo itself cannot increment by the output of its general step
        if mode != "inc" or "passthrough" not in name
    ]

    def make(model):
        return [
            operator(model, synapse, (size,), mode)
            for synapse in chosen
            for size in (1, 3)
        ]

    check_operators(make, optimize=optimize, steps=12)


@pytest.mark.parametrize("name", FILTERS)
def test_filter(name):
    """Each on its own, at another dt."""

    def make(model):
        return [operator(model, synapse, (4,), "update") for synapse in FILTERS[name]]

    check_operators(make, steps=10, dt=0.003)


@pytest.mark.parametrize("method", METHODS)
def test_method_of_discretisation(method):
    """Some of them give even a lowpass a passthrough, and with it another step."""

    def with_method(synapse: LinearFilter) -> LinearFilter:
        return LinearFilter(synapse.num, synapse.den, method=method)

    chosen = [f for group in FILTERS.values() for f in group]
    chosen = [with_method(f) for f in chosen if getattr(f, "analog", False)]
    chosen += [Lowpass(0.02, method=method), Alpha(0.02, method=method)]
    # the implicit methods cannot discretise den = [0, 1] (a tau of 0)
    chosen = [f for f in chosen if f.den[0] != 0]
    if method == "gbt":
        with pytest.raises(ValueError, match="Alpha"):
            chosen[1].make_state((1,), (1,), 0.001)
        return

    def make(model):
        return [operator(model, f, (2,), "update") for f in chosen]

    check_operators(make, steps=8)


@MERGED
def test_matrices_are_filtered_element_by_element(optimize):
    def make(model):
        return [
            operator(model, synapse, shape, "update")
            for synapse in (Lowpass(0.01), Alpha(0.01), LinearFilter([1, 0], [1e-2, 1]))
            for shape in ((2, 3), (3, 1))
        ] + [operator(model, Triangle(0.004), (2, 3), "update")]

    check_operators(make, optimize=optimize, steps=8)


def test_initial_output():
    """A state that starts at the steady state of some input."""
    digital = FILTERS["digital, order 1"][0]

    def make(model):
        return [
            operator(model, synapse, (1,), "update", y0=0.7)
            for synapse in (Lowpass(0.02), Alpha(0.02), Triangle(0.005), digital)
        ]

    check_operators(make, inputs=lambda rng, shape: np.full(shape, 0.7), steps=8)


def synapses() -> dict[str, nengo.synapses.Synapse | None]:
    found = {f"{n} {k}": s for n, group in FILTERS.items() for k, s in enumerate(group)}
    return {**found, "none": None}


def test_network():
    """On connections (one step of delay), probes, and as the process of a node."""
    with nengo.Network(seed=6) as network:
        stimulus = nengo.Node(lambda t: [np.sin(90 * t), t > 0.01])
        for name, synapse in synapses().items():
            target = nengo.Node(size_in=2, label=name)
            nengo.Connection(stimulus, target, synapse=synapse)
            nengo.Probe(target)
            nengo.Probe(stimulus, synapse=synapse)
            if synapse is not None:
                node = nengo.Node(synapse, size_in=2, size_out=2, label=f"node {name}")
                nengo.Connection(target, node, synapse=None)
                nengo.Probe(node)
    compare_networks(network, 40)


@pytest.mark.parametrize("name", ["lowpass 0", "alpha 0", "order 4 1", "triangle 0"])
def test_impulse_response_is_that_of_filt(name):
    """``Synapse.filt`` runs the same filter over an array."""
    synapse = synapses()[name]
    signal = np.zeros((30, 1))
    signal[4] = 1
    with nengo.Network() as network:
        stimulus = nengo.Node(nengo.processes.PresentInput(signal, 0.001))
        probe = nengo.Probe(stimulus, synapse=synapse)
    expected = synapse.filt(signal, dt=0.001, y0=0)
    assert_close(run_jax(network, 31)[probe][1:], expected)


def test_single_precision_keeps_slow_filters():
    """A time constant of 100 s: each step changes the state by one part in 1e5."""
    with nengo.Network() as network:
        stimulus = nengo.Node(1.0)
        probe = nengo.Probe(stimulus, synapse=100.0)
    recorded = run_jax(network, 1000, dtype="float32")[probe]
    assert_close(recorded[-1], [1 - np.exp(-0.00999)], rtol=1e-3)
