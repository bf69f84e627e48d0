"""Readouts: what is taken for the result of a network, step by step.

========== ==========================================================================
last       the output in the last step
mean       the mean of all steps so far
delayed    the mean from some step on, when what comes first is no result yet
filtered   the output in the last step, after a synapse
========== ==========================================================================

Sums are carried from one piece of a run to the next, so memory does not depend on the
time of presentation. Of a temporal model each frame, which is a time step of the data,
is presented for some steps and has its result: means begin anew with each frame, while
a filter goes on from frame to frame, and so still contains those before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np
from nengo.synapses import Synapse, SynapseParam

LAST, MEAN, DELAYED, FILTERED = "last", "mean", "delayed", "filtered"
KINDS = (LAST, MEAN, DELAYED, FILTERED)


@dataclass(frozen=True)
class Readout:
    """How the result of a network is read.

    Parameters
    ----------
    kind : str
        "last", "mean", "delayed" or "filtered".
    start : int
        First step, counted from 0, of the mean of a delayed readout; before it, the
        mean is that of all steps.
    synapse : nengo.synapses.Synapse, float or None
        Of a filtered readout; a number is the time constant of a lowpass, in seconds.

    Raises
    ------
    ValueError
        If there is no such readout, or an argument is missing or does not belong to it.
    """

    kind: str = MEAN
    start: int = 0
    synapse: Synapse | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        if self.kind not in KINDS:
            raise ValueError(
                f"There is no readout {self.kind!r}. Choose one of: {', '.join(KINDS)}"
            )
        whole = isinstance(self.start, (int, np.integer))
        if not whole or self.start < 0 or (self.start > 0) != (self.kind == DELAYED):
            raise ValueError(
                "A delayed readout needs the number of the step that it starts with, "
                f"as in Readout('delayed', start=8), and no other readout has one (got "
                f"{self.kind!r} with start={self.start!r})"
            )
        synapse = SynapseParam("synapse").coerce(None, self.synapse)
        if (synapse is not None) != (self.kind == FILTERED):
            raise ValueError(
                "A filtered readout needs a synapse, as in Readout('filtered', "
                f"synapse=0.01), and no other readout has one (got {self.kind!r} with "
                f"synapse={self.synapse!r})"
            )
        object.__setattr__(self, "synapse", synapse)


def check_readout(readout: Any, n_steps: int, dt: float) -> Readout:
    """Return a readout; a name stands for what suits a number of steps.

    Parameters
    ----------
    readout : str or Readout
        "delayed" starts after a quarter of the steps, "filtered" has a time constant of
        a quarter of them, so it needs several.
    n_steps : int
    dt : float
        Length of a step in seconds.

    Raises
    ------
    ValueError
    """
    if isinstance(readout, str) and readout == DELAYED:
        readout = Readout(DELAYED, start=max(n_steps // 4, 1))
    elif isinstance(readout, str) and readout == FILTERED:
        if n_steps == 1:
            raise ValueError(
                'With n_steps=1, readout "filtered" would filter nothing: its time '
                "constant is a quarter of the presentation. Choose one, as in "
                'Readout("filtered", synapse=0.05).'
            )
        readout = Readout(FILTERED, synapse=nengo.Lowpass(n_steps * dt / 4))
    elif isinstance(readout, str):
        readout = Readout(readout)
    if not isinstance(readout, Readout):
        raise ValueError(
            f"There is no readout {readout!r}. Give one of {', '.join(KINDS)}, or a "
            "nengo_jax.convert.calibration.Readout"
        )
    if readout.start >= n_steps:
        raise ValueError(
            f"The readout starts at step {readout.start}, but only {n_steps} steps are "
            "presented"
        )
    return readout


@dataclass(frozen=True)
class Carried:
    """What a readout keeps between pieces of a run.

    Attributes
    ----------
    step : int
        Number of steps so far.
    total : ndarray, shape (examples, size), or float
        Sum of the outputs that count.
    """

    step: int = 0
    total: np.ndarray | float = 0.0


def read(
    readout: Readout, rows: np.ndarray, carried: Carried, n_steps: int
) -> tuple[np.ndarray, Carried]:
    """Read the outputs of some steps.

    Parameters
    ----------
    readout : Readout
    rows : ndarray, shape (examples, steps, size)
        Outputs, filtered already if they are to be.
    carried : Carried
    n_steps : int
        Of each frame.

    Returns
    -------
    ndarray, shape (examples, steps, size)
        The result after each step.
    Carried
        For the steps that follow.
    """
    count = rows.shape[1]
    if readout.kind in (LAST, FILTERED):
        return rows, Carried(carried.step + count)
    values, total = np.empty(rows.shape), carried.total
    for place in range(count):
        step = (carried.step + place) % n_steps
        if step in (0, readout.start):
            total = 0.0
        total = total + rows[:, place]
        values[:, place] = total / (step + 1 - (readout.start <= step) * readout.start)
    return values, Carried(carried.step + count, total)
