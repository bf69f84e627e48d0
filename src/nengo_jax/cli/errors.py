"""The one error that ends a command with a line of text in place of a traceback."""

from __future__ import annotations

from pathlib import Path


class CommandError(Exception):
    """A command cannot go on; the message tells the user why and what to do."""


def check_folder(out: Path) -> None:
    """Check that the folder of a file that is to be written exists.

    Raises
    ------
    CommandError
    """
    if not out.absolute().parent.is_dir():
        raise CommandError(f"{out}: there is no folder {out.parent}")
