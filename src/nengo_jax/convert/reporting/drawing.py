"""Makes matplotlib draw pictures that can be part of a page: text that is SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# A blue that stays apart from greys for all kinds of colour vision, and on paper.
ACCENT, INK, SOFT, FAINT = "#0b62a4", "#1f2328", "#6b7480", "#c9ced6"

_WIDTH = 4.6  # inches at 96 dpi: what a phone shows without shrinking it much
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "path",  # looks the same whatever fonts there are
    "svg.hashsalt": "nengo_jax",  # the same numbers give the same file
    "text.parse_math": False,  # names of layers may contain dollars
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def picture(height: float) -> Iterator[tuple[Figure, Axes, list[str]]]:
    """Make a picture with one panel; its SVG is in the list in the end.

    Parameters
    ----------
    height : float
        In inches.

    Yields
    ------
    Figure, Axes, list of str
    """
    result: list[str] = []
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.subplots(), result
        result.append(_svg(figure))


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element without fixed size."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    return re.sub(r'(<svg [^>]*?)\s(?:width|height)="[^"]*"', r"\1", text, count=1)


def own_names(svg: str, prefix: str) -> str:
    """Return an SVG whose identifiers differ from those of others on the page."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    return re.sub(r"url\(#", f"url(#{prefix}-", svg)
