"""Speed against the reference: builds and runs fixed networks, and prints a table.

    python benchmarks/speed.py [--networks a,b] [--steps N] [--repeats R]
                               [--nengodl /path/to/python] [--json FILE]

A run of all networks is written to ``results/speed.json`` and ``results/speed.md``, a
run of some only where ``--json`` says.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from backends import PEER, REFERENCE, SUBJECT
from harness import HERE, format_table, run_worker, save
from networks import SPEED

_METRICS = {
    "build": "build (s)",
    "first": "first run (s)",
    "peak": "memory (MiB)",
}
_LEGEND = """\
*step* is the median time of a step after warming up; in a batch, of a step of one
example. *ratio* is the time of nengo over the time of nengo_jax. *first run* is 100
steps with compilation. *memory* is the peak of a process that runs this network only.
*difference* is the largest root mean square distance of a probe of nengo_jax from the
reference in these 100 steps, relative to the recorded values."""


def main() -> None:
    """Measure, print, and save."""
    arguments = parse_arguments()
    rows = [
        measure(name, arguments.steps, arguments.repeats, arguments.nengodl)
        for name in arguments.networks
    ]
    backends = [REFERENCE, SUBJECT] + [PEER] * (arguments.nengodl is not None)
    text = describe(rows, backends)
    print(text)
    path = arguments.json
    if path is None and arguments.networks == list(SPEED) and arguments.steps is None:
        path = HERE / "results" / "speed.json"
    if path is not None:
        save(path, "Speed against the reference", rows, text)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--networks",
        type=lambda text: text.split(","),
        default=list(SPEED),
        help=f"names, separated by commas, of {', '.join(SPEED)}",
    )
    parser.add_argument("--steps", type=int, help="length of a timed run")
    parser.add_argument("--repeats", type=int, default=7, help="number of timed runs")
    parser.add_argument("--nengodl", help="python of an environment with NengoDL 3.6")
    parser.add_argument("--json", type=Path, help="where to write the results")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.networks) - set(SPEED))
    if unknown:
        parser.error(f"unknown networks: {', '.join(unknown)}")
    return arguments


def measure(
    name: str, steps: int | None, repeats: int, nengodl: str | None
) -> dict[str, Any]:
    """Measure one network on all backends; a failure becomes part of the result."""
    case = SPEED[name]
    steps = steps or case.steps
    row: dict[str, Any] = {
        "network": name,
        "steps": steps,
        "required": case.required,
        "difference": None,
        "backends": {},
        "errors": [],
    }
    plans = [(sys.executable, [REFERENCE, SUBJECT])]
    if nengodl is not None:
        plans.append((nengodl, [PEER]))
    for python, backends in plans:
        try:
            _measure_in(row, python, backends, repeats)
        except RuntimeError as error:
            row["errors"].append(str(error))
    row["ratio"] = ratio(row, REFERENCE)
    print(f"{name}: ratio {row['ratio']}, required {case.required}", file=sys.stderr)
    return row


def _measure_in(
    row: dict[str, Any], python: str, backends: list[str], repeats: int
) -> None:
    """Add to a row what the backends of one environment do."""
    name, steps = row["network"], row["steps"]
    times = run_worker("time", name, ",".join(backends), steps, repeats, python=python)
    for backend, values in times["backends"].items():
        peak = run_worker("peak", name, backend, steps, python=python)
        step = statistics.median(values["runs"])
        row["backends"][backend] = {**values, **peak, "step": step}
    if times["difference"] is not None:
        row["difference"] = times["difference"]


def ratio(row: dict[str, Any], other: str) -> float | None:
    """Return how many times longer a step takes on another backend."""
    steps = {backend: values["step"] for backend, values in row["backends"].items()}
    if SUBJECT not in steps or other not in steps:
        return None
    return steps[other] / steps[SUBJECT]


def describe(rows: list[dict[str, Any]], backends: list[str]) -> str:
    """Return tables, mean and failures as markdown."""
    others = [b for b in backends if b not in (REFERENCE, SUBJECT)]
    header = ["network", *(f"{b}: step (us)" for b in backends), "ratio", "required"]
    header += ["met", "difference", *(f"{b} / {SUBJECT}" for b in others)]
    running = [
        [
            row["network"],
            *(_value(row, b, "step") for b in backends),
            row["ratio"],
            row["required"],
            _verdict(row),
            row["difference"],
            *(ratio(row, b) for b in others),
        ]
        for row in rows
    ]
    titles = [f"{b}: {title}" for title in _METRICS.values() for b in backends]
    starting = [
        [row["network"], *(_value(row, b, m) for m in _METRICS for b in backends)]
        for row in rows
    ]
    parts = [
        format_table(header, running),
        _mean(rows),
        format_table(["network", *titles], starting),
        _LEGEND,
        *(f"{row['network']} failed: {e}" for row in rows for e in row["errors"]),
    ]
    return "\n\n".join(parts)


def _value(row: dict[str, Any], backend: str, metric: str) -> float | None:
    return row["backends"].get(backend, {}).get(metric)


def _verdict(row: dict[str, Any]) -> str | None:
    if row["required"] is None or row["ratio"] is None:
        return None
    return "yes" if row["ratio"] >= row["required"] else "no"


def _mean(rows: list[dict[str, Any]]) -> str:
    counted = [r for r in rows if SPEED[r["network"]].in_mean and r["ratio"]]
    if not counted:
        return "No ratio counts in the geometric mean."
    mean = statistics.geometric_mean(row["ratio"] for row in counted)
    left_out = ", ".join(name for name, case in SPEED.items() if not case.in_mean)
    return (
        f"Geometric mean of {len(counted)} ratios: **{mean:.3g}** (without {left_out})."
    )


if __name__ == "__main__":
    main()
