"""Pictures for TensorBoard: arrays in, PNG files out."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

_INCHES = (8.0, 4.5)
_DOTS_PER_INCH = 100


def draw_weights(values: np.ndarray) -> bytes:
    """Draw weights as a grey picture with one pixel each, the largest white.

    Parameters
    ----------
    values : ndarray of any shape
        A vector becomes one row. Arrays of more than two axes become a matrix with
        their last axis as columns, like the filters of a convolution.

    Returns
    -------
    bytes
        A PNG file, wider than high. Values that are not finite are transparent.
    """
    from matplotlib.image import imsave

    values = np.asarray(values, np.float64)
    matrix = values.reshape(-1, values.shape[-1] if values.ndim else 1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    file = BytesIO()
    imsave(file, np.ma.masked_invalid(matrix), cmap="gray", format="png")
    return file.getvalue()


def draw_raster(activity: np.ndarray, dt: float, title: str, spiking: bool) -> bytes:
    """Draw what neurons do over time.

    Parameters
    ----------
    activity : ndarray, shape (steps, neurons)
        Output of the neurons; spikes are what is not zero.
    dt : float
        Time between two steps, in seconds.
    title : str
    spiking : bool
        Whether to draw a mark for each spike; otherwise activity is drawn as colour.

    Returns
    -------
    bytes
        A PNG file of 800 x 450 pixels.
    """
    from matplotlib.figure import Figure

    steps, neurons = activity.shape
    figure = Figure(_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    if spiking:
        _mark_spikes(axes, activity, dt)
    else:
        span = (dt / 2, (steps + 0.5) * dt, -0.5, neurons - 0.5)
        colours = axes.imshow(
            activity.T, aspect="auto", origin="lower", extent=span, cmap="viridis"
        )
        figure.colorbar(colours, ax=axes, label="activity")
    axes.set_xlim(dt / 2, (steps + 0.5) * dt)
    axes.set_ylim(-0.5, neurons - 0.5)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("neuron")
    axes.set_title(title)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _mark_spikes(axes: Any, activity: np.ndarray, dt: float) -> None:
    """Draw a mark for each spike, as high as there is room for a neuron."""
    step, neuron = np.nonzero(activity)
    points = _INCHES[1] * 72 * 0.8 / activity.shape[1]  # 0.8: what the axes get of it
    axes.scatter(
        (step + 1) * dt,
        neuron,
        s=float(np.clip(points, 1.0, 12.0)) ** 2,
        marker="|",
        color="black",
        linewidths=1.0,
    )
