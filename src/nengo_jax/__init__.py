"""Nengo models compiled with JAX: simulated fast and in batches."""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

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

from . import dists, surrogates
from .functional import Functional, functional
from .neurons import LeakyReLU, SoftLIFRate, SpikingLeakyReLU
from .options import configure_settings
from .runtime.allocator import keep_freed_memory
from .simulator import Simulator
from .version import version as __version__

keep_freed_memory()

if TYPE_CHECKING:
    from . import (
        callbacks,
        convert,
        energy,
        layers,
        live,
        losses,
        nir,
        optimizers,
        plants,
    )
    from .convert import Converter, calibrate
    from .model import NengoLayer
    from .nodes import Layer, TensorNode

# Importing Keras takes longer than all the rest, so it waits until it is needed.
_NEEDS_KERAS = {
    "Converter": "nengo_jax.convert",
    "Layer": "nengo_jax.nodes",
    "NengoLayer": "nengo_jax.model",
    "TensorNode": "nengo_jax.nodes",
    "calibrate": "nengo_jax.convert",
    "callbacks": "nengo_jax.callbacks",
    "convert": "nengo_jax.convert",
    "energy": "nengo_jax.energy",
    "layers": "nengo_jax.layers",
    "live": "nengo_jax.live",
    "losses": "nengo_jax.losses",
    "nir": "nengo_jax.nir",
    "optimizers": "nengo_jax.optimizers",
    "plants": "nengo_jax.plants",
}


def __getattr__(name: str) -> object:
    if name not in _NEEDS_KERAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_NEEDS_KERAS[name])
    return getattr(module, name, module)


__all__ = [
    "Converter",
    "Functional",
    "Layer",
    "LeakyReLU",
    "NengoLayer",
    "Simulator",
    "SoftLIFRate",
    "SpikingLeakyReLU",
    "TensorNode",
    "__version__",
    "calibrate",
    "callbacks",
    "configure_settings",
    "convert",
    "dists",
    "energy",
    "functional",
    "layers",
    "live",
    "losses",
    "nir",
    "optimizers",
    "plants",
    "surrogates",
]
