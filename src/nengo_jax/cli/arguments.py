"""Numbers that users give as arguments of commands."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """Read a whole number from 1 on.

    Raises
    ------
    argparse.ArgumentTypeError, ValueError
        If it is something else.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def positive(text: str) -> float:
    """Read a positive number.

    Raises
    ------
    argparse.ArgumentTypeError, ValueError
        If it is something else.
    """
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return number
