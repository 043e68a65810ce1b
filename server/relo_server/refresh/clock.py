"""When an audience is refreshed: the instants that its `refresh` header names, in its time zone.

Pure. Calendars are worked out in local time without any zone, by croniter, and only then turned
into instants, here: croniter's own reading of zones skips or repeats times where clocks change.

- A local time that does not exist, because the clock was put forward, is the first instant after.
- A local time that occurs twice, because the clock was put back, counts where it occurs first. Only
  a schedule that names every hour (`hourly`, `cron "*/15 * * * *"`) counts both: it asks for so
  much time between two refreshes, and an hour that comes twice would leave a hole in it.
- `every DURATION` counts from 1970-01-01T00:00:00Z, so that a restart moves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from croniter import croniter

from relo_dsl.bind import Refresh
from relo_dsl.times import UNITS, format_duration, from_millis, to_millis

#: The longest that a realtime audience waits, in milliseconds.
REALTIME = 10 * UNITS["s"]
#: The share of the time between two instants over which the audiences due at the first are spread.
SPREAD = 10
#: In so many groups the audiences of one client start.
GROUPS = 10
_TICK = timedelta(microseconds=1)
_DAYS = {"monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4,
         "friday": 5, "saturday": 6, "sunday": 0}  # fmt: skip


@dataclass(frozen=True)
class Clock:
    """The instants of one `refresh` header: epoch milliseconds, without beginning or end."""

    refresh: Refresh
    timezone: str

    def latest(self, now: int) -> int:
        """The last instant at or before `now`."""
        if self._step is not None:
            return now // self._step * self._step
        local, repeated = self._local(now)
        found = [self._latest_first(local + repeated, now)]
        if self._every_hour:
            wall = self._before(local + _TICK)
            found += [instant for instant in self._instants(wall) if instant <= now]
        return max(found)

    def next(self, now: int) -> int:
        """The first instant after `now`."""
        if self._step is not None:
            return (now // self._step + 1) * self._step
        local, repeated = self._local(now)
        found = [self._next_first(local, now)]
        if self._every_hour and repeated:
            # The clock shows this hour twice: what is left of its second time round.
            for wall in self._after(local - repeated):
                if wall > local + repeated:
                    break
                if later := [instant for instant in self._instants(wall) if instant > now]:
                    found.append(min(later))
                    break
        return min(found)

    def around(self, now: int) -> tuple[int, int, int]:
        """The last instant at or before `now` and the two after it.

        The last answer is kept: a scheduler asks far more often than there are instants.
        """
        kept: tuple[int, int, int] | None = self.__dict__.get("_around")
        if kept is None or not kept[0] <= now < kept[2]:
            following = self.next(now)
            kept = self.latest(now), following, self.next(following)
        elif now >= kept[1]:
            kept = kept[1], kept[2], self.next(kept[2])
        self.__dict__["_around"] = kept
        return kept

    @cached_property
    def _step(self) -> int | None:
        return REALTIME if self.refresh.how == "realtime" else self.refresh.every

    @cached_property
    def _expression(self) -> str:
        hour, minute = divmod(self.refresh.at, 60)
        match self.refresh.how:
            case "hourly":
                return "0 * * * *"
            case "weekly":
                return f"{minute} {hour} * * {_DAYS[self.refresh.day or 'monday']}"
            case "cron":
                return self.refresh.cron or ""
            case _:
                return f"{minute} {hour} * * *"

    @cached_property
    def _every_hour(self) -> bool:
        return bool(croniter.expand(self._expression)[0][1] == ["*"])

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    # ---- local times, without a zone ------------------------------------------------------------

    def _before(self, wall: datetime) -> datetime:
        return datetime_of(croniter(self._expression, wall).get_prev(datetime))

    def _after(self, wall: datetime) -> Iterator[datetime]:
        times = croniter(self._expression, wall)
        while True:
            yield datetime_of(times.get_next(datetime))

    def _latest_first(self, wall: datetime, now: int) -> int:
        """The last first occurrence at or before `now`; none stands at a later wall time."""
        wall = self._before(wall + _TICK)
        while self._instants(wall)[0] > now:
            wall = self._before(wall)
        return self._instants(wall)[0]

    def _next_first(self, wall: datetime, now: int) -> int:
        """The first of the first occurrences after `now`; none stands at an earlier wall time."""
        return next(
            instant for wall in self._after(wall) if (instant := self._instants(wall)[0]) > now
        )

    # ---- between local times and instants -------------------------------------------------------

    def _local(self, now: int) -> tuple[datetime, timedelta]:
        """What the clock shows at `now`, and how long a stretch is repeated around that time."""
        wall = from_millis(now).astimezone(self._zone).replace(tzinfo=None, fold=0)
        instants = self._instants(wall)
        return wall, timedelta(milliseconds=instants[-1] - instants[0])

    def _instants(self, wall: datetime) -> tuple[int, ...]:
        """When the clock shows a local time: once, twice, or at the end of the gap it falls in."""
        earlier = to_millis(wall.replace(tzinfo=self._zone, fold=0))
        later = to_millis(wall.replace(tzinfo=self._zone, fold=1))
        if earlier == later:
            return (earlier,)
        if earlier < later:
            return (earlier, later)
        return (self._gap_end(later, earlier),)

    def _gap_end(self, low: int, high: int) -> int:
        """The instant in (low, high] at which the offset changes."""
        before = from_millis(low).astimezone(self._zone).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            if from_millis(middle).astimezone(self._zone).utcoffset() == before:
                low = middle
            else:
                high = middle
        return high


def written(refresh: Refresh) -> str:
    """A `refresh` header as one would write it: `daily at 03:00`."""
    clock = f"at {refresh.at // 60:02}:{refresh.at % 60:02}"
    match refresh.how:
        case "daily":
            return f"daily {clock}"
        case "weekly":
            return f"weekly on {refresh.day or 'monday'} {clock}"
        case "every":
            return f"every {format_duration(refresh.every or 0)}"
        case "cron":
            return f'cron "{refresh.cron}"'
        case _:
            return refresh.how


def datetime_of(value: object) -> datetime:
    """What croniter answered, which its types leave open."""
    assert isinstance(value, datetime)
    return value


def delay(client: int, name: str, instant: int, following: int, limit: int) -> int:
    """How long after `instant` an audience starts, so that not all start at once; milliseconds.

    A tenth of the time until the `following` instant, at most `limit`, is divided into GROUPS; the
    name draws one of them and the client a moment within it. So the audiences of a client start in
    few groups, each refreshed together, and the clients apart from one another. Whoever asks gets
    the same. Always before `following`; a `limit` of 0 starts everything on time.
    """
    part = min((following - instant) // SPREAD, limit) // GROUPS
    return part * (_drawn(f"{client}|{name}") * GROUPS >> 64) + (part * _drawn(str(client)) >> 64)


def _drawn(text: str) -> int:
    """A number from 0 up to 2**64, always the same one for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
