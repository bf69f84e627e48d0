"""From outputs of a network to results, as the model gives them, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...families.keras_layer import usual_promotion
from .presentation import Piece
from .readout import Carried, Readout, read
from .records import Final


def read_results(
    pieces: Iterable[Piece],
    readouts: Sequence[Readout],
    finals: Sequence[Final],
    shapes: Sequence[tuple[int, ...]],
    n_steps: int,
) -> Iterator[Piece]:
    """Turn outputs into results.

    Parameters
    ----------
    pieces : iterable of Piece
    readouts, finals, shapes : sequence
        For each probe.
    n_steps : int
        Of each frame.

    Yields
    ------
    Piece
        With rows of shape (examples, steps, *shape): the results after each step.
    """
    carried: list[Carried] = []
    for piece in pieces:
        if piece.first_step == 0:
            carried = [Carried() for _ in readouts]
        found = [
            read(*given, n_steps)
            for given in zip(readouts, piece.rows, carried, strict=True)
        ]
        carried = [rest for _, rest in found]
        rows = [
            apply_final(values, final, shape)
            for (values, _), final, shape in zip(found, finals, shapes, strict=True)
        ]
        yield piece._replace(rows=rows)


def apply_final(rows: np.ndarray, final: Final, shape: tuple[int, ...]) -> np.ndarray:
    """Give results their shape, and apply the last activation of the model.

    Parameters
    ----------
    rows : ndarray, shape (examples, steps, size)
    final : callable or None
    shape : tuple of int
        Of the result for one example.

    Returns
    -------
    ndarray, shape (examples, steps, *shape)
    """
    values = rows.reshape(-1, *shape)
    if final is not None:
        with usual_promotion():
            values = np.asarray(final(values.astype(np.float32)))
    return values.reshape(*rows.shape[:2], *shape)
