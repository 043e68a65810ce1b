"""The examples of the documentation: where they stand, and what checking them finds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from relo_dsl.catalog import Catalog, load_catalog
from relo_dsl.diagnostics import Diagnostic
from relo_dsl.source import SourceFile
from relo_dsl.syntax import parse_expression
from relo_dsl.workspace import Workspace

DOCS = Path(__file__).parents[2] / "docs"
CATALOG = DOCS / "diagnostics" / "catalog.yaml"
#: What relo.toml would say around the examples.
CLIENT, ZONE = 3, "America/Mexico_City"
FILE = "example.seg"

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"\n]*)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page; `start` and `end` are the offsets of what stands inside."""

    language: str
    title: str
    text: str
    start: int
    end: int
    line: int


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    return [
        Block(
            found[1],
            found[2] or "",
            found[3],
            found.start(3),
            found.end(3),
            text.count("\n", 0, found.start()) + 1,
        )
        for found in _BLOCK.finditer(text)
    ]


def text_of(block: Block) -> str:
    """The definition that a block shows; one in Python is an expression that makes its bytes."""
    if block.language == "seg":
        return block.text
    made = eval(block.text, {"__builtins__": {}})
    assert isinstance(made, bytes)
    return made.decode("utf-8", errors="surrogateescape")


@cache
def catalog() -> Catalog:
    return load_catalog(CATALOG)


def workspace(client: int | None = CLIENT) -> Workspace:
    """A project as the examples assume it."""
    return Workspace(catalog(), client, ZONE, frozenset(catalog().lists))


def check(text: str, client: int | None = CLIENT) -> list[Diagnostic]:
    """What `relo check` says of a file; one that only holds a condition counts as its `match`."""
    if not is_file(text):
        text = "audience example\nmatch\n" + text
    project = workspace(client)
    project.add(SourceFile(FILE, text))
    return project.check()


def is_file(text: str) -> bool:
    """Whether a block holds definitions, rather than a condition by itself."""
    return bool(re.search(r"^(?:audience|segment|let)\b", text, re.MULTILINE))


def conditions(text: str) -> list[str]:
    """The conditions of a block without definitions: one a paragraph or a line.

    A line that is indented, or that starts with `and` or `or`, goes on with the one before.
    """
    found: list[str] = []
    for line in text.splitlines():
        bare = line.split("#")[0].rstrip() if '"' not in line else line.rstrip()
        if not bare.strip():
            continue
        if found and re.match(r"\s|and\b|or\b|\]|\)", bare):
            found[-1] += "\n" + bare
        else:
            found.append(bare)
    return found


def is_condition(text: str) -> bool:
    """Whether a text can be read as one expression."""
    return not parse_expression(SourceFile(FILE, text)).diagnostics.has_errors
