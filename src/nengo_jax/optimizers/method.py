"""What all optimizers here are made of: two pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Method(NamedTuple):
    """An optimizer as pure functions, in the manner of optax.

    Unlike those of optax, it looks at the loss itself, and returns new parameters.

    Attributes
    ----------
    init : callable
        ``init(params) -> state``, a tree of arrays.
    update : callable
        ``update(state, params, ...) -> (params, state, report)``; compiled. The report
        is a named tuple of scalars.
    """

    init: Callable[..., Any]
    update: Callable[..., tuple[Any, Any, Any]]
