"""Options of XLA's compiler for running a network forward.

On a CPU, jaxlib (seen in 0.10.2) gives convolutions to the library YNNPACK. That takes
up to three times as long as Eigen's convolution: 40 us instead of 15 us for an image of
26 x 26 x 32 and 64 kernels of 3 x 3 x 32. Matrix products stay with YNNPACK.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from ..core import Program

_EIGEN_CONVOLUTIONS: dict[str, Any] = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
}


def options_for(program: Program) -> dict[str, Any] | None:
    """Return ``compiler_options`` of ``jax.jit`` to run a program, None for no options.

    Parameters
    ----------
    program : Program
    """
    convolves = any(group.family == "convolution" for group in program.groups)
    if not convolves or jax.default_backend() != "cpu" or not _knows_option():
        return None
    return dict(_EIGEN_CONVOLUTIONS)


@cache
def _knows_option() -> bool:
    """Whether this jaxlib has the option; they come and go without notice."""
    compiled = jax.jit(jnp.negative, compiler_options=_EIGEN_CONVOLUTIONS)
    try:
        compiled.lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
