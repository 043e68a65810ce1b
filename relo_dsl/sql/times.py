"""Values that are times, in SQL: windows, anniversaries, and one time beside another.

A time is stored in tenths of milliseconds: an instant ends in 0, a local date is its midnight UTC
and one tenth. Windows need no time zone in SQL: the dates whose local midnight lies in one are
consecutive, and are worked out here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlglot import exp

from relo_dsl.records import MAX_TIME, MIN_TIME
from relo_dsl.sql.build import FALSE, Parameters, all_of, call, compare, number
from relo_dsl.terms import AnniversaryIn, InWindow, Op
from relo_dsl.times import TimeError, from_millis, local_midnight, to_millis

_KIND = "DateTime64(4, 'UTC')"
_DAY = timedelta(days=1)
#: So many days in a row hold an anniversary of every date.
_ALL_DAYS = 366

Value = Callable[[], exp.Expr]


def in_window(test: InWindow, value: Value, params: Parameters, now: int) -> exp.Expr:
    """The window test of a time; `value` makes the expression that reads it."""
    after, until = test.window.ends(now)
    if (after is not None and after >= MAX_TIME) or (until is not None and until < MIN_TIME):
        return FALSE.copy()
    ends: list[exp.Expr] = []
    if after is not None and after >= MIN_TIME:
        ends.append(_end(">", after, _first_day_after(after, test.zone), value, params))
    if until is not None and until < MAX_TIME:
        ends.append(_end("<=", until, _first_day_after(until, test.zone), value, params))
    return all_of(ends) if ends else exp.Not(this=exp.Is(this=value(), expression=exp.Null()))


def _end(op: Op, instant: int, day: date, value: Value, params: Parameters) -> exp.Expr:
    """One end of a window: for instants it is `instant`, for dates it lies right before `day`.

    As they are stored, both are often found by the same comparison. Where they are not, because
    the clocks of the zone are apart from those of UTC, they have to be told apart.
    """
    simple = compare(value(), op, _instant(instant, params))
    if _midnight(day - _DAY) < instant <= _midnight(day):
        return simple
    dates = compare(value(), op, _date(day - _DAY, params))
    return call("if", _is_instant(value()), simple, dates)


def _midnight(day: date) -> int:
    """The instant, in UTC, as which a date is stored; the date itself comes a moment later."""
    return to_millis(datetime.combine(day, time(), UTC))


def anniversary_in(
    test: AnniversaryIn, value: Value, present: exp.Expr, params: Parameters, now: int
) -> exp.Expr:
    """The anniversary test of a time: its month and day are among those of the window's days."""
    after, until = test.window.ends(now)
    if after is None or until is None:
        return present
    day, end = _first_day_after(after, test.zone), _first_day_after(until, test.zone)
    if (end - day).days >= _ALL_DAYS:
        return present
    found: list[int] = []
    while day < end:
        found.append(day.month * 100 + day.day)
        if (day.month, day.day) == (3, 1) and (day - _DAY).day == 28:
            found.append(229)  # kept on 1 March in a year without a 29 February
        day += _DAY
    if not found:
        return FALSE.copy()
    own = _month_and_day(value())
    if test.zone != "UTC":
        there = call("toTimeZone", value(), params.string(test.zone))
        own = call("if", _is_instant(value()), _month_and_day(there), own)
    return call("has", params.add(sorted(found), "Array(UInt16)"), own)


def compare_times(left: Value, op: Op, right: Value, zone: str, params: Parameters) -> exp.Expr:
    """Two times side by side, local dates as their midnights in the zone."""
    return compare(_moment(left, zone, params), op, _moment(right, zone, params))


def _moment(value: Value, zone: str, params: Parameters) -> exp.Expr:
    """Tenths of milliseconds since the epoch."""
    midnight = call("toDateTime64", call("toDate32", value()), number(3), params.string(zone))
    millis = call("toUnixTimestamp64Milli", midnight)
    tenths = exp.Mul(this=millis, expression=number(10))
    return call("if", _is_instant(value()), _tenths(value()), tenths)


def _tenths(value: exp.Expr) -> exp.Expr:
    return call("reinterpretAsInt64", value)


def _is_instant(value: exp.Expr) -> exp.Expr:
    return compare(exp.Mod(this=_tenths(value), expression=number(10)), "=", number(0))


def _month_and_day(value: exp.Expr) -> exp.Expr:
    hundreds = exp.Mul(this=call("toMonth", value), expression=number(100))
    return exp.Add(this=hundreds, expression=call("toDayOfMonth", value.copy()))


def _instant(instant: int, params: Parameters) -> exp.Expr:
    """An instant of the years 1900 to 2199 as a value."""
    moment = from_millis(instant)
    millis = moment.microsecond // 1000
    return params.add(f"{moment:%Y-%m-%d %H:%M:%S}.{millis:03d}0", _KIND)


def _date(day: date, params: Parameters) -> exp.Expr:
    """A local date as a value."""
    return params.add(f"{day.isoformat()} 00:00:00.0001", _KIND)


def _first_day_after(instant: int, zone: str) -> date:
    """The first date whose local midnight is later than an instant."""
    try:
        day = from_millis(instant).astimezone(ZoneInfo(zone)).date() - _DAY
        while local_midnight(day, zone) <= instant:
            day += _DAY
    except (OverflowError, TimeError):  # at the end of the years 1 to 9999
        return date.max if instant > 0 else date.min
    return day
