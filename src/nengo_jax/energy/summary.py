"""The printed table of a :class:`~.model_energy.ModelEnergy`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from .comparison import Comparison

PLAIN = {
    "name": "Layer",
    "output_shape": "Output shape",
    "params": "Params",
    "connections": "Connections",
    "neurons": "Neurons",
    "rate": "Input Hz",
}
ENERGIES = {
    "synop_energy": "synapses {} [J]",
    "neuron_energy": "neurons {} [J]",
    "energy": "{} [J]",
}
_SUMMED = ("params", "connections", "neurons")

ESTIMATE = (
    "These are estimates from published figures for single operations. What a device "
    "really takes depends on how the model is laid out on it, on moving data, and on "
    "idling; measure it there."
)
NOT_SPIKING = (
    "These layers do not spike, so spiking devices cannot run them as they are: {}. "
    "They are counted as if they were neurons whose outputs are firing rates in Hz."
)
Field = tuple[str, str | None]


@dataclass(frozen=True)
class Row:
    """One layer in the table.

    Attributes
    ----------
    name : str
    output_shape : tuple
    params, connections, neurons : int
    rate : float or None
        Hz; None if it has not been measured.
    energies : dict of str to dict
        For each device its ``synop_energy`` and ``neuron_energy`` in J.
    """

    name: str
    output_shape: Any
    params: int
    connections: int
    neurons: int
    rate: float | None
    energies: dict[str, dict[str, float]]


def describe_columns(columns: Sequence[str], devices: Collection[str]) -> list[Field]:
    """Split names of columns, such as "energy cpu", into quantity and device.

    Raises
    ------
    ValueError
        If a column is not known.
    """
    fields: list[Field] = []
    for column in columns:
        quantity, _, device = column.partition(" ")
        if column in PLAIN:
            fields.append((column, None))
        elif quantity in ENERGIES and device in devices:
            fields.append((quantity, device))
        else:
            raise ValueError(
                f"There is no column {column!r}. Columns are {', '.join(PLAIN)}, and "
                f"{', '.join(ENERGIES)} followed by one of the devices "
                f"{', '.join(devices)}."
            )
    return fields


def draw_summary(
    title: str,
    fields: Sequence[Field],
    rows: Sequence[Row],
    comparison: Comparison,
    not_spiking: Sequence[str],
    line_length: int,
    print_warnings: bool,
) -> str:
    """Draw the table of layers, the comparison and the warnings."""
    header = [
        PLAIN[quantity] if device is None else ENERGIES[quantity].format(device)
        for quantity, device in fields
    ]
    cells = [[_text(row, *field) for field in fields] for row in rows]
    total = [_total(rows, *field) for field in fields]
    if total:
        total[0] = total[0] or "Total"
    lines = _table([header, *cells, total], line_length)
    rule = "-" * max(len(line) for line in lines)
    parts = [f"Energy of one inference of {title!r}", rule, lines[0], rule]
    parts += [*lines[1:-1], rule, lines[-1], rule, *_compare(comparison, line_length)]
    if print_warnings:
        parts += ["", fill(ESTIMATE, line_length)]
        if not_spiking:
            text = NOT_SPIKING.format(", ".join(not_spiking))
            parts += ["", fill(text, line_length)]
    return "\n".join(parts)


def _value(row: Row, quantity: str, device: str | None) -> Any:
    if device is None:
        return getattr(row, quantity)
    parts = row.energies[device]
    return sum(parts.values()) if quantity == "energy" else parts[quantity]


def _text(row: Row, quantity: str, device: str | None) -> str:
    value = _value(row, quantity, device)
    if value is None:
        return "-"
    if device is not None:
        return f"{value:.2e}"
    return f"{value:.4g}" if quantity == "rate" else str(value)


def _total(rows: Sequence[Row], quantity: str, device: str | None) -> str:
    if device is None and quantity not in _SUMMED:
        return ""
    total = sum(_value(row, quantity, device) for row in rows)
    return str(total) if device is None else f"{total:.2e}"


def _table(lines: Sequence[Sequence[str]], line_length: int) -> list[str]:
    """Align columns; the first one is cut if a line would be too long."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    spare = line_length - sum(widths) - 2 * (len(widths) - 1)
    widths[0] = max(widths[0] + min(spare, 0), 8)
    return [
        "  ".join(
            _fit(cell, width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else ".." + text[2 - width :]


def _compare(comparison: Comparison, line_length: int) -> list[str]:
    work, prices = comparison.workload, comparison.technology
    spiking = comparison.spiking
    steps = f"{work.n_steps} step" + "s" * (work.n_steps != 1)
    shown = "needs example_data" if spiking is None else f"{spiking:.2e} J"
    if spiking is None and work.spiking_connections == 0:
        shown = "no spikes travel"
    return [
        "",
        f"With memory ({8 * prices.weight_bytes:g}-bit weights, "
        f"{prices.memory * 1e12:.3g} pJ per byte, 45 nm):",
        f"  as spikes, {steps}:".ljust(36) + shown,
        "  the same network without spikes:".ljust(36)
        + f"{comparison.quantised:.2e} J",
        fill(
            comparison.verdict, line_length, initial_indent="  ", subsequent_indent="  "
        ),
    ]
