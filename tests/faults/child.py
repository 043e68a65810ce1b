"""A scheduler in a process of its own, which dies or stops where a test says.

Only what this file does is test code: the scheduler, the publication, the engine behind HTTP and
the sets are the real ones. `at_step` of the publication is where the process is ended.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine
from relo_dsl.settings import Schedule
from relo_dsl.source import SourceFile
from relo_dsl.times import UNITS
from relo_dsl.workspace import Workspace
from relo_server.refresh import live, scheduler
from relo_server.refresh.attempts import Attempt
from relo_server.refresh.live import Live
from relo_server.refresh.run import refresh
from relo_server.refresh.schedule import scheduled
from relo_server.refresh.scheduler import Scheduler
from relo_server.sets import Sets
from relo_server.versions import publication

CATALOG = parse_catalog(
    """
    events: {a: {properties: {n: number}}}
    retention: {months: 1200, extended_months: 1200}
    """
)
DEFINITIONS = """
audience often client {c} refresh hourly export email
match count(a) >= 3
audience quiet client {c} refresh hourly
match no a within 20h
holdout 30%
"""
#: Lives as short as a test can wait for.
LEASE = 1


@dataclass(frozen=True)
class Job:
    """What a process does: refreshes what is due for `clients` at `now`, an epoch in ms.

    Sets are changed in place where at most `in_place` members enter or leave, else filled anew.
    It does `deed` at the `turn`-th time that a publication comes to `step`: "kill" or "stop".
    """

    url: str
    sets: str
    clients: tuple[int, ...]
    now: int
    deed: str = ""
    step: str = ""
    turn: int = 1
    in_place: int = 40
    seconds: float = 60


def workspace(clients: tuple[int, ...]) -> Workspace:
    """The definitions, one set of them for each client; names differ by client."""
    found = Workspace(CATALOG, None, "UTC")
    for client in clients:
        text = DEFINITIONS.format(c=client)
        for name in ("often", "quiet"):
            text = text.replace(f"audience {name} ", f"audience {name}_{client} ")
        found.add(SourceFile(f"{client}.seg", text))
    assert not found.check() or not found.has_errors
    return found


def work(job: Job, pipe: Connection) -> None:
    """Runs until nothing is due; tells the pipe the steps it comes to, and its attempts."""
    came: dict[str, int] = {}

    def at_step(step: str) -> None:
        came[step] = came.get(step, 0) + 1
        if job.deed and (step, came[step]) == (job.step, job.turn):
            pipe.send(("at", step))
            os.kill(os.getpid(), signal.SIGKILL if job.deed == "kill" else signal.SIGSTOP)

    # Fewer members than in earnest, so that sets are also filled anew.
    vars(publication)["MOST_CHANGES"] = job.in_place
    scheduler.BUSY = 100
    vars(live)["refresh"] = partial(refresh, at_step=at_step)
    started = time.monotonic()
    definitions = workspace(job.clients)
    audiences = scheduled(definitions)

    def now() -> int:
        return job.now + round((time.monotonic() - started) * 1000)

    with Engine.server(job.url, database="default") as engine, Sets.server(job.sets) as sets:
        holder = f"test:{os.getpid()}"
        backend = Live(engine, sets, lambda: definitions, holder=holder, lease=LEASE)
        troubles: list[str] = []
        policy = Schedule(max_delay=0, batch=2, attempts=1)
        running = Scheduler(
            backend, lambda: audiences, policy, now=now, by=holder, trouble=troubles.append
        )
        made: list[Attempt] = []

        def over() -> bool:
            wake = running.wake_at()
            late = time.monotonic() - started > job.seconds
            return late or (wake is not None and wake > now() + 10 * UNITS["min"])

        running.run(sleep=time.sleep, stop=over, done=made.append)
        pipe.send(("done", [(item.audience, item.outcome, item.error) for item in made], troubles))
