"""Section 5: first and last, regularity."""

from __future__ import annotations

import pytest

from relo_dsl.records import Record, tie_of
from relo_dsl.terms import (
    Ago,
    Compare,
    Comparison,
    Condition,
    Constant,
    Extreme,
    Measure,
    OrMissing,
    Regularity,
    Selection,
    Window,
)
from relo_dsl.times import parse_instant
from tests.oracle.build import DAY, NOW, d, event, found, number, text

PURCHASE = Selection(("purchase",))
MX = Compare(text("line"), "=", "MX")
MONTH = Window(Ago(30 * DAY))


def holds(condition: Condition, *records: Record) -> bool:
    return found(condition, [event("other"), *records]) == {"ana"}


@pytest.mark.parametrize(("ago", "holding"), [(30 * DAY - 1, True), (30 * DAY, False)])
def test_the_first_lies_in_the_window(ago: int, holding: bool) -> None:
    records = [event(ago=ago), event(ago=1)]
    assert holds(Extreme("first", PURCHASE, MONTH), *records) is holding


def test_the_last_is_not_followed_by_another() -> None:
    before = Extreme("last", PURCHASE, Window(None, Ago(30 * DAY)))
    assert holds(before, event(ago=30 * DAY))
    assert not holds(before, event(ago=30 * DAY), event(ago=30 * DAY - 1))
    assert holds(before, event(ago=30 * DAY), event(ago=-1))


def test_a_property_is_that_of_one_event() -> None:
    last = Extreme("last", PURCHASE, where=MX)
    assert holds(last, event(ago=5, line="US"), event(ago=4, line="MX"))
    assert not holds(last, event(ago=5, line="MX"), event(ago=4, line="US"))
    assert not holds(last, event(ago=5, line="MX"), event(ago=4))
    assert holds(Extreme("last", PURCHASE, where=OrMissing(MX)), event(ago=5, line="US"), event())


def test_in_one_millisecond_the_tie_decides() -> None:
    low, high = sorted(("one", "two"), key=tie_of)
    records = [event(eid=low, line="MX"), event(eid=high, line="US")]
    assert holds(Extreme("first", PURCHASE, where=MX), *records)
    assert not holds(Extreme("last", PURCHASE, where=MX), *records)


def test_time_and_property_are_of_the_same_event() -> None:
    last = Extreme("last", PURCHASE, MONTH, MX)
    assert holds(last, event(ago=DAY, line="MX"))
    assert not holds(last, event(ago=30 * DAY, line="MX"))
    assert not holds(last, event(ago=DAY, line="MX"), event(line="US"))


def test_without_such_an_event_it_is_false() -> None:
    assert not holds(Extreme("first", PURCHASE))
    assert not holds(Extreme("last", PURCHASE, where=OrMissing(MX)))


# ---- regularity --------------------------------------------------------------------------------


def often(op: str, value: int) -> Comparison:
    return Comparison(Measure("count", PURCHASE, None), op, Constant(d(value)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("ago", "holding"), [(DAY - 1, False), (DAY, True), (2 * DAY, False)])
def test_an_event_lies_in_one_period(ago: int, holding: bool) -> None:
    both = Regularity(often(">=", 1), 2, 2, DAY)
    assert holds(both, event(ago=0), event(ago=ago)) is holding


def test_enough_periods_hold() -> None:
    records = [event(ago=n * DAY) for n in (0, 2, 4)]
    for wanted, holding in ((3, True), (4, False)):
        assert holds(Regularity(often("=", 1), wanted, 5, DAY), *records) is holding


def test_periods_without_events_count() -> None:
    few = Regularity(often("<", 1), 3, 3, DAY)
    assert holds(few)
    assert not holds(few, event(ago=DAY))
    missing = Comparison(Measure("avg", PURCHASE, number("revenue")), "<", Constant(d(1)))
    assert not holds(Regularity(missing, 1, 3, DAY))


def test_calendar_periods_are_local_and_the_current_one_comes_first() -> None:
    kathmandu = parse_instant("2026-06-15T00:00", "Asia/Kathmandu")  # a Monday
    for shift, holding in ((0, False), (-1, True)):
        record = event(ago=NOW - (kathmandu + shift))
        last = Regularity(often(">=", 1), 1, 1, unit="week", zone="Asia/Kathmandu")
        both = Regularity(often(">=", 1), 2, 2, unit="week", zone="Asia/Kathmandu")
        assert holds(last, record) is not holding
        assert holds(both, record, event()) is holding


# ---- local days --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "first", "second", "count"),
    [
        ("days", "2026-03-28T23:59:59.999", "2026-03-29T00:00", 2),
        ("days", "2026-03-29T00:00", "2026-03-29T23:59:59.999", 1),
        ("weeks", "2026-06-14T23:59:59.999", "2026-06-15T00:00", 2),
        ("weeks", "2025-12-29T00:00", "2026-01-04T23:59:59.999", 1),
        ("months", "2026-02-28T23:59:59.999", "2026-03-01T00:00", 2),
        ("months", "2025-03-01T00:00", "2026-03-01T00:00", 2),
    ],
)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "America/Mexico_City"])
def test_local_periods(kind: str, first: str, second: str, count: int, zone: str) -> None:
    records = [event(ago=NOW - parse_instant(moment, zone)) for moment in (first, second)]
    measure = Measure(kind, PURCHASE, None, zone=zone)  # type: ignore[arg-type]
    assert holds(Comparison(measure, "=", Constant(d(count))), *records)
