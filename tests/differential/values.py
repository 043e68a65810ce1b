"""Values for records that are times and points: on the ends of windows, on corners and circles."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from relo_dsl.times import format_instant, from_millis
from tests.differential.pen import Chooser
from tests.differential.vocabulary import Number

_TIMES = (
    1_781_524_800_000,
    0,
    -1,
    "2026-06-15T12:00:00.001Z",
    "2026-06-15",
    "1900-01-01T00:00:00+00:00",
    7_258_118_399_999,
    "1900-01-01",
    "2199-12-31",
    "2011-12-30",
    "1988-10-30",
    "2023-02-28T23:30:00-05:45",
    "soon",
)
_BIRTHDAYS = ("02-29", "03-01", "02-28", "01-01", "12-31", "06-15", "06-16", "03-29", "11-01")
_YEARS = (2000, 1904, 1996, 2024, 2026)

#: Corners of the zones of `world`, middles of their edges, centres of circles, and what is beside.
_POINTS: Final = (
    ("0", "0"), ("1", "1"), ("1", "0"), ("0", "1"), ("0.5", "0"), ("0.5", "1"), ("0", "0.5"),
    ("1", "0.5"), ("0.5", "0.5"), ("2", "0"), ("-2", "0"), ("0", "2"), ("0", "-2"), ("1", "-1"),
    ("0.000000001", "0.000000001"), ("1.000000001", "0.5"), ("0.5", "1.000000001"), ("90", "0"),
    ("90", "77"), ("-90", "0"), ("0", "180"), ("0", "-180"), ("0.5", "-179.999999999"),
    ("19.4326", "-99.1332"), ("19.4336", "-99.1909"), ("19.43", "-99.14"), ("19.44", "-99.15"),
    ("19.42", "-99.12"), ("19.44", "-99.135"), ("89", "0"), ("0.007195", "0"), ("0", "0.007195"),
    ("10", "10"), ("10.000000001", "10"), ("91", "0"), ("0", "180.000000001"), ("-0.0", "0"),
)  # fmt: skip


def time_value(pen: Chooser, moments: tuple[int, ...]) -> Any:
    """A time, some of them no time at all; `moments` are the ends of the definition's windows."""
    kind = pen.below(6)
    if kind == 0 or not moments:
        return pen.pick(_TIMES)
    if kind == 1:
        year = pen.pick(_YEARS)
        day = pen.pick(_BIRTHDAYS)
        leap = year % 4 == 0
        return f"{year}-{day if leap or day != '02-29' else '03-01'}"
    moment = pen.pick(moments)
    if kind in (2, 3):
        date = from_millis(moment).date() + timedelta(days=pen.pick((0, 1, -1)))
        if pen.chance(30):
            date = date.replace(year=pen.pick(_YEARS), day=min(date.day, 28))
        return date.isoformat()
    return format_instant(moment) if kind == 4 else moment


def point_value(pen: Chooser) -> Any:
    """A point in one of its spellings, now and then one that lies nowhere."""
    latitude, longitude = (Number(part) for part in pen.pick(_POINTS))
    match pen.below(5):
        case 0:
            return [latitude, longitude]
        case 1:
            return {"lat": latitude, "lon": longitude}
        case 2:
            return {"lat": latitude, "lng": longitude}
        case 3:
            return {"latitude": latitude, "longitude": longitude}
        case _:
            return f"{latitude},{longitude}"
