"""Passes say of random sets of definitions what the own SQL of each says, boundaries included."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from relo_dsl.engine import Engine
from relo_dsl.times import parse_instant
from tests.differential.cases import Case
from tests.differential.collect import collect
from tests.differential.runner import everything_kept
from tests.differential.world import DEVICES
from tests.together.bundles import bundles, compare

_CASES = 60
#: Each is asked beside all others under both masks, so that reads, words and bits are shared.
_CONDITIONS = (
    "any event",
    "no any event",
    "no any event within 30d",
    "view and not view before 2100-01-01",
    "view or not view before 2100-01-01",
    "not any event before 7d ago",
    "purchase",
    "no purchase within 30d",
    "count(purchase) >= 2 within 365d",
    "count(purchase.code) <= 1",
    "sum(purchase.revenue) >= 3",
    "avg(purchase.revenue) < 2 within 365d",
    "min(purchase.revenue) <= 1",
    "max(purchase[total > 0.2 or missing].revenue) > 1 within 365d",
    "median(purchase.revenue) >= 1",
    "count(distinct purchase.code) >= 1",
    "days(any event) >= 2",
    "weeks(view) >= 1",
    "months(purchase) >= 1 within 365d",
    "avg(purchase.revenue within 30d) >= avg(purchase.revenue)",
    "first(purchase) within 365d",
    "last(purchase).revenue > 0",
    "(view then purchase within 3d) within 365d",
    "count(view) >= 1 in 2 of last 4 periods of 30d",
    'user.plan = "premium"',
    "user.vip != true",
    "user.age > 1 for 7d",
    "score.churn >= 0.5",
    "rfm.recency >= 3",
    'affine to "sku" at least 1',
    "in list vip",
    "not in list vip",
)
_MASKS = ("", "  require consent 4\n")
_AT = parse_instant("2026-06-15T12:00:00Z")


@pytest.mark.differential
def test_passes_agree_with_the_sql_of_each_definition(engine: Engine) -> None:
    cases, rejected = collect(_CASES, 412)
    tally: Counter[str] = Counter()
    with everything_kept(engine):
        for found in compare(engine, bundles(cases, 7), tally):
            pytest.fail(f"{found}", pytrace=False)
    assert tally["plans"] > 1.2 * len(cases) > 0.8 * _CASES, rejected
    assert min(tally[part] for part in ("MEMBER", "HELD_OUT", "WITHHELD")) > 3


@pytest.mark.differential
def test_every_kind_of_condition_beside_all_others(engine: Engine) -> None:
    drawn, _ = collect(24, 77)
    lines = tuple(line for case in drawn for line in case.lines)
    texts = [f"audience main\n{mask}  match {one}\n" for one in _CONDITIONS for mask in _MASKS]
    lists = (("vip", frozenset(DEVICES[::3])),)
    full = Case(texts[0], "opt-out", lines, len(lines), lists, (_AT, _AT + 1))
    bundle = (full, *(replace(full, text=text, lines=(), lists=()) for text in texts[1:]))
    tally: Counter[str] = Counter()
    with everything_kept(engine):
        for found in compare(engine, [bundle], tally):
            pytest.fail(f"{found}", pytrace=False)
    assert tally["MEMBER"] > 4 * len(bundle)
    assert tally["WITHHELD"] > 10
