"""What an optimizer remembers, by parameter: to save it, and to go on from a file.

Keras keeps, say, one momentum for each variable, that is, for each trained block
of a network. In a file it is kept for each parameter, as ``momentum/<parameter>``, so
that it does not depend on how the network was compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import keras
import numpy as np
from nengo.exceptions import SimulationError

from ..compiler.layout import Layout
from ..compiler.parameters import Parameter
from ..functional import join_parameters, split_parameters
from .layer import NAME

Arrays = dict[str, np.ndarray]


def save_optimizer(
    optimizer: keras.optimizers.Optimizer,
    parameters: Sequence[Parameter],
    layout: Layout,
) -> Arrays:
    """Return the variables of an optimizer: those of blocks by parameter."""
    slots, others = _sort_variables(optimizer)
    arrays = {name: np.array(variable.value) for name, variable in others.items()}
    for slot, blocks in slots.items():
        values = {name: variable.value for name, variable in blocks.items()}
        for name, value in split_parameters(layout, parameters, values).items():
            arrays[f"{slot}/{name}"] = np.array(value)
    return arrays


def load_optimizer(
    optimizer: keras.optimizers.Optimizer,
    arrays: Mapping[str, np.ndarray],
    parameters: Sequence[Parameter],
    layout: Layout,
) -> None:
    """Undo :func:`save_optimizer`.

    Raises
    ------
    SimulationError
        If the arrays are of another optimizer or network; nothing is changed then.
    """
    check_saved(save_optimizer(optimizer, parameters, layout), arrays)
    slots, others = _sort_variables(optimizer)
    for name, variable in others.items():
        variable.assign(arrays[name])
    for slot, blocks in slots.items():
        prefix = f"{slot}/"
        own = {
            name.removeprefix(prefix): jnp.asarray(array)
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        for name, value in join_parameters(layout, parameters, own).items():
            blocks[name].assign(value)


def check_saved(
    present: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray]
) -> None:
    """Compare the present state of an optimizer with a saved one.

    Raises
    ------
    SimulationError
        If names or shapes differ.
    """
    shapes = {name: array.shape for name, array in present.items()}
    found = {name: np.shape(array) for name, array in arrays.items()}
    if found != shapes:
        missing = sorted(set(shapes) - set(found))
        extra = sorted(set(found) - set(shapes))
        raise SimulationError(
            "The saved state is not that of this optimizer and network. Missing: "
            f"{missing or 'nothing'}; too many: {extra or 'nothing'}"
        )


def _sort_variables(optimizer: keras.optimizers.Optimizer):
    """Variables of blocks, by slot and block, and all others by name."""
    slots: dict[str, dict[str, keras.Variable]] = {}
    others: dict[str, keras.Variable] = {}
    for variable in optimizer.variables:
        name = variable.path.partition("/")[2]
        kind, _, rest = name.partition("_")
        if kind != NAME:
            others[f"{type(optimizer).__name__}/{name}"] = variable
            continue
        block, _, slot = rest.partition("_")
        slots.setdefault(slot, {})[block] = variable
    return slots, others
