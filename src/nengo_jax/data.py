"""What a simulation recorded and built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from nengo import Probe
from nengo.exceptions import ValidationError

Rows = Mapping[Probe, np.ndarray]  # shape (samples, [batch,] size)


class SimulationData(Mapping[Any, Any]):
    """Recorded data of probes and the present parameters of all other objects.

    ``data[probe]`` is a read-only array of shape (samples, size), or
    (batch, samples, size) if the simulator was given a ``minibatch_size``.
    ``data[ensemble]`` and ``data[connection]`` are nengo's ``BuiltEnsemble`` and
    ``BuiltConnection`` with the present values, also after the simulator was closed.

    Parameters
    ----------
    raw : dict
        Objects and what was built for them; a list of samples for each probe.
    batch_size : int or None
    live : callable or None
        ``live(obj) -> present parameters`` of all objects but probes, for instance
        :class:`~nengo_jax.params.Live`. None: as they were built.
    """

    def __init__(
        self,
        raw: dict[Any, Any],
        batch_size: int | None = None,
        live: Callable[[Any], Any] | None = None,
    ):
        self.raw = raw
        self._batch_size = batch_size
        self._live = live or raw.__getitem__
        self._cache: dict[Any, np.ndarray] = {}

    def __getitem__(self, key: Any) -> Any:
        if key not in self.raw:
            raise ValidationError(
                f"{key!r} is not part of the simulated network. Ask for a probe, "
                "ensemble, connection, node or subnetwork of it.",
                attr="data",
                obj=self,
            )
        value = self.raw[key]
        if not isinstance(value, list):
            return self._live(key)
        if key not in self._cache or self._samples(self._cache[key]) != len(value):
            array = np.asarray(value)
            if self._batch_size is not None and array.ndim > 1:
                array = np.swapaxes(array, 0, 1)
            array.setflags(write=False)
            self._cache[key] = array
        return self._cache[key]

    def __contains__(self, key: object) -> bool:
        return key in self.raw

    def get(self, key: Any, default: Any = None) -> Any:
        """Return ``data[key]``, or ``default`` if it is not part of the network."""
        return self[key] if key in self.raw else default

    def __iter__(self) -> Iterator[Any]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return f"<SimulationData of {len(self.raw)} objects>"

    def extend(self, rows: Rows) -> None:
        """Add what probes recorded.

        Parameters
        ----------
        rows : mapping of Probe to ndarray, shape (samples, [batch,] size)
        """
        for probe, samples in rows.items():
            self.raw[probe].extend(samples)

    def reset(self) -> None:
        """Forget arrays made from samples."""
        self._cache.clear()

    def _samples(self, array: np.ndarray) -> int:
        return array.shape[0 if self._batch_size is None or array.ndim < 2 else 1]
