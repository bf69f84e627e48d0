"""Workers in processes of their own, as their parent sees them."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from peers import FORMS, THREADS

_FOLDER = Path(__file__).parent.parent
_LIMIT = 900  # seconds until an answer; compiling is what takes long
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


class Worker:
    """A process that answers each line that it reads with one line of JSON.

    Parameters
    ----------
    python : str
        Interpreter of the environment that it needs.
    *arguments : str
        Of the interpreter, which runs in the folder of the benchmarks.
    environment : mapping of str to str, or None
        Variables to set.
    """

    def __init__(
        self,
        python: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in close
        self._process = subprocess.Popen(
            [_absolute(python), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=_FOLDER,
            env={**os.environ, **(environment or {})},
        )

    def ask(self, question: object) -> dict[str, Any]:
        """Send a line, and return the answer.

        Raises
        ------
        RuntimeError
            If the worker has ended, or does not answer in time; the message is the
            last line that it wrote, or says so.
        """
        try:
            print(question, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise RuntimeError(self._last_words()) from None
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """Wait for the next answer."""
        # A worker writes one line for each question, so none waits in a buffer.
        ready, _, _ = select.select([self._process.stdout], [], [], _LIMIT)
        if not ready:
            raise RuntimeError(f"no answer within {_LIMIT} s")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(self._last_words())
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # a question may still wait to be sent
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def _last_words(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"ended by signal {-code}"
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {code}"


def _absolute(python: str) -> str:
    """Return the path of an interpreter, which is run from another folder."""
    return os.path.abspath(shutil.which(python) or python)


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
        self._worker = Worker(
            python,
            *("-m", "peers.worker", FORMS[name], str(problem)),
            environment=dict.fromkeys(_THREADS, str(THREADS)),
        )
        try:
            self.description = self._worker.receive()
            if "error" in self.description:
                raise RuntimeError(self.description["error"])
        except RuntimeError:
            self.close()
            raise

    def step_time(self, steps: int) -> float:
        """Train for some steps; return the ms of one."""
        return self._worker.ask(steps)["ms"]

    def close(self) -> None:
        """End the worker."""
        self._worker.close()
