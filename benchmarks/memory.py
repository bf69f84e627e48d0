"""Memory of a long run against a short one, with probes that sample every 10 ms.

    python benchmarks/memory.py [--json FILE]

Only the samples may grow with the length of a run: 20 s must need at most 1.2 times the
memory of 2 s.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backends import REFERENCE, SUBJECT
from harness import HERE, format_table, run_worker, save

NETWORK = "sampled_probes"
SHORT, LONG = 2000, 20_000
REQUIRED = 1.2


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--json", type=Path, default=HERE / "results" / "memory.json", help="where to"
    )
    path = parser.parse_args().json
    peaks = {
        backend: {s: run_worker("peak", NETWORK, backend, s) for s in (SHORT, LONG)}
        for backend in (REFERENCE, SUBJECT)
    }
    rows = []
    for backend, values in peaks.items():
        short, long = values[SHORT]["peak"], values[LONG]["peak"]
        rows.append([backend, values[SHORT]["imported"], short, long, long / short])
    header = ["backend", "imports (MiB)", "2 s (MiB)", "20 s (MiB)", "ratio"]
    text = format_table(header, rows)
    text += f"\n\nRequired of {SUBJECT}: a ratio of at most {REQUIRED}."
    print(text)
    save(path, "Memory of a long run", peaks, text)


if __name__ == "__main__":
    main()
