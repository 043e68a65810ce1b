"""What a running service holds: its stores, and the threads that work with the engine."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from contextvars import copy_context
from functools import partial
from typing import Self, TypeVar

from starlette.concurrency import run_in_threadpool

from relo_dsl.engine import Engine, StoreError
from relo_dsl.engine.key import installation_key
from relo_dsl.engine.staging import ClientRules
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_dsl.times import UNITS
from relo_server.api.chores import Chore, Chores
from relo_server.api.known import Known
from relo_server.api.notes import Notes
from relo_server.api.problems import Problem
from relo_server.api.rates import Due, Rates
from relo_server.ingest.amounts import Amounts
from relo_server.ingest.catalogs import CatalogFile
from relo_server.ingest.intake import Intake
from relo_server.ingest.pixel.proof import Proofs
from relo_server.ingest.places import Places
from relo_server.ingest.pulling import Puller
from relo_server.ingest.storing import CONSENT, Storing
from relo_server.platform import Platform
from relo_server.platform.audit import Audit
from relo_server.platform.links import Links
from relo_server.privacy.erasing import clients_of, drop_old_damaged, finish, rewrite_again
from relo_server.privacy.expiring import expire
from relo_server.security.access import AccessTokens
from relo_server.security.keys import Purpose, derive
from relo_server.security.principals import Principal
from relo_server.security.sessions import Sessions
from relo_server.security.tokens import Tokens
from relo_server.security.users import Users
from relo_server.sets import Sets
from relo_server.sets.lookups import Lookups
from relo_server.spool import SpoolWriter
from relo_server.spool.overflow import Storage, adopt, place_of
from relo_server.tracing import span
from relo_server.versions.publisher import Publisher, wall_clock
from relo_server.versions.withdrawal import withdraw

T = TypeVar("T")
#: Of what the service does by itself: how often, and how long after its start, in seconds.
_DAY, _HOUR, _SOON = 86_400.0, 3_600.0, 60.0
#: A clock that is put back by so much at most is waited for: milliseconds.
_STEP_MS = 60_000
_log = logging.getLogger("relo.api")


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
        # What the work says of itself belongs to the request that it is done for.
        context = copy_context()
        try:
            return self._thread.submit(context.run, self._timed, work)
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
            with span(f"engine {self.name}"):
                return work(self._engine)
        finally:
            with self._counting:
                self.waiting -= 1
                self.seconds += time.perf_counter() - started

    def close(self) -> None:
        """Finishes what was begun and drops what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)


