"""The one error that ends a command with a line of text in place of a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot go on; the message tells the user why and what to do."""
