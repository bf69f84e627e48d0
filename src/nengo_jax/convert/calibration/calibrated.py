"""A calibrated network: what was found out, and how to run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nengo
import numpy as np

from ...params.store import FilePath
from ...simulator import Simulator
from .checks import check_counts
from .presentation import Piece, last_rows, present
from .readout import Readout
from .records import Assembled, Effect, Settings
from .results import read_results
from .scores import check_labels, hits, variance_of
from .subject import Subject

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A network that has been calibrated.

    Attributes
    ----------
    subject : Subject
        What was calibrated.
    settings : Settings
        What was found out.
    assembled : Assembled
        The network with these settings.
    n_steps : int
        Number of steps that it was calibrated for: of an example, or of each time step
        of a temporal model.
    dt : float
        Length of a step in seconds.
    folded : bool
        Whether BatchNormalization is part of the layers before it.
    effects : tuple of Effect
        What each measure did, in the order in which they were taken; empty if that was
        not measured.
    """

    subject: Subject
    settings: Settings
    assembled: Assembled
    n_steps: int
    dt: float
    folded: bool = True
    effects: tuple[Effect, ...] = ()

    @property
    def net(self) -> nengo.Network:
        """The network, for any simulator."""
        return self.assembled.net

    @property
    def converter(self) -> Any:
        """The Converter that made the network; None if there was none."""
        return self.assembled.converter

    @property
    def inputs(self) -> Mapping[Any, nengo.Node]:
        """The nodes to feed, by tensor or layer of the model, or by given node."""
        return self.assembled.inputs

    @property
    def outputs(self) -> Mapping[Any, nengo.Probe]:
        """The probes, by tensor or layer of the model, or by given probe.

        They show what the readout takes in, before softmax or whatever else a model
        applies in the end.
        """
        return self.assembled.outputs

    @property
    def scales(self) -> Mapping[str, Any]:
        """Firing-rate scales by label of the layer, of all channels or of each."""
        return self.settings.scales

    @property
    def readout(self) -> Readout:
        """How results are read."""
        return self.settings.readout

    def simulator(self, minibatch_size: int = _BATCH, **kwargs: Any) -> Simulator:
        """Return a simulator of the network.

        Parameters
        ----------
        minibatch_size : int
        **kwargs
            As for :class:`nengo_jax.Simulator`.
        """
        options = {"dt": self.dt, "progress_bar": False} | kwargs
        return Simulator(self.net, minibatch_size=minibatch_size, **options)

    def predict(
        self, x: Any, n_steps: int | None = None, *, sim: Simulator | None = None
    ) -> Any:
        """Return the results for some examples.

        Parameters
        ----------
        x : array or structure of arrays, shape (examples, ...)
            As the model takes it.
        n_steps : int or None
            For how many steps each example is presented, or each time step of a
            temporal model. None: as calibrated.
        sim : Simulator or None
            One from :meth:`simulator`, so that several calls compile once.

        Returns
        -------
        ndarray, shape (examples, ...), or list of ndarray
            As ``model.predict`` returns it.
        """
        steps = self._steps(n_steps)
        results = last_rows(self._run(self.subject.check(x), steps, sim), steps)
        if not self.assembled.temporal:
            results = [result[:, 0] for result in results]
        return results[0] if len(results) == 1 else results

    def accuracy(
        self,
        x: Any,
        labels: Any,
        n_steps: int | None = None,
        *,
        sim: Simulator | None = None,
    ) -> np.ndarray:
        """Return the share of right answers after each step.

        Parameters
        ----------
        x : array or structure of arrays, shape (examples, ...)
        labels : array_like of int, shape (examples,)
            Of a temporal model (examples, time steps).
        n_steps : int or None
            The largest number of steps. None: as calibrated.
        sim : Simulator or None
            One from :meth:`simulator`.

        Returns
        -------
        ndarray, shape (n_steps,)
            Accuracy for a presentation of 1, 2, ... steps; of a temporal model, in the
            first, second, ... step of all time steps together.

        Raises
        ------
        ValueError
            If labels do not fit the examples or the classes.
        """
        arrays, steps = self.subject.check(x), self._steps(n_steps)
        known = check_labels(labels, self._leading(arrays), self.assembled.shapes)
        known, right = known.reshape(len(arrays[0]), -1), np.zeros(steps)
        for piece in self._run(arrays, steps, sim):
            (rows,), (frames, places) = piece.rows, piece.places(steps)
            wanted = known[piece.first_example :][: len(rows), frames]
            np.add.at(right, places, hits(rows, wanted).sum(axis=0))
        return right / known.size

    def error(
        self,
        x: Any,
        expected: Any,
        n_steps: int | None = None,
        *,
        sim: Simulator | None = None,
    ) -> np.ndarray:
        """Return the normalised error after each step.

        Parameters
        ----------
        x : array or structure of arrays, shape (examples, ...)
        expected : array or list of arrays, shape (examples, ...)
            What the model gives, or should give.
        n_steps : int or None
            The largest number of steps. None: as calibrated.
        sim : Simulator or None
            One from :meth:`simulator`.

        Returns
        -------
        ndarray, shape (n_steps,)
            Root of the mean squared difference, divided by the standard deviation of
            what is expected; the mean over several outputs.
        """
        arrays, steps = self.subject.check(x), self._steps(n_steps)
        several = len(self.assembled.probes) > 1
        wanted = [np.asarray(e) for e in (expected if several else [expected])]
        leading = self._leading(arrays)
        shapes = [(*leading, *shape) for shape in self.assembled.shapes]
        if [array.shape for array in wanted] != shapes:
            given = ", ".join(str(array.shape) for array in wanted)
            raise ValueError(
                f"The expected outputs have shape {given}, but the network gives "
                f"{', '.join(map(str, shapes))}"
            )
        if not self.assembled.temporal:
            wanted = [array[:, None] for array in wanted]
        squares = np.zeros((len(wanted), steps))
        for piece in self._run(arrays, steps, sim):
            frames, places = piece.places(steps)
            for total, rows, array in zip(squares, piece.rows, wanted, strict=True):
                target = array[piece.first_example :][: len(rows), frames]
                axes = (0, *range(2, rows.ndim))
                np.add.at(total, places, np.sum((rows - target) ** 2, axes))
        sizes = [array.size * variance_of(array) for array in wanted]
        return np.mean(np.sqrt(squares / np.array(sizes)[:, None]), axis=0)

    def save(self, path: FilePath) -> Path:
        """Save the network to a folder, completely or not at all.

        It holds the Keras model, what was found out as JSON, and arrays in safetensors:
        reading it runs no code of its author. ``nengo_jax.convert.load``
        makes the network anew.

        Parameters
        ----------
        path : path
            A folder that does not exist, or one that was saved before.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If the network was not made of a Keras model, or of one with parts that
            cannot be saved.
        FileExistsError
            If there is something else.
        """
        from .files import save  # it makes objects of this class, too

        return save(self, path)

    def _steps(self, n_steps: int | None) -> int:
        if n_steps is None:
            return self.n_steps
        check_counts(1, n_steps=n_steps)
        return n_steps

    def _leading(self, arrays: Any) -> tuple[int, ...]:
        """Return the axes of data that are not those of a frame."""
        return arrays[0].shape[: 1 + self.assembled.temporal]

    def _run(self, arrays: Any, n_steps: int, sim: Simulator | None) -> Iterator[Piece]:
        assembled = self.assembled
        batch = min(_BATCH, len(arrays[0]))
        with self.simulator(batch) if sim is None else nullcontext(sim) as running:
            pieces = present(
                running,
                assembled.nodes,
                assembled.frames_of(arrays),
                assembled.probes,
                n_steps,
            )
            readouts = [self.readout] * len(assembled.probes)
            yield from read_results(
                pieces, readouts, assembled.finals, assembled.shapes, n_steps
            )