class Front:
    """What answers without the engine: sets, platform, credentials, limits and the audit.

    What comes in is kept by `intake`, in a spool of this process.

    Use as a context manager, or call `close`. Sets and platform take many threads.
    """

    def __init__(
        self, settings: Settings, sets: Sets, platform: Platform, *,
        clock: Callable[[], int] = wall_clock,
    ) -> None:  # fmt: skip
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
        self.known = Known(self._authenticated, self.aside)
        audit = Audit(derive(self.key, Purpose.AUDIT))
        self.notes = Notes(platform, audit, self._now)
        self.catalog = CatalogFile(settings.catalog)
        ingest = settings.ingest
        spools = settings.data / "spool"
        self.storage = Storage.of(settings)
        self.spool = SpoolWriter.free(spools, limit_bytes=ingest.spool_bytes, storage=self.storage)
        self.consent = SpoolWriter.free(
            spools, prefix=CONSENT, limit_bytes=ingest.spool_bytes, storage=self.storage
        )
        self.amounts = Amounts(ingest.currencies, ingest.rates)
        self.intake = Intake(
            self.spool, self.key, self.catalog, recent=ingest.recent_ids,
            calling_code=ingest.calling_code, amounts=self.amounts, consent=self.consent,
        )  # fmt: skip
        # One at a time: they are Python's work, and whoever else runs here waits for each of them.
        self.checking = ThreadPoolExecutor(1, thread_name_prefix="checking")
        self.places = Places(ingest.places)
        self.links = Links(platform)
        self._lookups: Lookups | None = None
        self._settling: dict[Principal, asyncio.Task[None]] = {}
        self._received = 0
        self._closing = ExitStack()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Opens the stores. Raises UserError for one that cannot be used, and closes the other."""
        with ExitStack() as stack:
            sets = stack.enter_context(Sets.open(settings))
            platform = stack.enter_context(Platform.open(settings))
            front = cls(settings, sets, platform)
            front._closing = stack.pop_all()
        return front

    def _now(self) -> int:
        return self.clock()

    def receipt(self) -> int:
        """When something comes in: never before what came in earlier, where a clock is put back a
        little meanwhile. (One that is put back by much is dealt with where consent is stored.)
        """
        now = self.clock()
        if now < self._received <= now + _STEP_MS:
            return self._received
        self._received = now
        return now

    def _authenticated(self, token: str) -> Principal:
        return self.tokens.authenticate(self.platform, token, self.clock())

    @property
    def lookups(self) -> Lookups:
        """Look-ups for the event loop that runs; `leave` ends them."""
        if self._lookups is None:
            self._lookups = self.sets.lookups(self.aside)
        return self._lookups

    async def leave(self) -> None:
        """Ends what belongs to the event loop, before that ends."""
        if self._lookups is not None:
            await self._lookups.close()
            self._lookups = None

    async def count(self, who: Principal) -> None:
        """Counts a request of somebody. Raises Problem (429) where there were too many. While the
        sets' server is away this process counts alone: what comes in does not depend on it.
        """
        due = self.rates.take(who)
        if due is Due.NOW:
            await self.aside(lambda: self.rates.settle(who))
        elif due is Due.SOON and who not in self._settling:
            task = self._settling[who] = asyncio.create_task(self._settle(who))
            task.add_done_callback(lambda _: self._settling.pop(who))

    async def _settle(self, who: Principal) -> None:
        # Whoever is over the limit, or finds the server away, is told with the next request.
        with suppress(Problem, UserError):
            await self.aside(lambda: self.rates.settle(who))

    async def aside(self, work: Callable[[], T]) -> T:
        """What waits for the sets or the platform store, in a thread of its own."""
        return await run_in_threadpool(work)

    def lost_click(self, error: Exception) -> None:
        """A visitor was led on, and the click could not be kept in time."""
        _log.warning("a click is not kept: %s", str(error) or "the disk takes too long")

    def close(self) -> None:
        """Writes what the audit and the spool still have to, and closes the stores."""
        self.checking.shutdown()
        self.spool.close()
        self.consent.close()
        self.places.close()
        self.notes.close()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class House(Front):
    """The stores of the settings, opened, and the threads that work with the engine.

    What any process has spooled is moved into the engine by `storing`. What publishes goes
    through the lane `building`, one after the other; what only looks goes through `asking`, so that
    nobody waits for a build to see a preview.
    """

    def __init__(
        self, settings: Settings, engine: Engine, sets: Sets, platform: Platform, *,
        clock: Callable[[], int] = wall_clock,
    ) -> None:  # fmt: skip
        super().__init__(settings, sets, platform, clock=clock)
        self._second = engine.another()
        self.building = Lane("building", engine)
        self.asking = Lane("asking", self._second)
        self._third = engine.another()
        self.storing = Storing(
            settings.data / "spool", self._third, sets, self.catalog, self._now, self.storage
        )
        self.intake.kept = self.storing.wake
        self.proofs = Proofs(self.key)
        self.puller = Puller(settings.ingest, settings.data / "pulled", self.intake, self._now)
        self.chores: Chores | None = None
        self.storing.start()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Opens all of them. Raises UserError for one that cannot be used, and closes the rest."""
        with ExitStack() as stack:
            engine = stack.enter_context(Engine.open(settings))
            sets = stack.enter_context(Sets.open(settings))
            platform = stack.enter_context(Platform.open(settings))
            house = cls(settings, engine, sets, platform)
            house._closing = stack.pop_all()
        try:
            house.finish_erasures()
        except BaseException:
            house.close()
            raise
        chores = [
            # Not before it answers: storage may take minutes to say that it is away.
            Chore("looking through storage", house.adopt, _DAY, 0),
            Chore("forgetting what is over", house.expire, _DAY, _SOON),
            Chore("erasing to the end", house.finish_erasures, _HOUR, _HOUR),
            Chore("withdrawing again", house.withdraw_again, _HOUR, _SOON),
            Chore("rewriting what waits", house.rewrite_again, _HOUR, _SOON),
        ]
        if house.puller.wanted:
            chores.append(Chore("taking AppsFlyer's reports", house.puller.pull, _HOUR, _SOON))
        house.chores = Chores(chores)
        return house

    def publisher(self, engine: Engine, by: str) -> Publisher:
        """Who publishes for somebody, in a lane's thread."""
        return Publisher(engine, self.sets, self.catalog().flags_of, by, self._now)

    def withdraw_again(self) -> None:
        """Takes out whoever must not be in a set, where somebody was stopped before doing so."""

        def work(engine: Engine) -> None:
            publisher = self.publisher(engine, "ingest")
            for client in sorted(clients_of(engine)):
                withdraw(publisher, client)

        self.building.submit(work).result()

    def finish_erasures(self) -> None:
        """Erases again what a restored store of events has of erased devices, and what an erasure
        that was interrupted has left.
        """

        def work(engine: Engine) -> int:
            return finish(self.platform, self.publisher(engine, "erasure"), clients_of(engine))

        if done := self.building.submit(work).result():
            _log.warning(
                "%d devices were not erased to the end, or had come back: erased again", done
            )

    def adopt(self) -> None:
        """Takes back what is this installation's and in storage alone: its disk was restored."""
        if self.storage is None:
            return
        spools = self.settings.data / "spool"
        try:
            adopt(self.storage, spools, place_of(spools))
        except OSError as error:
            _log.warning("what may be in storage is not looked for: %s", error)

    def rewrite_again(self) -> None:
        """Takes the devices that were erased in the last two days out of what waits, and of what
        was stored too late for their erasure.
        """

        def work(engine: Engine) -> int:
            since, spools = self.clock() - 2 * UNITS["d"], self.settings.data / "spool"
            return rewrite_again(engine, since, self.storing.rewrite, spools)

        self.building.submit(work).result()

    def expire(self) -> None:
        """Forgets what was kept long enough, of every client, and copies of broken pieces."""
        for client in sorted(self.building.submit(clients_of).result()):
            self.building.submit(partial(self.expire_of, client=client)).result()
        self.expire_copies()

    def expire_copies(self) -> None:
        """The latter alone."""
        drop_old_damaged(self.settings.data / "spool", self.clock())

    def expire_of(self, engine: Engine, client: int) -> None:
        """The same of one client, in a lane's thread."""
        rules = ClientRules.of(self.catalog())
        publisher = self.publisher(engine, "retention")
        done = expire(publisher, client, rules, self.settings.keeping)
        if done.found:
            _log.info("forgotten of client %d: %s", client, done.to_json())

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        return self.building, self.asking

    def close(self) -> None:
        """Finishes what was begun, starts nothing that waits, and closes the stores."""
        if self.chores is not None:
            self.chores.close()
        self.storing.close()
        for lane in self.lanes:
            lane.close()
        self._second.close()
        self._third.close()
        super().close()
