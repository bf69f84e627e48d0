"""Images per second of a converted Keras model, against NengoDL.

    python benchmarks/conversion.py [--nengodl PYTHON] [--steps T] [--repeats R]
                                    [--json FILE]

Two convolutional models on 28 x 28 pixels become spiking rectified linear neurons and
see 512 images in batches of 64. Both packages run in turn, each in its own
process; medians, after a first run that compiles. The peak of memory after presenting
ten times as long shows whether it grows with the time of presentation.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from converted import BATCH, IMAGES, MODELS
from harness import HERE, format_table, save
from peers.process import Worker


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nengodl", help="Python of an environment with NengoDL 3.6")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--json", type=Path, default=HERE / "results" / "conversion.json"
    )
    arguments = parser.parse_args()
    pythons = {"nengo_jax": sys.executable}
    if arguments.nengodl:
        pythons["nengo_dl"] = arguments.nengodl
    rows = [
        row
        for model in MODELS
        for row in measure(model, pythons, arguments.steps, arguments.repeats)
    ]
    text = format_table(list(rows[0]), [list(row.values()) for row in rows])
    print(text)
    title = f"Spiking inference of a converted model, {IMAGES} images, batch {BATCH}"
    save(arguments.json, title, rows, text)


def measure(
    model: str, pythons: dict[str, str], steps: int, repeats: int
) -> list[dict[str, Any]]:
    """Return a row for each package."""
    with ExitStack() as stack:
        workers = {
            package: stack.enter_context(
                closing(Worker(python, "converted.py", package, model))
            )
            for package, python in pythons.items()
        }
        for worker in workers.values():
            worker.ask(steps)
        answers: dict[str, list] = {package: [] for package in workers}
        for _ in range(repeats):
            for package, worker in workers.items():
                answers[package].append(worker.ask(steps))
        longer = {
            package: worker.ask(10 * steps) for package, worker in workers.items()
        }
    rows = [
        {
            "model": model,
            "package": package,
            "steps": steps,
            "images/s": statistics.median(answer["images/s"] for answer in found),
            "peak (MB)": found[-1]["peak (MB)"],
            "peak, ten times as long (MB)": longer[package]["peak (MB)"],
            "mean output": found[-1]["mean"],
        }
        for package, found in answers.items()
    ]
    if "nengo_dl" in pythons:
        for row in rows:
            row["times NengoDL"] = row["images/s"] / rows[-1]["images/s"]
    return rows


if __name__ == "__main__":
    main()
