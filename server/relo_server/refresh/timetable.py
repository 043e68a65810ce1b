"""What runs when, and what became of the last time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from relo_dsl.settings import Schedule
from relo_dsl.times import format_instant, from_millis
from relo_server.refresh.attempts import NEVER, State
from relo_server.refresh.changes import with_definition
from relo_server.refresh.clock import written
from relo_server.refresh.due import Run, Scheduled, is_failing, next_run
from relo_server.refresh.live import Stores


@dataclass(frozen=True, slots=True)
class Line:
    """One audience: its next run, its last, and what is published (epoch milliseconds, or None)."""

    audience: Scheduled
    state: State
    run: Run
    published_at: int | None
    failing: bool
    now: int

    @property
    def age(self) -> int | None:
        """How long ago it was that what is published held, in milliseconds."""
        return None if self.published_at is None else max(self.now - self.published_at, 0)

    @property
    def status(self) -> str:
        """In a word: never, published, held, retrying, failing."""
        last = self.state.last
        if last is None:
            return "never"
        if last.failed:
            return "failing" if self.failing else "retrying"
        return last.outcome

    def to_json(self) -> dict[str, object]:
        """One line of `relo schedule --json`, and of the service."""
        last, at, published = self.state.last, self.run.at, self.published_at
        return {
            "name": self.audience.name,
            "client": self.audience.client,
            "refresh": written(self.audience.clock.refresh),
            "timezone": self.audience.clock.timezone,
            "next": None if at is None else format_instant(at),
            "next_local": None if at is None else local(self.audience, at),
            "scheduled_for": None if at is None else format_instant(self.run.scheduled_for),
            "due": self.run.is_due(self.now),
            "status": self.status,
            "failing": self.failing,
            "last": None if last is None else {
                "scheduled_for": format_instant(last.scheduled_for),
                "started": format_instant(last.started),
                "ended": format_instant(last.ended),
                "outcome": last.outcome,
                "attempt": last.attempt,
                "error": last.error or None,
                "by": last.by,
            },
            "published_at": None if published is None else format_instant(published),
            "age_seconds": None if self.age is None else self.age // 1000,
        }  # fmt: skip


def look(
    stores: Stores, audiences: Iterable[Scheduled], policy: Schedule, now: int
) -> Iterable[Line]:
    """Each audience with what the stores know about it."""
    audiences = list(audiences)
    mark = stores.mark()
    for client in dict.fromkeys(audience.client for audience in audiences):
        states, published = stores.states(client), stores.published(client)
        recorded = stores.recorded(client)
        for audience in audiences:
            if audience.client != client:
                continue
            state, at = states.get(audience.name, NEVER), published.get(audience.name)
            run = next_run(
                audience, state, now=now, policy=policy,
                published_at=audience.published_at(recorded),
                mark=with_definition(mark, audience.fingerprint),
            )  # fmt: skip
            yield Line(audience, state, run, at, is_failing(state, policy), now)


def local(audience: Scheduled, instant: int) -> str:
    """An instant as the clocks of the audience's zone show it."""
    moment = from_millis(instant).astimezone(ZoneInfo(audience.clock.timezone))
    return moment.isoformat(sep=" ", timespec="seconds")
