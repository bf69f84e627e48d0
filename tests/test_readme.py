"""The examples in the README and in the guides run, and print what they say."""

import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def code(path: str, language: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    return "\n".join(block for name, block in BLOCK.findall(text) if name == language)


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/training.md",
        pytest.param("docs/conversion.md", marks=pytest.mark.slow),
        pytest.param("docs/control.md", marks=pytest.mark.slow),
    ],
)
def test_examples_print_what_they_say(path, capsys, tmp_path, monkeypatch):
    """Every ``print(x)  # y: meaning`` prints y."""
    source = code(path, "python")
    monkeypatch.chdir(tmp_path)  # some write files
    # as a user runs them, without the strictness of the other tests
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(compile(source, path, "exec"), {})
    said = re.findall(r"^print\(.*\)  # ([^:\n]*)", source, re.MULTILINE)
    printed = [line for line in capsys.readouterr().out.splitlines() if line in said]
    assert len(said) >= 2
    assert printed == said
