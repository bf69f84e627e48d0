"""Pictures and animations of plants."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from nengo.exceptions import ValidationError

from ..optimizers.checks import check_count, check_range
from .plant import Plant, State


def draw(plant: Plant, states: State, axes: Any = None, count: int = 12) -> Any:
    """Draw a plant at some moments of a trajectory, darker as time goes on.

    Parameters
    ----------
    plant : Plant
        With ``points``.
    states : pytree of array, shape (steps, ...)
        As returned by :func:`run`.
    axes : matplotlib Axes or None
        None: a new figure.
    count : int
        Number of moments.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValidationError
        If the plant has no points, there is no moment to show, or the states are not
        like those of the plant.
    """
    import matplotlib.pyplot as plt

    lines = _lines(plant, states)
    check_count("count", count, 1)
    axes = plt.subplots()[1] if axes is None else axes
    shown = np.unique(np.linspace(0, len(lines) - 1, count).astype(int))
    for number in shown:
        x, y = lines[number].T
        shade = 0.15 + 0.85 * number / max(len(lines) - 1, 1)
        axes.plot(x, y, "-o", color="tab:blue", alpha=shade, markersize=3)
    axes.plot(*lines[:, -1].T, color="tab:orange", linewidth=1.5)
    axes.set(xlabel="x (m)", ylabel="y (m)", aspect="equal", title=plant.name)
    return axes


def animate(plant: Plant, states: State, figure: Any = None, speed: float = 1.0) -> Any:
    """Animate a trajectory in real time.

    Parameters
    ----------
    plant : Plant
        With ``points``.
    states : pytree of array, shape (steps, ...)
    figure : matplotlib Figure or None
        None: a new one.
    speed : float
        2 is twice as fast as the plant.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        ``save("arm.gif")`` writes it to a file. Keep it as long as it is to run.

    Raises
    ------
    ValidationError
        If the plant has no points, the states are not like those of the plant, or the
        speed is not positive.
    """
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation

    lines = _lines(plant, states)
    check_range("speed", speed, 0, open_below=True)
    figure = plt.figure() if figure is None else figure
    axes = figure.subplots()
    low, high = lines.min(axis=(0, 1)), lines.max(axis=(0, 1))
    edge = 0.1 * max(high - low) or 0.1  # of a point that stays where it is
    axes.set(
        xlim=(low[0] - edge, high[0] + edge),
        ylim=(low[1] - edge, high[1] + edge),
        xlabel="x (m)",
        ylabel="y (m)",
        aspect="equal",
    )
    (line,) = axes.plot([], [], "-o", color="tab:blue")
    (trace,) = axes.plot([], [], color="tab:orange", linewidth=1)

    def update(number: int) -> tuple[Any, Any]:
        line.set_data(*lines[number].T)
        trace.set_data(*lines[: number + 1, -1].T)
        axes.set_title(f"{plant.name}, {number * plant.dt:.2f} s")
        return line, trace

    return FuncAnimation(
        figure, update, frames=len(lines), interval=1000 * plant.dt / speed
    )


def _lines(plant: Plant, states: State) -> np.ndarray:
    if plant.points is None:
        raise ValidationError(
            f"The plant {plant.name!r} has no points to draw. Say where they are with "
            "dataclasses.replace(plant, points=...)",
            attr="plant",
        )
    shapes = jax.tree.map(np.shape, states)
    steps = next(iter(map(np.shape, jax.tree.leaves(states))), ())[:1]
    own = plant.reset(jax.random.key(0))
    wanted = jax.tree.map(lambda leaf: (*steps, *np.shape(leaf)), own)
    if steps in ((), (0,)) or shapes != wanted:
        one = jax.tree.map(np.shape, own)
        raise ValidationError(
            f"A state of the plant {plant.name!r} has shape {one}. Must be several of "
            f"them, with steps in front (got {shapes})",
            attr="states",
        )
    return np.asarray(jax.vmap(plant.points)(states))
