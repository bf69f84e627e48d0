"""Event files: what TensorBoard reads, as scalars, histograms and pictures.

The package ``tensorboard`` defines the format, so that what is written is what its
server of the same version reads. Its own ``EventFileWriter`` is not used: it imports
TensorFlow if there is one, and keeps a thread and unwritten events until it is closed,
which Keras does not do when training is interrupted. An ``EventFile`` has nothing open
between two writes.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

_numbers = itertools.count()  # tells apart files that one process opens in a second


def check_installed(*packages: str) -> None:
    """Check that packages of the extra [tensorboard] can be imported.

    Raises
    ------
    ImportError
        If one of them cannot.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise ImportError(
                f"The callbacks for TensorBoard need the package {package!r}. Install "
                'it with: pip install "nengo_jax[tensorboard]"'
            ) from error


class EventFile:
    """One file of a folder that TensorBoard shows as one run.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / f"events.out.tfevents.{stamp}.{next(_numbers)}"
        self._append([_event(file_version="brain.Event:2")])

    def write(self, step: int, summaries: list[Any]) -> None:
        """Append summaries that belong to one step, an epoch or a batch."""
        self._append([_event(step=step, summary=summary) for summary in summaries])

    def _append(self, events: list[Any]) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        with self.path.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())


def _event(**fields: Any) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), **fields)


def scalar(tag: str, value: float) -> Any:
    """Make a summary of a number."""
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    return scalar_pb(tag, float(value))


def histogram(tag: str, values: np.ndarray) -> Any:
    """Make a summary of how finite values are distributed; others are left out.

    Parameters
    ----------
    tag : str
    values : ndarray of any shape
    """
    from tensorboard.plugins.histogram.summary_v2 import histogram_pb

    values = np.asarray(values, np.float64)
    return histogram_pb(tag, values[np.isfinite(values)])


def image(tag: str, png: bytes) -> Any:
    """Make a summary of a picture.

    Parameters
    ----------
    tag : str
    png : bytes
        A whole PNG file.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.image.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    width, height = struct.unpack(">II", png[16:24])  # of the header of every PNG
    content = [str(width).encode(), str(height).encode(), png]
    summary = Summary()
    summary.value.add(
        tag=tag,
        metadata=create_summary_metadata(display_name=None, description=None),
        tensor=make_tensor_proto(content),
    )
    return summary
