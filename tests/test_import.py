"""What importing nengo_jax does, and what it leaves alone."""

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import nengo_jax


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run some lines in a fresh interpreter."""
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_touches_no_device():
    """JAX cannot start any device here, which does not disturb the import."""
    nowhere = {"JAX_PLATFORMS": "nowhere"}
    done = python("import nengo_jax", **nowhere)
    assert done.returncode == 0, done.stderr
    touching = python("import nengo_jax, jax; jax.devices()", **nowhere)
    assert "nowhere" in touching.stderr
    assert touching.returncode != 0


@pytest.mark.parametrize("setting", [{}, {"KERAS_BACKEND": "torch"}])
def test_keras_runs_on_jax_afterwards(setting):
    done = python("import nengo_jax, keras; print(keras.config.backend())", **setting)
    assert done.stdout.strip() == "jax", done.stderr


def test_keras_on_another_backend_is_an_error():
    done = python("import keras, nengo_jax", KERAS_BACKEND="numpy")
    assert done.returncode != 0
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: ")
    assert "'numpy'" in message
    assert "KERAS_BACKEND=jax" in message


def test_keras_on_jax_may_come_first():
    done = python("import keras, nengo_jax", KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr


def test_entry_point():
    classes = {
        point.name: point.load() for point in entry_points(group="nengo.backends")
    }
    assert classes["jax"] is nengo_jax.Simulator


def test_public_names_exist():
    assert all(hasattr(nengo_jax, name) for name in nengo_jax.__all__)
