"""The demo's dates: whole weeks, the shop's wall clock, an end on this week's Sunday."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from relo_dsl.times import from_millis, parse_instant
from relo_server.demo.shift import SHOP_ZONE, Shift

ZONE = ZoneInfo(SHOP_ZONE)


@pytest.mark.parametrize(
    ("now", "last_day"),
    [
        ("2026-11-22T16:00:00Z", "2026-11-22"),  # a Sunday
        ("2026-11-23T04:59:59.999Z", "2026-11-22"),  # still Sunday in the shop
        ("2026-11-23T05:00:00Z", "2026-11-29"),  # Monday
        ("2017-12-31T12:00:00Z", "2017-12-31"),
        ("2016-01-01T12:00:00Z", "2016-01-03"),
    ],
)
def test_the_data_end_on_the_sunday_of_this_week(now: str, last_day: str) -> None:
    assert Shift.ending_in_week_of(parse_instant(now)).last_day == date.fromisoformat(last_day)


@pytest.mark.parametrize("weeks", [-100, 0, 13, 26, 464])
@pytest.mark.parametrize(
    "at", ["2017-01-06T18:05:00", "2017-07-01T07:30:15.5", "2017-12-31T23:01:20"]
)
def test_weekday_and_wall_clock_stay(weeks: int, at: str) -> None:
    before = datetime.fromisoformat(at).replace(tzinfo=ZONE)
    moved = Shift(weeks).clock()(int(before.timestamp() * 1000))
    after = from_millis(moved).astimezone(ZONE)
    assert after.time() == before.time()
    assert after.weekday() == before.weekday()
    assert (after.date() - before.date()).days == 7 * weeks


def test_an_hour_that_the_clocks_skip_becomes_the_next() -> None:
    sunday = parse_instant("2017-03-05T07:30:00Z")  # 02:30; a year on, 03-11 has no such hour
    for weeks, local in ((52, "2018-03-04 02:30"), (53, "2018-03-11 03:30")):
        moved = from_millis(Shift(weeks).clock()(sunday)).astimezone(ZONE)
        assert f"{moved:%Y-%m-%d %H:%M}" == local
