"""Settings of all tests: JAX is strict, and keeps compiled functions on disk."""

import os
import runpy
from pathlib import Path
from typing import Any

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib
os.environ["KERAS_BACKEND"] = "jax"  # before anything imports Keras

import jax
import nengo
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
PICTURES = {".png": b"\x89PNG\r\n\x1a\n", ".gif": b"GIF89a"}  # how files begin

# A promotion that nobody asked for hides mistakes of precision and of shape.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the time of a small simulation is spent on compiling.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# Workers that run at the same time would wait for the lock of the cache.
nengo.rc.set("decoder_cache", "enabled", "False")

# The first example of a test compiles, so it takes far longer than the next ones.
settings.register_profile("nengo_jax", deadline=None)
settings.load_profile("nengo_jax")


def pytest_configure(config):
    """Let XLA optimize little; with ``--slow`` as for users.

    A small network is compiled in a third of the time then. The variable also reaches
    the processes that tests start.
    """
    if not config.getoption("--slow"):
        os.environ["XLA_FLAGS"] = (
            "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false"
        )


@pytest.fixture
def siblings(monkeypatch):
    """Examples import each other, as scripts in one folder."""
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture
def run_example(tmp_path, siblings):
    """Run the main function of an example; return its figures.

    The example is named by its path below ``examples``, without ending; it saves one
    picture, or with ``ending=".gif"`` an animation.
    """

    def run(name: str, *arguments: Any, ending: str = ".png", **options: Any) -> Any:
        out = tmp_path / f"{Path(name).name}{ending}"
        # as a user runs them, without the strictness of the other tests
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            variables = runpy.run_path(str(EXAMPLES / f"{name}.py"))
            figures = variables["main"](out, *arguments, **options)
        content = out.read_bytes()
        assert content.startswith(PICTURES[ending])
        assert len(content) > 20_000  # more than empty axes
        return figures

    return run
