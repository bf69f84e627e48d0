"""Latency of a live loop: 1000 spiking neurons hold a pendulum written in Python.

    python benchmarks/live.py [--steps N] [--json FILE]

What is timed is each call of ``loop.step``, from the observation to the action; the
pendulum is left out. The first case runs a million steps, and its resident memory is
looked at after each tenth of them. The others take a hundredth to a tenth of them: a
batch, a Python node within the network, recordings on disk, steps in time with a clock
of 1 kHz, and the reference for comparison.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

# First of all: nengo_jax sets up JAX.
from nengo_jax import Simulator
from nengo_jax.live import Latency, Loop, Recording, Report

# isort: split
import nengo
import numpy as np
from backends import REFERENCE
from harness import HERE, format_table, save
from networks import SEED, Pendulum

_PARTS = 10  # after each of which memory is looked at
_SETTLE = 2000  # steps before the first look


class Network(NamedTuple):
    """A network that holds a pendulum, and its ends."""

    network: nengo.Network
    angle: nengo.Node
    torque: nengo.Probe
    spikes: nengo.Probe


def controller(*, host: bool = False) -> Network:
    """Make a controller of 1000 LIF neurons; with a Python node if asked for."""
    with nengo.Network(seed=SEED) as network:
        angle = nengo.Node([0.0, 0.0])
        neurons = nengo.Ensemble(1000, 2)
        motor = nengo.Node((lambda t, x: 1.0 * x) if host else None, size_in=1)
        nengo.Connection(angle, neurons, synapse=None)
        nengo.Connection(neurons, motor, transform=[[-8, -4]])
        torque = nengo.Probe(motor, label="torque")
        spikes = nengo.Probe(neurons.neurons, label="spikes")
    return Network(network, angle, torque, spikes)


class Case(NamedTuple):
    """What is measured."""

    label: str
    share: float  # of all steps
    host: bool = False
    batch: int | None = None
    period: float | None = None  # s
    record: Callable[[Simulator, Network, str], AbstractContextManager] | None = None


CASES = (
    Case("1000 neurons", 1.0),
    Case("batch of 16", 0.1, batch=16),
    Case("with a Python node", 0.1, host=True),
    Case(
        "torque recorded",
        0.1,
        record=lambda sim, net, path: Recording(path, sim, net.torque),
    ),
    Case(
        "torque and spikes recorded",
        0.1,
        record=lambda sim, net, path: Recording(path, sim),
    ),
    Case("at 1 kHz", 0.02, period=0.001),
)


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "live.json")
    arguments = parser.parse_args()
    rows = [measure(case, arguments.steps) for case in CASES]
    rows.append(measure_reference(arguments.steps // 100))
    header = ["case", "steps", "median (us)", "99% (us)", "worst (us)"]
    header += ["deadlines missed", "memory grows by (MiB)", "angle at the end (rad)"]
    text = format_table(header, [list(row.values()) for row in rows])
    text += (
        "\n\nFrom the observation to the action, without the pendulum; percentiles are "
        f"exact to 1%. Memory is resident memory, from step {_SETTLE} to its largest "
        "value after each tenth of the steps. In a batch, each example holds a "
        "pendulum of its own."
    )
    print(text)
    save(arguments.json, "Live loops", rows, text)


def measure(case: Case, steps: int) -> dict[str, Any]:
    """Run a case; return its row of the table."""
    print(f"  {case.label}", file=sys.stderr, flush=True)
    net = controller(host=case.host)
    pendulums = [Pendulum() for _ in range(case.batch or 1)]
    steps = round(case.share * steps)
    with ExitStack() as stack:
        enter = stack.enter_context
        sim = enter(
            Simulator(net.network, progress_bar=False, minibatch_size=case.batch)
        )
        if case.record is not None:
            folder = enter(tempfile.TemporaryDirectory())
            enter(case.record(sim, net, f"{folder}/run.h5"))
        for _ in advance(Loop(sim, net.angle, net.torque), pendulums, _SETTLE):
            pass
        memory = [resident_memory()]
        loop = enter(Loop(sim, net.angle, net.torque, case.period))
        for tick in advance(loop, pendulums, steps):
            if (tick + 1) % max(1, steps // _PARTS) == 0:
                memory.append(resident_memory())
        report = loop.latency
    return {
        **describe(case.label, report),
        "grows": max(memory) - memory[0],
        "angle": max(abs(p.angle) for p in pendulums),
    }


def advance(loop: Loop, pendulums: list[Pendulum], steps: int) -> Iterator[int]:
    """Let a loop hold pendulums; yield the number of each step after it."""
    seen = np.array([(p.angle, p.velocity) for p in pendulums])
    for tick in loop.ticks(steps):
        torques = loop.step(seen if len(pendulums) > 1 else seen[0])
        for k, (pendulum, torque) in enumerate(
            zip(pendulums, torques.reshape(-1, 1), strict=True)
        ):
            seen[k] = pendulum(0.0, torque)
        yield tick


def measure_reference(steps: int) -> dict[str, Any]:
    """Run the first case with the reference, which is told through a node function."""
    print(f"  {REFERENCE}", file=sys.stderr, flush=True)
    net, pendulum, latency = controller(), Pendulum(), Latency()
    seen = (pendulum.angle, pendulum.velocity)
    net.angle.output = lambda t: seen
    net.network.probes.remove(net.spikes)
    with nengo.Simulator(net.network, progress_bar=False) as sim:
        for _ in range(steps):
            started = time.perf_counter()
            sim.step()
            torque = sim.signals[sim.model.sig[net.torque]["in"]].copy()
            latency.add(time.perf_counter() - started)
            seen = pendulum(0.0, torque)
    row = describe(f"{REFERENCE}: 1000 neurons", latency.report())
    return {**row, "grows": None, "angle": abs(pendulum.angle)}


def describe(label: str, report: Report) -> dict[str, Any]:
    """Return the numbers of a report, in us."""
    return {
        "case": label,
        "steps": report.steps,
        "median": report.median * 1e6,
        "99%": report.percentile_99 * 1e6,
        "worst": report.worst * 1e6,
        "missed": report.missed,
    }


def resident_memory() -> float:
    """Return the resident memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
