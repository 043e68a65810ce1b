"""Instants at which calendars move a record over an end: local periods, months, anniversaries."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from relo_dsl.times import (
    UNITS,
    TimeError,
    from_millis,
    local_midnight,
    period_start,
    to_millis,
)

_ASIDE = 6 * UNITS["h"]


def period_crossings(time: int, unit: str, shift: int, zone: str) -> Iterator[int]:
    """Where `time >= period_start(T, unit, shift, zone)` may change, as T goes on; or more.

    It holds up to the end of the period that lies `shift` before the one of `time`. Where a clock
    goes back over midnight the local date goes back too, so that the answer may change up to three
    times there.
    """
    for later in (1, 2):
        try:
            start = period_start(time, unit, later - shift, zone)
        except TimeError:
            return
        yield start
        yield from _around(start, zone)


def _around(start: int, zone: str) -> Iterator[int]:
    """The change of the clock next to a local midnight, and the second midnight it may make."""
    try:
        before, after = _offset(start - _ASIDE, zone), _offset(start + _ASIDE, zone)
    except (OverflowError, TimeError):
        return
    if before == after:
        return
    yield start + before - after
    low, high = start - _ASIDE, start + _ASIDE
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    yield high


def _offset(instant: int, zone: str) -> int:
    offset = from_millis(instant).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None, "the moment has a zone"
    return offset // timedelta(milliseconds=1)


def expiries(time: int, months: int) -> Iterator[int]:
    """Where `time >= subtract_months(T, months)` ends, as T goes on; not after the year 9989."""
    moment = from_millis(time)
    index = moment.year * 12 + moment.month - 1 + months
    year, month = index // 12, index % 12 + 1
    if year > 9989:
        return
    if moment.day <= calendar.monthrange(year, month)[1]:
        yield to_millis(moment.replace(year=year, month=month)) + 1
    else:
        yield to_millis(datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC))


def anniversaries(day: date, zone: str, years: range) -> Iterator[int]:
    """The local midnights of a date in some years; 29 February is 1 March where there is none."""
    for year in years:
        if not 2 <= year <= 9989:
            continue
        try:
            moved = day.replace(year=year)
        except ValueError:
            moved = date(year, 3, 1)
        yield local_midnight(moved, zone)


def local_date(instant: int, zone: str) -> date:
    """The local date of an instant."""
    return from_millis(instant).astimezone(ZoneInfo(zone)).date()
