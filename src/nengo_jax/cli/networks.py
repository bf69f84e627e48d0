"""Finds the network in a Python file: the file is run, and its variables are searched.

The file runs as a module, not as a program: what stands under
``if __name__ == "__main__"`` does not run.
"""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import nengo

from .errors import CommandError

_USUAL_NAMES = ("model", "net", "network")


def variables_of(path: Path) -> dict[str, Any]:
    """Run a Python file and return its module-level variables.

    What the file prints goes to stderr.

    Raises
    ------
    CommandError
        If there is no such file, or it is no Python, or it raises.
    """
    if not path.is_file():
        raise CommandError(f"{path}: there is no such file")
    try:
        compile(path.read_bytes(), str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise CommandError(f"{path} is no Python: {reason(error, path)}") from error
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    try:
        with _as_its_own_program(path), redirect_stdout(sys.stderr):
            return runpy.run_path(str(path), run_name=path.stem)
    except SystemExit as error:
        raise CommandError(
            f"{path} ends the program with sys.exit({error.code!r}) when it is run"
        ) from error
    except Exception as error:
        raise CommandError(f"{path} raises {reason(error, path)}") from error


def find_network(
    variables: Mapping[str, Any], name: str | None, path: Path
) -> nengo.Network:
    """Choose the network that a file is about.

    Parameters
    ----------
    variables : mapping of str to object
        Module-level variables of the file.
    name : str or None
        The variable to take; None means one of the usual names, else the only network
        that is no part of another.
    path : Path
        The file, for messages.

    Raises
    ------
    CommandError
        If there is no such network, or more than one.
    """
    networks = {k: v for k, v in variables.items() if isinstance(v, nengo.Network)}
    if not networks:
        raise CommandError(
            f"{path} has no nengo.Network at module level. Put one into a variable, "
            "for instance `model`, outside of functions."
        )
    if name is not None:
        if name not in networks:
            raise CommandError(
                f"{path} has no network named {name}. Found: {_listed(networks)}."
            )
        return networks[name]
    for usual in _USUAL_NAMES:
        if usual in networks:
            return networks[usual]
    inner = {id(part) for net in networks.values() for part in net.all_networks}
    tops = {id(net): net for net in networks.values() if id(net) not in inner}
    if len(tops) > 1:
        raise CommandError(
            f"{path} has {len(tops)} networks: {_listed(networks)}. "
            "Choose one with --name."
        )
    return next(iter(tops.values()))


def reason(error: Exception, path: Path) -> str:
    """Say in one line what went wrong, and where in the file if that is known."""
    if isinstance(error, SyntaxError):
        what, line = error.msg, error.lineno
    else:
        lines = str(error).strip().splitlines()
        what = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        line = next(
            (f.lineno for f in reversed(frames) if f.filename == str(path)), None
        )
    return what if line is None else f"{what} (line {line})"


@contextmanager
def _as_its_own_program(path: Path) -> Iterator[None]:
    """Let the file import its neighbours, and hide our arguments from it."""
    arguments, folders = sys.argv, sys.path
    sys.argv, sys.path = [str(path)], [str(path.resolve().parent), *folders]
    try:
        yield
    finally:
        sys.argv, sys.path = arguments, folders


def _listed(networks: Mapping[str, nengo.Network]) -> str:
    return ", ".join(sorted(networks))
