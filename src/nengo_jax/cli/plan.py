"""``nengo-jax plan FILE.py``: how a network would run, in words, without running it."""

from __future__ import annotations

import argparse
from pathlib import Path

import nengo
import numpy as np
from nengo.exceptions import NengoException

from ..compiler import build_model, compile_model, explain
from ..core import Program
from .errors import CommandError
from .networks import find_network, reason, variables_of


def declare(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "plan",
        help="print how the network in a Python file is compiled",
        description=(
            "Run a Python file, compile the network it makes, and print the plan: the "
            "groups of operators in order, what they read and write, the memory they "
            "take, and what has to run as Python in each step."
        ),
    )
    parser.add_argument("file", type=Path, metavar="FILE.py")
    parser.add_argument(
        "--name",
        help="variable that holds the network (default: model, net or network, "
        "else the only network there is)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the plan.

    Raises
    ------
    CommandError
        If the file cannot be run, or has no network that can be compiled.
    """
    path, name = arguments.file, arguments.name
    network = find_network(variables_of(path), name, path)
    print(explain(_compile(network, path)))


def _compile(network: nengo.Network, path: Path, dt: float = 0.001) -> Program:
    try:
        model = build_model(network, None, dt, False)
    except Exception as error:  # building calls functions of the file: any may come
        raise CommandError(
            f"{path}: the network cannot be built: {reason(error, path)}"
        ) from error
    try:
        return compile_model(model, np.dtype("float32")).program
    except NengoException as error:
        raise CommandError(
            f"{path}: the network cannot be compiled: {reason(error, path)}"
        ) from error
