"""What is found in one condition, where it is said, and near misses that must stay silent."""

from __future__ import annotations

import pytest

from relo_dsl.diagnostics import Diagnostic
from tests.docs.examples import check

_QUIET = ("repeated-selection", "count-at-least-one", "mixed-and-or", "beyond-retention")


def findings(text: str) -> list[Diagnostic]:
    """The diagnostics of a condition, or of a file; hints about its style left out."""
    return [item for item in check(text) if item.code not in _QUIET]


def codes(text: str) -> list[str]:
    return [item.code for item in findings(text)]


@pytest.mark.parametrize(
    "text",
    [
        "count(purchase) / 0 > 1",
        "count(purchase) + 1 / (2 - 2) < sum(purchase.revenue)",
        "purchase and count(purchase) / (count(refund) / 0) = 1 within 7d",
        "not count(purchase) / 0 > 1 and purchase",
    ],
)
def test_a_written_zero_that_divides_is_a_warning(text: str) -> None:
    assert codes(text) == ["division-by-zero"]


@pytest.mark.parametrize(
    "text",
    [
        "purchase within 1d and not within 2d",
        "purchase.revenue > 10 within 7d and no purchase within 30d",
        "count(purchase) >= 3 within 7d and no purchase within 30d",
        "count(purchase) < 2 and count(purchase) >= 3 within 7d",
        "count(purchase within 7d) > count(purchase within 30d)",
        "count(purchase) in 2..4 and count(purchase) in 5..9",
        "days(purchase) > count(purchase)",
        "max(purchase.revenue) > 10 within 7d and no purchase within 30d",
        "sum(purchase.revenue) > 0 within 7d and no purchase within 30d",
        "min(purchase.revenue) > 10 and max(purchase.revenue) < 10",
        "count(purchase) + count(refund) < 0",
        "purchase today and no purchase this week",
        "purchase on 2026-01-15 and no purchase in 2026-Q1",
        "purchase in 2026-Q1 and no purchase in 2026-01 and no purchase in 2026-02 "
        "and no purchase in 2026-03",
        "purchase within 7d and no purchase within 3d and no purchase between 3d and 7d ago",
        "purchase[revenue > 5 and revenue < 3]",
        "purchase[paid < total and paid > total]",
        'purchase[product_line = "MX" and product_line != "MX"]',
        'purchase[coupon starts with "A" and coupon starts with "B"]',
        "purchase[coupon exists and coupon is missing]",
        "purchase[due within 7d and due before 30d ago]",
        "purchase and no purchase[revenue > 5 or not (revenue > 5)]",
        "user.age > 5 and user.age < 3",
        "user.age = 5 and user.age not in 1..7",
        'user.plan = "free" and user.plan = "premium"',
        "user.newsletter = true and user.newsletter = false",
        "user.city is missing and user.city exists",
        'user.status = "new" for 7d and user.status = "old"',
        "in list vip and not in list vip",
        "(purchase or refund) and no purchase and no refund",
        "purchase and no any event",
        "add_to_cart within 1h then no purchase within 2h",
        "(refund then add_to_cart) within 2h and add_to_cart within 2h then no purchase within 2h",
        "first(purchase) within 7d and purchase before 30d ago",
        "last(purchase) before 30d ago and purchase within 7d",
        "first(purchase) within 7d and first(purchase) before 7d ago",
        "last(purchase).revenue > 5 and last(purchase).revenue < 3",
        "product_view then purchase within 1h and no purchase",
        "count(pageview) >= 2 in 2 of last 3 periods of 3d and no pageview within 9d",
        'audience a timezone "UTC" match days(purchase within 2d) > 3',
        'audience a timezone "UTC" match days(purchase) > 1 today',
        'audience a timezone "UTC" match days(purchase) > 30 in 2026-06',
        'audience a timezone "UTC" match days(purchase) > 2 in 2 of last 3 periods of 1d',
        'audience a timezone "UTC" match days(purchase within 1d) + days(refund within 1d) > 4',
        'audience a timezone "UTC" match weeks(purchase within 7d) > 2',
        'audience a timezone "UTC" match months(purchase within 30d) > 3',
        'audience a timezone "America/Mexico_City" match days(purchase within 2d) > 4',
        'affine to "A" and purchase[products.id has "A"]',
        'affine to "A" and count(purchase[products.id has "A"]) >= 2 within 7d',
        'affine to "A" and no purchase[products.id exists]',
    ],
)
def test_contradictions(text: str) -> None:
    assert "contradiction" in codes(text)


