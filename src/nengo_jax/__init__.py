"""Nengo models compiled with JAX: simulated fast and in batches."""

import os
import sys

import jax

if "keras" not in sys.modules:
    os.environ["KERAS_BACKEND"] = "jax"
elif sys.modules["keras"].config.backend() != "jax":
    raise ImportError(
        f"Keras is already imported with the {sys.modules['keras'].config.backend()!r} "
        "backend, but nengo_jax needs 'jax'. Import nengo_jax before keras, or set the "
        "environment variable KERAS_BACKEND=jax before starting Python."
    )

# Handing a step to another thread and waiting for it takes longer than a small step.
# Only effective before JAX has started; the variable is JAX's own, for those who want
# the default of JAX.
if "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
    jax.config.update("jax_cpu_enable_async_dispatch", False)

from .simulator import Simulator
from .version import version as __version__

__all__ = ["Simulator", "__version__"]
