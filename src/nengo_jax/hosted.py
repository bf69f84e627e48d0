"""What lives on the host: processes, node functions and operators that are Python.

Each example of a batch has its own, drawn from a random stream of its own: example k is
what a simulation with ``seed + k`` would have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.errors import JaxRuntimeError
from nengo.builder.signal import Signal
from nengo.exceptions import SimulationError

from .compiler import Compiled, Sampler
from .runtime.host import Call

_SEEDS = 2**32
_INTERRUPTED = re.compile(r"^KeyboardInterrupt\b", re.MULTILINE)
_RAISED = re.compile(r"^(?:nengo\.exceptions\.)?SimulationError: ", re.MULTILINE)


class Hosted:
    """The Python side of one simulation.

    Parameters
    ----------
    compiled : Compiled
    batch_size : int or None
        Number of examples; None for one example without a batch axis.

    Attributes
    ----------
    samplers : list of dict of int to Sampler
        What feeds the input blocks of each example, by number of the source.
    calls : list of dict of int to callable
        The host operators of each example, by number.
    """

    def __init__(self, compiled: Compiled, batch_size: int | None):
        self._compiled = compiled
        self._batch_size = batch_size
        self._examples = 1 if batch_size is None else batch_size
        self._seed = 0
        self.samplers: list[dict[int, Sampler]] = []
        self.calls: list[dict[int, Call]] = []

    def start(self, seed: int) -> None:
        """Start all anew."""
        self._seed = seed
        started = [self._start_example(element) for element in range(self._examples)]
        self.samplers = [samplers for samplers, _ in started]
        self.calls = [calls for _, calls in started]

    def _start_example(self, element: int) -> tuple[dict, dict]:
        rng = self._stream(element)
        samplers: dict[int, Sampler] = {}
        calls: dict[int, Call] = {}
        for starter in self._compiled.starters:
            started = starter.start(rng, element)
            if starter.source is not None:
                samplers[starter.source] = started
            if starter.call is not None:
                calls[starter.call] = started
        return samplers, calls

    def _stream(self, element: int) -> np.random.RandomState:
        return np.random.RandomState((self._seed + element) % _SEEDS)

    def close(self) -> None:
        """Let go of what the host operators hold; their signals stay readable."""
        for calls in self.calls:
            for call in calls.values():
                call.close()

    def copy_calls(self) -> list[dict[int, Call]]:
        """Return copies of the host operators of all examples, as they are now."""
        copies = [self._start_example(element)[1] for element in range(self._examples)]
        for mine, own in zip(self.calls, copies, strict=True):
            for number, call in own.items():
                call.follow(mine[number])
        return copies

    def source_values(
        self, signal: Signal, examples: int, first: int, steps: int
    ) -> np.ndarray:
        """Return what feeds a signal, example k being as in a run with ``seed + k``.

        Sources are started anew for this; those of the simulation do not go on.

        Parameters
        ----------
        signal : Signal
        examples : int
        first : int
            Number of the first step.
        steps : int

        Returns
        -------
        ndarray, shape (examples, steps, size)
        """
        sources = self._compiled.sources
        (number,) = (n for n, s in enumerate(sources) if s.signal is signal)
        different = 1 if sources[number].shared else examples
        rows = []
        for element in range(different):
            rng = self._stream(element)
            for starter in self._compiled.starters:
                if starter.call is not None:
                    continue  # nothing of it is needed, and it draws nothing here
                started = starter.start(rng, element)
                if starter.source == number:
                    rows.append(started.take(first, steps).reshape(steps, -1))
        return np.broadcast_to(np.stack(rows), (examples, steps, signal.size))

    # -- signals that belong to an operator alone, and stay with it

    def read(self, signal: Signal) -> np.ndarray | None:
        """Return the array of a signal, or None if it lives elsewhere."""
        found = [
            held.signals[signal]
            for own in self._holders()
            for held in own
            if signal in held.signals
        ]
        if not found:
            return None
        return found[0] if self._batch_size is None else np.stack(found)

    def write(self, signal: Signal, value: np.ndarray) -> bool:
        """Write what ``read`` returns; False if the signal lives elsewhere."""
        found = False
        for element, own in enumerate(self._holders()):
            for held in own:
                if signal in held.signals:
                    part = value if self._batch_size is None else value[element]
                    held.signals[signal][...] = part
                    found = True
        return found

    def snapshot(self) -> list[list[dict[Signal, np.ndarray]]]:
        """Return copies of all signals."""
        return [
            [{s: np.array(v) for s, v in held.signals.items()} for held in own]
            for own in self._holders()
        ]

    def restore(self, snapshot: Sequence[Sequence[Mapping[Signal, np.ndarray]]]):
        """Write what ``snapshot`` returned."""
        for own, saved in zip(self._holders(), snapshot, strict=True):
            for held, values in zip(own, saved, strict=True):
                for signal, value in values.items():
                    held.signals[signal][...] = value

    def _holders(self) -> list[list[Any]]:
        return [
            [*samplers.values(), *calls.values()]
            for samplers, calls in zip(self.samplers, self.calls, strict=True)
        ]


def plain_error(error: BaseException) -> BaseException:
    """Return what a callback out of a compiled loop raised.

    JAX gives back a traceback as text, in which a SimulationError or KeyboardInterrupt
    is known. Other errors are returned as they are.
    """
    if not isinstance(error, JaxRuntimeError):
        return error
    message = str(error)
    found = _RAISED.search(message)
    if found is not None:
        return SimulationError(message[found.end() :].strip())
    return KeyboardInterrupt() if _INTERRUPTED.search(message) else error
