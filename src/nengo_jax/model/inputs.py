"""What users hand to ``fit``, ``evaluate`` and ``predict``, checked and completed.

Everything is checked here, before anything is compiled: names, shapes, types, numbers
of examples and steps. Inputs that are not given get the values of their own nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from nengo import Network, Node, Probe
from nengo.exceptions import ValidationError

from ..engine import Engine
from ..names import by_name
from .layer import STEPS, NetworkLayer

Arrays = dict[str, np.ndarray]


class Inputs:
    """Checks and completes the inputs of a network.

    Parameters
    ----------
    network : Network
    names : dict of Node or Probe to str
    layer : NetworkLayer
    engine : Engine
        Knows how to make values for inputs that are not given.
    """

    def __init__(
        self, network: Network, names: dict, layer: NetworkLayer, engine: Engine
    ):
        self._network = network
        self._names = names
        self._layer = layer
        self._engine = engine
        nodes = {name: obj for obj, name in names.items() if isinstance(obj, Node)}
        self._sizes = {name: node.size_out for name, node in nodes.items()}

    def complete(
        self, x: Any, n_steps: int | None, examples: int | None = None
    ) -> Arrays:
        """Return all inputs of a call.

        Parameters
        ----------
        x : array, list, dict or None
            Values of input nodes, shape (examples, steps, size).
        n_steps : int or None
            Number of steps; None: as in ``x``.
        examples : int or None
            Number of examples if ``x`` does not tell.

        Raises
        ------
        ValidationError
            If anything does not fit the network.
        """
        x, n_steps = _without_steps(x, n_steps, self._names)
        given = {} if x is None else by_name(x, self._names, Node, "x")
        arrays = {
            name: check_array(value, f"input {name!r}", self._sizes[name])
            for name, value in given.items()
        }
        counts = {name: len(value) for name, value in arrays.items()}
        count = _common(counts, None if counts else examples, "examples")
        steps = self._count_steps(arrays, n_steps)
        for name in sorted(self._layer.required - set(arrays)):
            arrays[name] = self._engine.hosted.source_values(
                self._layer.inputs_taken[name], count, self._engine.n_steps + 1, steps
            )
        known = self._layer.inputs_taken
        arrays = {name: value for name, value in arrays.items() if name in known}
        arrays[STEPS] = np.zeros((count, steps, 0), self._layer.compute_dtype)
        dtype = self._layer.compute_dtype
        return {n: v.astype(dtype, copy=False) for n, v in arrays.items()}

    def targets(
        self, y: Any, wanted: Mapping[str, Any], examples: int, steps: int
    ) -> Arrays:
        """Return the targets of all probes that have a loss.

        Parameters
        ----------
        y : array, list or dict
            Shape (examples, steps, size). Steps and size are those of the probe for
            losses of Keras; others may want something else.
        wanted : mapping of str to loss
            Losses by probe.
        examples, steps : int
            Number of examples and steps of the inputs.
        """
        given = by_name(y, self._names, Probe, "y")
        arrays = {
            name: check_array(
                value, f"target of {name!r}", None, len(self._layer.shapes[name])
            )
            for name, value in given.items()
        }
        missing = sorted(set(wanted) - set(arrays))
        if missing:
            raise ValidationError(
                f"There is a loss or metric for {', '.join(missing)}, but no target",
                attr="y",
            )
        for name, value in arrays.items():
            if len(value) != examples:
                raise ValidationError(
                    f"The target of {name!r} has {len(value)} examples, but the "
                    f"inputs have {examples}",
                    attr="y",
                )
        for name, loss in wanted.items():
            expected = self._target_shape(name, loss, steps)
            if expected is not None and arrays[name].shape[1:] != expected:
                raise ValidationError(
                    f"The target of {name!r} has shape {arrays[name].shape}, but its "
                    f"loss compares {expected[0]} steps of size "
                    f"{' x '.join(map(str, expected[1:]))}",
                    attr="y",
                )
        return {name: arrays[name] for name in wanted}

    def weights(self, sample_weight: Any, targets: Arrays) -> Arrays:
        """Return the weights of examples for each target.

        Parameters
        ----------
        sample_weight : array, or dict by probe or name
            Shape (examples,) or (examples, steps). An array counts for all targets.
        targets : dict of str to ndarray

        Raises
        ------
        ValidationError
            If a shape does not fit, or a probe has no target.
        """
        if isinstance(sample_weight, dict):
            given = by_name(sample_weight, self._names, Probe, "sample_weight")
        else:
            given = dict.fromkeys(targets, sample_weight)
        useless = sorted(set(given) - set(targets))
        if useless:
            raise ValidationError(
                f"There are weights for {', '.join(useless)}, but no loss or metric",
                attr="sample_weight",
            )
        return {
            name: _check_weights(given.get(name), target, name)
            for name, target in targets.items()
        }

    def _target_shape(self, name: str, loss: Any, steps: int) -> tuple | None:
        """Steps and size that a loss of Keras wants; None for the user's own losses."""
        if loss is None:
            return None  # a metric alone
        kind = keras.losses.get(loss) if isinstance(loss, str) else loss
        kind = kind if isinstance(kind, type(keras.losses.get)) else type(kind)
        if not kind.__module__.startswith("keras."):
            return None
        kept = 1 if name in self._layer.last_only else steps
        shape = self._layer.shapes[name]
        return kept, *((1,) if "sparse" in kind.__name__.lower() else shape)

    def _count_steps(self, arrays: Arrays, n_steps: int | None) -> int:
        if n_steps is not None and (
            not isinstance(n_steps, (int, np.integer)) or n_steps < 1
        ):
            raise ValidationError(
                f"Must be a positive whole number (got {n_steps!r})", attr="n_steps"
            )
        counts = {name: value.shape[1] for name, value in arrays.items()}
        held = n_steps is not None or any(n != 1 for n in counts.values())
        if held:  # values of one step
            counts = {name: n for name, n in counts.items() if n != 1}
        return _common(counts, n_steps, "steps")


