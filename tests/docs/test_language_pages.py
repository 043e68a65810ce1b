"""Every example of the language reference is read and bound; the wrong ones must be errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relo_dsl.catalog import load_catalog
from relo_dsl.cli.main import COMMANDS
from relo_dsl.diagnostics import CODES, Severity
from relo_dsl.source import SourceFile
from relo_dsl.workspace import Workspace
from tests.docs.examples import (
    CLIENT,
    DOCS,
    ZONE,
    Block,
    blocks,
    check,
    conditions,
    is_file,
)

PAGES = sorted((DOCS / "language").glob("*.md"))
EXAMPLES = [
    pytest.param(block, id=f"{path.stem}:{block.line}")
    for path in PAGES
    for block in blocks(path.read_text(encoding="utf-8"))
    if block.language == "seg"
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_is_right_or_wrong_as_it_says(block: Block) -> None:
    assert block.title in ("", "wrong")
    texts = [block.text] if is_file(block.text) else conditions(block.text)
    assert texts
    for text in texts:
        errors = [item for item in check(text) if item.severity is Severity.ERROR]
        # One mistake, one error: nothing follows from it that the reader did not do wrong.
        assert len(errors) == (block.title == "wrong"), (text, errors)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_a_title_and_examples(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert any(block.language == "seg" for block in blocks(text)) or path.stem == "instants"


def test_codes_are_linked_by_their_pages() -> None:
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for part in text.split("../diagnostics/")[1:]:
            name = part.partition(")")[0].partition("#")[0]
            assert name in ("catalog.yaml", "index.md") or name.removesuffix(".md") in CODES


def test_every_page_is_in_the_navigation() -> None:
    nav = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for path in DOCS.rglob("*.md"):
        assert re.search(rf"^ +- (?:.*: )?{re.escape(str(path.relative_to(DOCS)))}$", nav, re.M), (
            path
        )


def test_the_front_pages_show_definitions_without_a_mistake() -> None:
    index = blocks((DOCS / "index.md").read_text(encoding="utf-8"))
    assert [check(block.text) for block in index if block.language == "seg"] == [[]]
    readme = blocks((DOCS.parent / "README.md").read_text(encoding="utf-8"))
    (shown,) = [block.text for block in readme if block.language == "seg"]
    shop = Workspace(load_catalog(DOCS.parent / "segments" / "catalog.yaml"), CLIENT, ZONE)
    shop.add(SourceFile("README.md", shown))
    assert shop.check() == []
    shop.add_paths([DOCS.parent / "segments"])
    (name,) = shop.names[:1]
    shipped = Workspace(shop.catalog, CLIENT, ZONE)
    shipped.add_paths([DOCS.parent / "segments"])
    assert shop.plan(name) == shipped.plan(name)


def test_the_commands_of_the_readme_exist() -> None:
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^relo ([a-z]+)", text, re.MULTILINE)) <= set(COMMANDS)
    targets = (DOCS.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", text, re.MULTILINE):
        assert f"\n{target}: " in targets
    for path in re.findall(r"\]\(((?!http)[^)#]+)", text):
        assert (DOCS.parent / path).exists(), path
