"""Nengo's own tests, and those of nengo_spa, run on nengo_jax as they are."""

import subprocess
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from nengo_suite.run import suite_command, suite_environment

pytestmark = pytest.mark.filterwarnings("default")


class Outcome(NamedTuple):
    """What became of the tests of a suite, and the end of what pytest printed."""

    passed: int
    failed: set[str]
    skipped: set[str]
    end: str


def run_suite(package: str, folder, *, dtype: str = "float64") -> Outcome:
    """Run a suite in two other processes."""
    report = folder / "report.xml"
    command = suite_command(package, dtype=dtype)
    done = subprocess.run(
        [*command, "-n", "2", f"--junitxml={report}"],
        env=suite_environment(dtype),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert report.exists(), done.stdout
    outcomes: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        name = f"{case.get('classname')}::{case.get('name')}"
        if kinds & {"failure", "error"}:
            outcomes["failed"].add(name)
        else:
            outcomes["skipped" if "skipped" in kinds else "passed"].add(name)
    end = "\n".join(done.stdout.splitlines()[-100:])
    return Outcome(
        len(outcomes["passed"]), outcomes["failed"], outcomes["skipped"], end
    )


@pytest.mark.slow
def test_nengo(tmp_path):
    """All but one of the 544 tests that use a simulator; nengo marks 16 as slow."""
    outcome = run_suite("nengo", tmp_path)
    assert not outcome.failed, outcome.end
    assert len(outcome.skipped) == 17
    assert outcome.passed == 543


@pytest.mark.slow
def test_nengo_in_float32(tmp_path):
    """All but four; tests/nengo_suite/float32.ini says which, and has tolerances."""
    outcome = run_suite("nengo", tmp_path, dtype="float32")
    assert not outcome.failed, outcome.end
    assert len(outcome.skipped) == 20
    assert outcome.passed == 540


# nengo_spa 2.0 calls np.array(x, copy=False), which numpy 2 refuses: these fail on
# nengo.Simulator too (tests/nengo_suite/run.py --package nengo_spa
# --reference).
SPA_FAILURES = {
    "nengo_spa.modules.tests.test_associative_memory::test_am_default_output",
    "nengo_spa.modules.tests.test_associative_memory::test_am_spa_keys_as_expressions",
}


@pytest.mark.slow
def test_nengo_spa(tmp_path):
    """The same as on ``nengo.Simulator``; 3 tests are marked as slow."""
    outcome = run_suite("nengo_spa", tmp_path)
    assert outcome.failed == SPA_FAILURES, outcome.end
    assert len(outcome.skipped) == 3
    assert outcome.passed == 192
