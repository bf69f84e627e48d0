"""Calibrated networks on disk, as a folder.

======================= ================================================================
model.keras             the model, as Keras saves it
calibration.json        how it is converted, and what was found out
parameters.safetensors  scales by channel, curves, random voltages, shifts, and trained
                        weights
======================= ================================================================

The network is not saved but converted anew. None of the files holds code: the model is
loaded in Keras' safe mode, neuron types and synapses are named in a table.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ...params import store
from ...params.store import FilePath
from ...version import version
from ..graph import read_graph
from ..records import Options
from ..table import TABLE, Table
from .calibrated import Calibrated
from .encoding import (
    decode_activation,
    decode_object,
    encode_activation,
    encode_object,
)
from .keras_subject import KerasSubject, weights_of
from .readout import Readout
from .records import Effect, Settings

MODEL, RECORD, PARAMETERS = "model.keras", "calibration.json", "parameters.safetensors"
_FORMAT, _FORMAT_VERSION = "nengo_jax calibration", 1
_ARRAYS = ("scales", "curves", "voltages", "shifts", "weights")
_FLAGS = (
    "allow_fallback",
    "inference_only",
    "max_to_avg_pool",
    "split_shared_weights",
    "temporal",
)


def save(calibrated: Calibrated, path: FilePath) -> Path:
    """Write a calibrated network; see :meth:`Calibrated.save`."""
    subject, settings, path = calibrated.subject, calibrated.settings, Path(path)
    if not isinstance(subject, KerasSubject):
        raise ValueError(
            "Only networks that were made of a Keras model can be saved whole. Keep "
            "the script that makes this one, and save parameters with "
            "Simulator.save_params."
        )
    _check_unchanged(calibrated)
    if path.exists() and not (path / RECORD).is_file():
        raise FileExistsError(
            f"{path} exists, and is no calibrated network. Remove it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Cannot write {path}: there is no folder {path.parent}. Make it first."
        )
    arrays = {
        f"{name}//{label}": np.asarray(value)
        for name in _ARRAYS
        for label, value in getattr(settings, name).items()
        if np.ndim(value)
    }
    # a folder in it has the rights of any other folder
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as own:
        made = Path(own, path.name)
        made.mkdir()
        subject.model.save(made / MODEL)
        text = json.dumps(_record(calibrated, subject), indent=2)
        (made / RECORD).write_text(text, encoding="utf-8")
        store.write(made / PARAMETERS, arrays)
        if path.exists():
            shutil.rmtree(path)
        os.replace(made, path)
    return path


def _record(calibrated: Calibrated, subject: KerasSubject) -> dict[str, Any]:
    """Return what JSON can hold: all but the model and the arrays."""
    settings = calibrated.settings
    return {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "nengo_jax": version,
        "n_steps": calibrated.n_steps,
        "dt": calibrated.dt,
        "seed": subject.seed,
        "fold": calibrated.folded,
        "options": _encode_options(subject.model, subject.options),
        "readout": {
            "kind": settings.readout.kind,
            "start": settings.readout.start,
            "synapse": encode_object(settings.readout.synapse),
        },
        "effects": [asdict(effect) for effect in calibrated.effects],
        "settings": {
            name: {
                label: value
                for label, value in getattr(settings, name).items()
                if np.ndim(value) == 0
            }
            for name in _ARRAYS
        },
    }


def load(
    path: FilePath,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    table: Table = TABLE,
) -> Calibrated:
    """Load a network that :meth:`Calibrated.save` has written.

    Parameters
    ----------
    path : path
        The folder.
    custom_objects : mapping of str to class or function, or None
        As for ``keras.models.load_model``.
    safe_mode : bool
        False lets the file run code, such as that of a ``Lambda`` layer. Only for files
        whose author you trust.
    table : mapping of type to Rule
        If the network was made with another table.

    Returns
    -------
    Calibrated
        Gives what the one that was saved gives.

    Raises
    ------
    FileNotFoundError
        If there is no such network.
    ValueError
        If it is damaged, or was written by a later version.
    """
    path = Path(path)
    record = _read_record(path)
    model = keras.models.load_model(
        path / MODEL, custom_objects, compile=False, safe_mode=safe_mode
    )
    arrays = store.read(path / PARAMETERS)
    values = {
        name: {**record["settings"].get(name, {}), **store.part(arrays, f"{name}//")}
        for name in _ARRAYS
    }
    readout = record["readout"]
    synapse = decode_object(readout["synapse"])
    settings = Settings(
        **values, readout=Readout(readout["kind"], readout["start"], synapse)
    )
    options = _decode_options(model, record["options"])
    subject = KerasSubject(model, options, table, record["seed"])
    return Calibrated(
        subject,
        settings,
        subject.assemble(settings, fold=record["fold"]),
        record["n_steps"],
        record["dt"],
        record["fold"],
        tuple(Effect(**effect) for effect in record["effects"]),
    )


def _check_unchanged(calibrated: Calibrated) -> None:
    """Raise ValueError if the model has other weights than the network by now."""
    now = calibrated.subject.assemble(calibrated.settings, fold=calibrated.folded)
    before, after = (weights_of(a.converter) for a in (calibrated.assembled, now))
    for name, connection in before.items():
        if not np.array_equal(connection.transform.init, after[name].transform.init):
            raise ValueError(
                f"The model has been changed since it was calibrated: {name} differs. "
                "Calibrate it again, or save before it is trained."
            )


def _read_record(path: Path) -> dict[str, Any]:
    if not (path / RECORD).is_file():
        raise FileNotFoundError(
            f"There is no calibrated network at {path}: a folder with {MODEL}, "
            f"{RECORD} and {PARAMETERS}."
        )
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        known = record["format"] == _FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path / RECORD} is damaged: {error}") from error
    if not known:
        raise ValueError(f"{path / RECORD} is no calibration of nengo_jax")
    if record["format_version"] > _FORMAT_VERSION:
        raise ValueError(
            f"{path} was written by nengo_jax {record['nengo_jax']}, which is newer "
            f"than this one, {version}. Update nengo_jax."
        )
    return record


def _encode_options(model: Any, options: Options) -> dict[str, Any]:
    graph = read_graph(model, temporal=options.temporal)
    names = {call.layer: call.label for call in graph.calls}
    scales = options.scales
    return {
        **{flag: getattr(options, flag) for flag in _FLAGS},
        "synapse": encode_object(options.synapse),
        "swaps": [
            [encode_activation(old), encode_activation(new)]
            for old, new in options.swaps.items()
        ],
        "scales": [
            [names[layer], encode_object(scale)] for layer, scale in scales.items()
        ]
        if isinstance(scales, Mapping)
        else scales,
    }


def _decode_options(model: Any, record: dict[str, Any]) -> Options:
    record = {"temporal": False, **record}  # files of earlier versions do not have it
    graph = read_graph(model, temporal=record["temporal"])
    layers = {call.label: call.layer for call in graph.calls}
    scales = record["scales"]
    if isinstance(scales, list):
        scales = {layers[label]: decode_object(scale) for label, scale in scales}
    return Options(
        **{flag: record[flag] for flag in _FLAGS},
        swaps={decode_activation(a): decode_activation(b) for a, b in record["swaps"]},
        scales=scales,
        synapse=decode_object(record["synapse"]),
    )
