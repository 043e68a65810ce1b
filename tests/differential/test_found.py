"""What the random cases have found once, and extremes that they rarely reach, kept as examples."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from relo_dsl.diagnostics import Severity
from relo_dsl.engine import Engine
from relo_dsl.times import parse_instant
from relo_dsl.workspace import Workspace
from tests.differential.cases import Case
from tests.differential.runner import Tally, compare, everything_kept

_NOW = parse_instant("2026-06-15T12:00:00Z")
_BIG = "999999999999999.999999999"
_CONDITIONS = (
    # ClickHouse divides for rows whose result is NULL too, and finds a zero there
    "count(purchase) / count(purchase[revenue = 7]) > 1",
    "not count(purchase) / count(view) > 1",
    "avg(purchase.total) >= 0",
    "1 / (1 / count(purchase[revenue = 7])) = 0",
    "avg(purchase.revenue) / min(purchase.total) >= 7",
    # arrays of numbers as values
    "purchase.amounts has all (7, 1.000000001)",
    "purchase.amounts has any (0.000000001, -1)",
    # a list is no bound: whoever is on it and never came is not in the universe
    "not (view.code not in -1..0.5 or not in list vip)",
    "in list vip and no view",
    "not in list vip",
    "in list vip or no purchase",
    # two events whose arrays of objects have different fields
    'any event[any products[brand.name contains "a" and price > 1]]',
    "any event[any products[gift is missing]]",
    '`Order Completed`[any products[id = "x"]]',
    # a missing field is no empty string, and no zero
    '`Order Completed`[products.id has any ("", "y")]',
    '`Order Completed`[products.id has all ("", "x")]',
    "any event[products.price has any (0, 7)]",
    "any event[products.price has all (0, 2)]",
    # products and quotients at the ends of what fits
    "sum(purchase.revenue) * sum(purchase.revenue) > 0",
    "sum(purchase.revenue) * sum(purchase.revenue) * sum(purchase.revenue) > 0",
    f"sum(purchase.total) * {_BIG} * {_BIG} > 0",
    "avg(purchase.total) * avg(purchase.total) * avg(purchase.total) > 0",
    "sum(purchase.revenue) / 0.000000001 / 0.000000001 / 0.000000001 > 0",
    "sum(purchase.revenue) * sum(purchase.revenue) / sum(purchase.revenue) = sum(purchase.revenue)",
    f"count(login) + {_BIG} * {_BIG} - {_BIG} * {_BIG} = 0",
    f"count(login) + {_BIG} * {_BIG} + 1 > {_BIG} * {_BIG}",
    "1 / (sum(purchase.revenue) * sum(purchase.revenue) * sum(purchase.revenue)) = 0",
    f"avg(purchase.revenue) = {_BIG}",
    "-1 / 3 * count(purchase) < -1.9",
    "0 - count(purchase) / 9 = -0.666666666",
    "count(purchase) > 999999999999999",
    "count(purchase) in -1..0.5",
    # 10 / 3 is cut: above what is one billionth less, and no more
    *(
        f"{no}avg(view.revenue) {op} 3.33333333{last}"
        for no in ("", "not ")
        for op in (">", ">=", "<", "<=", "=", "!=")
        for last in (2, 3, 4)
    ),
    "avg(view.revenue) > 0.000000001 or avg(view.revenue) < -3.333333332",
    "sum(view.revenue) / count(view) = -3.333333333",
    "(sum(view.revenue) - 20) / distinct(view.revenue) <= -3.333333333",
    "sum(view.revenue) / max(view.revenue) = 3.333333333",
    "-10 / sum(view.revenue) = -1 and 3 / min(view.revenue) > 0.75",
    # a largest value above a number is an event above it
    *(
        f"{no}{kind}(view.revenue) {op} 4"
        for no in ("", "not ")
        for kind in ("min", "max")
        for op in (">", ">=", "<", "<=")
    ),
    "max(view[revenue < 4].revenue within 1d) > 2 or min(view[code = 7].revenue) < 3",
    # one element that has a value, and the rest in another
    'any event[any products[id = "x" and price = 2]]',
    'any event[any products[id = "x" and not gift = true]]',
    'any event[any products[id = "" or price = 0]]',
    'not any event[any products[id = "x" and price is missing]]',
    # windows beyond what the engine's times hold
    "purchase within 36525d",
    "no purchase before 36525d ago",
    "purchase since 0001-01-01",
    "purchase before 9999-12-31",
    "purchase before 0001-01-01",
    "purchase within 1200 calendar months",
    # text
    'purchase.city ends with "ΑΣ" ignoring case',
    'purchase.city contains "σ" ignoring case',
    'purchase.city matches "^x.y$"',
    "purchase.products.gift has true or missing",
    "user.born <= user.seen or missing",
)


def _lines() -> tuple[str, ...]:
    purchase = {"revenue": 0, "total": 0, "amounts": [7], "city": "ας"}
    purchase["products"] = [{"id": "x"}, {"brand.name": "a", "price": 2}]
    order = {"products": [{"id": "x", "brand.name": "ab", "price": 2}, {}, {"gift": True}]}
    raw: list[dict[str, object]] = [
        {"t": "purchase", "did": did, "props": {**purchase, "city": city}, "eid": f"{did}{n}"}
        for did, city in (("a", "ας"), ("b", "x\0y"), ("c", "Σ"))
        for n in range(6)
    ]
    raw += [
        {"t": "Order Completed", "did": "d", "props": order, "eid": "d"},
        {"t": "login", "did": "e", "props": {**order, "amounts": [0.000000001]}, "eid": "e"},
        {"t": "view", "did": "f", "props": {"code": 5}, "eid": "f"},
        {"t": "identify", "did": "g", "traits": {"born": 5, "seen": 5}, "eid": "g"},
    ]
    raw += [
        {"t": "view", "did": did, "props": {"revenue": sign * value}, "eid": f"{did}{n}"}
        for did, sign in (("i", 1), ("j", -1))
        for n, value in enumerate((3, 3, 4))
    ]
    raw += [{"t": "view", "did": "k", "props": {"code": 7}, "eid": "k"}]
    for line in raw:
        line |= {"ts": _NOW - 1, "cid": 0}
    numbers = f'{{"revenue":{_BIG},"total":0.000000001,"amounts":[7,1.000000001]}}'
    common = f'"t":"purchase","did":"h","ts":{_NOW},"cid":0,"props":{numbers}'
    return (*map(json.dumps, raw), *(f'{{{common},"eid":"h{n}"}}' for n in range(6)))


def test_examples(engine: Engine) -> None:
    lines = _lines()
    lists = (("vip", frozenset({"a", "nobody"})),)
    cases = [
        Case(f"audience main\n  match {text}\n", "opt-out", lines, len(lines) // 2, lists, (_NOW,))
        for text in _CONDITIONS
    ]
    with everything_kept(engine):
        found = [
            (m.case.text, m.what, m.expected, m.found) for m in compare(engine, cases, Tally())
        ]
    assert found == []


def test_rankings_by_tiny_products(engine: Engine) -> None:
    lines = tuple(
        f'{{"t":"purchase","did":"{did}","ts":{_NOW},"cid":0,"eid":"{did}","props":'
        f'{{"revenue":0.1,"total":{place}e-9}}}}'
        for place, did in enumerate("fbdaec", 1)
    )
    by = "sum(purchase.revenue) * sum(purchase.total)"
    cases = [
        Case(f"audience main\n  match {text} keep {keep} by {by}", "opt-out", lines, 6, (), (_NOW,))
        for text in ("purchase", "not login", "purchase and no view")
        for keep in ("top 2", "bottom 2", "top 50%")
    ]
    cases += [
        replace(cases[0], text=f"audience main\n  match purchase keep top 3 by {by}\n")
        for by in (
            f"count(login) + {_BIG} * {_BIG}",
            f"count(login) - {_BIG} * {_BIG} * 2",
            "0.1 * 0.000000001 + count(login)",
            f"sum(purchase.total) + {_BIG} * {_BIG}",
            f"count(view) - count(login) * 1 + {_BIG} * {_BIG} * (count(purchase) - 1) + 1",
        )
    ]
    with everything_kept(engine):
        found = [
            (m.case.text, m.what, m.expected, m.found) for m in compare(engine, cases, Tally())
        ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("match user = user.age", "unknown-trait"),
        ("match purchase from 2026-03-29 to 2026-06-00", "date"),
        ("match purchase from 2026-03-29 to 9999-12-31", "date"),
        ("match purchase within 1201 calendar months", "duration"),
        ("match " + " * ".join(["count(purchase)"] * 5) + " > 1", "number-out-of-range"),
        ("match " + " * ".join(["sum(purchase.total)"] * 4) + " > 1", "number-out-of-range"),
        (f"match sum(purchase.total) * {_BIG} * {_BIG} * {_BIG} > 1", "number-out-of-range"),
        ("match avg(purchase.total)" + " / 0.000000001" * 7 + " > 1", "number-out-of-range"),
    ],
)
def test_mistakes_that_crashed(text: str, code: str) -> None:
    case = Case(f"audience main\n  {text}\n", "opt-out", (), 0, (), ())
    workspace: Workspace = case.workspace(3)
    assert [d.code for d in workspace.check() if d.severity is Severity.ERROR] == [code]
