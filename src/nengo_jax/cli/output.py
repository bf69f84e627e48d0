"""What commands print."""

from __future__ import annotations


def say(*lines: str) -> None:
    """Print lines at once, as what follows may take long."""
    print(*lines, sep="\n", flush=True)
