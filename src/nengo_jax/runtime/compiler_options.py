"""Options of XLA's compiler for running a network with convolutions forward.

On a CPU, jaxlib (seen in 0.10.2) gives convolutions and matrix products to the library
YNNPACK. For convolutions that takes up to three times as long as Eigen's: 40 us instead
of 15 us for an image of 26 x 26 x 32 and 64 kernels of 3 x 3 x 32. Products with few
outputs, the last layers of such networks, take up to twice as long: 600 us instead of
300 us for 64 images, 9216 inputs and 10 outputs. Those of 512 inputs and outputs take
up to a fifth less, but with YNNPACK for products, networks were 4 to 11% slower.

XLA also copies each voltage in each step, as it is read by two loops and written by one
of them. An analysis of the order in which they run shows that one can write in place:
about 5% of the time of a step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from ..core import Program

_OPTIONS: dict[str, Any] = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_copy_insertion_use_region_analysis": True,
}


def options_for(program: Program) -> dict[str, Any] | None:
    """Return ``compiler_options`` of ``jax.jit`` to run a program, None for no options.

    Parameters
    ----------
    program : Program
    """
    convolves = any(group.family == "convolution" for group in program.groups)
    if not convolves or jax.default_backend() != "cpu":
        return None
    return {name: _OPTIONS[name] for name in _OPTIONS if _knows(name)} or None


@cache
def _knows(name: str) -> bool:
    """Whether this jaxlib has an option; they come and go without notice."""
    compiled = jax.jit(jnp.negative, compiler_options={name: _OPTIONS[name]})
    try:
        compiled.lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
