"""Predicates on values that are times: windows and anniversaries."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from relo_dsl.terms import AnniversaryIn, InWindow
from relo_dsl.times import from_millis, local_midnight


def instant(value: Decimal | date, zone: str) -> int:
    """The epoch milliseconds of a time; a local date is its midnight in the zone."""
    return local_midnight(value, zone) if isinstance(value, date) else int(value)


def in_window(predicate: InWindow, value: Decimal | date, at: int) -> bool:
    """Whether the time lies in the window at T = `at`."""
    return _lies(instant(value, predicate.zone), predicate.window.ends(at))


def anniversary_in(predicate: AnniversaryIn, value: Decimal | date, at: int) -> bool:
    """Whether some anniversary of the time, of whatever year, lies in the window at T = `at`."""
    zone = predicate.zone
    day = value if isinstance(value, date) else _local_date(int(value), zone)
    after, until = ends = predicate.window.ends(at)
    if after is None or until is None:
        return True  # some year lies far enough to the open side
    # A year more on either side: a local year is up to a day off from that of UTC.
    first = from_millis(after).year - 1
    last = from_millis(until).year + 1
    return any(
        _lies(local_midnight(_anniversary(day, year), zone), ends)
        for year in range(max(first, 1), min(last, 9999) + 1)
    )


def _lies(moment: int, ends: tuple[int | None, int | None]) -> bool:
    after, until = ends
    return (after is None or moment > after) and (until is None or moment <= until)


def _local_date(moment: int, zone: str) -> date:
    return from_millis(moment).astimezone(ZoneInfo(zone)).date()


def _anniversary(day: date, year: int) -> date:
    """The day of a year with the month and day of another; 1 March for a 29 February."""
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 3, 1)
