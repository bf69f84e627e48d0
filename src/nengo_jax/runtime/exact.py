"""Calls of Python out of compiled code, with doubles in their own precision.

JAX may call Python in a thread in which double precision is off. There, what goes in
and what comes out would be rounded to single precision. So doubles travel as bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_BITS = np.dtype(np.uint32)


def call_exactly(
    callback: Callable[..., Any],
    python: Callable[..., Any],
    results: Any,
    *operands: Any,
    **options: Any,
) -> Any:
    """Call Python as a callback of JAX does, but without any rounding.

    Parameters
    ----------
    callback : callable
        ``jax.pure_callback`` or ``jax.experimental.io_callback``.
    python : callable
        It gets NumPy arrays, and returns what converts to ``results``.
    results : pytree of jax.ShapeDtypeStruct
        With at least one axis each, as have the operands.
    *operands : pytree of Array
        No derivative passes.
    **options
        Of the callback.

    Returns
    -------
    pytree of Array
        Like ``results``.
    """
    operands = lax.stop_gradient(operands)
    kinds = [np.dtype(value.dtype) for value in jax.tree.leaves(operands)]
    form = jax.tree.structure(operands)

    def on_host(*bits: Any) -> Any:
        values = [
            np.asarray(value).view(kind)
            for value, kind in zip(jax.tree.leaves(bits), kinds, strict=True)
        ]
        return jax.tree.map(
            _host_bits, results, python(*jax.tree.unflatten(form, values))
        )

    bits = callback(
        on_host,
        jax.tree.map(_described, results),
        *jax.tree.map(_as_bits, operands),
        **options,
    )
    return jax.tree.map(_from_bits, results, bits)


def _is_double(kind: Any) -> bool:
    return np.dtype(kind) == np.float64


def _as_bits(value: Array) -> Array:
    if not _is_double(value.dtype):
        return value
    return lax.bitcast_convert_type(value, _BITS).reshape(*value.shape[:-1], -1)


def _described(like: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Say what comes back from Python."""
    if not _is_double(like.dtype):
        return like
    *outer, last = like.shape
    return jax.ShapeDtypeStruct((*outer, 2 * last), _BITS)


def _host_bits(like: jax.ShapeDtypeStruct, value: Any) -> np.ndarray:
    value = np.ascontiguousarray(value, like.dtype)
    return value.view(_BITS) if _is_double(like.dtype) else value


def _from_bits(like: jax.ShapeDtypeStruct, bits: Array) -> Array:
    if not _is_double(like.dtype):
        return bits
    bits = jnp.reshape(bits, (*bits.shape[:-1], -1, 2))
    return lax.bitcast_convert_type(bits, like.dtype)
