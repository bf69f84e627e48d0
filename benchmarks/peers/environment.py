"""Environments of other packages, made when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# The PyTorch that the figures in ``results`` were measured with. Its own index has
# builds without CUDA; where that cannot be reached, pip goes on with PyPI.
_TORCH = "torch==2.13.0"
_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
_PACKAGES = ("snntorch==1.0.0", "norse==1.1.0", "spikingjelly==2.0.0")
WITH_PYTORCH = (
    # A CPU build counts as newer than the same version of PyPI.
    ("--retries", "1", "--extra-index-url", _CPU_BUILDS, _TORCH),
    # The version is named once more, so that nothing else is put in its place.
    (_TORCH, *_PACKAGES),
)


def prepare(folder: Path, *installs: Sequence[str]) -> str:
    """Return the interpreter of an environment with some packages.

    Parameters
    ----------
    folder : Path
        Where the environment is; one that does not exist is made.
    *installs : sequence of str
        Arguments of ``pip install``, which runs once for each.

    Raises
    ------
    RuntimeError
        If pip fails; the message is its last line.
    """
    python = folder / "bin" / "python"
    finished = folder / "peers-installed"
    if not finished.exists():
        packages = ", ".join(installs[-1])
        print(f"  installing {packages} in {folder}", file=sys.stderr)
        _call(sys.executable, "-m", "venv", str(folder))
        for arguments in installs:
            _call(str(python), "-m", "pip", "install", "--quiet", *arguments)
        finished.touch()
    return str(python)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{' '.join(command[1:4])}: {lines[-1]}")
