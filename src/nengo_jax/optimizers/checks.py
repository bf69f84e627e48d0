"""Checks of settings and parameters, made before anything is compiled."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from nengo.exceptions import ValidationError


def check_range(
    name: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    open_below: bool = False,
) -> None:
    """Raise ValidationError unless a value is a finite number in a range."""
    number = float(value) if isinstance(value, Real) else math.nan
    inside = low < number if open_below else low <= number
    if inside and number <= high and math.isfinite(number):
        return
    least = f"larger than {low}" if open_below else f"at least {low}"
    most = "" if math.isinf(high) else f" and at most {high}"
    raise ValidationError(f"Must be a number, {least}{most} (got {value!r})", attr=name)


def check_flag(name: str, value: Any) -> None:
    """Raise ValidationError unless a value is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValidationError(f"Must be True or False (got {value!r})", attr=name)


def check_count(name: str, value: Any, low: int) -> None:
    """Raise ValidationError unless a value is a whole number, not below a limit."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < low:
        raise ValidationError(
            f"Must be a whole number, at least {low} (got {value!r})", attr=name
        )


def check_parameters(params: Any) -> None:
    """Raise ValidationError unless there are parameters, all floating-point arrays."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ValidationError("There is nothing to train.", attr="params")
    for path, value in leaves:
        if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
            raise ValidationError(
                f"The parameter {jax.tree_util.keystr(path)} is "
                f"{jnp.result_type(value)}, but only floating-point numbers can be "
                "trained.",
                attr="params",
            )
