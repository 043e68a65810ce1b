"""What is due: from an audience's clock and what became of its last attempts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relo_dsl.setkeys import HOLDOUT
from relo_dsl.settings import Schedule
from relo_dsl.times import UNITS
from relo_server.refresh.attempts import State
from relo_server.refresh.changes import UNKNOWN
from relo_server.refresh.clock import REALTIME, Clock, delay

#: The least time between the starts of two refreshes of a realtime audience, in milliseconds.
REALTIME_LEAST = REALTIME // 2


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An audience and when it runs. `timed`: time alone changes who is in it, or others do.

    `fingerprint` is its plan's, empty where the definition has errors; `held_out` says that a
    holdout is split off.
    """

    name: str
    client: int
    clock: Clock
    timed: bool = True
    fingerprint: str = ""
    held_out: bool = False

    def published_at(self, instants: Mapping[str, int]) -> int:
        """The instant that all of its sets hold for, at least; 0 where one was never published.

        A process that is killed between an audience and its holdout has published one of them.
        """
        names = (self.name, self.name + HOLDOUT) if self.held_out else (self.name,)
        return min(instants.get(name, 0) for name in names)

    @property
    def realtime(self) -> bool:
        return self.clock.refresh.how == "realtime"


@dataclass(frozen=True, slots=True)
class Run:
    """The next run of an audience: due from `at` on, for the instant `scheduled_for`.

    `attempt` counts from 1 since the last good one. Where `at` is None it waits for events or
    consent to change.
    """

    name: str
    at: int | None
    scheduled_for: int
    attempt: int = 1

    def is_due(self, now: int) -> bool:
        return self.at is not None and self.at <= now


def next_run(
    audience: Scheduled,
    state: State,
    *,
    now: int,
    policy: Schedule,
    published_at: int = 0,
    mark: str = UNKNOWN,
) -> Run:
    """When an audience runs next.

    `published_at` is the instant that its published version holds for (0: nothing is published):
    whoever published it, the schedule up to then is dealt with, unless it lies in the future.
    `mark` is the present state of the stored events, for realtime audiences; where that is UNKNOWN
    it counts as changed.

    Runs that were missed are one run, for the latest of them. One that failed is tried again after
    `policy.retry_after`, each time after twice as long, `policy.attempts` times in all. Then it is
    failing: it is tried once at each of its instants until that succeeds. A realtime audience has
    no instants to wait for, and goes on at the longest wait.
    """
    if audience.realtime:
        return _next_realtime(audience, state, now, policy, mark)
    latest, following, after = audience.clock.around(now)
    name, last = audience.name, state.last
    known = published_at if published_at <= now else 0
    if max(state.done_for, known) < latest:
        attempt = state.failures + 1
        if last is None and not known:
            return Run(name, latest, latest)  # a new audience waits for nothing
        if last is None or not last.failed or last.scheduled_for != latest:
            return Run(name, latest + _delay(audience, latest, following, policy), latest, attempt)
        if last.attempt < policy.attempts:
            return Run(name, last.ended + backoff(last.attempt, policy), latest, attempt)
    return Run(name, following + _delay(audience, following, after, policy), following)


def backoff(failures: int, policy: Schedule) -> int:
    """How long to wait after so many failures one after the other, in milliseconds."""
    seconds = policy.retry_after << min(failures - 1, 30)
    return min(seconds, policy.max_retry_after) * UNITS["s"]


def is_failing(state: State, policy: Schedule) -> bool:
    """Whether an audience has failed as often as it is tried."""
    return state.failures >= policy.attempts


def _delay(audience: Scheduled, instant: int, following: int, policy: Schedule) -> int:
    limit = policy.max_delay * UNITS["s"]
    return delay(audience.client, audience.name, instant, following, limit)


def _next_realtime(audience: Scheduled, state: State, now: int, policy: Schedule, mark: str) -> Run:
    at: int | None
    if state.failures and state.last is not None:
        at = state.last.ended + backoff(state.failures, policy)
        return Run(audience.name, at, max(at, now), state.failures + 1)
    if mark == UNKNOWN or mark != state.done_mark:
        at = state.done_at + REALTIME_LEAST
    else:
        at = state.done_at + REALTIME if audience.timed else None
    return Run(audience.name, at, max(at or 0, now))
