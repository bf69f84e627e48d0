"""Loads a Keras model from a file, without running code that may be in it."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from .errors import CommandError

_OLD = (".h5", ".hdf5")
_CONFIG = "config.json"


def load_model(path: Path, *, unsafe: bool = False) -> Any:
    """Load a model.

    Parameters
    ----------
    path : Path
        As ``model.save("name.keras")`` has written it.
    unsafe : bool
        Whether code in the file may run.

    Returns
    -------
    keras.Model

    Raises
    ------
    CommandError
        If there is no such file, it is no Keras model, or has code in it.
    """
    if not path.is_file():
        raise CommandError(f"{path}: there is no such file")
    if path.suffix.lower() in _OLD:
        if not unsafe:
            raise CommandError(
                f"{path} has the old HDF5 format, which Keras cannot load safely. Save "
                'it as model.save("name.keras"), or turn safety off with --unsafe if '
                "you trust its author."
            )
    elif not _is_archive(path):
        raise CommandError(
            f'{path} is no Keras model, as model.save("name.keras") writes it'
        )
    import keras  # takes longer to import than all the rest

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=not unsafe)
    except Exception as error:  # Keras raises whatever its layers raise
        raise CommandError(f"{path}: {_reason(error)}") from error
    if not isinstance(model, keras.Model):
        raise CommandError(
            f"{path} holds a {type(model).__name__}, which is no Keras model"
        )
    return model


def _is_archive(path: Path) -> bool:
    """Whether a file looks like what Keras saves."""
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "class_name" in json.loads(archive.read(_CONFIG))
    except (KeyError, ValueError, zipfile.BadZipFile):
        return False


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "safe_mode" in text or "unsafe" in text.lower():
        return (
            "the model has code in it, such as that of a Lambda layer, which is not "
            "run. Turn safety off with --unsafe if you trust its author."
        )
    if "Could not locate" in text or "Unknown layer" in text:
        named = re.search(r"(?:class|layer:?|object) '?([\w>.]+)'?", text)
        what = f" ({named[1].rpartition('>')[2]})" if named else ""
        return (
            f"the model has custom objects that this command does not know{what}. "
            "Convert it in Python, where they can be imported: "
            "nengo_jax.convert.calibrate and nengo_jax.convert.report."
        )
    return f"the model cannot be loaded: {type(error).__name__}: {text[:200]}"
