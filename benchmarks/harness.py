"""What the benchmarks share: starting workers, describing the machine, saving results.

Only workers import JAX. On Linux a child starts with the peak memory of its parent, so
a large parent would hide how little memory a worker needs.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_PACKAGES = ("nengo_jax", "jax", "nengo", "numpy")


def run_worker(task: str, *arguments: object, python: str = sys.executable) -> Any:
    """Run a task of ``worker.py`` in a process of its own.

    Parameters
    ----------
    task : str
    *arguments : object
        Given to the task as text.
    python : str
        The interpreter, that is, the environment.

    Returns
    -------
    dict
        What the worker printed.

    Raises
    ------
    RuntimeError
        If the worker failed; the message is the last line that it wrote.
    """
    print(f"  {task} {' '.join(map(str, arguments))}", file=sys.stderr, flush=True)
    command = [python, str(HERE / "worker.py"), task, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(lines[-1])
    return json.loads(done.stdout.splitlines()[-1])


def describe_machine() -> dict[str, str | int]:
    """Return processor, number of cores, and versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a markdown table; numbers get three significant digits."""
    cells = [list(header), *([_format(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _format(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def save(path: Path, title: str, results: object, text: str) -> None:
    """Write results as JSON, and beside them a page with a table.

    Parameters
    ----------
    path : Path
        Name of the JSON file; the page has the same name and ends in ``.md``.
    title : str
    results : object
        What was measured, as JSON can hold it.
    text : str
        Tables and remarks in markdown.
    """
    machine = describe_machine()
    described = ", ".join(f"{name} {value}" for name, value in machine.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "results": results}, indent=2))
    path.with_suffix(".md").write_text(f"# {title}\n\n{described}\n\n{text}\n")
