"""When audiences are due: in every zone, by every kind of schedule, and where clocks change."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relo_dsl.bind import Refresh
from relo_dsl.times import UNITS, format_instant, from_millis, parse_instant, to_millis
from relo_server.refresh.clock import GROUPS, REALTIME, Clock, delay

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CRONS = (
    "*/15 * * * *", "7 * * * *", "30 1,2,3 * * *", "0 3 * * 1", "15 2 1,15 * *", "*/20 0-4 * * *",
    "0 12 L * *", "5 2 * 3,4,9,10,11 sun",
)  # fmt: skip

minutes = st.integers(0, 24 * 60 - 1)
schedules = st.one_of(
    st.just(Refresh("hourly")),
    st.just(Refresh("realtime")),
    st.builds(lambda at: Refresh("daily", at), minutes),
    st.builds(lambda at, day: Refresh("weekly", at, day), minutes, st.sampled_from(DAYS)),
    st.builds(lambda every: Refresh("every", every=every), st.integers(1, 40 * UNITS["d"])),
    st.sampled_from([Refresh("cron", cron=cron) for cron in CRONS]),
)
#: 1971 to 2037: what time zone files list one by one.
instants = st.integers(365 * UNITS["d"], 67 * 365 * UNITS["d"])


def changes(zone: str, since: int, until: int) -> list[int]:
    """The instants in a stretch of time at which a zone's offset changes, to the second."""
    found = []
    step = 6 * UNITS["h"]
    for low in range(since, until, step):
        high = low + step
        if offset(zone, low) == offset(zone, high):
            continue
        while high - low > 1000:
            middle = (low + high) // 2
            low, high = (
                (middle, high) if offset(zone, middle) == offset(zone, low) else (low, middle)
            )
        found.append(high // 1000 * 1000)
    return found


def offset(zone: str, instant: int) -> timedelta | None:
    return from_millis(instant).astimezone(ZoneInfo(zone)).utcoffset()


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and an instant within hours of a change of its clocks, where it has any."""
    zone = draw(st.sampled_from(ZONES))
    year = draw(st.integers(1972, 2035))
    start = parse_instant(f"{year}-01-01")
    found = changes(zone, start, start + 366 * UNITS["d"])
    around = draw(st.sampled_from(found)) if found else start
    return zone, around + draw(st.integers(-5 * UNITS["h"], 5 * UNITS["h"]))


def consistent(clock: Clock, now: int) -> None:
    latest, following = clock.latest(now), clock.next(now)
    assert latest <= now < following
    assert clock.latest(latest) == latest
    assert clock.next(latest) == following
    assert clock.latest(following) == following
    assert clock.latest(following - 1) == latest
    assert clock.next(latest - 1) == latest
    assert clock.next(following) > following


@settings(max_examples=300)
@given(schedules, st.sampled_from(ZONES), instants)
def test_next_and_latest_agree(refresh: Refresh, zone: str, now: int) -> None:
    consistent(Clock(refresh, zone), now)


@settings(max_examples=300)
@given(schedules, near_changes())
def test_they_agree_where_clocks_change(refresh: Refresh, place: tuple[str, int]) -> None:
    consistent(Clock(refresh, place[0]), place[1])


@settings(max_examples=150)
@given(minutes, near_changes())
def test_daily_is_once_a_local_day(at: int, place: tuple[str, int]) -> None:
    """At its time where that exists; where it does not, the moment the clock has jumped past it."""
    zone, now = place
    clock = Clock(Refresh("daily", at), zone)
    runs = [clock.latest(now - 2 * UNITS["d"])]
    while runs[-1] < now + 2 * UNITS["d"]:
        runs.append(clock.next(runs[-1]))
    assert all(a < b for a, b in pairwise(runs))
    local = [from_millis(run).astimezone(ZoneInfo(zone)) for run in runs]
    days = Counter(moment.date() for moment in local)
    assert max(days.values()) == 1
    for moment, run in zip(local, runs, strict=True):
        if moment.hour * 60 + moment.minute == at:
            # Of two such moments the first.
            assert moment.fold == 0
            continue
        wall = datetime(moment.year, moment.month, moment.day, at // 60, at % 60)
        assert offset(zone, run) != offset(zone, run - 1)
        assert (
            from_millis(to_millis(wall.replace(tzinfo=ZoneInfo(zone))))
            .astimezone(ZoneInfo(zone))
            .replace(tzinfo=None)
            != wall
        )


def test_every_zone_has_a_run_a_day_all_year() -> None:
    """Every local date of a year, in every zone that skips no whole day."""
    start = parse_instant("2026-01-01")
    for zone in ZONES[::7]:
        clock = Clock(Refresh("daily", 150), zone)
        now, dates = start, []
        for _ in range(365):
            now = clock.next(now)
            dates.append(from_millis(now).astimezone(ZoneInfo(zone)).date())
        assert all(b - a == timedelta(days=1) for a, b in pairwise(dates)), zone


def runs(how: str | Refresh, zone: str, since: str, count: int) -> list[str]:
    clock = Clock(Refresh("cron", cron=how) if isinstance(how, str) else how, zone)
    now, found = parse_instant(since) - 1, []
    for _ in range(count):
        now = clock.next(now)
        found.append(format_instant(now)[:16])
    return found


def test_a_time_that_does_not_exist_is_the_first_instant_after_it() -> None:
    """New York, 8 March 2026: after 01:59 EST (-5) comes 03:00 EDT (-4), at 07:00 UTC."""
    daily = Refresh("daily", 150)
    assert runs(daily, "America/New_York", "2026-03-07T00:00:00Z", 3) == [
        "2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"
    ]  # fmt: skip
    # Three local times that fall together are one run.
    assert runs("0,30 2,3 * * *", "America/New_York", "2026-03-08T06:00:00Z", 3) == [
        "2026-03-08T07:00", "2026-03-08T07:30", "2026-03-09T06:00"
    ]  # fmt: skip
    # A midnight that does not exist: Cairo, 24 April 2026.
    assert runs(Refresh("daily"), "Africa/Cairo", "2026-04-23T12:00:00Z", 2) == [
        "2026-04-23T22:00", "2026-04-24T21:00"
    ]  # fmt: skip


def test_a_time_that_occurs_twice_runs_once() -> None:
    """New York, 1 November 2026: 01:30 is at 05:30 UTC (EDT) and at 06:30 UTC (EST)."""
    assert runs(Refresh("daily", 90), "America/New_York", "2026-10-31T12:00:00Z", 2) == [
        "2026-11-01T05:30", "2026-11-02T06:30"
    ]  # fmt: skip
    clock = Clock(Refresh("daily", 90), "America/New_York")
    for now in ("2026-11-01T06:29:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"):
        assert format_instant(clock.latest(parse_instant(now)))[:16] == "2026-11-01T05:30"


def test_hourly_leaves_no_hole_where_an_hour_comes_twice() -> None:
    assert runs(Refresh("hourly"), "America/New_York", "2026-11-01T05:00:00Z", 4) == [
        "2026-11-01T05:00", "2026-11-01T06:00", "2026-11-01T07:00", "2026-11-01T08:00"
    ]  # fmt: skip
    assert runs("45 * * * *", "America/New_York", "2026-11-01T05:00:00Z", 3) == [
        "2026-11-01T05:45", "2026-11-01T06:45", "2026-11-01T07:45"
    ]  # fmt: skip
    assert runs(Refresh("hourly"), "America/New_York", "2026-03-08T06:00:00Z", 3) == [
        "2026-03-08T06:00", "2026-03-08T07:00", "2026-03-08T08:00"
    ]  # fmt: skip
    # The half hour of Lord Howe, whose clock goes from 02:00 (+11) back to 01:30 (+10:30).
    assert runs("*/30 * * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", 5) == [
        "2026-04-04T14:00", "2026-04-04T14:30", "2026-04-04T15:00", "2026-04-04T15:30",
        "2026-04-04T16:00",
    ]  # fmt: skip


def test_a_day_that_does_not_exist() -> None:
    """Samoa had no 30 December 2011: its run comes with the next day's first moment, once."""
    assert runs(Refresh("daily", 180), "Pacific/Apia", "2011-12-29T00:00:00Z", 3) == [
        "2011-12-29T13:00", "2011-12-30T10:00", "2011-12-30T13:00"
    ]  # fmt: skip


@settings(max_examples=50)
@given(schedules, near_changes(), st.lists(st.integers(0, 3 * UNITS["d"]), max_size=8))
def test_what_is_kept_is_what_is_worked_out(
    refresh: Refresh, place: tuple[str, int], steps: list[int]
) -> None:
    clock, now = Clock(refresh, place[0]), place[1]
    for step in (0, *steps, -UNITS["w"]):
        now += step
        following = clock.next(now)
        assert clock.around(now) == (clock.latest(now), following, clock.next(following))


def test_every_does_not_drift() -> None:
    clock = Clock(Refresh("every", every=7 * UNITS["h"]), "Europe/Madrid")
    now = parse_instant("2026-06-15")
    assert clock.latest(now) % (7 * UNITS["h"]) == 0
    assert clock.next(now) - clock.latest(now) == 7 * UNITS["h"]
    assert Clock(Refresh("realtime"), "UTC").next(5) == REALTIME


@given(st.integers(0, 2**32 - 1), st.text(min_size=1), schedules, instants)
def test_the_delay_ends_before_the_next(client: int, name: str, refresh: Refresh, now: int) -> None:
    clock = Clock(refresh, "America/Sao_Paulo")
    latest, following = clock.latest(now), clock.next(now)
    waits = delay(client, name, latest, following, 15 * UNITS["min"])
    assert 0 <= waits <= 15 * UNITS["min"]
    assert latest + waits < following
    assert waits == delay(client, name, latest, following, 15 * UNITS["min"])
    assert delay(client, name, latest, following, 0) == 0


@pytest.mark.parametrize(("period", "window"), [("h", 6), ("d", 15)])
def test_a_thousand_audiences_are_spread(period: str, window: int) -> None:
    """Those of a client in ten groups, evenly; those of several clients at their own moments."""
    limit = 15 * UNITS["min"]
    waits = Counter(delay(3, f"audience_{i}", 0, UNITS[period], limit) for i in range(1_000))
    part = window * UNITS["min"] // GROUPS
    assert {wait // part for wait in waits} == set(range(GROUPS))
    assert len(waits) == GROUPS
    assert max(waits.values()) < 2 * 1_000 / GROUPS
    others = Counter(delay(i, "audience", 0, UNITS[period], limit) for i in range(1_000))
    assert len(others) > 900
    assert max(Counter(wait // part for wait in others).values()) < 2 * 1_000 / GROUPS
