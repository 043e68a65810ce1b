"""The scheduler: finds what is due and has it refreshed, a client at a time, in turn.

It keeps nothing that matters in memory. What is due follows from the clocks of the definitions,
the attempts that are stored and what is published, so any number of processes may run one: whoever
takes a client's lease looks again, works, and lets go of it. What a killed process had begun is due
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from relo_dsl.engine import EngineError
from relo_dsl.errors import UserError
from relo_dsl.settings import Schedule
from relo_dsl.times import UNITS
from relo_server.refresh.attempts import NEVER, Attempt, Outcome, State
from relo_server.refresh.changes import UNKNOWN, with_definition
from relo_server.refresh.due import Run, Scheduled, backoff, next_run

#: How soon a client is looked at again that another process is working on, in milliseconds.
BUSY = UNITS["s"]
#: The longest that `run` sleeps, in milliseconds: so soon it sees a change or a new definition.
TICK = UNITS["s"]
_TROUBLE = (UserError, EngineError)


class LeaseLost(Exception):
    """Another process took the client over: nothing more is to be published or recorded."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one audience of a refresh; `error` says why it was not published."""

    name: str
    outcome: Outcome
    error: str = ""


class Backend(Protocol):
    """The stores, as the scheduler needs them. Everything raises UserError or EngineError."""

    def states(self, client: int) -> Mapping[str, State]:
        """The state of every audience of a client that was tried."""

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Stores attempts."""

    def recorded(self, client: int) -> Mapping[str, int]:
        """The instant that each recorded version of a client's sets holds for, by their names."""

    def mark(self) -> str:
        """What `changes.mark` says."""

    def lease(self, client: int) -> AbstractContextManager[object] | None:
        """The client, for this process alone until the end of the `with`; None: it is taken."""

    def refresh(self, names: Sequence[str], *, at: int, by: str, lease: object) -> list[Done]:
        """Refreshes audiences of one client together; raises LeaseLost where the lease was."""


