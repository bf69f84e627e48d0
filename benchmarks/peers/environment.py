"""An environment with the packages that rest on PyTorch, made when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# The PyTorch that the figures in ``results`` were measured with. Its own index has
# builds without CUDA; where that cannot be reached, pip goes on with PyPI.
_TORCH = "torch==2.13.0"
_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
_PACKAGES = ("snntorch==1.0.0", "norse==1.1.0", "spikingjelly==2.0.0")


def prepare(folder: Path) -> str:
    """Return the interpreter of an environment with the peers.

    Parameters
    ----------
    folder : Path
        Where the environment is; one that does not exist is made, about 1.5 GB.

    Raises
    ------
    RuntimeError
        If pip fails; the message is its last line.
    """
    python = folder / "bin" / "python"
    finished = folder / "peers-installed"
    if not finished.exists():
        print(f"  installing PyTorch and its peers in {folder}", file=sys.stderr)
        _call(sys.executable, "-m", "venv", str(folder))
        install = [str(python), "-m", "pip", "install", "--quiet"]
        # A CPU build counts as newer than the same version of PyPI.
        _call(*install, "--retries", "1", "--extra-index-url", _CPU_BUILDS, _TORCH)
        # The version is named once more, so that nothing else is put in its place.
        _call(*install, _TORCH, *_PACKAGES)
        finished.touch()
    return str(python)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{' '.join(command[1:4])}: {lines[-1]}")
