"""What it costs to start, and to call: builds, compilations, single steps.

    python benchmarks/latency.py [--json FILE]

Reported are the overhead of one more ``sim.step()``; build and compilation of a
circular convolution of 64 numbers against the reference's build; and the phases of the
start of large networks on nengo_jax.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from backends import REFERENCE, SUBJECT
from harness import HERE, format_table, run_worker, save

SMALL = "circular_convolution"
LARGE = ("circular_convolution", "circular_convolution_512d", "ensembles_10000")
_REPEATS = 5


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--json", type=Path, default=HERE / "results" / "latency.json", help="where to"
    )
    path = parser.parse_args().json
    calls = {b: run_worker("calls", b, _REPEATS) for b in (REFERENCE, SUBJECT)}
    starts = run_worker("time", SMALL, f"{REFERENCE},{SUBJECT}", 0, 0)["backends"]
    phases = {name: run_worker("phases", name) for name in LARGE}
    text = "\n\n".join(
        [
            "## One more step",
            _call_table(calls),
            f"## Start of {SMALL}",
            _start_table(starts),
            f"## Phases of the start of {SUBJECT} (s)",
            _phase_table(phases),
        ]
    )
    print(text)
    results = {"calls": calls, "starts": starts, "phases": phases}
    save(path, "Latency", results, text)


def _call_table(calls: dict[str, Any]) -> str:
    header = ["backend", "sim.step() (us)", "step in a long run (us)", "overhead (us)"]
    rows = [
        [backend, v["call"], v["step"], v["call"] - v["step"]]
        for backend, v in calls.items()
    ]
    return format_table(header, rows)


def _start_table(starts: dict[str, Any]) -> str:
    reference, ours = starts[REFERENCE], starts[SUBJECT]
    rows = [
        [REFERENCE, reference["build"], None, reference["build"], 1.0],
        [
            SUBJECT,
            ours["build"],
            ours["first"],
            ours["build"] + ours["first"],
            (ours["build"] + ours["first"]) / reference["build"],
        ],
    ]
    header = ["backend", "build (s)", "first run (s)", "sum (s)", "times nengo's build"]
    return format_table(header, rows)


def _phase_table(phases: dict[str, Any]) -> str:
    header = ["network", *next(iter(phases.values()))]
    return format_table(header, [[name, *v.values()] for name, v in phases.items()])


if __name__ == "__main__":
    main()
