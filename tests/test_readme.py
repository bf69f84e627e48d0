"""The examples in the README run, and print what it says."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def code(language: str) -> str:
    return "\n".join(text for name, text in BLOCK.findall(TEXT) if name == language)


def test_examples_print_what_they_say(capsys):
    """Every ``print(x)  # y: meaning`` prints y."""
    source = code("python")
    exec(compile(source, "README.md", "exec"), {})
    said = re.findall(r"^print\(.*\)  # ([^:\n]*)", source, re.MULTILINE)
    printed = [line for line in capsys.readouterr().out.splitlines() if line in said]
    assert len(said) >= 2
    assert printed == said
