"""What a running service holds: its stores, and the threads that work with the engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self, TypeVar

from starlette.concurrency import run_in_threadpool

from relo_dsl.engine import Engine, StoreError
from relo_dsl.engine.key import installation_key
from relo_dsl.settings import Settings
from relo_server.api.notes import Notes
from relo_server.api.rates import Rates
from relo_server.platform import Platform
from relo_server.platform.audit import Audit
from relo_server.security.access import AccessTokens
from relo_server.security.keys import Purpose, derive
from relo_server.security.principals import Principal
from relo_server.security.sessions import Sessions
from relo_server.security.tokens import Tokens
from relo_server.security.users import Users
from relo_server.sets import Sets

T = TypeVar("T")


def wall_clock() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Lane:
    """One thread with a connection of its own to the engine, and what waits for it, in order."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._counting = threading.Lock()
        self.waiting = 0
        """How much is being done or waits."""
        self.seconds = 0.0
        """How long it has worked so far."""

    def submit(self, work: Callable[[Engine], T]) -> Future[T]:
        """Has something done after all that was given before. Raises StoreError at the end."""
        with self._counting:
            self.waiting += 1
        try:
            return self._thread.submit(self._timed, work)
        except RuntimeError:
            with self._counting:
                self.waiting -= 1
            raise StoreError("the service is stopping", "ask again in a moment") from None

    async def do(self, work: Callable[[Engine], T]) -> T:
        """The same, awaited. Whoever goes away meanwhile stops nothing that was begun."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(work)))

    def _timed(self, work: Callable[[Engine], T]) -> T:
        started = time.perf_counter()
        try:
            return work(self._engine)
        finally:
            with self._counting:
                self.waiting -= 1
                self.seconds += time.perf_counter() - started

    def close(self) -> None:
        """Finishes what was begun and drops what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)


class House:
    """The stores of the settings, opened. Use as a context manager, or call `close`.

    What publishes goes through the lane `building`, one after the other; what only looks goes
    through `asking`, so that nobody waits for a build to see a preview. Sets and platform take many
    threads.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        sets: Sets,
        platform: Platform,
        *,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self.settings = settings
        self.sets = sets
        self.platform = platform
        self.clock = clock
        self.key = installation_key(settings)
        self.tokens = Tokens(self.key)
        self.access = AccessTokens(self.key)
        self.sessions = Sessions(self.key)
        self.users = Users()
        self.rates = Rates(sets, settings.service)
        audit = Audit(derive(self.key, Purpose.AUDIT))
        self.notes = Notes(platform, audit, self._now)
        self.known: dict[str, tuple[float, Principal]] = {}
        """Who was recognised by which credential, and when by the monotonic clock."""
        self._second = engine.another()
        self.building = Lane("building", engine)
        self.asking = Lane("asking", self._second)
        self._closing = ExitStack()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Opens all of them. Raises UserError for one that cannot be used, and closes the rest."""
        with ExitStack() as stack:
            engine = stack.enter_context(Engine.open(settings))
            sets = stack.enter_context(Sets.open(settings))
            platform = stack.enter_context(Platform.open(settings))
            house = cls(settings, engine, sets, platform)
            house._closing = stack.pop_all()
        return house

    def _now(self) -> int:
        return self.clock()

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        return self.building, self.asking

    async def aside(self, work: Callable[[], T]) -> T:
        """What waits for the sets or the platform store, in a thread of its own."""
        return await run_in_threadpool(work)

    def close(self) -> None:
        """Finishes what was begun, starts nothing that waits, and closes the stores."""
        for lane in self.lanes:
            lane.close()
        self.notes.close()
        self._second.close()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
