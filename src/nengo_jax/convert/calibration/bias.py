"""Shifts of biases that make the mean of each channel right (Li et al., 2021).

What a spiking layer gives differs from the activations of the model: it is quantised,
and rectified step by step, while the input is uneven. The mean of that difference over
examples, positions and steps is added to the bias of each channel, for one layer after
the other, as each one changes the input of those that follow. This is the light
calibration of Li, Deng, Dong, Gong and Gu, "A free lunch from ANN: towards efficient,
accurate spiking neural networks calibration" (ICML 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .records import Settings
from .trial import Target, Trial


def find_shifts(
    trial: Trial,
    target: Target,
    means: Mapping[str, np.ndarray],
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Return what to add to the biases, by label.

    Parameters
    ----------
    trial : Trial
        With probes of mean activations.
    target : Target
    means : mapping of str to ndarray, shape (channels,)
        Mean activations of the model for the same examples.
    settings : Settings
        With the voltages to start from.
    """
    shifts: dict[str, np.ndarray] = {}
    for part in trial.assembled.parts:
        found = trial.mean_activations(target, replace(settings, shifts=shifts))
        error = means[part.label] - found[part.label]
        slope = np.broadcast_to(part.slope, error.shape)
        # neurons without a gain take no current
        shifts[part.label] = np.where(slope, error / np.where(slope, slope, 1), 0)
    return shifts
