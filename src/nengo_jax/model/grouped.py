"""Several batches in one compiled call, as Keras' ``steps_per_execution`` asks for.

Between two batches Keras works in Python for 0.1 ms and more. For a network of a single
step that can be a fifth of the time. Keras itself calls the compiled step that many
times before it looks at the results; here a loop over the batches is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from math import ceil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array, lax

from .batches import ArrayBatches, aligned

_MOST = 16  # batches in a call; more gain nothing
_MOST_BYTES = 2**24  # of a call's batches, which are copied once more
_BATCH_HOOKS = [
    f"on_{prefix}batch_{end}"
    for prefix in ("", "train_", "test_")
    for end in ("begin", "end")
]

Step = Callable[[tuple, Any], tuple[dict[str, Any], tuple]]


def choose_batches(data: Any, callbacks: Iterable[keras.callbacks.Callback]) -> int:
    """Choose how many batches of training a call makes.

    Parameters
    ----------
    data : Any
        What Keras is given to train with.
    callbacks : iterable of Callback
        Those of the user.

    Returns
    -------
    int
        One if somebody looks at each batch, or if a call would gain nothing. All calls
        of an epoch take as many where that is possible: what is missing in the last one
        would be copied for nothing.
    """
    if not isinstance(data, ArrayBatches) or any(map(_sees_batches, callbacks)):
        return 1
    if data.steps > 1 or keras.config.max_steps_per_epoch() is not None:
        return 1
    fit = _MOST_BYTES // max(1, data.batch_bytes)
    calls = ceil(len(data) / max(1, min(_MOST, fit)))
    return max(1, ceil(len(data) / max(1, calls)))


def _sees_batches(callback: keras.callbacks.Callback) -> bool:
    none = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, name), "__func__", None) is not getattr(none, name)
        for name in _BATCH_HOOKS
    )


class Trained(NamedTuple):
    """What some batches leave behind.

    Attributes
    ----------
    logs : dict of str to Array
        What the last one says.
    state : tuple
    finite : int
        Batches before the loss was no longer finite.
    error : Exception or None
        Why there are no more batches, if their source has failed.
    """

    logs: dict[str, Any]
    state: tuple
    finite: int
    error: Exception | None


class GroupedStep:
    """A training step that takes several batches at a time.

    Parameters
    ----------
    step : callable
        ``step(state, batch) -> (logs, state)``, for one batch.
    single : callable
        ``single(state, iterator) -> (logs, state)``, Keras' own for the batches of an
        iterator.
    """

    def __init__(self, step: Step, single: Callable[[tuple, Iterator], tuple]):
        self._single = single
        self._compiled = jax.jit(_loop(step), donate_argnums=0)

    def __call__(self, state: tuple, iterator: Iterator, count: int) -> Trained:
        """Train with up to ``count`` batches; at least one, or the iterator's error."""
        batches, error = _take(iterator, count)
        seen, finite, logs = 0, 0, {}
        for _, alike in groupby(batches, _shapes):
            group = list(alike)
            if len(group) == 1:
                logs, state = self._single(state, iter(group))
                found = int(np.isfinite(float(logs.get("loss", 0.0))))
            else:
                stacked = _stack(group, count)
                found, logs, state = self._compiled(state, stacked, len(group))
            if finite == seen:
                finite += int(found)
            seen += len(group)
        return Trained(logs, state, finite, error)


def _take(iterator: Iterator, count: int) -> tuple[list, Exception | None]:
    """Take batches; an error after the first one waits until they are trained with."""
    batches = [next(iterator)]
    try:
        for batch in islice(iterator, count - 1):
            batches.append(batch)
    except Exception as error:  # whatever a source of the user raises
        return batches, error
    return batches, None


def _loop(step: Step) -> Callable[[tuple, Any, Array], tuple[Array, dict, tuple]]:
    """Make the function of some batches out of that of one.

    It returns how many there were before the loss was no longer finite, what the last
    one says, and the state after it.
    """
    step = jax.jit(step)  # traced once, for its shapes and in the loop

    def run(state: tuple, batches: Any, count: Array) -> tuple[Array, dict, tuple]:
        def batch(k: Array) -> Any:
            return jax.tree.map(lambda values: values[k], batches)

        def body(k: Array, carry: tuple) -> tuple:
            finite, before, state = carry
            logs, after = step(state, batch(k))
            fine = (finite == k) & jnp.isfinite(logs.get("loss", 0.0))
            finite = finite + fine.astype(finite.dtype)
            return finite, _like(before, logs), _like(state, after)

        shapes, _ = jax.eval_shape(step, state, batch(jnp.int32(0)))
        none = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return lax.fori_loop(0, count, body, (jnp.int32(0), none, state))

    return run


def _like(wanted: Any, given: Any) -> Any:
    """Return values in the containers and of the types that a loop began with.

    Keras returns lists where it was given tuples, and numbers whose type is weak.
    """
    old, structure = jax.tree.flatten(wanted)
    new = zip(jax.tree.leaves(given), old, strict=True)
    return jax.tree.unflatten(structure, [jnp.asarray(a, b.dtype) for a, b in new])


def _shapes(batch: Any) -> Any:
    return jax.tree.map(lambda value: (value.shape, value.dtype), batch)


def _stack(batches: Sequence[Any], count: int) -> Any:
    """Stack batches; the last one stands for those that are missing."""
    missing = count - len(batches)

    def stack(*values: Any) -> Any:
        values = (*values, *[values[-1]] * missing)
        if not isinstance(values[0], np.ndarray):
            return jnp.stack(values)  # on an accelerator already
        memory = aligned((count, *values[0].shape), values[0].dtype)
        return np.stack(values, out=memory)

    return jax.tree.map(stack, *batches)
