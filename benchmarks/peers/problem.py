"""What a peer is asked to train: one batch of data and initial weights, as a file.

Only NumPy is needed to read it, because the environments of the peers share no more.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

DT, TAU = 0.001, 0.02
SLOPE = 10.0  # of the surrogate, a fast sigmoid, where a package has this option
LEARNING_RATE = 1e-3


class Problem(NamedTuple):
    """A network with its data.

    Attributes
    ----------
    network : str
        A key of ``trained.TRAINED``.
    mode : str
        ``"surrogate"`` or ``"rate"``.
    x : numpy.ndarray
        Input, shape (batch, steps, size), or (batch, 1, size) if it stays the same.
    y : numpy.ndarray
        Targets, shape (batch, steps, outputs).
    parameters : dict
        Initial weights ``w1``, ``w2``, ``w3``, shape (inputs, outputs), of a
        convolution (9 * channels in, channels out), and biases ``b1``, ``b2``, one for
        each neuron.
    """

    network: str
    mode: str
    x: np.ndarray
    y: np.ndarray
    parameters: dict[str, np.ndarray]

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return self.y.shape[1]

    def save(self, path: Path) -> None:
        """Write the problem as ``.npz``."""
        np.savez(
            path,
            network=self.network,
            mode=self.mode,
            x=self.x,
            y=self.y,
            **self.parameters,
        )

    @staticmethod
    def load(path: str) -> Problem:
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            values = {key: file[key] for key in file.files}
        network, mode = str(values.pop("network")), str(values.pop("mode"))
        return Problem(network, mode, values.pop("x"), values.pop("y"), values)


class UnsupportedError(Exception):
    """A package cannot express a network; the message says why."""
