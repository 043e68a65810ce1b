"""Each text that people read through the service has a Spanish one, with the same holes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relo_dsl.messages import catalogue, in_spanish
from tests.conftest import REPOSITORY
from tests.messages.said import texts

DSL, SERVER = REPOSITORY / "relo_dsl", REPOSITORY / "server" / "relo_server"
#: Said to whoever runs the commands or the server, in English; the service does not say it.
OPERATORS = ("cli", "engine", "inputs.py", "mapping.py", "infer.py", "evaluation.py")
SERVICE = ("api", "ingest", "spool")
SPOKEN = sorted(
    path
    for path in [
        *DSL.rglob("*.py"),
        SERVER / "cost.py",
        *(p for name in SERVICE for p in (SERVER / name).rglob("*.py")),
    ]
    if not any(path.is_relative_to(DSL / name) for name in OPERATORS)
    # Sockets that cannot be opened are told at the start.
    and path.name not in ("inside.py", "listening.py")
)
HOLE = re.compile(r"\{\d*\}")


@pytest.mark.parametrize("path", SPOKEN, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_each_text_has_a_spanish_one(path: Path) -> None:
    missing = [
        f"{path.name}:{line}: {text}"
        for line, text in texts(path)
        if HOLE.sub("", text).strip(" `:") and in_spanish(text.replace("{}", "x1")) is None
    ]
    assert not missing, "write these in relo_dsl/messages/es.txt"


def test_the_walk_finds_what_is_said() -> None:
    """It would pass as well if it found nothing."""
    assert sum(1 for path in SPOKEN for _ in texts(path)) > 250


def test_the_holes_and_the_code_are_the_same() -> None:
    assert [pair for pair in catalogue() if not _matches(*pair)] == []


def _matches(english: str, spanish: str) -> bool:
    count, used = len(HOLE.findall(english)), HOLE.findall(spanish)
    numbered = {f"{{{number}}}" for number in range(count)}
    holes = used == ["{}"] * count or set(used) <= numbered
    return holes and _code(spanish.replace("NOMBRE", "NAME")) <= _code(english)


def _code(text: str) -> set[str]:
    return set(re.findall("`([^`]*)`", HOLE.sub("{}", text)))


def test_a_text_stands_there_once() -> None:
    found = [english for english, _ in catalogue()]
    assert len(found) == len(set(found))


def test_what_is_filled_in_is_translated_too() -> None:
    found = in_spanish("expected a name after `audience`, found the end of the text")
    assert found == "se esperaba un nombre después de `audience`, y hay el final del texto"


def test_what_has_no_spanish_is_none() -> None:
    assert in_spanish("this stands nowhere") is None
