"""The pictures of a report, one function each: from the record to SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .causes.words import percent
from .drawing import ACCENT, FAINT, INK, SOFT, picture
from .records import CLASSIFICATION, LayerReport, Raster, Report

_DASHES = {
    "last": (0, (1, 1.5)),
    "mean": (0, (5, 2)),
    "late": (0, (5, 1.5, 1, 1.5)),
    "delayed": "-",
}
_BAR = 0.26  # inches of a row
_ROW = 0.075
_ROWS, _FEW = 24, 3  # rows of a layer, if there are so few layers
MOST_BARS = 30
_MOST_ERROR = 2.0  # where bars end
_NAME = 22  # letters of a name


def draw_scores(report: Report) -> str:
    """Accuracy, or error, against presentation time."""
    times = 1000 * report.dt * np.arange(1, report.n_steps + 1)
    with picture(3.0) as (_, axes, result):
        for score in report.scores:
            own = score.readout == report.readout
            axes.plot(
                times,
                score.values,
                color=ACCENT if own else SOFT,
                linestyle="-" if own else _DASHES[score.readout],
                linewidth=2.4 if own else 1.3,
                marker="o" if report.n_steps == 1 else None,
                zorder=3 if own else 2,
                label=score.readout,
            )
        if report.ann_score is not None:
            axes.axhline(
                report.ann_score,
                color=INK,
                linewidth=1.2,
                zorder=1,
                label="Keras model",
            )
        if report.chance is not None:
            axes.axhline(
                report.chance,
                color=FAINT,
                linewidth=1.2,
                linestyle=(0, (6, 3)),
                zorder=1,
                label="guessing",
            )
        axes.set_xlim(0, times[-1])
        axes.set_ylim(0, _top(report))
        axes.set_xlabel("presentation time (ms)")
        if report.task == CLASSIFICATION:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        else:
            axes.set_ylabel("root mean square error")
        axes.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            frameon=False,
            fontsize=9,
            handlelength=1.8,
            columnspacing=1.2,
        )
    return result[0]


def _top(report: Report) -> float:
    if report.task == CLASSIFICATION:
        return 1.02
    # the first steps of a filtered output may be far off
    late = [max(s.values[len(s.values) // 4 :]) for s in report.scores]
    top = max([*late, report.ann_score or 0, report.chance or 0])
    return 1.1 * top if top > 0 else 1.0


def draw_errors(report: Report) -> str:
    """Error of each layer; where it begins stands out."""
    layers = [layer for layer in report.layers if layer.error is not None]
    if len(layers) > MOST_BARS:  # those with neurons, and the end
        layers = [
            layer
            for layer in layers
            if layer.population is not None
            or layer.last
            or layer.label == report.origin
        ]
    errors = [layer.error or 0 for layer in layers]
    rows = np.arange(len(layers))
    with picture(0.7 + _BAR * len(layers)) as (_, axes, result):
        colours = [ACCENT if a.label == report.origin else FAINT for a in layers]
        end = min(max([*errors, 0.01]), _MOST_ERROR)
        axes.barh(rows, np.minimum(errors, end), color=colours, height=0.68)
        for row, error in zip(rows, errors, strict=True):
            axes.annotate(
                percent(error),
                (min(error, end), row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=SOFT,
            )
        axes.set_yticks(rows, [_short(layer.label) for layer in layers])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.set_xlim(0, 1.18 * end)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("relative error of the mean output")
    return result[0]


def draw_rates(layer: LayerReport) -> str:
    """Histogram of the rates of a layer, and of those that were wanted."""
    neurons = layer.population
    assert neurons is not None
    with picture(2.1) as (_, axes, result):
        found, wanted = neurons.rates, neurons.wanted
        if found.edges:
            axes.stairs(found.shares, found.edges, fill=True, color=ACCENT, alpha=0.75)
        if wanted.edges:
            axes.stairs(wanted.shares, wanted.edges, color=INK, linewidth=1.3)
        if neurons.limit is not None:
            axes.axvline(neurons.limit, color=SOFT, linestyle=(0, (4, 2)), linewidth=1)
        axes.set_xlim(0, None)
        axes.set_ylim(0, None)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("rate (Hz)")
    return result[0]


def draw_raster(report: Report, rasters: Sequence[Raster]) -> str:
    """Spikes of some neurons of each layer, the first layer on top."""
    most = _ROWS if len(rasters) <= _FEW else _ROWS // 2
    shown = [_by_row(raster, report.dt, most) for raster in rasters]
    rows = sum(max(len(times), 1) + 2 for times in shown)
    with picture(0.7 + _ROW * max(rows, 16)) as (_, axes, result):
        base = 0
        ticks, names = [], []
        for number, (raster, times) in enumerate(zip(rasters, shown, strict=True)):
            count = max(len(times), 1)
            axes.eventplot(
                times or [[]],
                lineoffsets=[base + row for row in range(count)],
                linelengths=0.9,
                linewidths=1.1,
                colors=ACCENT if number % 2 == 0 else INK,
            )
            ticks.append(base + (count - 1) / 2)
            names.append(_short(raster.label))
            base += count + 2
            if number + 1 < len(rasters):
                axes.axhline(base - 1.5, color=FAINT, linewidth=0.6)
        _finish_raster(axes, ticks, names, base, 1000 * report.seconds)
    return result[0]


def _finish_raster(
    axes: Axes, ticks: list[float], names: list[str], rows: int, end: float
) -> None:
    axes.set_yticks(ticks, names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(rows - 1, -1)
    axes.set_xlim(0, 1.01 * end)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("time since the example appeared (ms)")


def _by_row(raster: Raster, dt: float, most: int) -> list[list[float]]:
    """Return times of spikes in ms, for some of the neurons if there are many."""
    times: list[list[float]] = [[] for _ in raster.neurons]
    for row, step in zip(raster.rows, raster.steps, strict=True):
        times[row].append(1000 * dt * step)
    count = min(len(times), most)
    chosen = np.linspace(0, len(times) - 1, count).round().astype(int)
    return [times[row] for row in chosen]


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
