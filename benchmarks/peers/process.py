"""A peer at work in a process of its own, as its parent sees it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from peers import FORMS, THREADS

_LIMIT = 900  # seconds until an answer; compiling is what takes long
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class Peer:
    """A worker that trains one network, see ``worker.py``.

    Parameters
    ----------
    name : str
        A key of ``FORMS``.
    python : str
        Interpreter of an environment that has the package.
    problem : Path
        File that ``Problem.save`` wrote.

    Raises
    ------
    RuntimeError
        If the worker fails; the message is its reason.
    """

    def __init__(self, name: str, python: str, problem: Path):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in close
        self._process = subprocess.Popen(
            [python, "-m", "peers.worker", FORMS[name], str(problem)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, **dict.fromkeys(_THREADS, str(THREADS))},
        )
        try:
            self.description = self._receive()
        except RuntimeError:
            self.close()
            raise

    def step_time(self, steps: int) -> float:
        """Train for some steps; return the ms of one."""
        try:
            print(steps, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise RuntimeError(self._last_words()) from None
        return self._receive()["ms"]

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # a question may still wait to be sent
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def _receive(self) -> dict[str, Any]:
        # A worker writes one line for each question, so none waits in a buffer.
        ready, _, _ = select.select([self._process.stdout], [], [], _LIMIT)
        if not ready:
            raise RuntimeError(f"no answer within {_LIMIT} s")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"ended by signal {-code}"
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"
