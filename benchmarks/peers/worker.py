"""Trains one network with one package; answers requests on its standard input.

``python -m peers.worker MODULE FILE`` loads a problem, tries every form that the module
offers, and keeps the fastest. Then each line that it reads is a number of training
steps; it runs them and writes ``{"ms": ...}``, the time of one step. The first line
that it writes tells the form, the times of all forms, and the versions of the packages.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

from peers.problem import Problem, UnsupportedError

_TRIALS, _TRIAL_STEPS = 5, 2
Run = Callable[[int], None]


def main(module: str, path: str) -> None:
    """Choose a form, then serve."""
    # Packages that print must not disturb the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        peer = importlib.import_module(module)
        runs, reasons = start(peer.forms(Problem.load(path)))
    except UnsupportedError as reason:
        answer(error=str(reason))
        return
    times = compare(runs)
    chosen = min(times, key=times.__getitem__)
    versions = {package: version(package) for package in peer.PACKAGES}
    answer(form=chosen, forms=times, failed=reasons, versions=versions)
    for line in sys.stdin:
        answer(ms=timed(runs[chosen], int(line)))


def start(forms: dict[str, Run]) -> tuple[dict[str, Run], dict[str, str]]:
    """Compile and warm up all forms; return those that work, and why others do not."""
    working, reasons = {}, {}
    for name, run in forms.items():
        try:
            run(_TRIAL_STEPS)
        # A compiler may be missing, or fail in its own way; other forms go on.
        except Exception as error:
            reasons[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            working[name] = run
    if not working:
        raise RuntimeError(f"no form works: {reasons}")
    return working, reasons


def compare(runs: dict[str, Run]) -> dict[str, float]:
    """Return the median ms of a step of each form, all running in turn."""
    times = [
        {name: timed(run, _TRIAL_STEPS) for name, run in runs.items()}
        for _ in range(_TRIALS)
    ]
    return {name: statistics.median(t[name] for t in times) for name in runs}


def timed(run: Run, steps: int) -> float:
    """Return the ms of one of some training steps."""
    started = time.perf_counter()
    run(steps)
    return (time.perf_counter() - started) / steps * 1e3


if __name__ == "__main__":
    main(*sys.argv[1:])
