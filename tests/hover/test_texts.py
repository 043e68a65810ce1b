"""Every construct has a text in both languages, an example that can be read, and a page."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from lark import Lark

from relo_dsl.hover import english, hover, spanish
from relo_dsl.hover.topics import SILENT, TOPICS, topic_of
from relo_dsl.source import SourceFile
from relo_dsl.syntax import nodes, parse, parse_tokens
from relo_dsl.syntax.tables import INSERTED, START_SYMBOLS, grammar_path
from tests.docs.examples import DOCS, is_file, workspace

NOW = 1_781_524_800_000
#: What has a value of its own, and so no text by its kind.
VALUES = {
    *("NAME", "QUOTED", "STRING", "NUMBER", "PERCENT", "QUANTITY", "DATE", "PERIOD", "TIME"),
}
#: Nodes that no word of a text that can be read stands for.
WORDLESS = {nodes.ErrorExpr, nodes.Comment}


def file_of(example: str) -> SourceFile:
    text = example if is_file(example) else f"audience example match {example}"
    return SourceFile("example.seg", text)


def test_both_languages_have_the_same_texts() -> None:
    assert set(english.TEXTS) == set(spanish.TEXTS) == set(TOPICS)
    for texts in (english.TEXTS, spanish.TEXTS):
        assert all(text.endswith(".") for text in texts.values())
    same = [name for name in TOPICS if english.TEXTS[name] == spanish.TEXTS[name]]
    assert not same


@pytest.mark.parametrize("name", TOPICS)
def test_an_example_can_be_read(name: str) -> None:
    parsed = parse(file_of(TOPICS[name].example))
    assert not parsed.diagnostics.has_errors, TOPICS[name].example


@pytest.mark.parametrize("page", sorted({topic.page for topic in TOPICS.values()}))
def test_a_page_exists(page: str) -> None:
    assert (DOCS / "language" / page).is_file()


def pairs() -> list[tuple[str, str]]:
    """Every rule of the grammar with each keyword and sign in it."""
    grammar = grammar_path().read_text(encoding="utf-8")
    lark = Lark(grammar, parser="lalr", lexer="basic", start=list(START_SYMBOLS))
    words = {t.name: t.pattern for t in lark.terminals}
    found: set[tuple[str, str]] = set()
    for rule in lark.rules:
        origin = str(rule.origin.name)
        name = rule.alias or origin
        if origin.startswith("_"):
            continue  # spread: its tokens belong to the rule around it, tried below as text
        for symbol in rule.expansion:
            if symbol.is_term and symbol.name not in VALUES | INSERTED:
                pattern = words[symbol.name]
                texts = [pattern.value] if pattern.type == "str" else WRITTEN[symbol.name]
                found.update((name, text) for text in texts)
    return sorted(found)


#: Words that a pattern stands for.
WRITTEN = {
    "CALENDAR_UNIT": ["days", "weeks", "month"],
    "OR_MISSING": ["or missing"],
    "NAMED_PERIOD": ["today", "last quarter"],
    "TEXT_MATCH": ["contains", "matches", "starts with", "ends with"],
    "IGNORING_CASE": ["ignoring case"],
    "EQ": ["="],
    "COMPARE": ["!=", "<", "<=", ">", ">="],
}
#: Rules that hand their only word to the rule around them.
HANDED_ON = {"kind"}


@pytest.mark.parametrize(("rule", "word"), pairs())
def test_every_keyword_of_the_grammar_has_a_text(rule: str, word: str) -> None:
    if rule not in HANDED_ON and word not in SILENT:
        assert topic_of(rule, word) in TOPICS


def words_of(text: SourceFile) -> list[int]:
    """The offsets of the tokens of a text that are neither signs nor values."""
    return [
        token.span.start
        for token in parse_tokens(text)[1]
        if token.kind not in VALUES and token.text not in SILENT
    ]


@pytest.mark.parametrize("name", TOPICS)
def test_every_word_of_every_example_is_explained(name: str) -> None:
    source = file_of(TOPICS[name].example)
    for offset in words_of(source):
        for language in ("en", "es"):
            found = hover(workspace(), source, offset, NOW, language)
            assert found is not None, source.text[offset:]


@pytest.mark.parametrize("name", TOPICS)
def test_every_text_is_found_in_its_example(name: str) -> None:
    source = file_of(TOPICS[name].example)
    texts = [
        found.markdown
        for token in parse_tokens(source)[1]
        if (found := hover(workspace(), source, token.span.start, NOW))
    ]
    assert any(english.TEXTS[name] in text for text in texts)


def test_the_examples_have_every_node_of_the_syntax() -> None:
    every = {kind for kind in vars(nodes).values() if isinstance(kind, type) and is_dataclass(kind)}
    found: set[type] = set()
    for topic in TOPICS.values():
        found |= kinds_in(parse(file_of(topic.example)).file)
    missing = every - found - WORDLESS
    assert not missing, "an example for each, and so a text"


def kinds_in(node: Any) -> set[type]:
    if isinstance(node, tuple):
        return {kind for part in node for kind in kinds_in(part)}
    if not is_dataclass(node):
        return set()
    inner = {kind for item in fields(node) for kind in kinds_in(getattr(node, item.name))}
    return {type(node), *inner}


def test_a_text_is_no_longer_than_three_sentences() -> None:
    for texts in (english.TEXTS, spanish.TEXTS):
        for name, text in texts.items():
            plain = re.sub(r"`[^`]*`", "x", text)
            assert len(re.findall(r"[.:;](?: |$)", plain)) <= 5, name
            assert len(plain) <= 330, name
