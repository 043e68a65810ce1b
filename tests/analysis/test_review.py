"""What is said of whole definitions: lets, refreshes, sizes, overlaps; and what is not."""

from __future__ import annotations

import pytest

from relo_dsl.diagnostics import Diagnostic
from tests.analysis.test_findings import findings
from tests.docs.examples import check


def only(text: str, code: str) -> list[str]:
    """The places of the findings of one code; there must be no others."""
    found: list[Diagnostic] = findings(text)
    assert {item.code for item in found} <= {code}, found
    return [item.source.slice(item.span) for item in found]


# ---- lets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unused"),
    [
        ("let big = purchase\naudience a match purchase", ["big"]),
        ("audience a let big = purchase match refund", ["big"]),
        ("let n = 3\nlet m = 2\naudience a match count(purchase) > n", ["m"]),
        # One is used by the other only.
        ("let one = purchase\nlet two = one[revenue > 1]\naudience a match refund", ["one", "two"]),
        ("let one = purchase\nlet two = one[revenue > 1]\naudience a match two", []),
        ("let big = purchase\naudience a match refund\naudience b match big", []),
        ("audience a let big = purchase match refund\naudience b match big", []),
        ("let n = 3\naudience a match purchase.revenue > n", []),
        ("let n = 3\naudience a match user.age in (n, 5)", []),
        ("let m = sum(purchase.revenue)\naudience a match m > 3 within 7d", []),
        ("let big = purchase", []),
    ],
)
def test_lets(text: str, unused: list[str]) -> None:
    assert only(text, "unused-let") == unused


# ---- refresh -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "condition", "stale"),
    [
        ("refresh weekly", "purchase within 1h", True),
        ("refresh daily", "purchase within 1d", False),
        ("refresh daily", "purchase within 23h", True),
        ("", "purchase within 23h", True),
        ("type retargeting", "purchase within 1h", False),
        ("type retargeting", "purchase within 59min", True),
        ("type lookalike", "purchase within 6d", True),
        ("refresh every 30min", "purchase within 29min", True),
        ("refresh every 30min", "purchase within 30min", False),
        ("refresh realtime", "purchase within 1min", False),
        ('refresh cron "0 3 * * *"', "purchase within 1min", False),
        ("refresh daily", "purchase between 1h and 2h ago", True),
        ("refresh daily", "purchase between 1d and 2d ago", False),
        ("refresh daily", "purchase before 1h ago", False),
        ("refresh daily", "purchase today", False),
        ("refresh weekly", "purchase today", True),
        ("refresh weekly", "purchase this week", False),
        ("refresh weekly", "purchase on 2026-01-15", False),
        ("refresh daily", "count(purchase within 1h) > 2", True),
        ("refresh daily", "refund within 30d and (purchase within 30d or user.age > 3)", False),
        ("refresh daily", "product_view then purchase within 1h", False),
        ("refresh daily", "(product_view then purchase) within 1h", True),
        ("refresh daily", "purchase[due within next 1h]", False),
    ],
)
def test_windows_between_two_refreshes(header: str, condition: str, stale: bool) -> None:
    assert bool(only(f"audience a {header} match {condition}", "stale-window")) is stale


def test_a_short_window_is_said_where_it_stands() -> None:
    text = "audience a refresh weekly match refund within 30d and not (purchase within 2h)"
    assert only(text, "stale-window") == ["not (purchase within 2h)"]


def test_what_needs_all_devices_is_not_refreshed_in_real_time() -> None:
    keep = "match purchase keep top 10 by count(purchase)"
    for header, wrong in (("refresh realtime", True), ("type suppression", True), ("", False)):
        found = findings(f"audience a {header} {keep}")
        assert [item.code for item in found] == (["realtime-batch"] if wrong else [])
    assert findings("audience a refresh realtime match purchase within 30d") == []


# ---- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "small"),
    [
        ("export crm minimum 99", True),
        ("export crm minimum 100", False),
        ("export crm", False),
        ("export meta minimum 1", False),
        ("export meta, crm minimum 1", True),
    ],
)
def test_minimums(header: str, small: bool) -> None:
    assert bool(only(f"audience a {header} match purchase", "below-minimum")) is small


# ---- overlaps ----------------------------------------------------------------------------------


def _pair(one: str, other: str, exports: tuple[str, str] = ("meta", "meta")) -> str:
    return (
        f"audience one export {exports[0]} match {one}\n"
        f"audience other export {exports[1]} match {other}\n"
    )


@pytest.mark.parametrize(
    ("one", "other", "part"),
    [
        ("purchase within 7d", "purchase within 30d", ["one"]),
        ("purchase within 30d", "purchase within 7d", ["other"]),
        ("purchase within 7d and refund", "purchase within 30d", ["one"]),
        ("purchase within 7d", "purchase within 30d or refund", ["one"]),
        ("purchase within 7d and refund", "purchase within 30d and no refund", []),
        ("purchase within 7d", "refund within 30d", []),
        ("no purchase within 7d", "no purchase within 30d", ["other"]),
    ],
)
def test_parts_of_others(one: str, other: str, part: list[str]) -> None:
    assert only(_pair(one, other), "contained-definition") == part


@pytest.mark.parametrize("exports", [("meta", "email"), ("meta", "meta, tiktok"), ("meta", "crm")])
def test_parts_that_go_elsewhere_are_nobodys_business(exports: tuple[str, str]) -> None:
    assert findings(_pair("purchase within 7d", "purchase within 30d", exports)) == []


def test_under_another_mask_nothing_follows() -> None:
    text = _pair("purchase within 7d", "purchase within 30d", ("meta", "meta require consent 8"))
    assert findings(text) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("purchase within 7d", "purchase within 168h"),
        ("purchase within 7d and refund", "refund and purchase within 7d"),
        ("count(purchase) >= 2", "count(purchase) > 1"),
        ("purchase[revenue >= 5]", "purchase[not (revenue < 5) and revenue exists]"),
        ("not (purchase or refund)", "no purchase and no refund"),
    ],
)
def test_the_same_in_other_words(one: str, other: str) -> None:
    assert only(_pair(one, other), "same-meaning") == ["other"]


# ---- beside mistakes elsewhere in the file -----------------------------------------------------


def test_a_mistake_elsewhere_hides_nothing() -> None:
    found = findings(
        "audience wrong match purchas\n"
        "audience a refresh realtime match purchase keep top 3 by count(purchase)\n"
        "audience b match count(purchase within 30d) > 2 within 90d\n"
        "audience c match purchase keep top 3 by 5\n"
        "audience d match refund within 7d\n"
        "audience e match refund within 168h\n"
    )
    assert sorted(item.code for item in found) == [
        "expected-number",
        "realtime-batch",
        "same-meaning",
        "unknown-event",
        "window-not-allowed",
    ]


def test_what_refers_to_a_mistake_is_not_reviewed() -> None:
    found = findings(
        "segment wrong match purchas\n"
        "audience a refresh realtime match in segment wrong keep top 3 by count(purchase)\n"
    )
    assert [item.code for item in found] == ["unknown-event"]


def test_a_hint_writes_names_so_that_they_can_be_read() -> None:
    found = check(
        "audience a match `Order Completed`.`Total Paid` > 1 within 30d and not within 3d"
    )
    assert [item.help for item in found] == ["`no `Order Completed` within 3d` rules out every one"]