@pytest.mark.parametrize(
    "text",
    [
        "purchase within 2d and not within 1d",
        "purchase.revenue > 10 within 30d and no purchase within 7d",
        "purchase[revenue > 10] within 7d and no purchase[revenue > 11] within 30d",
        "count(purchase) >= 2 within 7d and count(purchase) < 3 within 30d",
        "sum(purchase.revenue within 7d) > sum(purchase.revenue within 30d)",
        "purchase this week and no purchase this month",
        "purchase this month and no purchase this week",
        "purchase today and no purchase within 1d",
        "purchase in 2026-Q1 and no purchase in 2026-01 and no purchase in 2026-03",
        "purchase within 7d and no purchase within 3d and no purchase between 4d and 7d ago",
        "purchase[revenue > 5 or revenue < 3]",
        "purchase.revenue > 5 and purchase.revenue < 3",
        'purchase.product_line = "MX" and purchase.product_line != "MX"',
        'purchase.tags has "a" and purchase.tags has "b"',
        'user.interests has "a" and user.interests has "b"',
        'user.city contains "a" and user.city contains "b"',
        "user.age > 5 and user.age < 6",
        'user.status = "old" for 7d and user.city = "new"',
        "avg(purchase.revenue) > 10 and min(purchase.revenue) < 10",
        "first(purchase) before 30d ago and purchase within 7d",
        "first(purchase).revenue > 5 and last(purchase).revenue < 3",
        "first(purchase) within 7d and first(refund) before 7d ago",
        "product_view then purchase within 1h and no purchase within 1d",
        "add_to_cart within 7d then no purchase within 24h and purchase within 7d",
        "no purchase and user.age > 3",
        'user.plan = "free" or user.plan = "premium"',
        "count(purchase) < 2 and refund",
        "in list vip and not in list staff",
        "count(purchase) / count(refund) >= 0",
        "count(purchase) / 1 > 0",
        "count(purchase) / (2 - 1) > 0",
        "count(purchase) / (count(refund) - count(refund)) > 1",
        'audience a timezone "UTC" match days(purchase within 2d) > 2',
        'audience a timezone "UTC" match days(purchase) > 30 within 30d',
        'audience a timezone "UTC" match days(purchase) > 29 in 2026-06',
        'audience a timezone "UTC" match weeks(purchase within 7d) > 1',
        'audience a timezone "UTC" match months(purchase within 30d) > 2',
        "months(purchase before 3d ago) > 50",
        'audience a timezone "America/Mexico_City" match days(purchase within 2d) > 3',
        'affine to "A" and purchase[products.id has "B"]',
        'affine to "A" and affine to "B"',
    ],
)
def test_near_misses_are_silent(text: str) -> None:
    assert "contradiction" not in codes(text)
    assert codes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "purchase or no purchase",
        "no purchase within 7d or purchase within 30d",
        "count(purchase) >= 0",
        "count(purchase) < 3 or purchase",
        'user.plan = "free" or user.plan != "free" or user.plan is missing',
        'user.plan = "free" or (user.plan != "free" or missing)',
        "count(purchase within 7d) <= count(purchase within 30d)",
    ],
)
def test_tautologies(text: str) -> None:
    assert codes(text) == ["always-true"]


@pytest.mark.parametrize(
    "text",
    [
        "purchase or refund",
        "no purchase within 30d or purchase within 7d",
        'user.plan = "free" or user.plan != "free"',
        "min(purchase.revenue) > 3 or min(purchase.revenue) <= 3",
        "user.newsletter = true or user.newsletter = false",
        "sum(purchase.revenue) >= 0",
    ],
)
def test_what_may_fail_is_not_said_to_hold_always(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "needless"),
    [
        ("count(purchase) >= 3 within 7d and purchase within 30d", "purchase within 30d"),
        ("purchase within 30d and count(purchase) >= 3 within 7d", "purchase within 30d"),
        ("purchase within 30d or within 7d", "within 7d"),
        ("purchase within 7d or within 30d", "purchase within 7d"),
        ("user.age > 5 and user.age > 3", "user.age > 3"),
        ("user.age > 5 or user.age > 3", "user.age > 5"),
        ("purchase within 7d and purchase within 168h", "purchase within 168h"),
        ("purchase[revenue > 5 and revenue exists]", "revenue exists"),
        ("max(purchase.revenue) > 5 within 7d and purchase", "purchase"),
        ("no purchase within 30d and no purchase within 7d", "no purchase within 7d"),
        ('user.status = "new" for 7d and user.status = "new"', 'user.status = "new"'),
        ("(product_view then purchase) within 3d and purchase within 7d", "purchase within 7d"),
        ('not affine to "A" and purchase[products.id has "A"]', 'not affine to "A"'),
    ],
)
def test_needless_clauses(text: str, needless: str) -> None:
    found = findings(text)
    assert [item.code for item in found] == ["redundant-clause"]
    [item] = found
    assert item.source.slice(item.span) == needless


def test_a_contradiction_names_the_other_operand() -> None:
    [item] = findings("purchase within 7d and refund and no purchase within 30d")
    assert item.source.slice(item.span) == "no purchase within 30d"
    assert item.message == "this can never hold together with `purchase within 7d`"


def test_a_contradiction_through_lets_and_references() -> None:
    text = """
let big = purchase[revenue > 100]
segment spenders match big within 7d
audience nobody match in segment spenders and no purchase within 30d
"""
    assert codes(text) == ["contradiction"]


def test_a_contradiction_of_three_is_said_of_the_last() -> None:
    [item] = findings("(purchase or refund) and no refund and no purchase")
    assert item.source.slice(item.span) == "no purchase"
    assert item.message.endswith("all that stands before it")


def test_nothing_is_concluded_from_what_is_wrong() -> None:
    assert codes("prchase within 7d and not within 30d") == ["unknown-event"]
    assert codes("let n = cuont(purchase)\naudience a match count(purchase) >= n") == [
        "unknown-function"
    ]
    assert set(codes("user.agee > 3 and user.agee < 3")) == {"unknown-trait"}


def test_a_long_chain_is_checked_in_no_time() -> None:
    parts = [f'user.city = "city {n}"' for n in range(3000)]
    assert codes(" or ".join(parts)) == []


def test_a_let_that_is_wrong_and_unused_hides_nothing() -> None:
    text = "let broken = purchas audience a match purchase within 1d and not within 2d"
    assert sorted(codes(text)) == ["contradiction", "unknown-event", "unused-let"]
    used = "let broken = purchas audience a match broken within 1d and not within 2d"
    assert codes(used) == ["unknown-event"]


def test_a_range_in_the_wrong_order_is_said_once() -> None:
    assert codes("count(purchase) in 5..2") == ["range-order"]


def test_a_wait_that_fits_into_its_window_is_silent() -> None:
    waits = "add_to_cart within 2h then no purchase within 1h59min"
    assert "contradiction" not in codes(f"audience a refresh every 1h match {waits}")
