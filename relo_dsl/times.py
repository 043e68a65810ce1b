"""Instants, durations and local calendars.

Every instant in this package is an `int`: milliseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

#: Milliseconds of each duration unit, largest first: the order in which they must be written.
UNITS: dict[str, int] = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "min": 60_000,
    "s": 1_000,
    "ms": 1,
}

#: The longest duration a definition may name: 100 years of 365.25 days.
MAX_DURATION = 36_525 * UNITS["d"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?)?"
    r"([Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)


class TimeError(ValueError):
    """A text that is no date, instant or duration; the message says why."""


def to_millis(moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime; smaller units are cut."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_millis(instant: int) -> datetime:
    """The UTC datetime of an instant. Raises TimeError outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(milliseconds=instant)
    except OverflowError as error:
        raise TimeError(f"the instant {instant} lies outside the years 1 to 9999") from error


def format_instant(instant: int) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-06-15T12:00:00.000Z`."""
    moment = from_millis(instant)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z".rjust(24, "0")


def parse_instant(text: str, zone: str = "UTC") -> int:
    """Reads `YYYY-MM-DD[THH:MM[:SS[.fff]]][Z|±HH:MM]`; without an offset, local to `zone`.

    A local time that the clock skips in spring is read with the offset before the change; one
    that occurs twice in autumn is the first of the two. Raises TimeError.
    """
    found = _RFC3339.fullmatch(text.strip())
    if not found:
        raise TimeError(f"`{text}` is not a date or time such as 2026-06-15T12:00:00Z")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if offset and not hour:
        raise TimeError(f"`{text}` has an offset but no time")
    millis = int(((fraction or "") + "000")[:3])
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        )
    except ValueError as error:
        raise TimeError(f"`{text}` does not exist: {error}") from error
    if offset is None:
        return _local_to_millis(moment, zone) + millis
    return to_millis(moment.replace(tzinfo=UTC)) - _offset_millis(offset, text) + millis


def parse_moment(text: str, zone: str = "UTC") -> int | date:
    """As `parse_instant`, but a date alone stays a date: which instant it is depends on the zone
    of whoever asks. Raises TimeError.
    """
    instant = parse_instant(text, zone)
    bare = text.strip()
    return date.fromisoformat(bare) if len(bare) == len("2026-01-01") else instant


def _offset_millis(offset: str, text: str) -> int:
    if offset in "Zz":
        return 0
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if hours > 23 or minutes > 59:
        raise TimeError(f"`{text}` has an offset that does not exist")
    sign = -1 if offset[0] == "-" else 1
    return sign * (hours * UNITS["h"] + minutes * UNITS["min"])


def _local_to_millis(moment: datetime, zone: str) -> int:
    try:
        return to_millis(moment.replace(tzinfo=ZoneInfo(zone)))
    except OverflowError as error:
        raise TimeError(f"{moment.isoformat()} lies outside the years 1 to 9999") from error


def local_midnight(day: date, zone: str) -> int:
    """The instant at which a local day starts."""
    return _local_to_millis(datetime(day.year, day.month, day.day), zone)


def period_start(instant: int, unit: str, shift: int, zone: str) -> int:
    """The start of the local day, week, month, quarter or year `shift` periods from the one at
    `instant` (0 is its own, -1 the one before). Weeks start on Monday.
    """
    day = from_millis(instant).astimezone(ZoneInfo(zone)).date()
    try:
        return local_midnight(_shifted(day, unit, shift), zone)
    except (OverflowError, ValueError) as error:
        raise TimeError(f"the calendar {unit} lies outside the years 1 to 9999") from error


def _shifted(day: date, unit: str, shift: int) -> date:
    if unit == "day":
        return day + timedelta(days=shift)
    if unit == "week":
        return day - timedelta(days=day.weekday()) + timedelta(weeks=shift)
    span = {"month": 1, "quarter": 3, "year": 12}[unit]
    months = day.year * 12 + (day.month - 1) // span * span + shift * span
    return date(months // 12, months % 12 + 1, 1)


@lru_cache(maxsize=1024)  # the records of a device are all asked about at one T
def subtract_months(instant: int, months: int) -> int:
    """The same UTC day and time `months` calendar months earlier.

    Where that month has no such day it is the start of the month after it, so that a later instant
    never gives an earlier one: what has expired stays so.
    """
    moment = from_millis(instant)
    index = moment.year * 12 + moment.month - 1 - months
    if index < 12:
        return to_millis(datetime(1, 1, 1, tzinfo=UTC))
    year, month = index // 12, index % 12 + 1
    if moment.day > calendar.monthrange(year, month)[1]:
        return to_millis(datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC))
    return to_millis(moment.replace(year=year, month=month))


_DURATION = re.compile(r"(\d+)([a-z]+)", re.ASCII)
_DURATION_WHOLE = re.compile(r"(?:\d+[a-z]+)+", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of a duration such as `1d12h`: units w d h min s ms, largest first.

    Raises TimeError for an unknown unit, a unit out of order or repeated, zero, or over 100 years.
    """
    if not _DURATION_WHOLE.fullmatch(text):
        raise TimeError(f"`{text}` is not a duration such as 30d, 48h or 1d12h")
    order = list(UNITS)
    total, last = 0, -1
    for count, unit in _DURATION.findall(text):
        if unit not in UNITS:
            raise TimeError(f"the unit `{unit}` does not exist")
        if order.index(unit) <= last:
            raise TimeError("units go from the largest to the smallest, each once")
        last = order.index(unit)
        total += int(count[:20]) * UNITS[unit]
        if len(count) > 20:
            total = MAX_DURATION + 1
    if total == 0:
        raise TimeError("a duration must be longer than zero")
    if total > MAX_DURATION:
        raise TimeError("a duration must not be over 100 years")
    return total


def format_duration(millis: int) -> str:
    """The shortest writing of a duration, largest units first; weeks only when they are whole.

    >>> format_duration(30 * 86_400_000)
    '30d'
    """
    parts = []
    units = UNITS if millis % UNITS["w"] == 0 else {k: v for k, v in UNITS.items() if k != "w"}
    for unit, size in units.items():
        count, millis = divmod(millis, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0ms"
