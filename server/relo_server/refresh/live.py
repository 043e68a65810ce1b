"""The scheduler's stores as they are: the engine, the sets, and the work of refreshing.

A store that does not answer is asked again within seconds, by stamina, before anything counts as
failed. The longer waits, between attempts at an audience, are not slept through: they are times in
`due`, so that nobody else waits with it and a restart forgets none.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import stamina

from relo_dsl.engine import Engine, EngineError
from relo_dsl.settings import Publishing
from relo_dsl.workspace import Workspace
from relo_server.refresh import attempts, changes
from relo_server.refresh.attempts import Attempt, State
from relo_server.refresh.results import RefreshResult
from relo_server.refresh.run import refresh
from relo_server.refresh.scheduler import Done, LeaseLost
from relo_server.sets import Lease, Overtaken, Sets, SetsError
from relo_server.versions import ledger

#: What a lease on a client is for.
PURPOSE = "refresh"
T = TypeVar("T")


def _may_pass(error: Exception) -> bool:
    """Whether a store may answer when it is asked again: it could not be reached, say."""
    if isinstance(error, EngineError):
        return error.code == 0
    return isinstance(error, SetsError) and not isinstance(error, Overtaken)


def insistently(ask: Callable[[], T]) -> T:
    """What `ask` returns, asked up to three times within a few seconds."""
    for attempt in stamina.retry_context(
        on=_may_pass, attempts=3, timeout=10.0, wait_initial=0.1, wait_max=1.0, wait_jitter=0.1
    ):
        with attempt:
            return ask()
    raise AssertionError("stamina raises what the last attempt raised")


class Stores:
    """What is known about audiences: their attempts, and what is published."""

    def __init__(self, engine: Engine, sets: Sets) -> None:
        self.engine = engine
        self.sets = sets

    def states(self, client: int) -> Mapping[str, State]:
        """The state of every audience of a client that was tried."""
        return insistently(lambda: attempts.states(self.engine, client))

    def published(self, client: int) -> Mapping[str, int]:
        """The instant that each published set of a client holds for, as readers see it."""
        found = insistently(lambda: self.sets.published(client))
        return {info.name: info.at for info in found}

    def recorded(self, client: int) -> Mapping[str, int]:
        """The same of what the ledger knows: a set that moved is not enough, if nobody lived to
        record it.
        """
        return insistently(lambda: ledger.latest_instants(self.engine, client))

    def mark(self) -> str:
        """What `changes.mark` says."""
        return insistently(lambda: changes.mark(self.engine))


class Live(Stores):
    """A backend of the scheduler. `workspace` gives the definitions as they are at the moment,
    `holder` says which process this is, `lease` is in seconds, `limits` keep what is too different
    from being published; `done` gets every result.
    """

    def __init__(
        self,
        engine: Engine,
        sets: Sets,
        workspace: Callable[[], Workspace],
        *,
        holder: str,
        lease: float,
        limits: Publishing | None = None,
        done: Callable[[RefreshResult], object] = lambda _: None,
    ) -> None:
        super().__init__(engine, sets)
        self._workspace = workspace
        self._holder = holder
        self._seconds = lease
        self._limits = limits
        self._done = done

    def record(self, made: Sequence[Attempt]) -> None:
        """Stores attempts; twice, if the first answer was lost, which changes nothing."""
        insistently(lambda: attempts.record(self.engine, made))

    def lease(self, client: int) -> AbstractContextManager[Lease] | None:
        """The client until the end of the `with`, renewed meanwhile; None: another has it."""
        taken = insistently(lambda: self.sets.lease(client, PURPOSE, self._holder, self._seconds))
        return None if taken is None else _held(taken, self._seconds)

    def refresh(self, names: Sequence[str], *, at: int, by: str, lease: object) -> list[Done]:
        """Refreshes audiences of one client together; raises LeaseLost where the lease was."""
        assert isinstance(lease, Lease)
        workspace = self._workspace()
        there = [name for name in names if name in workspace]
        results = refresh(
            workspace, self.engine, self.sets, there,
            at=at, by=by, lease=lease, limits=self._limits, done=self._done,
        )  # fmt: skip
        if any(result.lost_lease for result in results):
            raise LeaseLost
        return [outcome_of(result) for result in results]


def outcome_of(result: RefreshResult) -> Done:
    """What a result means for the schedule."""
    if result.error is not None:
        return Done(result.name, "failed", result.error)
    if result.published:
        return Done(result.name, "published")
    small = f"{result.size or 0:,} members, and its minimum is {result.minimum:,}"
    return Done(result.name, "held", result.held or small)


@contextmanager
def _held(lease: Lease, seconds: float) -> Iterator[Lease]:
    """Renews a lease three times within its life until the end of the `with`, then lets it go."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(seconds / 3):
            # One that cannot be renewed now is tried again; one that is lost stays lost, and every
            # publication sees that for itself.
            with contextlib.suppress(SetsError):
                if not lease.renew():
                    return

    thread = threading.Thread(target=renew, daemon=True, name="lease")
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(SetsError):
            lease.release()
