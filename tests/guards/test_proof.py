"""Texts that nobody compiled: whatever reads a table in another way is refused by the proof."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from relo_dsl.catalog import PropertyType
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.plan import Plan
from relo_dsl.sql.lower import count_query, members_query, withheld_query
from relo_dsl.sql.proof import ScopeError, prove
from relo_dsl.sql.query import SqlQuery
from relo_dsl.terms import (
    Affine,
    Ago,
    And,
    Condition,
    Did,
    InList,
    Measure,
    Not,
    Property,
    Ranking,
    Selection,
    Window,
)
from relo_dsl.times import UNITS
from tests.guards.cases import NOW

_CONDITION: Condition = And(
    (
        Did(Selection(("purchase",)), Window(Ago(30 * UNITS["d"]), Ago(UNITS["d"]))),
        Not(Did(Selection(()))),
        InList("vip"),
    )
)
PLAN = Plan(3, _CONDITION, mask=4)
SCOPED = scope(PLAN)
QUERY = members_query(SCOPED, NOW)
GUARDS = (
    "client_id = {client: UInt32} AND time <= {t: DateTime64(3, 'UTC')} "
    "AND bitAnd(flags, {mask: UInt8}) = {mask: UInt8}"
)
EVENTS = "(SELECT device FROM events WHERE"


def _text(change: Callable[[str], str]) -> SqlQuery:
    changed = change(QUERY.text)
    assert changed != QUERY.text
    return replace(QUERY, text=changed)


def _among(query: str) -> Callable[[str], str]:
    """A further test of the members: that they are among those of a query."""
    return lambda text: text.replace(EVENTS, f"{EVENTS} device IN ({query}) AND", 1)


@pytest.mark.parametrize("compile_", [members_query, count_query, withheld_query])
def test_what_is_compiled_is_proved(compile_: Callable[[ScopedPlan, int], SqlQuery]) -> None:
    prove(compile_(SCOPED, NOW), SCOPED, NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: f"{text}; SELECT 1",
        lambda text: f"{text}; DROP TABLE events",
        lambda text: f"{text} UNION ALL SELECT device FROM events",
        lambda text: f"{text} UNION DISTINCT {text}",
        lambda text: f"{text} INTO OUTFILE 'x'",
        lambda text: f"{text} SETTINGS readonly = 0",
        lambda text: f"{text} LIMIT 10",
        lambda text: f"EXPLAIN {text}",
        lambda text: f"INSERT INTO lists {text}",
        lambda text: text.split(" WHERE device NOT IN (SELECT device FROM withheld)")[0],
        lambda text: text.replace("device NOT IN (SELECT device FROM withheld)", "TRUE"),
        lambda text: text.replace(
            "device NOT IN (SELECT device FROM withheld)",
            "device NOT IN (SELECT device FROM withheld) OR TRUE",
        ),
        # consent held back may be counted, not listed
        lambda text: text.replace(
            "device NOT IN (SELECT device FROM withheld)",
            "device IN (SELECT device FROM withheld)",
        ),
        lambda text: text.replace(", 1) = 1", ", 1) = 2"),
        # the guards, changed
        lambda text: text.replace("client_id = {client: UInt32}", "client_id != {client: UInt32}"),
        lambda text: text.replace("client_id = {client: UInt32}", "client_id = 4"),
        lambda text: text.replace("client_id = {client: UInt32}", "TRUE", 1),
        lambda text: text.replace("WHERE client_id", "WHERE TRUE OR client_id"),
        lambda text: re.sub(r"WHERE client_id = {.*?} AND event_type", "WHERE event_type", text),
        lambda text: text.replace("AND time > {p9: DateTime64(3, 'UTC')} ", ""),
        # other places to read from
        _among("SELECT device FROM events"),
        _among(f"SELECT device FROM other.events WHERE {GUARDS}"),
        _among(f"SELECT device FROM scores WHERE {GUARDS.rpartition(' AND ')[0]}"),
        _among(f"SELECT device FROM staged WHERE {GUARDS}"),
        _among(f"SELECT max(device) FROM scores WHERE {GUARDS} GROUP BY name"),
        _among(f"SELECT name FROM system.tables WHERE {GUARDS}"),
        _among("SELECT device FROM file('x')"),
        _among("SELECT device FROM url('http://127.0.0.1/')"),
        _among("SELECT device FROM remote('127.0.0.1', default.events)"),
        _among("SELECT device FROM numbers(3)"),
        _among("events"),
        _among("default.events"),
        lambda text: text.replace(EVENTS, f"{EVENTS} device IN events AND", 1),
        _among(f"SELECT device FROM events, lists WHERE {GUARDS}"),
        _among(f"SELECT device FROM events JOIN lists USING (device) WHERE {GUARDS}"),
        _among(f"SELECT device FROM events ARRAY JOIN ss_tags WHERE {GUARDS}"),
        _among(f"SELECT device FROM events WHERE {GUARDS} UNION ALL SELECT device FROM events"),
        _among(f"SELECT device, {{client: UInt32}} AS client_id FROM events WHERE {GUARDS}"),
        _among(f"SELECT device FROM events PREWHERE {GUARDS}"),
        _among(f"WITH events AS (SELECT 1) SELECT device FROM events WHERE {GUARDS}"),
        _among("SELECT joinGet('default.staged', 'x', 1)"),
        _among("SELECT dictGet('d', 'x', 1)"),
        _among("SELECT file('/etc/passwd')"),
        # names that hide others
        lambda text: text.replace("WITH ", "WITH events AS (SELECT device FROM lists), ", 1),
        lambda text: text.replace("WITH ", "WITH reference_1 AS (SELECT device FROM events), ", 1),
        lambda text: text.replace("WITH ", "WITH withheld AS (SELECT 1 AS device), ", 1),
    ],
)  # fmt: skip
def test_another_text_is_refused(change: Callable[[str], str]) -> None:
    with pytest.raises(ScopeError):
        prove(_text(change), SCOPED, NOW)


SPAN = count_query(SCOPED, NOW, (None, bytes([9] * 16)))


def test_a_part_of_the_devices_is_counted_by_the_consent_of_that_part() -> None:
    prove(SPAN, SCOPED, NOW)
    bound = re.search(r" AND device < toFixedString\(unhex\(\{p\d+: String\}\), 16\)", SPAN.text)
    assert bound is not None
    consent, *_, last = (found.span() for found in re.finditer(re.escape(bound[0]), SPAN.text))
    # Without it at the end, others are asked for than those whose consent was read.
    for start, end in (last,):
        text = SPAN.text[:start] + SPAN.text[end:]
        with pytest.raises(ScopeError, match="others are asked for"):
            prove(replace(SPAN, text=text), SCOPED, NOW)
    # Everybody's consent may be read.
    prove(replace(SPAN, text=SPAN.text[: consent[0]] + SPAN.text[consent[1] :]), SCOPED, NOW)
    for other in (
        " AND device < toFixedString(unhex({client: UInt32}), 16)",
        " AND device > toFixedString(unhex({t: String}), 16)",
        " AND device < device",
    ):
        text = SPAN.text[: consent[0]] + other + SPAN.text[consent[1] :]
        with pytest.raises(ScopeError):
            prove(replace(SPAN, text=text), SCOPED, NOW)


def test_what_others_bought_is_told_of_those_who_consent() -> None:
    affine = Affine(Selection(("purchase",)), Property("sku", PropertyType.STRING), "a")
    for default in (255, 0):
        scoped = scope(Plan(3, affine, mask=4, default_flags=default))
        query = withheld_query(scoped, NOW)
        guard = (
            "NOT IN (SELECT device FROM withheld)"
            if default
            else "IN (SELECT device FROM consented)"
        )
        assert f"device {guard} AND x1 <> " in query.text
        with pytest.raises(ScopeError, match="counted together"):
            prove(
                replace(query, text=query.text.replace(f"device {guard} AND x1", "x1")), scoped, NOW
            )


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("default", [255, 0])
def test_places_are_given_to_those_who_consent(default: int, share: bool) -> None:
    bought = Selection(("purchase",))
    keep = Ranking("top", Decimal(3), share, Measure("count", bought, None, Window()))
    consent = r"device (NOT )?IN \(\s*SELECT\s+device\s+FROM\s+(withheld|consented)\s*\)"
    conditions: tuple[Condition, ...] = (Did(bought), Not(Did(bought)), _CONDITION)
    for condition in conditions:
        scoped = scope(Plan(3, condition, mask=4, default_flags=default, keep=keep))
        query = members_query(scoped, NOW)
        prove(query, scoped, NOW)
        inner = next(re.finditer(consent, query.text))
        text = query.text[: inner.start()] + "1" + query.text[inner.end() :]
        with pytest.raises(ScopeError, match=r"ranked together|`passing` is not asked"):
            prove(replace(query, text=text), scoped, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client", 4),
        ("mask", 0),
        ("mask", 1),
        ("t", "2099-01-01 00:00:00.000"),
        ("client", "3"),
    ],
)
def test_other_values_are_refused(name: str, value: object) -> None:
    with pytest.raises(ScopeError, match=name):
        prove(replace(QUERY, params={**QUERY.params, name: value}), SCOPED, NOW)


def test_ends_of_windows_are_compared_with_t_and_with_retention() -> None:
    found = re.findall(r"time (>=|>|<=) \{(p[0-9]+): DateTime64", QUERY.text)
    assert {op for op, _ in found} == {">=", ">", "<="}
    for op, name in found:
        moment = "2099-01-01 00:00:00.000" if op == "<=" else "1999-01-01 00:00:00.000"
        with pytest.raises(ScopeError, match="time" if op == "<=" else "retention"):
            prove(replace(QUERY, params={**QUERY.params, name: moment}), SCOPED, NOW)


def test_a_query_of_another_plan_or_instant_is_refused() -> None:
    for other in (Plan(4, _CONDITION, 4), Plan(3, _CONDITION, 20), Plan(3, _CONDITION, 4, 0)):
        with pytest.raises(ScopeError):
            prove(QUERY, scope(other), NOW)
    with pytest.raises(ScopeError):
        prove(QUERY, SCOPED, NOW - 1)
    with pytest.raises(ScopeError):
        prove(QUERY, scope(Plan(3, _CONDITION, 4, retention_months=2)), NOW)


def test_there_is_one_door() -> None:
    with pytest.raises(TypeError):
        ScopedPlan(PLAN, 3, 4)
    with pytest.raises(TypeError):
        replace(SCOPED, mask=1)
    with pytest.raises(TypeError):
        replace(SCOPED, plan=PLAN)
    with pytest.raises(AttributeError):
        SCOPED.mask = 1  # type: ignore[misc]
    assert scope(replace(PLAN, mask=0)).mask == 1
    for wrong in (PLAN, None, QUERY):
        with pytest.raises((AttributeError, TypeError)):
            members_query(wrong, NOW)  # type: ignore[arg-type]
