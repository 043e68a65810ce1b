"""The most local days, weeks and months of a window: never fewer than events can lie in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

import pytest

from relo_dsl.analysis.calendars import most_periods
from relo_dsl.terms import Ago, At, LocalStart, Window
from relo_dsl.times import UNITS, parse_instant, period_start

_DAY, _HOUR = UNITS["d"], UNITS["h"]
Unit = Literal["day", "week", "month"]
_UNITS: dict[str, Unit] = {"days": "day", "weeks": "week", "months": "month"}
#: Clocks set forward and back, over midnight, by half an hour, and across the date line.
_ZONES = ("UTC", "America/Mexico_City", "America/Sao_Paulo", "America/St_Johns", "Pacific/Apia",
          "Australia/Lord_Howe", "Pacific/Kwajalein", "Asia/Kolkata")  # fmt: skip
_CHANGES = tuple(
    parse_instant(text)
    for text in (
        "2021-04-04T08:00:00Z", "2011-12-30T10:00:00Z", "2018-02-18T02:00:00Z",
        "2018-11-04T03:00:00Z", "2006-10-29T02:31:00Z", "1969-10-01T00:00:00Z",
        "2021-10-02T15:30:00Z", "2024-02-29T00:00:00Z", "2023-03-01T00:00:00Z",
        "1993-08-21T12:00:00Z",
    )
)  # fmt: skip


def _windows(source: random.Random, at: int, zone: str) -> Iterator[Window]:
    long = source.choice((1, 2, _HOUR, 5 * _HOUR, *(n * _DAY for n in (1, 2, 3, 7, 28, 30, 59))))
    yield Window(Ago(long))
    yield Window(Ago(long + _DAY), Ago(_DAY))
    yield Window(At(at - long), At(at))
    there = source.choice((zone, "UTC", "Pacific/Apia"))
    unit = source.choice(tuple(_UNITS.values()))
    shift = source.choice((0, -1, -2))
    yield Window(LocalStart(unit, shift, there))
    yield Window(LocalStart(unit, shift - 1, there), LocalStart(unit, shift, there))
    yield Window(At(period_start(at, unit, 0, zone) - 1), At(period_start(at, unit, 1, zone) - 1))


def _touched(window: Window, at: int, unit: str, zone: str) -> int:
    """The periods that events at every edge of one, and in between, lie in."""
    after, until = window.bounds(at)
    assert after is not None
    step = max(1, min(_HOUR // 2, (until - after) // 50 or 1))
    moments = {*range(after + 1, until + 1, step), until} if until > after else set()
    for day in range((until - after) // _DAY + 3):
        start = period_start(until, "day", -day, zone)
        moments |= {t for t in (start - 1, start, start + 1) if after < t <= until}
    return len({period_start(moment, unit, 0, zone) for moment in moments})


@pytest.mark.parametrize("zone", _ZONES)
def test_never_fewer_than_there_can_be(zone: str) -> None:
    source = random.Random(zone)
    for _ in range(30):
        near = source.choice(_CHANGES) + source.choice(
            (0, -1, 1, _HOUR, _DAY, source.randrange(_DAY))
        )
        local_midnight = period_start(near, "day", source.choice((0, 1)), zone)
        at = source.choice((near, local_midnight, local_midnight + source.randrange(2 * _HOUR)))
        for window in _windows(source, at, zone):
            kind = source.choice(tuple(_UNITS))
            most = most_periods(kind, window, zone)
            assert most is not None
            assert _touched(window, at, _UNITS[kind], zone) <= most, (kind, window, at)


@pytest.mark.parametrize(
    ("kind", "window", "most"),
    [
        ("days", Window(Ago(1)), 1),
        ("days", Window(Ago(2)), 2),
        ("days", Window(Ago(_DAY)), 2),
        ("days", Window(Ago(_DAY + 1)), 2),
        ("days", Window(Ago(_DAY + 2)), 3),
        ("days", Window(Ago(3 * _DAY), Ago(_DAY)), 3),
        ("days", Window(Ago(_DAY), Ago(2 * _DAY)), 0),
        ("weeks", Window(Ago(7 * _DAY)), 2),
        ("weeks", Window(Ago(7 * _DAY + 2)), 3),
        ("months", Window(Ago(28 * _DAY + 1)), 2),
        ("months", Window(Ago(28 * _DAY + 2)), 3),
        ("months", Window(Ago(365 * _DAY)), 13),
        ("days", Window(LocalStart("day", 0, "UTC")), 1),
        ("days", Window(LocalStart("week", -1, "UTC"), LocalStart("week", 0, "UTC")), 7),
        ("days", Window(At(-1), At(_DAY - 1)), 1),
        ("days", Window(At(-2), At(_DAY - 1)), 2),
        ("days", Window(None, Ago(1)), None),
        ("days", Window(At(0)), None),
        ("days", Window(At(0), Ago(5)), None),
    ],
)
def test_in_utc_it_is_exact(kind: str, window: Window, most: int | None) -> None:
    assert most_periods(kind, window, "UTC") == most
