"""Run the tests of an installed package, nengo or nengo_spa, on nengo_jax.

``python tests/nengo_suite/run.py --help`` tells how to do it by hand.
"""

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOAT32_INI = ROOT / "tests" / "nengo_suite" / "float32.ini"

STRICT = {
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
}


def suite_command(
    package: str, *, dtype: str = "float64", reference: bool = False
) -> list[str]:
    """Return the command that runs the tests of ``package`` that use a simulator.

    Parameters
    ----------
    package : {"nengo", "nengo_spa"}
    dtype : {"float64", "float32"}
        With float32, tolerances are those of float32.ini.
    reference : bool
        Run on ``nengo.Simulator`` instead, to see what passes there.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed", name=package)
    settings = FLOAT32_INI if dtype == "float32" else ROOT / "pyproject.toml"
    # Nengo's tests take their seeds from their names, which depend on the rootdir.
    rootdir = Path(spec.origin).parents[1]
    command = [sys.executable, "-m", "pytest", "--pyargs", package, "-c", str(settings)]
    command += [f"--rootdir={rootdir}", "-p", "nengo_suite.plugin", "--only-simulator"]
    command += ["-p", "no:cacheprovider", "-o", "addopts=", "--disable-warnings", "-q"]
    # It reads notebooks, which are not part of the package.
    command += [f"--ignore={rootdir / 'nengo_spa/tests/test_examples.py'}"]
    if reference:
        command += ["-o", "nengo_simloader=", "-o", "nengo_simulator=nengo.Simulator"]
    return command


def suite_environment(dtype: str = "float64") -> dict[str, str]:
    """Return the environment for :func:`suite_command`."""
    path = [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        **STRICT,
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    if dtype != "float64":
        environment["NENGO_JAX_TEST_DTYPE"] = dtype
    return environment


def main() -> int:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        description=__doc__.splitlines()[0],
        epilog="Further arguments are pytest's: -n 2, -k lif, -x ...",
    )
    # Not an argument by position: it would take the 2 of pytest's "-n 2".
    parser.add_argument("--package", choices=("nengo", "nengo_spa"), default="nengo")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument(
        "--reference", action="store_true", help="run on nengo.Simulator instead"
    )
    own, others = parser.parse_known_args()
    command = suite_command(own.package, dtype=own.dtype, reference=own.reference)
    environment = suite_environment(own.dtype)
    return subprocess.run([*command, *others], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
