"""Recordings, read back from disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from nengo import Node, Probe
from nengo.exceptions import ValidationError

from ..params.store import FilePath
from .recording import FORMAT, FORMAT_VERSION, PROBES, STEPS
from .storage import PERIOD, open_storage
from .windows import Windows, window_starts


class Playback(Mapping[str, np.ndarray]):
    """What a :class:`Recording` wrote: ``playback[name]`` is an array by probe.

    Arrays have shape (samples, size), or (batch, samples, size) if the simulator had a
    ``minibatch_size``. They are read when they are asked for. What is shown are the
    steps that were complete when the file was opened: so it may be that of a process
    that still runs, or that was killed.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    dt : float
        Length of a step in seconds.
    minibatch_size : int or None
    seed : int
        That of the simulator when the recording began.
    steps : ndarray of int, shape (steps,)
        Numbers of the steps, as in ``sim.n_steps``. They begin anew after a reset.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValidationError
        If it is no recording.
    """

    def __init__(self, path: FilePath):
        if not Path(path).exists():
            raise FileNotFoundError(f"There is no recording {path}")
        try:
            self._file = open_storage(Path(path))
        except OSError as error:
            raise ValidationError(
                f"{path} cannot be read as HDF5: {error}", attr="path"
            ) from error
        attributes = dict(self._file.attrs)
        found = attributes.get("format"), attributes.get("format_version")
        if found != (FORMAT, FORMAT_VERSION):
            self._file.close()
            raise ValidationError(
                f"{path} is no recording of this version of nengo_jax (got {found}, "
                f"should be {(FORMAT, FORMAT_VERSION)})",
                attr="path",
            )
        self.dt = float(attributes["dt"])
        self.seed = int(attributes["seed"])
        size = attributes.get("minibatch_size")
        self.minibatch_size = None if size is None else int(size)
        self.steps: np.ndarray = self._file[STEPS][:]
        self._datasets = {
            name: self._file[PROBES + name] for name in self._file[PROBES]
        }

    def __enter__(self) -> Playback:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; windows of it cannot be read any longer."""
        self._file.close()

    def __getitem__(self, name: str) -> np.ndarray:
        dataset = self._dataset(name)
        rows = dataset[: int(self._due(name).sum())]
        return rows if self.minibatch_size is None else np.swapaxes(rows, 0, 1)

    def __contains__(self, name: object) -> bool:
        return name in self._datasets

    def get(self, name: str, default: Any = None) -> Any:
        """Return ``playback[name]``, or ``default`` if there is no such probe."""
        return self[name] if name in self._datasets else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)

    def trange(self, name: str | None = None) -> np.ndarray:
        """Return the times of the samples of a probe, or of all steps.

        Parameters
        ----------
        name : str or None

        Returns
        -------
        ndarray, shape (samples,)
            In seconds since the last reset.
        """
        steps = self.steps if name is None else self.steps[self._due(name)]
        return self.dt * steps

    def windows(
        self,
        inputs: Mapping[Node | str, str],
        targets: Mapping[Probe | str, str] | None = None,
        *,
        n_steps: int,
        every: int | None = None,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int | None = None,
    ) -> Windows:
        """Cut the recording into examples to train on.

        Parameters
        ----------
        inputs : mapping of Node or str to str
            For each input of the network that is trained, by node or by its name there,
            the name of its values in the recording.
        targets : mapping of Probe or str to str, or None
            The same for the probes that have a loss. None: inputs alone, to predict.
        n_steps : int
            Length of a window. Windows end where the simulator was reset, or not
            recorded for a while.
        every : int or None
            Steps from the beginning of a window to that of the next; None: ``n_steps``.
        batch_size : int
            The ``minibatch_size`` of the simulator that is trained.
        shuffle : bool
            Whether windows come in a new order in each epoch.
        seed : int or None
            Of the order.

        Returns
        -------
        Windows
            For ``sim.fit(windows)``, or as arrays: ``sim.fit(*windows.arrays())``.

        Raises
        ------
        ValidationError
            If something was not recorded in every step, or is too short.
        """
        parts = [inputs] if targets is None else [inputs, targets]
        return Windows(
            [{k: self._every_step(name) for k, name in p.items()} for p in parts],
            window_starts(self.steps, n_steps, n_steps if every is None else every),
            n_steps,
            batch_size,
            self.minibatch_size,
            np.random.default_rng(seed) if shuffle else None,
        )

    def _due(self, name: str) -> np.ndarray:
        """Say in which steps a probe was sampled."""
        return self.steps % self._dataset(name).attrs[PERIOD] < 1

    def _every_step(self, name: str) -> h5py.Dataset:
        dataset = self._dataset(name)
        if dataset.attrs[PERIOD] > 1:
            raise ValidationError(
                f"{name!r} was not recorded in every step: its probe had a "
                "sample_every. Record a probe without.",
                attr="name",
            )
        return dataset

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self._datasets:
            raise ValidationError(
                f"There is no {name!r} in the recording, but "
                f"{', '.join(self._datasets)}",
                attr="name",
            )
        return self._datasets[name]
