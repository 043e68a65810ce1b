"""Every construct is said, in every language, as it should be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from relo_dsl import terms
from relo_dsl.catalog import Catalog
from relo_dsl.explain import LANGUAGES, Narrator, narrator
from relo_dsl.freshness import freshness
from tests.explain.corpus import CENTRE, CONDITIONS, PREDICATES, WINDOWS, ZONE

CATALOG = Catalog.model_validate(
    {
        "places": {"polanco": [19.43, -99.19]},
        "zones": {"centro": [[float(a), float(b)] for a, b in CENTRE]},
    }
)


def says(language: str) -> Narrator:
    return narrator(CATALOG, ZONE, language)


@pytest.mark.parametrize("language", LANGUAGES)
class TestLanguage:
    def test_windows(self, language: str, snapshot: SnapshotAssertion) -> None:
        speaker = says(language).speaker
        assert {name: speaker.window(window) for name, window in WINDOWS.items()} == snapshot

    def test_predicates(self, language: str, snapshot: SnapshotAssertion) -> None:
        speaker = says(language).speaker
        assert {name: speaker.predicate(test) for name, test in PREDICATES.items()} == snapshot

    def test_conditions(self, language: str, snapshot: SnapshotAssertion) -> None:
        found = {
            name: "\n".join(says(language).sentence(condition).lines())
            for name, condition in CONDITIONS.items()
        }
        assert found == snapshot

    def test_no_sentence_has_odd_spaces(self, language: str) -> None:
        for condition in CONDITIONS.values():
            for line in says(language).sentence(condition).lines():
                assert not re.search(r"\S  |\s[,.]|,,|None", line), line


def test_the_corpus_has_every_term() -> None:
    corpus = (*CONDITIONS.values(), *PREDICATES.values(), *WINDOWS.values())
    seen = {type(node).__name__ for node in _walk(corpus)}
    for union in (terms.Condition, terms.Predicate, terms.Quantity, terms.Instant):
        names = re.findall(r"\w+", str(union))
        assert set(names) - {"Condition", "Predicate"} <= seen


def test_what_each_waits_for(snapshot: SnapshotAssertion) -> None:
    found = {name: freshness(condition) for name, condition in CONDITIONS.items()}
    assert {name: (fresh.kind, fresh.shortest) for name, fresh in found.items()} == snapshot


def _walk(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif is_dataclass(node):
        yield node
        for item in fields(node):
            yield from _walk(getattr(node, item.name))
