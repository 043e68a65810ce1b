"""The guides: their examples print what they show, and no command or option is left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import pytest

from relo_dsl.cli.main import COMMANDS, relo
from tests.conftest import REPOSITORY
from tests.docs.guides import GUIDES, Step, guides


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    """What every command of every guide printed."""
    command = [sys.executable, "-m", "tests.docs.guides"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [Step(**step) for step in json.loads(run.stdout)]


def looks_like(shown: str, printed: str) -> bool:
    """Whether a text is what a guide shows, where `…` stands for anything."""
    parts = [re.escape(part.rstrip(" ")) for part in shown.rstrip("\n").split("…")]
    return re.fullmatch(".*".join(parts) + r"\s*", printed, re.DOTALL) is not None


@pytest.mark.parametrize("guide", guides())
def test_the_examples_print_what_they_show(steps: list[Step], guide: str) -> None:
    own = [step for step in steps if step.guide == guide]
    assert own
    for step in own:
        if step.shown.strip():
            assert looks_like(step.shown, step.printed), (
                f"`{step.command}` prints\n{step.printed}\nand the guide shows\n{step.shown}"
            )


def commands() -> list[tuple[str, click.Command]]:
    """The guide and the command of all that are there, those of groups one by one."""
    context = click.Context(relo)
    found: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = relo.get_command(context, name)
        assert command is not None
        inner = command.commands.values() if isinstance(command, click.Group) else [command]
        found.extend((name, one) for one in inner)
    return found


@pytest.mark.parametrize(("guide", "command"), commands())
def test_every_option_is_documented(guide: str, command: click.Command) -> None:
    text = (GUIDES / f"{guide}.md").read_text(encoding="utf-8")
    for parameter in command.params:
        for option in parameter.opts if isinstance(parameter, click.Option) else []:
            if option.startswith("--"):
                said = re.search(rf"`[^`\n]*{option}\b", text)
                assert said, f"docs/guides/{guide}.md does not say {option}"


@pytest.mark.parametrize(("guide", "command"), commands())
def test_every_command_has_help_with_an_example(guide: str, command: click.Command) -> None:
    help_text = command.help or ""
    assert "Example:" in help_text
    assert f"relo {guide}" in help_text
    assert any("--json" in parameter.opts for parameter in command.params)


def test_every_guide_is_in_the_navigation() -> None:
    nav = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    for guide in GUIDES.glob("*.md"):
        assert f"guides/{guide.name}" in nav


def test_what_dots_stand_for() -> None:
    assert looks_like("a …\nb\n", "a 1\n2\nb\n")
    assert not looks_like("a\nb\n", "a\nc\n")
