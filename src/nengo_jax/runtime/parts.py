"""Running a large batch in parts that fit into the cache.

All examples of a batch make each operation together, so a large network reads and
writes its states from main memory in each step. A few examples at a time stay in the
cache: a convolutional network on 64 images takes half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from ..core import Program, Role
from .callbacks import CALLED

# Bytes that the states and wires of a part may take: the fastest of 1 to 40 MiB for the
# larger model of benchmarks/conversion.py.
_CACHE = 10 * 2**20
_WHOLE_BATCH = "layer"  # a family that sees all examples at once


def part_size(program: Program, examples: int) -> int:
    """Choose how many examples run at a time.

    Parameters
    ----------
    program : Program
    examples : int

    Returns
    -------
    int
        All of them if they fit, or if something sees the whole batch; or on an
        accelerator, which has work for all at once. Otherwise as many as fit, or
        somewhat less to make all parts equal: another size is compiled anew.
    """
    roles = (Role.STATE, Role.WIRE)
    size = sum(block.nbytes for block in program.blocks.values() if block.role in roles)
    together = program.names(Role.SHARED) or CALLED in program.blocks
    together = together or any(g.family == _WHOLE_BATCH for g in program.groups)
    if together or size * examples <= _CACHE or jax.default_backend() != "cpu":
        return examples
    most = max(1, _CACHE // size)
    equal = max(part for part in range(1, most + 1) if examples % part == 0)
    return equal if equal > most // 2 else most


def map_examples(function: Callable[..., Any], values: tuple, part: int) -> Any:
    """Call a function of one example for all, some at a time.

    Parameters
    ----------
    function : callable
    values : tuple of pytree of Array
        Arguments, with a leading batch axis.
    part : int
        Examples that run at a time.
    """
    return lax.map(lambda own: function(*own), values, batch_size=part)
