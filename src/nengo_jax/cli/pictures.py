"""The picture of the demo: spikes, answers and accuracy over time, and some digits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from .errors import CommandError, check_folder

_RIGHT, _WRONG, _QUIET = "#1a7f5a", "#c0392b", "#b8bec6"
_INK, _SOFT = "#24292f", "#6e7781"
_COLUMNS = 10  # one for each kind of digit
_SIDE = 8
_ENDINGS = (".png", ".jpg", ".pdf", ".svg")


def check_writable(out: Path) -> None:
    """Check that a picture can be saved, before the work that it shows is done.

    Raises
    ------
    CommandError
        If the folder does not exist, or the name has an ending of no known picture.
    """
    check_folder(out)
    if out.suffix.lower() not in _ENDINGS:
        raise CommandError(
            f"{out}: the name of the picture must end in one of {', '.join(_ENDINGS)}"
        )


def draw(
    out: Path,
    images: np.ndarray,
    labels: np.ndarray,
    answers: np.ndarray,
    spikes: np.ndarray,
    learned: Sequence[float] = (),
) -> None:
    """Save the picture.

    Parameters
    ----------
    out : Path
    images : ndarray, shape (images, 64)
    labels : ndarray of int, shape (images,)
    answers : ndarray, shape (images, steps, 10)
        Decoded output; steps of 1 ms.
    spikes : ndarray, shape (images, steps, neurons)
        Non-zero where a neuron spikes.
    learned : sequence of float
        Share of right answers in each epoch of training.
    """
    final = answers[:, -1].argmax(-1)
    example = int(np.argmax(final == labels))
    figure = Figure(figsize=(15, 8), layout="constrained")
    (top,), (bottom,) = figure.subfigures(
        2, 1, squeeze=False, height_ratios=(5, 3), hspace=0.04
    )
    panels = top.subplots(1, 4 if len(learned) else 3, squeeze=False)[0]
    *first, left, middle, right = panels
    for axes in first:
        _draw_training(axes, learned)
    _draw_raster(left, spikes[example], images[example])
    _draw_answer(middle, answers[example], labels[example])
    _draw_accuracy(right, answers.argmax(-1) == labels[:, None])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (left, middle, right):
        axes.set_xlim(0, answers.shape[1])
        axes.set_xlabel("time since the image appeared (ms)")
    _draw_digits(bottom, images, labels, final)
    try:
        figure.savefig(out, dpi=120)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from error


def _draw_training(axes: Axes, learned: Sequence[float]) -> None:
    epochs = np.arange(1, len(learned) + 1)
    axes.plot(epochs, learned, "o-", color=_INK, linewidth=2, markersize=4)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("times through the training images")
    axes.set_ylabel("right answers in training")
    axes.set_title("Training", loc="left", color=_INK)


def _draw_raster(axes: Axes, spikes: np.ndarray, image: np.ndarray) -> None:
    """Draw the neurons that spike, the busiest at the bottom."""
    counts = np.count_nonzero(spikes, axis=0)
    busiest = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    step, row = np.nonzero(spikes[:, busiest])
    axes.scatter(step + 1, row, s=22, marker="|", color=_INK, linewidths=1.2)
    axes.set_ylim(-1, len(busiest) * 1.35)
    axes.set_yticks([])
    axes.set_ylabel(f"the {len(busiest)} neurons of {spikes.shape[1]} that spike")
    axes.set_title("Spikes for one digit", loc="left", color=_INK)
    inset = axes.inset_axes((0.74, 0.76, 0.24, 0.24))
    _show_image(inset, image)


def _draw_answer(axes: Axes, answer: np.ndarray, label: int) -> None:
    """Draw the ten decoded numbers, the right one and the next best in colour."""
    steps = np.arange(1, len(answer) + 1)
    order = np.argsort(answer[-1])
    other = next(int(k) for k in order[::-1] if k != label)
    for kind in range(answer.shape[1]):
        colour = {label: _RIGHT, other: _WRONG}.get(kind, _QUIET)
        width = 2.5 if kind == label else 1.2
        axes.plot(steps, answer[:, kind], color=colour, linewidth=width)
    for kind, colour in ((label, _RIGHT), (other, _WRONG)):
        axes.annotate(
            str(kind),
            (len(answer), answer[-1, kind]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=14,
            fontweight="bold",
        )
    axes.set_ylim(answer.min() - 0.12 * np.ptp(answer))
    axes.text(
        0.02,
        0.02,
        "grey: the other eight digits",
        color=_SOFT,
        transform=axes.transAxes,
    )
    axes.set_ylabel("decoded output")
    axes.set_title("What it takes the digit for", loc="left", color=_INK)


def _draw_accuracy(axes: Axes, correct: np.ndarray) -> None:
    accuracy = correct.mean(axis=0)
    steps = np.arange(1, len(accuracy) + 1)
    axes.plot(steps, accuracy, color=_RIGHT, linewidth=2.5)
    axes.axhline(0.1, color=_QUIET, linewidth=1, linestyle="--")
    axes.annotate(
        "guessing",
        (100, 0.1),
        xytext=(0, 4),
        ha="right",
        color=_SOFT,
        textcoords="offset points",
    )
    axes.annotate(
        f"{accuracy[-1]:.1%}",
        (steps[-1], accuracy[-1]),
        xytext=(0, -22),
        textcoords="offset points",
        ha="right",
        color=_RIGHT,
        fontsize=14,
        fontweight="bold",
    )
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylabel("right answers")
    axes.set_title(f"All {len(correct)} test images", loc="left", color=_INK)


def _draw_digits(
    figure: SubFigure, images: np.ndarray, labels: np.ndarray, answers: np.ndarray
) -> None:
    """Draw a row of digits read right, one of each kind, and a row of wrong ones."""
    rows = figure.subplots(2, _COLUMNS)
    wrong = np.flatnonzero(answers != labels)
    right = np.flatnonzero(answers == labels)
    _, first_of_kind = np.unique(labels[right], return_index=True)
    for row, chosen in zip(rows, (right[first_of_kind], wrong), strict=True):
        for axes in row:
            axes.axis("off")
        for axes, k in zip(row, chosen, strict=False):
            _show_image(axes, images[k])
            if answers[k] == labels[k]:
                axes.set_title(f"{answers[k]}", color=_RIGHT, fontweight="bold")
            else:
                title = f"{answers[k]}, not {labels[k]}"
                axes.set_title(title, color=_WRONG, fontweight="bold")
    figure.suptitle(
        f"Answers at the end: {len(right)} right, {len(wrong)} wrong",
        x=0.01,
        ha="left",
        color=_INK,
    )


def _show_image(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image.reshape(_SIDE, _SIDE), cmap="gray_r", interpolation="nearest")
    axes.axis("off")
