"""Random states of Keras layers: where they lie, and their values for some seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from nengo.builder.operator import Operator
from nengo.builder.signal import Signal

from ..families.layer import SimTensorNode
from .layout import Layout


def seeds_of(operators: Sequence[Operator]) -> tuple[Signal, ...]:
    """List the random states of all layers that were given no seed of their own."""
    found = [op.seeds for op in operators if isinstance(op, SimTensorNode)]
    return tuple(dict.fromkeys(signal for seeds in found for signal in seeds))


def seed_layers(
    initial: Mapping[str, np.ndarray],
    seeds: Sequence[Signal],
    layout: Layout,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return initial values of blocks with the random states that follow from a seed.

    Parameters
    ----------
    initial : mapping of str to ndarray
    seeds : sequence of Signal
        Each a Keras random state: a seed and a counter.
    layout : Layout
    seed : int

    Returns
    -------
    dict of str to ndarray
        Only the blocks that differ.
    """
    changed: dict[str, np.ndarray] = {}
    for number, signal in enumerate(seeds):
        slot = layout.slots[signal]
        block = changed.setdefault(slot.block, np.array(initial[slot.block]))
        drawn = np.random.SeedSequence([seed, number]).generate_state(1)[0]
        block[slot.offset : slot.offset + signal.size] = drawn, 0
    return changed
