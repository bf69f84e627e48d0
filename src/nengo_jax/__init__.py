"""Nengo models compiled with JAX: simulated fast and in batches."""

import os
import sys

if "keras" not in sys.modules:
    os.environ["KERAS_BACKEND"] = "jax"
elif sys.modules["keras"].config.backend() != "jax":
    raise ImportError(
        f"Keras is already imported with the {sys.modules['keras'].config.backend()!r} "
        "backend, but nengo_jax needs 'jax'. Import nengo_jax before keras, or set the "
        "environment variable KERAS_BACKEND=jax before starting Python."
    )

from .simulator import Simulator
from .version import version as __version__

__all__ = ["Simulator", "__version__"]
