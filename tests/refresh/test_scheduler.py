"""The scheduler over a backend in memory: a year in seconds, failures, fairness, realtime."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from relo_dsl.bind import Refresh
from relo_dsl.errors import UserError
from relo_dsl.settings import Schedule
from relo_dsl.times import from_millis, parse_instant
from relo_server.refresh.attempts import NEVER
from relo_server.refresh.clock import REALTIME
from relo_server.refresh.due import is_failing
from relo_server.refresh.scheduler import Done
from tests.refresh.fakes import DAY, HOUR, MINUTE, SECOND, FakeBackend, Losing, World, audience

YEAR = parse_instant("2026-01-01")
NOON = parse_instant("2026-06-15T12:00:00Z")
DAILY, HOURLY, REAL = Refresh("daily", 150), Refresh("hourly"), Refresh("realtime")
PUNCTUAL = Schedule(max_delay=0)


def failing(*names: str, error: str = "the query reached a limit") -> object:
    def outcome(name: str, _at: int) -> Done:
        return Done(name, "failed", error) if name in names else Done(name, "published")

    return outcome


def test_a_year() -> None:
    """Daylight saving both ways, in two hemispheres: nothing is left out, nothing runs twice."""
    world = World(
        audience("winter", DAILY, zone="America/New_York"),
        audience("summer", DAILY, zone="Australia/Sydney"),
        audience("hours", HOURLY, zone="Europe/Madrid"),
        audience("weeks", Refresh("weekly", 90, "sunday"), zone="America/Santiago"),
        audience("first", Refresh("cron", cron="0 3 1 * *"), zone="Asia/Kolkata"),
        audience("six", Refresh("every", every=6 * HOUR)),
        audience("other", DAILY, client=4, zone="America/New_York"),
        start=YEAR - 1,
    )
    world.scheduler.step()  # what is due at the start, for the instants before it
    world.scheduler.step()
    world.backend.attempts.clear()
    made = world.until(YEAR + 365 * DAY - 1)
    runs = Counter(item.audience for item in made)
    assert runs == {
        "winter": 365, "summer": 365, "hours": 8_760, "weeks": 52, "first": 12, "six": 1_460,
        "other": 365,
    }  # fmt: skip
    once = Counter((item.audience, item.scheduled_for) for item in made)
    assert max(once.values()) == 1
    for item in made:
        assert item.scheduled_for <= item.started < item.scheduled_for + 16 * MINUTE
        assert item.attempt == 1
    zone = ZoneInfo("America/New_York")
    times = [
        from_millis(item.scheduled_for).astimezone(zone) for item in made
        if item.audience == "winter"
    ]  # fmt: skip
    dates = [time.date() for time in times]
    assert all(b - a == timedelta(days=1) for a, b in itertools.pairwise(dates))
    odd = [f"{time:%m-%d %H:%M}" for time in times if (time.hour, time.minute) != (2, 30)]
    assert odd == ["03-08 03:00"]


def test_what_was_missed_is_caught_up_once() -> None:
    world = World(audience("a", DAILY), audience("b", HOURLY), start=NOON)
    assert [item.audience for item in world.scheduler.step()] == ["a", "b"]
    world.clock[0] += 40 * DAY + 30 * MINUTE
    made = list(world.scheduler.drain())
    assert sorted(item.audience for item in made) == ["a", "b"]
    (late,) = [item for item in made if item.audience == "a"]
    assert late.scheduled_for == parse_instant("2026-07-25T02:30:00Z")
    assert world.scheduler.step() == []
    # A process that has just started knows that, too.
    assert world.another().step() == []


def test_what_somebody_built_meanwhile_is_not_refreshed() -> None:
    world = World(audience("a", DAILY), start=NOON)
    world.backend.at[3] = {"a": NOON - HOUR}
    assert world.scheduler.step() == []
    world.backend.at[3] = {"a": NOON - 11 * HOUR}
    assert len(world.another().step()) == 1
    # A version of the future says nothing about now.
    world = World(audience("a", DAILY), start=NOON)
    world.backend.at[3] = {"a": NOON + DAY}
    assert len(world.scheduler.step()) == 1


def test_a_holdout_that_was_not_published_is_due() -> None:
    """A process was killed between an audience and its holdout."""
    world = World(replace(audience("a", DAILY), held_out=True), start=NOON)
    world.backend.at[3] = {"a": NOON}
    assert len(world.scheduler.step()) == 1
    world = World(replace(audience("a", DAILY), held_out=True), start=NOON)
    world.backend.at[3] = {"a": NOON, "a:holdout": NOON}
    assert world.scheduler.step() == []


def test_a_thousand_daily_audiences_do_not_start_at_once() -> None:
    many = [audience(f"a{i}", Refresh("daily")) for i in range(1_000)]
    world = World(*many, start=NOON)
    list(world.scheduler.drain())
    started = Counter(
        (item.started - item.scheduled_for) // MINUTE for item in world.until(NOON + DAY)
    )
    assert len(started) == 10
    assert max(started) < 15
    assert max(started.values()) < 200
    punctual = World(*many, start=NOON, policy=PUNCTUAL)
    list(punctual.scheduler.drain())
    assert {item.started - item.scheduled_for for item in punctual.until(NOON + DAY)} == {0}


def test_clients_take_turns() -> None:
    """A thousand audiences of one do not keep the single one of another waiting."""
    many = [audience(f"a{i:04}", HOURLY, client=1) for i in range(1_000)]
    world = World(*many, audience("b", HOURLY, client=2), start=NOON, policy=Schedule(batch=100))
    list(world.scheduler.drain())
    calls = world.backend.calls
    assert [client for client, _ in calls[:3]] == [1, 2, 1]
    assert len(calls) == 11
    assert max(len(names) for _, names in calls) == 100
    assert len({name for client, names in calls for name in names if client == 1}) == 1_000


def test_what_has_waited_longest_comes_first() -> None:
    world = World(
        audience("new", HOURLY), audience("old", DAILY), start=NOON, policy=Schedule(batch=1)
    )
    assert [item.audience for item in world.scheduler.drain()] == ["old", "new"]


def test_failures_are_retried_then_the_audience_is_failing() -> None:
    world = World(audience("bad", DAILY), audience("good", DAILY), start=NOON, policy=PUNCTUAL)
    world.backend.outcome = failing("bad")  # type: ignore[assignment]
    made = world.after(12 * HOUR)
    assert [item.audience for item in made if not item.failed] == ["good"]
    bad = [item for item in made if item.failed]
    assert [item.attempt for item in bad] == [1, 2, 3, 4]
    assert [b.started - a.ended for a, b in itertools.pairwise(bad)] == [
        30 * SECOND, 60 * SECOND, 120 * SECOND
    ]  # fmt: skip
    state = world.backend.kept[3]["bad"]
    assert is_failing(state, world.policy)
    assert state.last is not None
    assert state.last.error == "the query reached a limit"
    # At its next instant it is tried once, and the others as ever.
    made = world.after(DAY)
    assert [(item.audience, item.attempt) for item in made] == [("bad", 5), ("good", 1)]
    world.backend.outcome = failing()  # type: ignore[assignment]
    made = world.after(DAY)
    assert {item.audience for item in made if not item.failed} == {"bad", "good"}
    assert world.backend.kept[3]["bad"].failures == 0
    assert [item.attempt for item in world.after(DAY)] == [1, 1]


def test_waits_between_attempts_have_an_end() -> None:
    policy = Schedule(max_delay=0, attempts=9, max_retry_after=100)
    world = World(audience("bad", Refresh("weekly")), start=NOON, policy=policy)
    world.backend.outcome = failing("bad")  # type: ignore[assignment]
    made = world.after(HOUR)
    waits = [(b.started - a.ended) // SECOND for a, b in itertools.pairwise(made)]
    assert waits == [30, 60, 100, 100, 100, 100, 100, 100]


def test_held_back_is_no_failure() -> None:
    world = World(audience("small", DAILY), start=NOON)
    world.backend.outcome = lambda name, _: Done(name, "held", "below its minimum")
    assert len(world.after(HOUR)) == 1
    assert world.backend.kept[3]["small"].failures == 0


def test_a_client_in_use_is_left_alone_and_looked_at_again() -> None:
    world = World(audience("a", DAILY), audience("b", DAILY, client=4), start=NOON)
    world.backend.leased.add(3)
    assert [item.audience for item in world.scheduler.drain()] == ["b"]
    world.backend.leased.clear()
    assert [item.audience for item in world.after(10 * SECOND)] == ["a"]
    assert world.backend.leased == set()


def test_what_another_has_just_done_is_not_done_again() -> None:
    """It looks again once it has the lease."""
    world = World(audience("a", DAILY), start=NOON)
    first = world.backend.lease

    def done_meanwhile(client: int) -> object:
        world.backend.at[client] = {"a": NOON}
        return first(client)

    world.backend.lease = done_meanwhile  # type: ignore[method-assign,assignment]
    assert world.scheduler.step() == []
    assert world.backend.calls == []


def test_a_lost_lease_records_nothing() -> None:
    world = World(audience("a", DAILY), start=NOON, backend=Losing)
    assert world.scheduler.step() == []
    assert world.backend.attempts == []
    assert [item.audience for item in world.after(10 * SECOND)] == ["a"]


class Broken(FakeBackend):
    """Client 3 cannot be read at all."""

    def states(self, client: int) -> dict[str, object]:  # type: ignore[override]
        if client == 3:
            raise UserError("the set store failed: gone")
        return {}


def test_stores_in_trouble_hold_up_no_other_client() -> None:
    world = World(audience("a", DAILY), audience("b", HOURLY, client=4), start=NOON, backend=Broken)
    for _ in range(30):
        world.scheduler.step()
        world.clock[0] += 10 * SECOND
    assert {client for client, _ in world.backend.calls} == {4}
    # With longer and longer waits: after 0, 30, 90 and 210 seconds.
    assert world.troubles == ["client 3: the set store failed: gone"] * 4


def test_a_refresh_that_breaks_down_failed_for_all() -> None:
    world = World(audience("a", DAILY), audience("b", DAILY), start=NOON)

    def broken(_name: str, _at: int) -> Done:
        raise UserError("the set store failed: gone")

    world.backend.outcome = broken
    made = world.scheduler.step()
    assert [(item.audience, item.error) for item in made] == [
        ("a", "the set store failed: gone"), ("b", "the set store failed: gone")
    ]  # fmt: skip


# ---- realtime ------------------------------------------------------------------------------------


def test_realtime_follows_changes() -> None:
    """Where only events change it: at once when something came, and not at all otherwise."""
    world = World(audience("s", REAL, timed=False), start=NOON)
    assert len(world.scheduler.step()) == 1
    assert world.after(HOUR) == []
    world.backend.seen = "1"
    (made,) = world.scheduler.step()
    assert (made.started, made.mark) == (world.now, "1 f")
    assert world.scheduler.step() == []
    # The next change within moments waits for a moment, and no change is lost.
    world.backend.seen = "2"
    assert world.scheduler.step() == []
    (made,) = world.after(REALTIME)
    assert made.mark == "2 f"


def test_a_change_during_a_refresh_is_another_one() -> None:
    world = World(audience("s", REAL, timed=False), start=NOON)

    def busy(name: str, _at: int) -> Done:
        world.backend.seen = "1"
        return Done(name, "published")

    world.backend.outcome = busy
    (first,) = world.scheduler.step()
    assert first.mark == "0 f"
    assert [item.mark for item in world.after(HOUR)] == ["1 f"]


def test_realtime_runs_every_ten_seconds_where_time_changes_it() -> None:
    world = World(audience("s", REAL), start=NOON)
    starts = [item.started - NOON for item in world.after(60 * SECOND)]
    assert starts == [0, 10_000, 20_000, 30_000, 40_000, 50_000]


def test_an_edited_definition_is_a_change() -> None:
    first = audience("s", REAL, timed=False)
    world = World(first, start=NOON)
    world.scheduler.step()
    assert world.after(HOUR) == []
    world.audiences = [replace(first, fingerprint="g")]
    assert len(world.scheduler.step()) == 1


def test_where_changes_cannot_be_told_it_runs_all_the_same() -> None:
    world = World(audience("s", REAL, timed=False), start=NOON)
    world.backend.seen = "?"
    assert len(world.after(60 * SECOND)) == 12


def test_realtime_that_fails_waits_longer_and_longer() -> None:
    world = World(audience("s", REAL), start=NOON)
    world.backend.outcome = failing("s")  # type: ignore[assignment]
    made = world.after(HOUR)
    waits = [(b.started - a.ended) // SECOND for a, b in itertools.pairwise(made)]
    assert waits[:6] == [30, 60, 120, 240, 480, 600]
    assert set(waits[6:]) == {600}
    world.backend.outcome = failing()  # type: ignore[assignment]
    assert len(world.after(11 * MINUTE)) > 5


def test_run_ends_when_it_is_told_to() -> None:
    world = World(audience("a", HOURLY), start=NOON)
    slept: list[float] = []
    seen: list[str] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        world.clock[0] += round(seconds * SECOND)

    world.scheduler.run(
        sleep=sleep, stop=lambda: len(seen) == 3, done=lambda item: seen.append(item.audience)
    )
    assert seen == ["a"] * 3
    assert max(slept) == 1.0
    assert world.now - NOON < 3 * HOUR


def test_with_nothing_to_do_it_waits() -> None:
    world = World(start=NOON)
    assert world.scheduler.step() == []
    assert world.scheduler.wake_at() is None
    slept: list[float] = []
    world.scheduler.run(sleep=slept.append, stop=lambda: len(slept) == 2)
    assert slept == [1.0, 1.0]


@pytest.mark.parametrize("attempts", [1, 3])
def test_how_often_it_is_tried_can_be_set(attempts: int) -> None:
    policy = Schedule(max_delay=0, attempts=attempts)
    world = World(audience("bad", DAILY), start=NOON, policy=policy)
    world.backend.outcome = failing("bad")  # type: ignore[assignment]
    assert len(world.after(HOUR)) == attempts
    assert not is_failing(NEVER, policy)
