"""A pytest plugin under which nengo's own tests run on nengo_jax.

Nengo finds the simulator under test through the setting ``nengo_simloader``, which
names :func:`make_test_sim`. The settings of :mod:`nengo.rc` are those of nengo's own
repository, whose conftest.py is not part of its package.
"""

import os

import pytest
from nengo.rc import rc

import nengo_jax

# Fixed precision of the simulations; unset: the precision that the test asks nengo for.
DTYPE_VARIABLE = "NENGO_JAX_TEST_DTYPE"

SETTINGS = {
    ("decoder_cache", "enabled"): "False",
    ("exceptions", "simplified"): "False",
    ("nengo.Simulator", "fail_fast"): "True",
    ("progress", "progress_bar"): "False",
}

WARNINGS = (  # those of nengo's own repository: its tests are not written for "error"
    "always",
    "ignore::ImportWarning",
    "ignore:Skipping some optimization steps",
    "ignore:SciPy is not installed",
    "ignore:numpy.(dtype|ufunc) size changed",
)


class Simulator(nengo_jax.Simulator):
    """The simulator in the precision that is under test."""

    def __init__(self, *args, **kwargs):
        default = f"float{rc['precision']['bits']}"
        kwargs.setdefault("dtype", os.environ.get(DTYPE_VARIABLE, default))
        super().__init__(*args, **kwargs)


def make_test_sim(request):
    """Return the class that nengo's ``Simulator`` fixture gives to its tests."""
    return Simulator


def pytest_addoption(parser):
    parser.addoption(
        "--only-simulator",
        action="store_true",
        help="Deselect tests that do not use the Simulator fixture.",
    )


def pytest_configure(config):
    for line in WARNINGS:
        config.addinivalue_line("filterwarnings", line)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--only-simulator"):
        kept = [item for item in items if "Simulator" in item.fixturenames]
        config.hook.pytest_deselected(items=[i for i in items if i not in set(kept)])
        items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    rc.reload_rc([])
    for (section, option), value in SETTINGS.items():
        rc[section][option] = value
