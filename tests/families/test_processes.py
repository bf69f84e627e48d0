"""Processes draw the numbers that they draw on the reference, seeded or not.

At a reset the reference lets every process without a seed draw one, in the order in
which its operators run. The networks here have several such processes, so that a wrong
order gives wrong noise.

With ``optimize=True`` the reference's own order depends on addresses in memory (nengo
merges operators out of sets), and so does its noise as soon as an ensemble is involved:
five runs of one seeded network give up to five results. So unseeded noise is compared
with ``nengo.Simulator(optimize=False)``.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
from helpers import (
    MERGED,
    assert_close,
    compare_data,
    compare_networks,
    run_jax,
    run_reference,
)
from nengo import dists
from nengo.processes import (
    BrownNoise,
    FilteredNoise,
    Piecewise,
    PresentInput,
    WhiteNoise,
    WhiteSignal,
)

import nengo_jax

SEEDED = pytest.mark.parametrize("seeded", [False, True], ids=["unseeded", "seeded"])

DISTRIBUTIONS = {
    "gaussian": dists.Gaussian(0.5, 2),
    "uniform": dists.Uniform(-1, 3),
    "integers": dists.Uniform(0, 9, integer=True),
    "exponential": dists.Exponential(0.3, shift=0.1, high=2),
    "choice": dists.Choice([[-1, 0], [5, 2], [0, 1]]),
    "weighted choice": dists.Choice([[1, 2], [3, 4]], weights=[0.2, 0.8]),
    "pdf": dists.PDF(np.linspace(-1, 1, 9), np.arange(1, 10) / 45),
    "sphere": dists.UniformHypersphere(surface=True),
    "ball": dists.UniformHypersphere(min_magnitude=0.4),
    "square root beta": dists.SqrtBeta(3, 2),
    "cosine": dists.CosineSimilarity(4),
    "samples": dists.Samples([[0.25, -0.5]]),
}

INTERPOLATIONS = ["zero", "linear", "nearest", "slinear", "quadratic", "cubic"]
POINTS = {0: [0, 1], 0.01: [2, -1], 0.0171: [0.5, 0.25], 0.03: [3, 0]}


def processes(seed: int | None) -> dict[str, nengo.Process]:
    """One of each kind and setting."""

    def own(k: int) -> dict[str, int]:
        return {} if seed is None else {"seed": seed + k}

    found = {
        "signal": WhiteSignal(0.1, high=50, **own(1)),
        "long signal": WhiteSignal(2.0, high=100, rms=0.3, y0=0.2, **own(2)),
        "noise": WhiteNoise(**own(3)),
        "filtered": FilteredNoise(**own(4)),
        "alpha": FilteredNoise(nengo.Alpha(0.01), dists.Uniform(-1, 1), **own(5)),
        "unscaled": FilteredNoise(nengo.Lowpass(0.02), scale=False, **own(6)),
        "triangle": FilteredNoise(nengo.synapses.Triangle(0.005), **own(7)),
        "high pass": FilteredNoise(nengo.LinearFilter([1, 0], [0.01, 1]), **own(8)),
        "not filtered": FilteredNoise(nengo.Lowpass(0), **own(9)),
        "brown": BrownNoise(**own(10)),
        "brown exponential": BrownNoise(dists.Exponential(0.1), **own(11)),
        "images": PresentInput([[1, 2], [3, 4], [5, 6]], 0.004, **own(12)),
        "odd images": PresentInput(np.arange(8).reshape(4, 2, 1), 0.0025, **own(13)),
    }
    for k, (name, distribution) in enumerate(DISTRIBUTIONS.items()):
        found[name] = WhiteNoise(distribution, scale=k % 2 == 0, **own(20 + k))
    for method in INTERPOLATIONS:
        found[f"{method} pieces"] = Piecewise(POINTS, interpolation=method)
    return found


def functions() -> dict[str, nengo.Process]:
    calm = {0: lambda t: [t, np.sin(t)], 0.01: [1, 2], 0.02: lambda t: np.cos([t, 2])}
    return {"callable pieces": Piecewise(calm)}


def compare_noise(network: nengo.Network, steps: int, optimize: bool, **options):
    """Compare with the order of the reference that does not depend on memory."""
    expected = run_reference(network, steps, optimize=False, **options)
    actual = run_jax(network, steps, optimize=optimize, **options)
    compare_data(actual, expected)
    assert all(np.any(values) for values in expected.values())


@MERGED
@SEEDED
def test_as_output_of_nodes(seeded, optimize):
    with nengo.Network(seed=8) as network:
        everything = {**processes(40 if seeded else None), **functions()}
        for name, process in everything.items():
            node = nengo.Node(process, size_out=2, label=name)
            nengo.Probe(node)
            if len(name) % 2:  # synapses draw seeds as well
                nengo.Probe(node, synapse=0.01)
    compare_noise(network, 60, optimize)
    if seeded:
        compare_networks(network, 60, optimize=optimize)


@MERGED
@SEEDED
def test_as_noise_of_ensembles(seeded, optimize):
    with nengo.Network(seed=8) as network:
        stimulus = nengo.Node(lambda t: np.sin(50 * t))
        before = None
        for name, process in processes(40 if seeded else None).items():
            if isinstance(process, (PresentInput, Piecewise)):
                continue
            if name == "high pass":  # nengo cannot increment by its output
                continue
            distribution = getattr(process, "dist", None)
            if isinstance(distribution, (dists.Samples, dists.Choice)):
                continue  # these have their own dimensions
            ensemble = nengo.Ensemble(9, 1, noise=process, label=name)
            nengo.Connection(stimulus, ensemble)
            if before is not None:
                nengo.Connection(before, ensemble, synapse=0.02)
            nengo.Probe(ensemble.neurons, "input")
            nengo.Probe(ensemble, synapse=0.01)
            before = ensemble
    compare_noise(network, 40, optimize)
    if seeded and optimize:
        compare_networks(network, 40, optimize=True)


@MERGED
def test_some_seeded_in_a_recurrent_network(optimize):
    """Seeded and unseeded processes, synapses, learning, in subnetworks."""
    with nengo.Network(seed=2) as network:
        source = nengo.Node(WhiteSignal(0.2, high=40), size_out=2)
        previous = source
        for k in range(3):
            with nengo.Network(label=f"part {k}"):
                noisy = nengo.Node(WhiteNoise(seed=k if k % 2 else None), size_out=2)
                ensemble = nengo.Ensemble(12, 2, noise=FilteredNoise())
                nengo.Connection(noisy, ensemble, synapse=nengo.Alpha(0.01))
                nengo.Connection(ensemble, ensemble, synapse=0.05)
            learned = nengo.Connection(
                previous, ensemble, synapse=0.01, function=lambda x: x**2
            )
            if k:
                learned.learning_rule_type = nengo.PES(1e-4)
                nengo.Connection(noisy, learned.learning_rule)
            nengo.Probe(ensemble, synapse=0.02)
            nengo.Probe(noisy)
            previous = ensemble
    compare_noise(network, 50, optimize)


@MERGED
def test_order_with_python_functions_in_between(optimize):
    """Operators on the host are started in the same order as the others."""
    with nengo.Network(seed=2) as network:
        noise = [nengo.Node(WhiteNoise(), size_out=1) for _ in range(3)]
        double = nengo.Node(lambda t, x: 2 * x, size_in=1, size_out=1)
        nengo.Connection(noise[1], double)
        after = nengo.Node(FilteredNoise(), size_out=1)
        ensemble = nengo.Ensemble(10, 1, noise=WhiteNoise(dists.Gaussian(0, 0.01)))
        nengo.Connection(double, ensemble)
        for obj in (*noise, double, after, ensemble):
            nengo.Probe(obj, synapse=0.01)
    compare_noise(network, 30, optimize)


@pytest.mark.parametrize("seed", [None, 0, 7, 2**31 - 1])
def test_seed_of_the_simulator(seed):
    with nengo.Network(seed=4) as network:
        for k in range(4):
            nengo.Probe(nengo.Node(WhiteNoise(), size_out=k + 1))
    compare_noise(network, 10, optimize=True, seed=seed)


def test_reset_draws_anew():
    """A reset repeats the noise, another seed gives what the reference gives for it."""
    with nengo.Network(seed=4) as network:
        probes = [
            nengo.Probe(nengo.Node(process, size_out=2))
            for process in (WhiteNoise(), WhiteSignal(0.05, high=60), BrownNoise())
        ]
        quiet = nengo.Probe(nengo.Node(WhiteNoise(seed=3), size_out=1))
    results = []
    for simulator, options in (
        (nengo.Simulator, {"optimize": False}),
        (nengo_jax.Simulator, {"dtype": "float64"}),
    ):
        with simulator(network, progress_bar=False, **options) as sim:
            recorded = []
            for seed in (None, None, 99, None):
                if recorded:
                    sim.reset(seed=seed)
                sim.run_steps(12)
                sim.run_steps(8)
                recorded.append([np.array(sim.data[p]) for p in (*probes, quiet)])
            assert sim.seed == 99
        results.append(recorded)
    reference, ours = results
    for k in range(4):
        for a, b in zip(ours[k], reference[k], strict=True):
            assert_close(a, b)
    assert np.array_equal(ours[0][0], ours[1][0])
    assert not np.array_equal(ours[0][0], ours[2][0])
    assert np.array_equal(ours[0][-1], ours[2][-1])


def test_runs_in_pieces_are_one_run():
    with nengo.Network(seed=4) as network:
        probes = [
            nengo.Probe(nengo.Node(process, size_out=2))
            for process in (*processes(None).values(), *functions().values())
        ]
    whole = run_jax(network, 45)
    with nengo_jax.Simulator(network, dtype="float64", progress_bar=False) as sim:
        for steps in (1, 2, 1, 20, 1, 20):
            sim.run_steps(steps)
        for probe in probes:
            assert np.array_equal(sim.data[probe], whole[probe])


def test_examples_of_a_batch_have_noise_of_their_own():
    """Example k is a simulation of its own, whose seed is k higher."""
    with nengo.Network(seed=4) as network:
        noise = nengo.Node(WhiteNoise(), size_out=2)
        same = nengo.Node(WhiteNoise(seed=1), size_out=2)
        ensemble = nengo.Ensemble(10, 2, noise=FilteredNoise())
        nengo.Connection(noise, ensemble, synapse=0.01)
        nengo.Connection(same, ensemble)
        probes = [nengo.Probe(obj) for obj in (noise, same, ensemble)]
        probes.append(nengo.Probe(ensemble.neurons))
    batch = run_jax(network, 20, minibatch_size=3, seed=50)
    for k in range(3):
        alone = run_jax(network, 20, seed=50 + k)
        for probe in probes:
            assert_close(batch[probe][k], alone[probe], probe)
    assert not np.array_equal(batch[probes[0]][0], batch[probes[0]][1])
    assert np.array_equal(batch[probes[1]][0], batch[probes[1]][1])
    compare_noise(network, 20, optimize=True, seed=52)


def test_dt_is_that_of_the_simulator():
    with nengo.Network(seed=8) as network:
        for name, process in processes(None).items():
            if name != "long signal":  # its frequencies are too high for this dt
                nengo.Probe(nengo.Node(process, size_out=2, label=name))
    compare_noise(network, 30, optimize=True, dt=0.007)
