"""Runs the examples of the guides, each in a fresh project, and prints what they did as JSON.

A program of its own, because the embedded engine opens one folder at a time and the tests' process
has opened another. Blocks run in their order:

- a block with a title is a file with that name;
- a ``console`` block holds commands behind `$ ` and, under each, what it prints; `< FILE` at the
  end of one is its standard input.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from click.testing import CliRunner

from relo_dsl.cli.main import relo

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
#: Guides with tests of their own.
ELSEWHERE = (
    "eval",
    "demo",
    "ingest",
    "pixel",
    "appsflyer",
    "redis",
    "embedded",
    "migrate",
    "scale",
)
#: So that the keys in the guides are what everybody gets who runs them.
KEY = "00112233445566778899aabbccddeeff" * 2
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass
class Step:
    """A command, what the guide shows under it, and what it printed."""

    guide: str
    command: str
    shown: str
    printed: str = ""


def guides() -> list[str]:
    """The names of the guides whose examples run here."""
    return sorted(p.stem for p in GUIDES.glob("*.md") if p.stem not in ELSEWHERE)


def run(guide: str) -> Iterator[Step]:
    """The steps of a guide, run in the current folder."""
    status = 0
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    if guide != "init":
        CliRunner().invoke(relo, ["init"])
    if "$ relo load" in text:
        # Without it the engine would drop the guide's events two years after their dates.
        with Path("segments/catalog.yaml").open("a") as catalog:
            catalog.write("\nretention: {months: 1200, extended_months: 1200}\n")
    for language, title, block in _BLOCK.findall(text):
        if title:
            Path(title).write_text(block, encoding="utf-8")
        elif language == "console":
            for step in _steps(guide, block):
                step.printed, status = _printed(step.command, status)
                yield step


def _steps(guide: str, block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield Step(guide, command.strip(), shown)


def _printed(command: str, status: int) -> tuple[str, int]:
    words = shlex.split(command)
    if command == "echo $?":
        return f"{status}\n", 0
    if words[0] == "cat":
        return Path(words[1]).read_text(encoding="utf-8"), 0
    assert words[0] == "relo", command
    *words, given = words if words[-2:-1] == ["<"] else [*words, "<", ""]
    typed = Path(given).read_text(encoding="utf-8") if given else None
    result = CliRunner().invoke(relo, words[1:-1], input=typed)
    return result.stdout + result.stderr, result.exit_code


def main() -> None:
    """Runs all guides."""
    os.environ["RELO_KEY"] = KEY
    steps: list[dict[str, str]] = []
    for guide in guides():
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            steps.extend(asdict(step) for step in run(guide))
            os.chdir("/")
    json.dump(steps, sys.stdout)


if __name__ == "__main__":
    main()
