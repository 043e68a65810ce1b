"""Every example of the language reference is read and bound; the wrong ones must be errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relo_dsl.diagnostics import CODES, Severity
from tests.docs.examples import DOCS, Block, blocks, check, conditions, is_file

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


def test_what_is_not_evaluated_yet_is_said_to_be_so() -> None:
    page = (DOCS / "language" / "index.md").read_text(encoding="utf-8")
    wrong = [block for block in blocks(page) if block.title == "wrong"]
    for text in conditions(wrong[0].text):
        assert {item.code for item in check(text)} == {"not-yet"}, text


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
