"""Each guard of the SQL, taken away in turn, is missed twice: by the proof, and by the answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlglot import exp

import relo_dsl.sql.build as build
import relo_dsl.sql.lower as lowering
from relo_dsl.consent import scope
from relo_dsl.engine import Engine, device_key, load
from relo_dsl.sql.lower import members_query
from relo_dsl.sql.proof import ScopeError
from relo_dsl.sql.scope import Scope
from tests.differential import runner
from tests.differential.runner import Mismatch, Tally, compare, everything_kept
from tests.guards.cases import CASES, NOW

Break = Callable[[pytest.MonkeyPatch], None]


def _holds(*_: object) -> exp.Expr:
    return exp.true()


def _client(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "client_guard", _holds)


def _time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "time_guard", _holds)


def _flags(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "flags_guard", _holds)


def _consent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "consent_guard", _holds)


def _retention(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scope, "retention_guards", lambda *_: [[]])


def _grant(patch: pytest.MonkeyPatch) -> None:
    """Whatever was kept longer once is seen, granted still or not."""
    whole = Scope.retention_guards

    def without(self: Scope, after: int | None) -> list[list[exp.Expr]]:
        kinds = whole(self, after)
        return [[part for part in kind if not isinstance(part, exp.In)] for kind in kinds]

    patch.setattr(Scope, "retention_guards", without)


def _longest(patch: pytest.MonkeyPatch) -> None:
    """Rows kept longer are seen for ever."""
    whole = Scope.retention_guards

    def without(self: Scope, after: int | None) -> list[list[exp.Expr]]:
        young, *longer = whole(self, after)
        return [young, *([p for p in kind if not isinstance(p, exp.GTE)] for kind in longer)]

    patch.setattr(Scope, "retention_guards", without)


def _only_in(table: str, guard: str) -> Break:
    """Takes one guard away where one table is read."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        whole = build.select

        def without(*given: object, **named: object) -> exp.Select:
            query = whole(*given, **named)  # type: ignore[arg-type]
            source = query.args["from_"].this
            if isinstance(source, exp.Table) and source.name == table:
                _drop(query, guard)
            return query

        for module in ("relo_dsl.sql.lower", "relo_dsl.sql.scope"):
            patch.setattr(f"{module}.select", without)

    return apply


def _drop(query: exp.Select, column: str) -> None:
    """Replaces every condition of the WHERE that compares a column with a value."""
    for found in list(query.args["where"].find_all(exp.EQ, exp.LTE)):
        if found.find(exp.Column) and found.find(exp.Column).name == column:
            found.replace(exp.true())


BREAKS: dict[str, Break] = {
    "client": _client,
    "time": _time,
    "flags": _flags,
    "consent": _consent,
    "retention": _retention,
    "retention, the grant now": _grant,
    "retention, its end": _longest,
    "client of events": _only_in("events", "client_id"),
    "client of traits": _only_in("traits", "client_id"),
    "client of lists": _only_in("lists", "client_id"),
    "client of consent": _only_in("consent", "client_id"),
    "time of events": _only_in("events", "time"),
    "time of traits": _only_in("traits", "time"),
    "time of consent": _only_in("consent", "time"),
    "flags of events": _only_in("events", "flags"),
    "flags of traits": _only_in("traits", "flags"),
}


def _refusals() -> int:
    """How many of the cases do not compile."""
    refused = 0
    for case in CASES:
        try:
            members_query(scope(case.plan(3)), NOW)
        except ScopeError:
            refused += 1
    return refused


def _differences(engine: Engine, patch: pytest.MonkeyPatch) -> list[Mismatch]:
    """What goes wrong where a device has one key at every client, and only guards part them."""
    for module in (load, runner):
        patch.setattr(module, "device_key", lambda key, _, device: device_key(key, 0, device))
    with everything_kept(engine):
        return list(compare(engine, CASES, Tally()))


def test_with_every_guard_in_place_the_answers_are_right(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _refusals() == 0
    assert _differences(engine, monkeypatch) == []


@pytest.mark.parametrize("name", BREAKS)
def test_the_proof_misses_a_guard(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BREAKS[name](monkeypatch)
    assert _refusals() > 0


@pytest.mark.parametrize("name", BREAKS)
def test_without_the_proof_the_answers_miss_it(
    name: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    BREAKS[name](monkeypatch)
    monkeypatch.setattr(lowering, "prove", lambda *_: None)
    assert _differences(engine, monkeypatch) != []