class Scheduler:
    """Refreshes what is due. `audiences` gives those of the project as they are at the moment; as
    long as it gives the same object, nothing about them has changed. `by` is who is recorded, and
    `trouble` is told what went wrong with the stores.
    """

    def __init__(
        self,
        backend: Backend,
        audiences: Callable[[], Sequence[Scheduled]],
        policy: Schedule,
        *,
        now: Callable[[], int],
        by: str = "schedule",
        trouble: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._backend = backend
        self._audiences = audiences
        self._policy = policy
        self._now = now
        self._by = by
        self._trouble = trouble
        self._seen: Sequence[Scheduled] = ()
        self._clients: dict[int, list[Scheduled]] = {}
        #: When each client is to be looked at again, in the order of their turns.
        self._wake: dict[int, int] = {}
        self._mark = UNKNOWN
        self._troubles: dict[int, int] = {}

    def step(self) -> list[Attempt]:
        """Gives the next client that has something due its turn: the attempts that were made.

        At most `policy.batch` audiences, those that have waited longest; none where nothing is due.
        """
        self._look_around()
        for client in list(self._wake):
            if self._wake[client] > self._now():
                continue
            # To the end of the line, whatever comes of it.
            self._wake[client] = self._wake.pop(client)
            try:
                made = self._turn(client)
            except _TROUBLE as error:
                self._set_aside(client, error)
                continue
            self._troubles.pop(client, None)
            if made:
                return made
        return []

    def wake_at(self) -> int | None:
        """When the next client has something due, as far as is known; None: none ever will."""
        return min(self._wake.values(), default=None)

    def drain(self, stop: Callable[[], bool] = lambda: False) -> Iterable[Attempt]:
        """Steps until nothing is due."""
        while not stop() and (made := self.step()):
            yield from made

    def at_once(self, *, sleep: Callable[[float], object]) -> Iterable[Attempt]:
        """Refreshes every audience now, whatever the schedule says.

        Waits for a client that another process is working on. Raises as the backend does.
        """
        self._look_around()
        for client, audiences in self._clients.items():
            for start in range(0, len(audiences), self._policy.batch):
                names = {item.name for item in audiences[start : start + self._policy.batch]}
                while (lease := self._backend.lease(client)) is None:
                    sleep(BUSY / UNITS["s"])
                with lease as held:
                    made = self._refresh(client, list(self._unscheduled(client, names)), held)
                    self._backend.record(made)
                yield from made

    def _unscheduled(self, client: int, names: set[str]) -> Iterable[Run]:
        now = self._now()
        states = self._backend.states(client)
        for audience in self._clients[client]:
            if audience.name in names:
                attempt = states.get(audience.name, NEVER).failures + 1
                yield Run(audience.name, now, audience.clock.around(now)[0], attempt)

    def run(
        self,
        *,
        sleep: Callable[[float], object],
        stop: Callable[[], bool],
        done: Callable[[Attempt], object] = lambda _: None,
    ) -> None:
        """Goes on until `stop`; a turn that has begun is ended. `sleep` takes seconds."""
        while not stop():
            for attempt in self.drain(stop):
                done(attempt)
            if stop():
                return
            now = self._now()
            wake = self.wake_at()
            wait = TICK if wake is None else min(max(wake - now, 0), TICK)
            sleep(max(wait, 50) / UNITS["s"])

    # ---- one client -----------------------------------------------------------------------------

    def _turn(self, client: int) -> list[Attempt]:
        if not self._due(client):
            return []
        lease = self._backend.lease(client)
        if lease is None:
            self._wake[client] = self._now() + BUSY
            return []
        with lease as held:
            # Whoever had the lease before may have done it.
            due = self._due(client)[: self._policy.batch]
            if not due:
                return []
            try:
                made = self._refresh(client, due, held)
            except LeaseLost:
                self._wake[client] = self._now() + BUSY
                return []
            self._backend.record(made)
            self._wake[client] = 0
            return made

    def _due(self, client: int) -> list[Run]:
        """The runs of a client that are due, the longest waiting first; sets when to look again."""
        now = self._now()
        runs = self._runs(client, now)
        times = [run.at for run in runs if run.at is not None]
        self._wake[client] = min(times, default=now + UNITS["d"])
        return sorted((run for run in runs if run.is_due(now)), key=lambda run: (run.at, run.name))

    def _runs(self, client: int, now: int) -> list[Run]:
        states = self._backend.states(client)
        recorded = self._backend.recorded(client)
        return [
            next_run(
                audience, states.get(audience.name, NEVER), now=now, policy=self._policy,
                published_at=audience.published_at(recorded), mark=self._mark_of(audience),
            )
            for audience in self._clients[client]
        ]  # fmt: skip

    def _refresh(self, client: int, due: Sequence[Run], lease: object) -> list[Attempt]:
        """Refreshes what is due; what fails altogether has failed for each of them."""
        # Taken before anything was computed: what comes from now on is another change.
        marks = {item.name: self._mark_of(item) for item in self._clients[client]}
        started = self._now()
        names = [run.name for run in due]
        try:
            found = self._backend.refresh(names, at=started, by=self._by, lease=lease)
        except _TROUBLE as error:
            found = [Done(name, "failed", message_of(error)) for name in names]
        done = {item.name: item for item in found}
        ended = self._now()
        return [
            Attempt(
                client, run.name, run.scheduled_for, started, ended,
                done[run.name].outcome, run.attempt, done[run.name].error, self._by,
                marks[run.name],
            )
            for run in due
            if run.name in done
        ]  # fmt: skip

    def _set_aside(self, client: int, error: Exception) -> None:
        """Leaves a client whose stores are in trouble alone for a while."""
        count = self._troubles[client] = self._troubles.get(client, 0) + 1
        self._wake[client] = self._now() + backoff(count, self._policy)
        self._trouble(f"client {client}: {message_of(error)}")

    # ---- what there is --------------------------------------------------------------------------

    def _look_around(self) -> None:
        """Takes in new and changed definitions, and what has happened to the stored events."""
        audiences = self._audiences()
        if audiences is not self._seen:
            self._seen = audiences
            self._clients = {}
            for audience in audiences:
                self._clients.setdefault(audience.client, []).append(audience)
            self._wake = dict.fromkeys(self._clients, 0)
        try:
            self._look_for_changes()
        except _TROUBLE as error:
            self._trouble(message_of(error))

    def _look_for_changes(self) -> None:
        """Has realtime audiences looked at again where anything has changed."""
        if not any(audience.realtime for audience in self._seen):
            return
        mark = self._backend.mark()
        if mark == self._mark:
            return
        self._mark = mark
        for client, audiences in self._clients.items():
            if any(audience.realtime for audience in audiences) and not self._troubles.get(client):
                self._wake[client] = 0

    def _mark_of(self, audience: Scheduled) -> str:
        if not audience.realtime:
            return ""
        return with_definition(self._mark, audience.fingerprint)


def message_of(error: Exception) -> str:
    """What an error of the stores says, for a record."""
    if isinstance(error, UserError):
        return error.message
    return f"the engine failed: {error}"
