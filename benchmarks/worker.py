"""Measurements inside one process; each prints one line of JSON.

``worker.py time NETWORK BACKEND,... STEPS REPEATS`` builds a network on each backend
and lets them run in turn (A B A B ...), so that a machine that gets slower or faster
does so for all. ``worker.py peak NETWORK BACKEND STEPS`` measures memory,
``worker.py phases NETWORK`` the parts of a start of nengo_jax, and ``worker.py calls``
the cost of calling ``step``.

The harness starts these. All but the last two also run in an environment of NengoDL.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import nengo
import numpy as np
from backends import BACKENDS, REFERENCE, SUBJECT
from networks import CASES, Case, InputData, tiny

FIRST_STEPS = 100
_CALLS = 500
_PAUSE = 0.2  # seconds in which the threads of the other backend stop to spin


class Trial:
    """A case that is built on one backend, ready to run again and again."""

    def __init__(self, case: Case, backend: str):
        self.batch_size = None if backend == REFERENCE else case.batch_size
        self.network = case.build()
        self.build_seconds, self.sim = timed(
            lambda: BACKENDS[backend](self.network, self.batch_size)
        )
        self._inputs = case.inputs

    def run(self, steps: int) -> float:
        """Run some steps; return the seconds."""
        data = self._data(steps)
        self.sim.clear_probes()
        options = {} if data is None else {"data": data}
        seconds, _ = timed(lambda: self.sim.run_steps(steps, **options))
        return seconds

    def step_time(self, steps: int) -> float:
        """Run some steps; return the us per step and example."""
        time.sleep(_PAUSE)
        return self.run(steps) / steps / (self.batch_size or 1) * 1e6

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *error: object) -> None:
        self.sim.close()

    def samples(self) -> list[np.ndarray]:
        """Return what the probes recorded of the first example."""
        recorded = [np.asarray(self.sim.data[p]) for p in self.network.all_probes]
        return recorded if self.batch_size is None else [r[0] for r in recorded]

    def _data(self, steps: int) -> InputData | None:
        if self.batch_size is None or self._inputs is None:
            return None
        return self._inputs(self.network, self.batch_size, steps)


def measure_times(name: str, backends: str, steps: int, repeats: int) -> dict[str, Any]:
    """Time building, the first steps and later steps of a case.

    Returns
    -------
    dict
        For each backend ``build`` (s), ``first`` (s, for ``FIRST_STEPS`` steps) and
        ``runs`` (us per step and example, in the order of the repeats). If there are
        two backends, ``difference`` is the distance of their first samples.
    """
    trials, results, samples = {}, {}, []
    with ExitStack() as stack:
        for backend in backends.split(","):
            warm_up(backend)
            trial = stack.enter_context(Trial(CASES[name], backend))
            first = trial.run(FIRST_STEPS)
            trials[backend] = trial
            results[backend] = {"build": trial.build_seconds, "first": first}
            samples.append(trial.samples())
        for trial in trials.values() if repeats else ():
            trial.run(steps)
        runs = [
            {b: trial.step_time(steps) for b, trial in trials.items()}
            for _ in range(repeats)
        ]
    for backend, values in results.items():
        values["runs"] = [run[backend] for run in runs]
    difference = relative_difference(*samples) if len(samples) == 2 else None
    return {"backends": results, "difference": difference}


def warm_up(backend: str) -> None:
    """Import a backend and let it start its threads, before anything is measured."""
    with Trial(CASES["tiny"], backend) as trial:
        trial.run(1)


def relative_difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Return the largest distance of two recordings of a probe, relative to its size.

    Both are root mean squares, so that a spike that comes a step late in single
    precision counts little.
    """
    return max(
        float(np.linalg.norm(a - b) / max(np.linalg.norm(a), np.finfo(float).tiny))
        for a, b in zip(ours, theirs, strict=True)
    )


def measure_peak(name: str, backend: str, steps: int) -> dict[str, float]:
    """Return the peak memory in MiB after the imports and after a run."""
    warm_up(backend)
    imported = peak_memory()
    with Trial(CASES[name], backend) as trial:
        trial.run(steps)
        trial.samples()
    return {"imported": imported, "peak": peak_memory()}


def measure_phases(name: str) -> dict[str, float]:
    """Return the seconds of each phase from a network to the first step of nengo_jax.

    ``describe`` makes the network, ``build`` is nengo's builder, ``plan`` the rest of
    making a simulator, ``first step`` includes compilation by XLA.
    """
    from nengo_jax import Simulator

    warm_up(SUBJECT)
    described, network = timed(CASES[name].build)
    model = nengo.builder.Model(dt=0.001)
    built, _ = timed(lambda: model.build(network))
    planned, sim = timed(lambda: Simulator(None, model=model, progress_bar=False))
    with sim:
        first, _ = timed(lambda: sim.run_steps(FIRST_STEPS))
    return {
        "describe": described,
        "build": built,
        "plan": planned,
        "first step": first,
        "peak memory (MiB)": peak_memory(),
    }


def measure_calls(backend: str, repeats: int) -> dict[str, float]:
    """Return the us of a call of ``step``, and of a step in a long run."""
    with BACKENDS[backend](tiny(), None) as sim:
        steps = CASES["tiny"].steps
        sim.step()
        sim.run_steps(steps)
        single, long = [], []
        for _ in range(repeats):
            sim.clear_probes()
            single.append(timed(lambda: [sim.step() for _ in range(_CALLS)])[0])
            long.append(timed(lambda: sim.run_steps(steps))[0])
    return {
        "call": statistics.median(single) / _CALLS * 1e6,
        "step": statistics.median(long) / steps * 1e6,
    }


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds an action took, and its result."""
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(task: str, *arguments: str) -> None:
    """Run one measurement and print its result."""
    # Decoders from an earlier run would make building look fast.
    nengo.rc.set("decoder_cache", "enabled", "False")
    values = [int(a) if a.isdigit() else a for a in arguments]
    print(json.dumps(TASKS[task](*values)))


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "time": measure_times,
    "peak": measure_peak,
    "phases": measure_phases,
    "calls": measure_calls,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
