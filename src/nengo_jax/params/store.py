"""Arrays by name in a safetensors file: written completely or not at all.

The format holds arrays and text only, so reading a file runs no code of its author.
Parameters are stored under their names, which contain one slash; everything else has
a prefix that ends with two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
from nengo.exceptions import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..version import version

SUFFIX = ".safetensors"
CONSTANTS, STATE, EXTRA = "constants//", "state//", "extra//"
_FORMAT, _FORMAT_VERSION = "nengo_jax parameters", 1

Arrays = dict[str, np.ndarray]
FilePath = str | os.PathLike[str]


def complete_path(path: FilePath) -> Path:
    """Append ``.safetensors`` to a path without a suffix."""
    path = Path(path)
    return path if path.suffix else path.with_name(path.name + SUFFIX)


def write(path: FilePath, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write a file; if that fails, an older file of this name stays as it is.

    Parameters
    ----------
    path : path
        Its folder exists.
    arrays : mapping of str to ndarray

    Returns
    -------
    Path
    """
    path = complete_path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write {path}: there is no folder {path.parent}. Make it first."
        )
    metadata = {
        "format": _FORMAT,
        "format_version": str(_FORMAT_VERSION),
        "nengo_jax": version,
    }
    # the format takes the memory of an array as it lies
    plain = {name: np.array(value, order="C") for name, value in arrays.items()}
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        save_file(plain, beside, metadata)
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def read(path: FilePath) -> Arrays:
    """Read a file that ``write`` wrote.

    Raises
    ------
    ValidationError
        If the file is something else, or was written by a later version.
    """
    path = complete_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValidationError(
            f"{path} is not a safetensors file, or damaged: {error}", attr="path"
        ) from error


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != _FORMAT:
        raise ValidationError(
            f"{path} is a safetensors file, but not one of nengo_jax. Use a file that "
            "save_params wrote.",
            attr="path",
        )
    if int(metadata["format_version"]) > _FORMAT_VERSION:
        raise ValidationError(
            f"{path} was written by nengo_jax {metadata['nengo_jax']}, which is newer "
            f"than this one, {version}. Update nengo_jax.",
            attr="path",
        )


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> Arrays:
    """Return what has a prefix, without it; the parameters for an empty prefix."""
    if prefix:
        found = {n: v for n, v in arrays.items() if n.startswith(prefix)}
        return {name.removeprefix(prefix): value for name, value in found.items()}
    others = (CONSTANTS, STATE, EXTRA)
    return {name: v for name, v in arrays.items() if not name.startswith(others)}


def with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> Arrays:
    """Put a prefix before all names."""
    return {prefix + name: value for name, value in arrays.items()}
