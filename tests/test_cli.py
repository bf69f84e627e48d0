"""The command nengo-jax: what it prints, and how it fails."""

import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from nengo_jax.cli import main
from nengo_jax.compiler import build_model, compile_model, explain
from nengo_jax.version import version

CHANNEL = """
import nengo
with nengo.Network(seed=0) as model:
    stimulus = nengo.Node(0.5)
    a = nengo.Ensemble(20, 1)
    b = nengo.Ensemble(30, 2)
    nengo.Connection(stimulus, a)
    nengo.Connection(a, b[0])
    probe = nengo.Probe(b, synapse=0.01)
"""

# Networks that differ in the number of their probes: one, two, three.
SEVERAL = """
import nengo
def make(probes):
    with nengo.Network(seed=0) as made:
        node = nengo.Node([0.0])
        for _ in range(probes):
            nengo.Probe(node)
    return made
"""


@pytest.fixture
def write(tmp_path):
    """Write a Python file and return its name."""

    def write_text(text: str, name: str = "case.py") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write_text


def probes_in_plan(text: str) -> int:
    return int(re.search(r"(\d+) probes", text.splitlines()[0])[1])


# -- plan


def test_plan_prints_what_explain_says(write, capsys):
    assert main(["plan", write(CHANNEL)]) == 0
    variables: dict = {}
    exec(CHANNEL, variables)
    built = build_model(variables["model"], None, 0.001, False)
    expected = explain(compile_model(built, np.dtype("float32")).program)
    assert capsys.readouterr().out == expected + "\n"


def test_plan_shows_groups_memory_and_host(write, capsys):
    main(["plan", write(CHANNEL)])
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"\d+ operators in \d+ groups, dt = 0.001 s, 1 probes", lines[0]
    )
    groups = [line for line in lines if re.match(r"\s+\d+  \S", line)]
    assert any("neurons" in line and "x 2" in line for line in groups)
    assert lines[lines.index("on the host in each step:") + 1] == "  nothing"


def test_plan_names_functions_that_run_on_the_host(write, capsys):
    text = CHANNEL + (
        "    def halve(t, x):\n        return x / 2\n"
        "    half = nengo.Node(halve, size_in=1)\n    nengo.Connection(a, half)\n"
    )
    assert main(["plan", write(text)]) == 0
    assert "halve" in capsys.readouterr().out.split("on the host in each step:")[1]


@pytest.mark.parametrize(
    ("definitions", "arguments", "probes"),
    [
        ("model, net = make(1), make(2)", [], 1),
        ("other, net = make(1), make(2)", [], 2),
        ("other, network = make(1), make(3)", [], 3),
        ("anything = make(2)", [], 2),
        ("first = second = make(3)", [], 3),
        ("model, other = make(1), make(3)", ["--name", "other"], 3),
        ("with nengo.Network() as outer:\n    inner = make(2)", [], 2),
        ("with nengo.Network() as outer:\n    inner = make(2)", ["--name=inner"], 2),
    ],
)
def test_plan_chooses_the_network(write, capsys, definitions, arguments, probes):
    assert main(["plan", write(SEVERAL + definitions), *arguments]) == 0
    assert probes_in_plan(capsys.readouterr().out) == probes