def check_array(value: Any, label: str, size: int | None, axes: int = 1) -> np.ndarray:
    """Return an array of shape (examples, steps, size), or with more axes at the end.

    Raises
    ------
    ValidationError
        If it is none, or has another size than wanted.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValidationError(
            f"The {label} must be numbers (got {array.dtype})", attr="data"
        )
    if array.ndim != 2 + axes:
        count = "three" if axes == 1 else 2 + axes
        last = "size" if axes == 1 else f"the {axes} axes of the probe"
        raise ValidationError(
            f"The {label} has shape {array.shape}, but should have {count} axes: "
            f"examples, steps and {last}. For one step, add an axis: x[:, None]",
            attr="data",
        )
    if size is not None and array.shape[2] != size:
        raise ValidationError(
            f"The {label} has shape {array.shape}, but its last axis should be "
            f"{size}, the size of the node",
            attr="data",
        )
    if size is not None and not np.isfinite(array).all():
        raise ValidationError(
            f"The {label} contains NaN or infinite values", attr="data"
        )
    if 0 in array.shape[:2]:
        raise ValidationError(
            f"The {label} has shape {array.shape}: there are no values", attr="data"
        )
    return array


def _without_steps(x: Any, n_steps: Any, names: dict) -> tuple[Any, Any]:
    """Take the number of steps, shape (examples, 1), that NengoDL wants out of x."""
    if not isinstance(x, dict) or STEPS not in x or STEPS in names.values():
        return x, n_steps
    counts = np.unique(np.asarray(x[STEPS]))
    rest = {key: value for key, value in x.items() if key != STEPS}
    if len(counts) != 1 or (n_steps is not None and n_steps != counts[0]):
        raise ValidationError(
            f"x[{STEPS!r}] must be the same number for all examples, and that of "
            f"n_steps={n_steps} (got {counts})",
            attr="x",
        )
    whole = int(counts[0]) == counts[0]
    return rest, int(counts[0]) if whole else counts[0]


def _check_weights(weights: Any, target: np.ndarray, name: str) -> np.ndarray:
    """Weights with as many axes as what a loss of Keras compares in each example."""
    array = np.ones(len(target)) if weights is None else np.asarray(weights)
    allowed = (target.shape[:1], (len(target), 1), target.shape[:2])
    if array.dtype.kind not in "fiub" or array.shape not in allowed:
        raise ValidationError(
            f"The weights for {name!r} must be numbers of shape {allowed[0]}, one for "
            f"each example, or {allowed[2]}, one for each step (got {array.dtype} "
            f"{array.shape})",
            attr="sample_weight",
        )
    return array.reshape(len(array), -1, *(1,) * (target.ndim - 3))


def _common(counts: Mapping[str, int], given: int | None, what: str) -> int:
    found = set(counts.values()) | ({given} if given is not None else set())
    if len(found) == 1:
        return int(found.pop())
    if not found:
        raise ValidationError(
            f"Nothing tells the number of {what}: give data or n_steps", attr="n_steps"
        )
    described = ", ".join(f"{name}: {n}" for name, n in counts.items())
    asked = "" if given is None else f"; {given} are asked for"
    raise ValidationError(
        f"The inputs differ in their number of {what} ({described}{asked})", attr="x"
    )
