"""Windows: what is written to half-open pairs of ends."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Literal, assert_never

from relo_dsl.diagnostics import Diagnostics
from relo_dsl.syntax import nodes
from relo_dsl.terms import Ago, At, LocalStart, Window
from relo_dsl.times import TimeError, local_midnight, parse_instant

CalendarUnit = Literal["day", "week", "month", "quarter", "year"]
_NAMED: dict[str, tuple[CalendarUnit, int]] = {
    "today": ("day", 0),
    "yesterday": ("day", -1),
    "this week": ("week", 0),
    "this month": ("month", 0),
    "this quarter": ("quarter", 0),
    "this year": ("year", 0),
    "last week": ("week", -1),
    "last month": ("month", -1),
    "last quarter": ("quarter", -1),
    "last year": ("year", -1),
}
_CALENDAR: dict[str, CalendarUnit] = {"days": "day", "weeks": "week", "months": "month"}
#: Periods in 100 years.
_LONGEST = {"days": 36_525, "weeks": 5_218, "months": 1_200}
_PERIOD = re.compile(r"(\d{4})(?:-(?:Q([1-4])|(\d{2})(?:-(\d{2}))?))?", re.ASCII)


def bind_window(window: nodes.Window, zone: str, found: Diagnostics) -> Window:
    """The ends of a window; local dates are read in `zone`. What is wrong is reported."""
    try:
        return _window(window, zone)
    except TimeError as error:
        if not _is_reported(window, found):
            found.report("date", window.span, str(error))
    except _Future:
        length = found.source.slice(window.span).split()[-1]
        found.report(
            "window-not-allowed",
            window.span,
            "events that have not happened yet do not exist: `within next` tests a time",
            help=f"write `within {length}`, or test a property: `event[time within next {length}]`",
        )
    except _TooLong:
        found.report("duration", window.span, "a window must not be over 100 years long")
    return Window()


def _is_reported(window: nodes.Window, found: Diagnostics) -> bool:
    """Whether the parser has found fault with the dates of a window already."""
    return any(
        item.code in ("date", "range-order")
        and window.span.start <= item.span.start < window.span.end
        for item in found.items
    )


def bind_value_window(window: nodes.Window, zone: str, found: Diagnostics) -> Window:
    """The ends of a window of a value that is a time, which may lie after T: `this week` is the
    whole week, and `before DATE` has no other end. What is wrong is reported.
    """
    if isinstance(window, nodes.WithinNext):
        return Window(Ago(0), Ago(-window.length.millis))
    bound = bind_window(window, zone, found)
    if bound.after is None or bound.until is not None:
        return bound
    if isinstance(bound.after, LocalStart):
        # A current period, or several of which it is the last.
        return Window(bound.after, LocalStart(bound.after.unit, 1, zone))
    return Window(bound.after, Ago(0))


class _Future(Exception):
    pass


class _TooLong(Exception):
    pass


def _window(window: nodes.Window, zone: str) -> Window:
    match window:
        case nodes.Within(length):
            return Window(Ago(length.millis))
        case nodes.Between(first, second):
            near, far = sorted((first.millis, second.millis))
            return Window(Ago(far), Ago(near))
        case nodes.BeforeAgo(age):
            return Window(None, Ago(age.millis))
        case nodes.Since(when):
            return Window(At(parse_instant(when.text, zone) - 1))
        case nodes.BeforeDate(when):
            return Window(None, At(parse_instant(when.text, zone) - 1))
        case nodes.FromTo(first_date, last_date):
            return _from_to(first_date, last_date, zone)
        case nodes.OnPeriod(period):
            start, end = period_bounds(period)
            return _days(start, end, zone)
        case nodes.NamedPeriod(period):
            unit, shift = _NAMED[" ".join(period.split())]
            until = None if shift == 0 else LocalStart(unit, shift + 1, zone)
            return Window(LocalStart(unit, shift, zone), until)
        case nodes.WithinCalendar(count, calendar_unit):
            if count > _LONGEST[calendar_unit]:
                raise _TooLong
            return Window(LocalStart(_CALENDAR[calendar_unit], 1 - count, zone))
        case nodes.WithinNext():
            raise _Future
        case _:
            assert_never(window)


def _from_to(first: nodes.Date, last: nodes.Date, zone: str) -> Window:
    """A plain date as last end takes its whole local day; an instant is an end by itself."""
    start = parse_instant(first.text, zone)
    if len(last.text) == len("2026-01-01"):
        end = local_midnight(period_bounds(last.text)[1], zone)
    else:
        end = parse_instant(last.text, zone)
    if end <= start:
        raise TimeError(f"`{last.text}` lies before `{first.text}`")
    return Window(At(start - 1), At(end - 1))


def _days(start: date, end: date, zone: str) -> Window:
    return Window(At(local_midnight(start, zone) - 1), At(local_midnight(end, zone) - 1))


def period_bounds(period: str) -> tuple[date, date]:
    """First day and the day after the last of `2026`, `2026-Q1`, `2026-01`, `2026-01-15`.

    Raises TimeError for a period that does not exist.
    """
    found = _PERIOD.fullmatch(period)
    if not found:
        raise TimeError(f"`{period}` is not a year, quarter, month or day")
    year_text, quarter, month_text, day_text = found.groups()
    year, month = int(year_text), int(month_text or 1)
    try:
        if day_text:
            day = date(year, month, int(day_text))
            return day, day + timedelta(days=1)
        start = date(year, int(quarter) * 3 - 2 if quarter else month, 1)
        months = 3 if quarter else 1 if month_text else 12
        last = start.month - 1 + months
        return start, date(year + last // 12, last % 12 + 1, 1)
    except (ValueError, OverflowError) as error:
        raise TimeError(f"`{period}` does not exist") from error
