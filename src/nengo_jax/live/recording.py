"""What probes see, written to disk while a simulator runs.

``/steps`` holds the numbers of all steps, ``/probes/NAME`` the samples of a probe, time
first. Blocks of some steps are written at a time, the numbers last: samples beyond them
belong to a block that was not completed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nengo import Probe
from nengo.exceptions import SimulatorClosed, ValidationError

from ..data import Rows
from ..params.store import FilePath
from ..simulator import Simulator
from ..version import version
from .storage import Growing, Storage
from .windows import check_count

FORMAT, FORMAT_VERSION = "nengo_jax recording", 1
STEPS, PROBES = "steps", "probes/"  # names of arrays
_COMPRESSIONS = (None, "gzip", "lzf")
_BLOCK_BYTES = 2**18  # written in about 0.3 ms


class Recording:
    """Writes what probes see to a file, in each step that the simulator takes.

    What ``sim.data`` keeps does not change; ``run(..., keep=False)`` and
    :class:`~nengo_jax.live.Loop` keep nothing there.

    Parameters
    ----------
    path : path
        An HDF5 file that does not exist yet.
    sim : Simulator
    probes : mapping of str to Probe, Probe, sequence of Probe, or None
        What to record, with the names in the file, or without: then the names are
        those of :meth:`~nengo_jax.Simulator.get_name`. None: all probes.
    block : int
        Largest number of steps that are written at a time. A process that is killed
        loses at most as many steps; wide probes are written sooner.
    compression : str or None
        "gzip" or "lzf", for spikes: a twentieth of the size, twice the time.
    overwrite : bool
        Whether the file may exist.

    Attributes
    ----------
    path : Path
    closed : bool

    Raises
    ------
    FileExistsError
        If the file exists.
    ValidationError
        If there is nothing to record, something is no probe of the network or cannot
        be a name, or the compression is unknown.

    Examples
    --------
    >>> import nengo, nengo_jax, tempfile
    >>> with nengo.Network() as network:
    ...     probe = nengo.Probe(nengo.Node(lambda t: t), label="time")
    >>> sim = nengo_jax.Simulator(network, progress_bar=False)
    >>> with tempfile.TemporaryDirectory() as folder, sim:
    ...     with nengo_jax.live.Recording(f"{folder}/run.h5", sim):
    ...         sim.run(2.0, keep=False)
    ...     with nengo_jax.live.Playback(f"{folder}/run.h5") as recorded:
    ...         last = float(recorded["time"][-1, 0])
    >>> last, len(sim.data[probe])
    (2.0, 0)
    """

    def __init__(
        self,
        path: FilePath,
        sim: Simulator,
        probes: Mapping[str, Probe] | Sequence[Probe] | Probe | None = None,
        *,
        block: int = 1000,
        compression: str | None = None,
        overwrite: bool = False,
    ):
        self.path = Path(path)
        if sim.closed:
            raise SimulatorClosed("Cannot record a simulator that is closed")
        check_count(block, "block")
        if compression not in _COMPRESSIONS:
            raise ValidationError(
                f'Must be "gzip", "lzf" or None (got {compression!r})',
                attr="compression",
            )
        self._probes = _name_probes(probes, sim)
        arrays = {
            PROBES + name: _array(probe, sim, compression)
            for name, probe in self._probes.items()
        }
        if self.path.exists() and not overwrite:
            raise FileExistsError(
                f"{self.path} exists. Take another path, or overwrite=True."
            )
        self._block = _fit(int(block), arrays.values())
        arrays[STEPS] = Growing((), np.dtype(np.int64))
        self._storage = Storage(self.path, arrays, self._block, _describe(sim))
        self._pending: dict[str, list[np.ndarray]] = {name: [] for name in arrays}
        self._waiting = 0  # steps
        self._listeners = sim.listeners  # not the simulator: it knows this recording
        self._listeners.append(self._listen)
        self.closed = False

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left, and stop recording."""
        if self.closed:
            return
        self.closed = True
        self._listeners.remove(self._listen)
        try:
            self.flush()
        finally:
            self._storage.close()

    def flush(self) -> None:
        """Write all steps so far, so that others can read them."""
        if self._waiting:
            self._storage.append(
                {name: np.concatenate(rows) for name, rows in self._pending.items()}
            )
        self._waiting = 0
        for rows in self._pending.values():
            rows.clear()

    def _listen(self, steps: range, rows: Rows) -> None:
        for name, probe in self._probes.items():
            self._pending[PROBES + name].append(rows[probe])
        self._pending[STEPS].append(np.asarray(steps, np.int64))
        self._waiting += len(steps)
        if self._waiting >= self._block:
            self.flush()


def _name_probes(
    probes: Mapping[str, Probe] | Sequence[Probe] | Probe | None, sim: Simulator
) -> dict[str, Probe]:
    """Probes by the names that they get in the file."""
    if isinstance(probes, Mapping):
        named = dict(probes)
    else:
        chosen = sim.model.probes if probes is None else probes
        chosen = [chosen] if isinstance(chosen, Probe) else list(chosen)
        named = {sim.get_name(probe): probe for probe in chosen}
    if not named:
        raise ValidationError(
            "There is no probe to record. Add one to the network.", attr="probes"
        )
    for name, probe in named.items():
        if probe not in sim.model.probes:
            raise ValidationError(
                f"{probe!r} is no probe of the network", attr="probes"
            )
        if not isinstance(name, str) or not name or "/" in name or set(name) == {"."}:
            raise ValidationError(
                f"{name!r} cannot be a name in the file: it must be text without slash",
                attr="probes",
            )
    return named


def _array(probe: Probe, sim: Simulator, compression: str | None) -> Growing:
    """Describe what a probe sees."""
    lead = () if sim.minibatch_size is None else (sim.minibatch_size,)
    shape = (*lead, *sim.model.sig[probe]["in"].shape)
    every = sim.dt if probe.sample_every is None else probe.sample_every
    period = max(1.0, every / sim.dt)
    return Growing(shape, sim.dtype, period, compression)


def _fit(block: int, arrays: Iterable[Growing]) -> int:
    """Return a number of steps that are written in a short time."""
    per_step = sum(
        array.dtype.itemsize * math.prod(array.shape) / array.period for array in arrays
    )
    return max(1, min(block, int(_BLOCK_BYTES / max(per_step, 1))))


def _describe(sim: Simulator) -> dict[str, Any]:
    """What a reader has to know about the simulator."""
    batch = {} if sim.minibatch_size is None else {"minibatch_size": sim.minibatch_size}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "nengo_jax": version,
        "dt": sim.dt,
        "seed": sim.seed,
        **batch,
    }
