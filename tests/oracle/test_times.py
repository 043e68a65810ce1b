"""Values that are times: windows, anniversaries and local dates, at their boundaries."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import PropertyType
from relo_dsl.interpret import read
from relo_dsl.interpret import test as passes
from relo_dsl.terms import (
    Ago,
    AnniversaryIn,
    At,
    CompareProperties,
    InWindow,
    LocalStart,
    Not,
    OrMissing,
    Property,
    Window,
)
from relo_dsl.times import UNITS, parse_instant

NOW = parse_instant("2026-06-15T12:00:00Z")
DAY = UNITS["d"]
DUE = Property("due", PropertyType.TIME)
NEXT_WEEK = Window(Ago(0), Ago(-7 * DAY))


def value(given: Any) -> Any:
    """A value as records hold it."""
    return given if isinstance(given, str) else Decimal(given)


def lies(window: Window, given: Any, zone: str = "UTC", at: int = NOW) -> bool:
    return passes(InWindow(DUE, window, zone), {"due": value(given)}, at)


def has_anniversary(window: Window, given: Any, zone: str = "UTC", at: int = NOW) -> bool:
    return passes(AnniversaryIn(DUE, window, zone), {"due": value(given)}, at)


def today(zone: str) -> Window:
    return Window(LocalStart("day", 0, zone), LocalStart("day", 1, zone))


# ---- windows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instant", "expected"),
    [(NOW, False), (NOW + 1, True), (NOW + 7 * DAY, True), (NOW + 7 * DAY + 1, False)],
)
def test_the_next_week_is_half_open(instant: int, expected: bool) -> None:
    assert lies(NEXT_WEEK, instant) is expected


def test_a_current_period_does_not_end_at_t() -> None:
    assert lies(today("UTC"), "2026-06-15T23:59:59.999Z")
    assert not lies(today("UTC"), "2026-06-16T00:00:00Z")
    assert lies(today("UTC"), "2026-06-15T00:00:00Z")
    assert not lies(today("UTC"), "2026-06-14T23:59:59.999Z")


def test_an_open_end_stays_open() -> None:
    before = Window(None, At(parse_instant("2030-01-01") - 1))
    assert lies(before, "2029-12-31T23:59:59.999Z")
    assert lies(before, "1900-01-01")
    assert not lies(before, "2030-01-01T00:00:00Z")


def test_a_missing_time_lies_in_no_window() -> None:
    within = InWindow(DUE, NEXT_WEEK, "UTC")
    assert not passes(within, {}, NOW)
    assert passes(OrMissing(within), {}, NOW)
    assert passes(Not(within), {}, NOW)


@pytest.mark.parametrize("text", ["soon", "2026-02-30", "1899-12-31", "2200-01-01", "", "20260615"])
def test_what_is_no_time_is_absent(text: str) -> None:
    assert read(DUE, {"due": text}) is None
    assert read(DUE, {"due": Decimal("0.5")}) is None
    assert read(DUE, {"due": Decimal(10**15)}) is None
    assert read(DUE, {"due": True}) is None


# ---- local dates -------------------------------------------------------------------------------


def test_a_date_is_a_midnight_of_the_zone() -> None:
    assert read(DUE, {"due": "2026-06-16"}) == date(2026, 6, 16)
    # Midnight of the 16th at UTC+05:30 is 18:30 UTC on the 15th.
    midnight = parse_instant("2026-06-15T18:30:00Z")
    for end, expected in ((midnight - 1, False), (midnight, True)):
        window = Window(Ago(0), At(end))
        assert lies(window, "2026-06-16", "Asia/Kolkata") is expected
    assert not lies(Window(Ago(0), At(midnight)), "2026-06-16", "UTC")
    assert not lies(Window(Ago(0), At(midnight)), "2026-06-16T00:00:00Z", "Asia/Kolkata")


def test_days_of_23_and_25_hours() -> None:
    for at in ("2026-03-29T12:00:00Z", "2026-10-25T12:00:00Z"):
        now = parse_instant(at)
        day = at[:10]
        assert lies(today("Europe/Berlin"), day, "Europe/Berlin", now)
        for other in ("2026-03-28", "2026-03-30", "2026-10-24", "2026-10-26"):
            assert not lies(today("Europe/Berlin"), other, "Europe/Berlin", now)


def test_a_midnight_that_does_not_exist_is_the_first_instant_of_its_day() -> None:
    # In Santiago the clock goes from 24:00 on 5 September 2026 to 01:00.
    first = parse_instant("2026-09-06T04:00:00Z")
    now = first - 1
    assert lies(Window(Ago(0), Ago(-1)), "2026-09-06", "America/Santiago", now)
    assert not lies(Window(Ago(0), Ago(-1)), "2026-09-06", "America/Santiago", first)


def test_two_times_are_compared_in_the_zone() -> None:
    paid = Property("paid", PropertyType.TIME)
    values = {"due": "2026-06-16", "paid": "2026-06-15T20:00:00Z"}
    assert passes(CompareProperties(paid, "<", DUE, "UTC"), values, NOW)
    assert not passes(CompareProperties(paid, "<", DUE, "Asia/Kolkata"), values, NOW)
    assert not passes(CompareProperties(paid, "!=", DUE, "UTC"), {"due": "2026-06-16"}, NOW)


# ---- anniversaries -----------------------------------------------------------------------------


def test_a_birthday_today_is_not_in_the_days_to_come() -> None:
    assert has_anniversary(today("UTC"), "1990-06-15")
    assert not has_anniversary(NEXT_WEEK, "1990-06-15")
    assert has_anniversary(NEXT_WEEK, "1990-06-16")
    assert has_anniversary(NEXT_WEEK, "1990-06-22")
    assert not has_anniversary(NEXT_WEEK, "1990-06-23")


def test_the_midnight_itself_decides() -> None:
    midnight = parse_instant("2026-06-15T00:00:00Z")
    for now, expected in ((midnight - 1, True), (midnight, False)):
        assert has_anniversary(Window(Ago(0), Ago(-1)), "1990-06-15", at=now) is expected


def test_the_date_of_an_instant_is_that_of_the_zone() -> None:
    late = "1990-06-14T20:00:00Z"  # the 15th in Kolkata
    assert has_anniversary(today("Asia/Kolkata"), late, "Asia/Kolkata")
    assert not has_anniversary(today("UTC"), late, "UTC")


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-03-01", True), ("2026-02-28", False), ("2028-02-29", True), ("2028-03-01", False)],
)
def test_29_february(day: str, expected: bool) -> None:
    now = parse_instant(f"{day}T12:00:00Z")
    assert has_anniversary(today("UTC"), "2000-02-29", at=now) is expected


def test_1_march_is_itself_in_every_year() -> None:
    for year in (2026, 2028):
        assert has_anniversary(today("UTC"), "2001-03-01", at=parse_instant(f"{year}-03-01"))


def test_a_window_over_new_year() -> None:
    now = parse_instant("2026-12-30T12:00:00Z")
    assert has_anniversary(NEXT_WEEK, "1990-01-02", at=now)
    assert not has_anniversary(NEXT_WEEK, "1990-12-30", at=now)


def test_an_open_window_holds_some_anniversary_of_every_time() -> None:
    assert has_anniversary(Window(None, Ago(0)), "2020-02-29")
    assert not passes(AnniversaryIn(DUE, Window(None, Ago(0)), "UTC"), {}, NOW)
