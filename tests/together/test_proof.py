"""A pass from which any one guard is taken, wherever it stands, is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from relo_dsl.catalog import PropertyType
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.plan import Plan
from relo_dsl.sql.proof import ScopeError
from relo_dsl.sql.query import SqlQuery
from relo_dsl.sql.together import passes
from relo_dsl.sql.together.proof import prove_pass
from relo_dsl.terms import (
    Ago,
    And,
    Compare,
    Comparison,
    Condition,
    Constant,
    Did,
    InList,
    Measure,
    Not,
    Or,
    Predicate,
    Property,
    Selection,
    Shares,
    Trait,
    Window,
)
from relo_dsl.times import UNITS
from tests.guards.cases import NOW

_WEEK, _MONTH = Window(Ago(7 * UNITS["d"])), Window(Ago(30 * UNITS["d"]))
_BOUGHT = Did(Selection(("purchase",)), _MONTH)
_REVENUE = Property("revenue", PropertyType.NUMBER)
_SPENT = Comparison(
    Measure("sum", Selection(("purchase",)), _REVENUE, _MONTH), ">", Constant(Decimal(100))
)
_PAID: Predicate = Compare(Property("plan", PropertyType.STRING), "=", "premium")
_CONDITIONS: tuple[Condition, ...] = (
    And((_BOUGHT, Not(Did(Selection(("visit",)), _WEEK)))),
    Or((_SPENT, InList("vip"))),
    And((Trait(_PAID), Not(_SPENT))),
    Not(_BOUGHT),
)
_PLANS = [
    scope(Plan(3, condition, mask=mask, retention_months=24, shares=shares))
    for mask in (4, 16)
    for condition, shares in zip(
        _CONDITIONS, (None, None, Shares("held", holdout=Decimal(10)), None), strict=True
    )
]


def _query(plans: list[ScopedPlan]) -> SqlQuery:
    (found,) = passes(plans, NOW)
    (query,) = found.queries
    return query


QUERY = _query(_PLANS)
PLACES = list(enumerate(_PLANS))
FLAGS = "bitAnd(flags, {{mask_{0}: UInt8}}) = {{mask_{0}: UInt8}}"
CHANGES = (
    ("client_id = {client: UInt32}", "TRUE"),
    ("client_id = {client: UInt32}", "client_id <> 0"),
    ("time <= {t: DateTime64(3, 'UTC')}", "TRUE"),
    (FLAGS.format(4), "TRUE"),
    (FLAGS.format(16), "TRUE"),
    (FLAGS.format(4), FLAGS.format(16)),
    (FLAGS.format(16), FLAGS.format(4)),
    ("FROM withheld_4", "FROM withheld_16"),
    ("FROM withheld_16", "FROM withheld_4"),
    ("device NOT IN (SELECT", "device IN (SELECT"),
    ("HAVING bitAnd(max(", "HAVING NOT bitAnd(max("),
    ("toFixedString('', 16)", "x1"),
    ("bitAnd({code}, 65535) + 1", "bitAnd({code}, 65535) + 2"),
    (">= 65536", "> 65536"),
    ("65536)", "0)"),
    ("FROM lists", "FROM traits"),
    ("GROUP BY device", ""),
    ("UNION ALL", "UNION DISTINCT"),
)


def _mutants() -> Iterator[tuple[str, str]]:
    """A name and a text for each change at each place where it can be made."""
    for old, new in CHANGES:
        for number, match in enumerate(re.finditer(re.escape(old), QUERY.text)):
            start, end = match.span()
            changed = QUERY.text[:start] + new + QUERY.text[end:]
            yield f"{old} -> {new} at {number}", changed


MUTANTS = list(_mutants())


def test_the_pass_itself_is_proved() -> None:
    prove_pass(QUERY, PLACES, NOW)


def test_every_change_has_a_place() -> None:
    unmade = [old for old, new in CHANGES if not any(name.startswith(old) for name, _ in MUTANTS)]
    assert unmade == ["bitAnd({code}, 65535) + 1"]


@pytest.mark.parametrize(("name", "text"), MUTANTS, ids=[name for name, _ in MUTANTS])
def test_what_lacks_a_guard_is_refused(name: str, text: str) -> None:
    with pytest.raises(ScopeError):
        prove_pass(replace(QUERY, text=text), PLACES, NOW)


@pytest.mark.parametrize("change", ["plans", "dropped", "twice"])
def test_places_are_those_of_the_plans(change: str) -> None:
    places = list(QUERY.params["plans"])  # type: ignore[call-overload]
    own = [place for place in places if place < len(_PLANS)]
    swapped = {
        "plans": [{own[0]: own[-1], own[-1]: own[0]}.get(place, place) for place in places],
        "dropped": [2**32 - 1 if place == own[0] else place for place in places],
        "twice": [own[1] if place == own[0] else place for place in places],
    }[change]
    with pytest.raises(ScopeError):
        prove_pass(SqlQuery(QUERY.text, {**QUERY.params, "plans": swapped}), PLACES, NOW)


def test_a_word_of_another_mask_is_refused() -> None:
    """Each formula under one mask looks at the words of that mask alone."""
    words = re.findall(r"groupBitOr\(x\d+\) AS (x\d+)", QUERY.text)
    formulas = QUERY.text.split("groupBitOr(", 1)[0]
    used = [word for word in words if re.search(rf"\b{word}\b", formulas)]
    for word in used:
        others = [other for other in used if other != word]
        refused = 0
        for other in others:
            text = re.sub(rf"\b{word}\b(?=,)", other, formulas, count=1)
            changed = text + QUERY.text[len(formulas) :]
            try:
                prove_pass(replace(QUERY, text=changed), PLACES, NOW)
            except ScopeError:
                refused += 1
        assert refused, word
