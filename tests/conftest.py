"""Settings of all tests: JAX is strict, and compiled functions are kept on disk."""

import os
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib
os.environ["KERAS_BACKEND"] = "jax"  # before anything imports Keras

import jax
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# A promotion that nobody asked for hides mistakes of precision and of shape.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the time of a small simulation is spent on compiling.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# The first example of a test compiles, so it takes far longer than the next ones.
settings.register_profile("nengo_jax", deadline=None)
settings.load_profile("nengo_jax")
