"""Functions of a whole batch inside programs that are written for one example.

``vmap`` makes a batch of one example, operation by operation. What needs all examples
at once, such as the mean over a batch, or runs faster if it sees them, as a product of
matrices, is a primitive operation of its own here. Its
rule for ``vmap`` calls a function with the whole batch; without ``vmap`` the function
gets a batch of one. ``jax.custom_batching.custom_vmap`` does the same, but has no
reverse derivative where a batch axis is missing, as in what follows from a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Arrays = Sequence[Array]
Function = Callable[[Arrays, Arrays, Arrays], Arrays]


def call_with_batch(
    function: Function,
    weights: Sequence[Array],
    shared: Sequence[Array],
    own: Sequence[Array],
    kept: int,
) -> list[Array]:
    """Call a function with the whole batch that this example is part of.

    The batch is that of the innermost ``vmap`` around the program. It has to be inside
    ``grad``: in ``vmap(grad(...))`` each example is a batch of its own. So it is if
    each example has weights of its own.

    Parameters
    ----------
    function : callable
        ``function(weights, shared, own) -> results``. Values of ``own`` have a leading
        batch axis, also if there is no batch; so have all results but the first
        ``kept`` ones.
    weights : sequence of Array
        Values that are the same for all examples.
    shared : sequence of Array
        Values that belong to the whole batch.
    own : sequence of Array
        Values of this example, at least one.
    kept : int
        Number of results that belong to the whole batch.

    Returns
    -------
    list of Array
        Results of this example, without batch axis.
    """
    arrays = [jnp.asarray(value) for value in (*weights, *shared, *own)]
    return _WHOLE_BATCH.bind(
        *arrays, function=function, counts=(len(weights), len(shared)), kept=kept
    )


def _split(values: Sequence[Any], counts: tuple[int, int]) -> tuple[Any, Any, Any]:
    first, second = counts[0], counts[0] + counts[1]
    return values[:first], values[first:second], values[second:]


def _alone(
    *values: Array, function: Function, counts: tuple[int, int], kept: int
) -> list[Array]:
    """Call the function with a batch of one."""
    weights, shared, own = _split(values, counts)
    results = function(weights, shared, [value[None] for value in own])
    return [*results[:kept], *(value[0] for value in results[kept:])]


def _results(*shapes: Any, **options: Any) -> list[Any]:
    return jax.make_jaxpr(partial(_alone, **options))(*shapes).out_avals


def _batched(
    values: Sequence[Array],
    axes: Sequence[int | None],
    *,
    function: Function,
    counts: tuple[int, int],
    kept: int,
) -> tuple[Sequence[Array], list[int | None]]:
    """Call the function with all examples; only ``own`` results have a batch axis."""
    weights, shared, own = _split(list(zip(values, axes, strict=True)), counts)
    if any(axis is not None for _, axis in weights):
        alone = partial(_alone, function=function, counts=counts, kept=kept)
        results = jax.vmap(alone, in_axes=tuple(axes))(*values)
        return results, [0] * len(results)
    size = next(v.shape[k] for v, k in (*shared, *own) if k is not None)
    results = function(
        [value for value, _ in weights],
        [v if k is None else jnp.take(v, 0, axis=k) for v, k in shared],  # all alike
        [_with_axis(v, k, size) for v, k in own],
    )
    return results, [None] * kept + [0] * (len(results) - kept)


def _with_axis(value: Array, axis: int | None, size: int) -> Array:
    if axis is None:
        return jnp.broadcast_to(value, (size, *value.shape))
    return jnp.moveaxis(value, axis, 0)


def _derivative(
    values: Sequence[Array], tangents: Sequence[Any], **options: Any
) -> tuple[Any, Any]:
    """Differentiate the function without a batch; with one, its operations are."""
    full = tuple(
        ad.instantiate_zeros(tangent)
        if jnp.issubdtype(value.dtype, jnp.inexact)
        else np.zeros(value.shape, jax.dtypes.float0)
        for value, tangent in zip(values, tangents, strict=True)
    )
    return jax.jvp(partial(_alone, **options), tuple(values), full)


def _transpose(cotangents: Sequence[Any], *values: Any, **options: Any) -> list[Any]:
    """Transpose a function that is linear in some of its values, without a batch."""
    unknown = [k for k, v in enumerate(values) if ad.is_undefined_primal(v)]

    def alone(*given: Array) -> list[Array]:
        full = list(values)
        for k, value in zip(unknown, given, strict=True):
            full[k] = value
        return _alone(*full, **options)

    transposed = jax.linear_transpose(alone, *(values[k].aval for k in unknown))
    found = transposed([ad.instantiate_zeros(value) for value in cotangents])
    results: list[Any] = [None] * len(values)
    for k, value in zip(unknown, found, strict=True):
        results[k] = value
    return results


_WHOLE_BATCH = Primitive("whole_batch")
_WHOLE_BATCH.multiple_results = True
_WHOLE_BATCH.def_impl(_alone)
_WHOLE_BATCH.def_abstract_eval(_results)
mlir.register_lowering(_WHOLE_BATCH, mlir.lower_fun(_alone, multiple_results=True))
batching.primitive_batchers[_WHOLE_BATCH] = _batched
ad.primitive_jvps[_WHOLE_BATCH] = _derivative
ad.primitive_transposes[_WHOLE_BATCH] = _transpose
