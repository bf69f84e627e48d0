"""The layers of a model as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from .devices import Device
from .pricing import energy_of
from .summary import Row
from .uses import Use


def rows_of(
    uses: Sequence[Use],
    rates: Sequence[float] | None,
    devices: Mapping[str, Device],
    steps: int,
    dt: float,
) -> list[Row]:
    """Return a row for each layer, in the order of the model.

    Weights of a layer that is used several times are there once, so its connections are
    those of the first use, and rates are added; its neurons are there for each use.

    Parameters
    ----------
    uses, rates
        Uses of layers, and their input rates in Hz.
    devices : mapping of str to Device
        Whose energies are wanted.
    steps : int
        Time steps of one inference.
    dt : float
        Length of a step in seconds.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, use in enumerate(uses):
        groups.setdefault(tuple(map(id, use.path)), []).append(index)
    rows = []
    for indices in groups.values():
        own = [uses[index] for index in indices]
        own_rates = None if rates is None else [rates[index] for index in indices]
        rows.append(
            Row(
                name=own[0].name,
                output_shape=own[0].call.output_shapes,
                params=_params(own[0].path[-1]),
                connections=own[0].stats.connections,
                neurons=sum(use.stats.neurons for use in own),
                rate=None if own_rates is None else _rate(own, own_rates),
                energies={
                    name: energy_of(own, own_rates, device, steps, dt)
                    for name, device in devices.items()
                },
            )
        )
    return rows


def not_spiking(uses: Iterable[Use]) -> list[str]:
    """Return the names of layers whose neurons do not spike."""
    names = (u.name for u in uses if u.stats.neurons and not u.stats.spiking)
    return list(dict.fromkeys(names))


def _rate(uses: Sequence[Use], rates: Sequence[float]) -> float:
    """Add rates, each for as many connections as the first use has."""
    first = uses[0].stats.connections
    return sum(
        rate * (use.stats.connections / first if first else 1)
        for use, rate in zip(uses, rates, strict=True)
    )


def _params(layer: Any) -> int:
    # operations such as the sum of two tensors are no layers
    return layer.count_params() if isinstance(layer, keras.layers.Layer) else 0
