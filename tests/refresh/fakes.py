"""A backend in memory and a clock that only moves when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from relo_dsl.bind import Refresh
from relo_dsl.settings import Schedule
from relo_dsl.times import UNITS
from relo_server.refresh.attempts import NEVER, Attempt, State
from relo_server.refresh.clock import Clock
from relo_server.refresh.due import Scheduled
from relo_server.refresh.scheduler import Done, LeaseLost, Scheduler


class FakeBackend:
    """What the stores would hold; `outcome` decides what becomes of a refresh."""

    def __init__(self, clock: list[int]) -> None:
        self.clock = clock
        self.kept: dict[int, dict[str, State]] = {}
        self.at: dict[int, dict[str, int]] = {}
        self.attempts: list[Attempt] = []
        self.calls: list[tuple[int, tuple[str, ...]]] = []
        self.leased: set[int] = set()
        self.seen = "0"
        self.outcome: Callable[[str, int], Done] = lambda name, _at: Done(name, "published")
        self.takes = 0

    def states(self, client: int) -> Mapping[str, State]:
        return self.kept.get(client, {})

    def record(self, attempts: Sequence[Attempt]) -> None:
        for item in attempts:
            states = self.kept.setdefault(item.client, {})
            states[item.audience] = states.get(item.audience, NEVER).with_attempt(item)
        self.attempts.extend(attempts)

    def recorded(self, client: int) -> Mapping[str, int]:
        return self.at.get(client, {})

    def mark(self) -> str:
        return self.seen

    def lease(self, client: int) -> AbstractContextManager[object] | None:
        return None if client in self.leased else self._held(client)

    @contextmanager
    def _held(self, client: int) -> Iterator[int]:
        self.leased.add(client)
        try:
            yield client
        finally:
            self.leased.discard(client)

    def refresh(self, names: Sequence[str], *, at: int, by: str, lease: object) -> list[Done]:
        assert lease in self.leased
        assert isinstance(lease, int)
        self.calls.append((lease, tuple(names)))
        self.clock[0] += self.takes
        return [self.outcome(name, at) for name in names]


class Losing(FakeBackend):
    """One whose lease is lost in the middle of the first refresh."""

    def refresh(self, names: Sequence[str], *, at: int, by: str, lease: object) -> list[Done]:
        if not self.calls:
            self.calls.append((0, tuple(names)))
            raise LeaseLost
        return super().refresh(names, at=at, by=by, lease=lease)


def audience(
    name: str,
    refresh: Refresh,
    *,
    client: int = 3,
    zone: str = "UTC",
    timed: bool = True,
) -> Scheduled:
    return Scheduled(name, client, Clock(refresh, zone), timed, "f")


class World:
    """A scheduler over a backend in memory, at a time of its own."""

    def __init__(
        self,
        *audiences: Scheduled,
        start: int,
        policy: Schedule | None = None,
        backend: type[FakeBackend] = FakeBackend,
    ) -> None:
        self.clock = [start]
        self.backend = backend(self.clock)
        self.audiences: Sequence[Scheduled] = audiences
        self.policy = policy or Schedule()
        self.troubles: list[str] = []
        self.scheduler = self.another()

    def another(self) -> Scheduler:
        """A scheduler as a process has it that has just started."""
        return Scheduler(
            self.backend,
            lambda: self.audiences,
            self.policy,
            now=lambda: self.clock[0],
            trouble=self.troubles.append,
        )

    @property
    def now(self) -> int:
        return self.clock[0]

    def until(self, end: int) -> list[Attempt]:
        """What happens up to an instant: time jumps to whatever is due next."""
        made: list[Attempt] = []
        while self.now < end:
            made.extend(self.scheduler.drain())
            wake = self.scheduler.wake_at()
            self.clock[0] = min(end, max(self.now + 1, wake if wake is not None else end))
        return made

    def after(self, millis: int) -> list[Attempt]:
        return self.until(self.now + millis)


HOUR, DAY, MINUTE, SECOND = UNITS["h"], UNITS["d"], UNITS["min"], UNITS["s"]
