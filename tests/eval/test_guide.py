"""The examples of docs/guides/eval.md, run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from relo_dsl.cli.main import relo
from relo_dsl.inputs import read_records

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "eval.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def test_the_console_blocks_print_what_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("winback.seg").write_text(blocks("seg")[0])
    Path("events.jsonl").write_text(blocks("json")[0])
    consoles = blocks("console")
    assert len(consoles) == 2
    for text in consoles:
        command, _, output = text.partition("\n")
        result = CliRunner().invoke(relo, shlex.split(command.removeprefix("$ relo ")))
        assert (result.exit_code, result.stdout, result.stderr) == (0, output, "")


def test_the_records_and_the_table_can_be_read(tmp_path: Path) -> None:
    for name, text in (("a.jsonl", blocks("json")[1]), ("a.csv", blocks("csv")[0])):
        (tmp_path / name).write_text(text)
        assert len(list(read_records([tmp_path / name], 3))) == len(text.splitlines()) - (
            name == "a.csv"
        )


def test_every_option_is_documented() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    help_text = CliRunner().invoke(relo, ["eval", "--help"]).stdout
    for option in set(re.findall(r"--[a-z-]+", help_text)) - {"--help"}:
        assert f"`{option}" in text, option
