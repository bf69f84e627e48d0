"""NumPy's legacy random stream (``numpy.random.RandomState``) in JAX.

The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998) keeps 624 words of 32
bits. When they are used up a *twist* makes the next 624. NumPy joins two words into
one double in [0, 1): ``((a >> 5) * 2**26 + (b >> 6)) / 2**53``.

A stream is an array of 625 words: the state, and how many of its words are used. As
it is a plain array it can be batched, saved and carried like any other state.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

WORDS = 624
SIZE = WORDS + 1  # of a stream: its state, and how many words of it are used
PER_TWIST = WORDS // 2  # doubles made from one twist
_SHIFT = 397
_MATRIX = np.uint32(0x9908B0DF)
_UPPER, _LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)


def stream_of(rng: np.random.RandomState) -> np.ndarray:
    """Return the stream that continues ``rng``.

    Returns
    -------
    ndarray of uint32, shape (625,)
    """
    _, words, used, *_ = rng.get_state()
    return np.append(words, np.uint32(used)).astype(np.uint32)


def doubles(stream: Array, dtype: DTypeLike) -> Array:
    """Return the next 312 numbers of a stream, uniform in [0, 1), without using them.

    Parameters
    ----------
    stream : Array of uint32, shape (625,)
    dtype : dtype of the result

    Returns
    -------
    Array, shape (312,)
    """
    state, used = stream[:WORDS], stream[WORDS].astype(jnp.int32)
    both = jnp.concatenate([state, _twist(state)])
    words = _temper(lax.dynamic_slice(both, (used,), (WORDS,)))
    high, low = words[0::2] >> np.uint32(5), words[1::2] >> np.uint32(6)
    half = np.dtype(dtype).itemsize < 4  # 2**-27 is zero in half precision
    exact = np.dtype(np.float32) if half else np.dtype(dtype)
    scale = np.array(2.0**-27, exact), np.array(2.0**-53, exact)
    numbers = high.astype(exact) * scale[0] + low.astype(exact) * scale[1]
    return numbers.astype(dtype)


def advance(stream: Array, count: Array) -> Array:
    """Use up ``count`` doubles of a stream (at most 312)."""
    state, used = stream[:WORDS], stream[WORDS].astype(jnp.int32) + 2 * count
    spent = used >= WORDS
    state = jnp.where(spent, _twist(state), state)
    used = jnp.where(spent, used - WORDS, used)
    return jnp.append(state, used.astype(jnp.uint32))


def uniform(stream: Array, count: int, dtype: DTypeLike) -> tuple[Array, Array]:
    """Draw ``count`` numbers, as ``RandomState.random_sample(count)`` does.

    Returns
    -------
    numbers : Array, shape (count,)
    stream : Array of uint32, shape (625,)
    """
    whole, rest = divmod(count, PER_TWIST)

    def one_twist(stream: Array, _: None) -> tuple[Array, Array]:
        return advance(stream, jnp.int32(PER_TWIST)), doubles(stream, dtype)

    stream, numbers = lax.scan(one_twist, stream, length=whole)
    numbers = numbers.reshape(-1)
    if rest:
        numbers = jnp.append(numbers, doubles(stream, dtype)[:rest])
        stream = advance(stream, jnp.int32(rest))
    return numbers, stream


def _twist(state: Array) -> Array:
    """Make the next 624 words. Word k needs words k, k+1 and k+397 (modulo 624)."""

    def mix(upper: Array, lower: Array, far: Array) -> Array:
        joined = (upper & _UPPER) | (lower & _LOWER)
        odd = jnp.where(joined & np.uint32(1), _MATRIX, np.uint32(0))
        return far ^ (joined >> np.uint32(1)) ^ odd

    gap = WORDS - _SHIFT  # 227 words can be made at once before a new one is needed
    first = mix(state[:gap], state[1 : gap + 1], state[_SHIFT:])
    second = mix(state[gap : 2 * gap], state[gap + 1 : 2 * gap + 1], first)
    third = mix(
        state[2 * gap : WORDS - 1],
        state[2 * gap + 1 :],
        second[: WORDS - 1 - 2 * gap],
    )
    last = mix(state[WORDS - 1 :], first[:1], second[WORDS - 1 - 2 * gap :][:1])
    return jnp.concatenate([first, second, third, last])


def _temper(words: Array) -> Array:
    words = words ^ (words >> np.uint32(11))
    words = words ^ ((words << np.uint32(7)) & np.uint32(0x9D2C5680))
    words = words ^ ((words << np.uint32(15)) & np.uint32(0xEFC60000))
    return words ^ (words >> np.uint32(18))
