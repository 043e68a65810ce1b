"""Every diagnostic has a page, and every example on it gives what the page shows."""

from __future__ import annotations

import pytest

from relo_dsl.diagnostics import CODES
from relo_dsl.source import SourceFile
from relo_dsl.syntax import parse
from relo_dsl.syntax.formatter import format_file
from tests.docs.examples import Block, blocks, check, text_of
from tests.docs.update import OUTPUT, PAGES, client_of, updated


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {*CODES, "index"}


@pytest.mark.parametrize("code", sorted(CODES))
class TestPage:
    def test_it_says_how_much_it_weighs_and_what_it_is_about(self, code: str) -> None:
        severity, about = CODES[code]
        text = (PAGES / f"{code}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {code}\n\n**{severity.value.capitalize()}**: {about}.\n")

    def test_the_wrong_examples_give_this_code_alone(self, code: str) -> None:
        found = [b for b in _blocks(code) if b.title == "wrong"]
        assert found
        for block in found:
            assert {item.code for item in check(text_of(block), client_of(code))} == {code}

    def test_the_right_examples_give_nothing(self, code: str) -> None:
        found = [b for b in _blocks(code) if b.title == "right"]
        assert found
        for block in found:
            assert check(text_of(block), client_of(code)) == []

    def test_the_right_examples_are_formatted(self, code: str) -> None:
        for block in _blocks(code):
            if block.title == "right" and block.language == "seg":
                source = SourceFile("example.seg", block.text)
                assert format_file(parse(source).file) == block.text

    def test_the_output_is_what_the_command_prints(self, code: str) -> None:
        path = PAGES / f"{code}.md"
        titles = [block.title for block in _blocks(code)]
        assert titles.count(OUTPUT) == titles.count("wrong")
        assert path.read_text(encoding="utf-8") == updated(path), "python -m tests.docs.update"


def test_the_index_lists_all_of_them() -> None:
    path = PAGES / "index.md"
    assert path.read_text(encoding="utf-8") == updated(path), "python -m tests.docs.update"


def _blocks(code: str) -> list[Block]:
    return blocks((PAGES / f"{code}.md").read_text(encoding="utf-8"))
