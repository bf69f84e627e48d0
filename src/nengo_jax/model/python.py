"""The parts of a network that are Python, while Keras runs it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ..core import Group
from ..engine import Engine
from ..hosted import plain_error
from ..runtime.host import Call, call_group


class PythonParts:
    """Calls the Python of a network for the examples of a batch.

    Each batch starts with copies of its functions and operators as they are in the
    simulation; a stateful call goes on with those of the simulation itself.

    Parameters
    ----------
    engine : Engine
    """

    def __init__(self, engine: Engine):
        self._engine = engine
        self._calls: Sequence[Mapping[int, Call]] = []
        self._step: int | None = None  # that was called last
        self._done: set[int] = set()  # numbers of the first calls of groups in it
        self._error: BaseException | None = None
        self._warned = False

    def warn(self) -> None:
        """Warn, once, that no gradient passes through Python."""
        groups = self._engine.compiled.program.groups
        labels = sorted({call.label for group in groups for call in group.calls})
        if labels and not self._warned:
            self._warned = True
            warnings.warn(
                f"No gradient passes through what runs as Python: {', '.join(labels)}. "
                "What comes before is only trained along other ways. A "
                "nengo_jax.TensorNode has a gradient.",
                stacklevel=5,
            )

    @contextmanager
    def call(self, stateful: bool) -> Iterator[None]:
        """Prepare for a call of Keras; an error in Python goes on as it was raised."""
        self._error = None
        self._calls = self._engine.hosted.calls
        self._step = self._engine.n_steps if stateful else None
        try:
            yield
        except Exception as error:
            plain = plain_error(error) if self._error is None else self._error
            if plain is error:
                raise
            raise plain from error

    def __call__(
        self, group: Group, step: int, examples: int, operands: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Run the calls of a group in one step, for the whole batch."""
        number = group.calls[0].number
        if step != self._step or number in self._done:
            if self._step is None or step != self._step + 1:  # a batch begins
                self._calls = self._engine.hosted.copy_calls()
            self._step, self._done = step, set()
        self._done.add(number)
        dt = self._engine.compiled.program.dt
        try:
            return call_group(group, operands, self._calls[:examples], True, step, dt)
        except BaseException as error:
            self._error = error
            raise
