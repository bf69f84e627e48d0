"""The command ``nengo-jax``: arguments in, exit status out.

Each subcommand has a file of its own, with a function that declares its arguments and
one that runs it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ..version import version
from . import convert, demo, plan
from .errors import CommandError

_COMMANDS = (plan, demo, convert)
_FAILED = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the name of the program; None means ``sys.argv[1:]``.

    Returns
    -------
    int
        The exit status: 0, or 2 if the command could not do what it was asked.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except CommandError as error:
        print(f"nengo-jax {arguments.command}: {error}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # The reader went away, as `head` does. Python would complain once more when it
        # flushes at exit (docs.python.org/3/library/signal.html#note-on-sigpipe).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nengo-jax", description="Nengo models compiled with JAX."
    )
    parser.add_argument("--version", action="version", version=f"nengo-jax {version}")
    commands = parser.add_subparsers(dest="command", required=True, title="commands")
    for command in _COMMANDS:
        command.declare(commands)
    return parser


__all__ = ["main"]