def test_plan_runs_the_file_as_a_module_of_its_own(write, capsys):
    write("probes = 2", "neighbour_of_case.py")
    text = (
        SEVERAL
        + "import sys\nassert sys.argv[1:] == []\nprint('noise')\n"
        + "from neighbour_of_case import probes\nchosen = make(probes)\n"
        + "if __name__ == '__main__':\n    raise RuntimeError('it ran')\n"
    )
    arguments, folders = list(sys.argv), list(sys.path)
    assert main(["plan", write(text)]) == 0
    out, err = capsys.readouterr()
    assert probes_in_plan(out) == 2
    assert "noise" not in out
    assert "noise" in err
    assert (sys.argv, sys.path) == (arguments, folders)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("x = (1,", [], "is no Python: '(' was never closed (line 1)"),
        ("\0", [], "is no Python"),
        ("x = 1\n1 / 0", [], "raises ZeroDivisionError: division by zero (line 2)"),
        ("import sys\nsys.exit(3)", [], "sys.exit(3)"),
        ("import no_such_module_here", [], "raises ModuleNotFoundError: No module"),
        ("x = 1", [], "has no nengo.Network at module level"),
        (SEVERAL + "a, b = make(1), make(2)", [], "2 networks: a, b. Choose one"),
        (SEVERAL + "a = make(1)", ["--name", "c"], "no network named c. Found: a."),
        (
            SEVERAL + "with make(1) as a:\n"
            "    ens = nengo.Ensemble(5, 1)\n"
            "    nengo.Connection(ens, node := nengo.Node(size_in=1),\n"
            "                     function=lambda x: x if x.size == 0 else 1 / 0)\n",
            [],
            "ZeroDivisionError",
        ),
    ],
)
def test_plan_fails_in_one_line(write, capsys, text, arguments, message):
    path = write(text)
    assert main(["plan", path, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nengo-jax plan: ")
    assert path in err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["missing.py", "."])
def test_plan_needs_a_file(tmp_path, capsys, name):
    assert main(["plan", str(tmp_path / name)]) == 2
    assert "there is no such file" in capsys.readouterr().err


# -- demo


def accuracies(printed: str) -> dict[int, float]:
    """Share of right answers by time in ms, as the demo prints it."""
    times, shares = (
        re.search(rf"^{start}.*$", printed, re.MULTILINE)[0]
        for start in ("image shown for", "right answers")
    )
    return dict(
        zip(
            map(int, re.findall(r"(\d+) ms", times)),
            [float(share) / 100 for share in re.findall(r"([\d.]+)%", shares)],
            strict=True,
        )
    )


DEMOS = {  # arguments; right answers at 10 and 100 ms, at least
    "solved decoders": (["--how=solve"], 0.5, 0.96),
    "hardly trained": (["--how=train", "--epochs=1"], 0.5, 0.8),
    "trained": (["--how=train"], 0.9, 0.97),
    "converted": ([], 0.9, 0.97),
}


@pytest.mark.parametrize(
    "case",
    [
        *list(DEMOS)[:2],
        *(pytest.param(case, marks=pytest.mark.slow) for case in list(DEMOS)[2:]),
    ],
)
def test_demo_reads_digits_and_saves_a_picture(tmp_path, capsys, case):
    arguments, early, late = DEMOS[case]
    out = tmp_path / "digits.png"
    report = tmp_path / "report.html"
    with jax.numpy_rank_promotion("allow"):  # for biases of Keras layers
        assert main(["demo", f"--out={out}", f"--report={report}", *arguments]) == 0
    printed = capsys.readouterr().out
    accuracy = accuracies(printed)
    assert list(accuracy) == [10, 20, 30, 50, 75, 100]
    assert accuracy[10] > early
    assert accuracy[100] >= late
    assert ("ms/step" in printed) == (case != "solved decoders")
    same = re.search(r"Same answer for (\d+) of 10 images", printed)
    assert int(same[1]) >= 9
    assert f"Picture: {out}" in printed
    assert out.read_bytes().startswith(b"\x89PNG")
    assert report.exists() == (case == "converted")


def test_demo_cannot_train_for_no_epoch(capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["demo", "--epochs", "0"])
    assert "must be 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("no_such_folder/digits.png", "there is no folder"),
        ("digits.doc", "must end in one of .png"),
    ],
)
def test_demo_checks_first_where_the_picture_goes(tmp_path, capsys, out, message):
    assert main(["demo", "--out", str(tmp_path / out)]) == 2
    printed, error = capsys.readouterr()
    assert printed == ""
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_demo_says_how_to_install_what_is_missing(package):
    program = (
        "import sys\n"
        f"sys.modules[{package!r}] = None  # as if it were not installed\n"
        "from nengo_jax.cli import main\n"
        "sys.exit(main(['demo']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"nengo-jax demo: {package} is missing. Install it with: "
        'pip install "nengo-jax[demo]"'
    ]


# -- the command itself


def test_version(capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"nengo-jax {version}\n"


@pytest.mark.parametrize("arguments", [[], ["plan"], ["no-such-command"]])
def test_wrong_arguments(capsys, arguments):
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments)
    assert capsys.readouterr().err.startswith("usage: nengo-jax")
