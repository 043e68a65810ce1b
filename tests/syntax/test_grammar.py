"""The grammar is unambiguous, and what the parser runs on is what the grammar says."""

from __future__ import annotations

from pathlib import Path

import interegular
import pytest
from lark import Lark
from lark.exceptions import GrammarError, LexError

from relo_dsl.syntax import tables
from relo_dsl.syntax.build import Builder

GRAMMAR = tables.grammar_path().read_text(encoding="utf-8")


def strictly(grammar: str) -> Lark:
    return Lark(
        grammar, parser="lalr", lexer="contextual", strict=True, start=list(tables.START_SYMBOLS)
    )


def test_no_conflicts() -> None:
    strictly(GRAMMAR)


def test_the_proof_would_see_a_conflict() -> None:
    with pytest.raises(GrammarError, match="between the following rules"):
        strictly(GRAMMAR.replace("?unary: sequence", "?unary: sequence | primary"))


def test_the_proof_would_see_colliding_terminals() -> None:
    with pytest.raises((GrammarError, LexError), match="Collision"):
        strictly(GRAMMAR.replace("NAMED_PERIOD.4:", "NAMED_PERIOD:"))


def test_the_proof_can_read_every_terminal() -> None:
    for terminal in strictly(GRAMMAR).terminals:
        interegular.parse_pattern(terminal.pattern.to_regexp()).to_fsm()


def test_every_rule_and_terminal_is_built() -> None:
    known = tables.compute_tables(GRAMMAR)
    missing = {rule.call for rule in known.rules if rule.call} - set(dir(Builder))
    assert not missing


def test_the_reserved_words_are_words_of_the_grammar() -> None:
    words = set(tables.load_tables().words)
    assert set(tables.STATEMENTS) <= words
    assert set(tables.JOINING) <= words


def test_the_cache_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load = tables.load_tables.__wrapped__
    first = load()
    (kept,) = (tmp_path / "relo").iterdir()
    again = load()
    assert (again.actions, again.gotos, again.rules) == (first.actions, first.gotos, first.rules)
    kept.write_text("{ broken", encoding="utf-8")
    assert len(load().actions) == len(first.actions)  # Lark numbers the states anew each time
    assert kept.read_text(encoding="utf-8").startswith('{"actions"')


def test_no_cache_folder_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert tables.load_tables.__wrapped__().actions
