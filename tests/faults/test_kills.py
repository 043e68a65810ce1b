"""Schedulers that share an engine and a set server, killed and stopped at every step.

Whatever happens: the next one carries on, no version is published twice or half, the history and
the sets agree, and what is published is right.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from relo_dsl.engine import Engine, load_records
from relo_dsl.records import parse_record
from relo_dsl.times import UNITS
from relo_server.refresh.definitions import definition_of
from relo_server.sets import Sets
from relo_server.versions import ledger
from relo_server.versions.publisher import STEPS, Publisher
from relo_server.versions.verify import verify
from tests.engine.http_server import serve
from tests.faults.child import CATALOG, LEASE, Job, work, workspace

#: CI runs the first ones, `make faults` more.
SEEDS = int(os.environ.get("FAULT_SEEDS", "25"))
KEY = b"k" * 32
DEVICES = 120
Clients = tuple[int, ...]
_spawn = multiprocessing.get_context("forkserver")
_spawn.set_forkserver_preload(["tests.faults.child"])


@dataclass
class Process:
    """A scheduler that runs beside us."""

    job: Job
    pipe: Connection = field(init=False)
    process: Any = field(init=False)

    def __post_init__(self) -> None:
        self.pipe, theirs = _spawn.Pipe(duplex=False)
        self.process = _spawn.Process(target=work, args=(self.job, theirs))
        self.process.start()
        theirs.close()

    def wait_for(self, word: str, seconds: float = 60) -> Any:
        """The next message, which must be `word`."""
        assert self.pipe.poll(seconds), f"no {word} from {self.job}"
        message = self.pipe.recv()
        assert message[0] == word, message
        return message[1:]

    def ends(self) -> list[tuple[str, str, str]]:
        """The attempts of one that was left alone."""
        try:
            made, troubles = self.wait_for("done")
        except EOFError:
            made, troubles = [], ["it died"]
        self.process.join(30)
        assert (self.process.exitcode, troubles) == (0, [])
        return list(made)

    def died(self) -> bool:
        """Whether it was killed, as it was to be; False where it never came to that step."""
        self.process.join(60)
        assert self.process.exitcode in (0, -signal.SIGKILL)
        return bool(self.process.exitcode)

    def end(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()


@dataclass
class Stage:
    """Two clients' data in an engine behind HTTP, their sets, and processes that refresh them."""

    engine: Engine
    sets: Sets
    url: str
    socket: str
    clients: Clients
    hour: int
    processes: list[Process] = field(default_factory=list)
    loaded: int = 0

    def job(self, deed: str = "", step: str = "", turn: int = 1, *, clients: Clients = ()) -> Job:
        """A refresh of what is due for some clients (none named: all)."""
        return Job(self.url, self.socket, clients or self.clients, self.hour, deed, step, turn)

    def start(self, job: Job) -> Process:
        self.processes.append(Process(job))
        return self.processes[-1]

    def load(self, source: random.Random, events: int, *, clients: Clients = ()) -> None:
        """An hour passes, with events and withdrawals."""
        self.hour += UNITS["h"]
        records = []
        for client in clients or self.clients:
            for _ in range(events):
                self.loaded += 1
                base = {
                    "cid": client,
                    "did": f"d{source.randrange(DEVICES)}",
                    "ts": self.hour - source.randrange(1, UNITS["h"]),
                    "eid": f"e{self.loaded}",
                }
                if source.random() < 0.2:
                    consent = source.choice([255, 255, 254, 239])
                    records.append(parse_record({**base, "t": "consent", "consent": consent}))
                else:
                    n = source.randrange(10)
                    records.append(parse_record({**base, "t": "a", "props": {"n": n}}))
        load_records(self.engine, records, catalog=CATALOG, key=KEY)

    def check(self, clients: Clients = ()) -> None:
        """The sets, the history and SQL agree, and no version is there twice."""
        definitions = workspace(clients or self.clients)
        for name in definitions.names:
            client = definitions.bound(name).client
            held_out = [f"{name}:holdout"] if name.startswith("quiet") else []
            for audience in (name, *held_out):
                info = self.sets.info(client, audience)
                last = ledger.last(self.engine, client, audience)
                assert (info and info.version) == (last and last.version), audience
                if info is not None:
                    assert sum(1 for _ in self.sets.members(client, audience)) == info.size
                rows = self.engine.rows(
                    "SELECT ordinal, uniqExact(version), countIf(step = 'abandoned') FROM versions "
                    "WHERE client_id = {c:UInt32} AND audience = {a:String} AND version IN ("
                    "SELECT version FROM versions WHERE client_id = {c:UInt32} "
                    "AND audience = {a:String} AND step = 'published') GROUP BY ordinal",
                    {"c": client, "a": audience},
                )
                assert all(row[1:] == (1, 0) for row in rows), (audience, rows)
                assert sorted(row[0] for row in rows) == list(range(1, len(rows) + 1))
                checked = verify(
                    self.publisher, client, audience, definition_of(definitions, audience)
                )
                assert checked.is_right, checked
                assert checked.not_computed is None, checked

    @property
    def publisher(self) -> Publisher:
        return Publisher(self.engine, self.sets, CATALOG.flags_of, "test")


@pytest.fixture(scope="module")
def stage(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    start = int(time.time() * 1000) // UNITS["h"] * UNITS["h"] - 6_000 * UNITS["h"]
    data = Path(str(engine.client.path)).parent  # type: ignore[attr-defined]
    with serve(data) as server, Sets.embedded(folder) as sets:
        found = Stage(
            engine, sets, server.url, f"unix://{folder}/sets.sock", (771_001, 771_002), start
        )
        found.load(random.Random(0), 300)
        try:
            yield found
        finally:
            for process in found.processes:
                process.end()


def test_two_at_once_share_the_work(stage: Stage) -> None:
    """Each audience is refreshed by one of them, once."""
    both = [stage.start(stage.job()) for _ in range(2)]
    made = [attempt for process in both for attempt in process.ends()]
    names = sorted(workspace(stage.clients).names)
    assert sorted(name for name, _, _ in made) == names
    assert [item for item in made if item[1] == "failed"] == []
    stage.check()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_one_is_killed_and_the_next_carries_on(stage: Stage, seed: int) -> None:
    source = random.Random(seed)
    clients = stage.clients[seed % 2 :][:1]
    stage.load(source, source.choice([5, 40, 200]), clients=clients)
    # Every step in turn; now at the first audience, now at a later one.
    step, turn = STEPS[seed % len(STEPS)], source.randint(1, 4)
    job = stage.job("kill", step, turn, clients=clients)
    killed = stage.start(replace(job, in_place=0) if step == "filled" else job)
    if seed % 5 == 0:  # another is at work already
        stage.start(stage.job(clients=clients)).ends()
    killed.died()
    stage.start(stage.job(clients=clients)).ends()
    stage.check(clients)


@pytest.mark.parametrize("step", ["changes", "prepared", "filled", "moved"])
def test_a_leader_that_slept_can_publish_nothing(stage: Stage, step: str) -> None:
    """It is stopped, its lease ends, another publishes, and it wakes up."""
    stage.load(random.Random(step), 200)
    asleep = stage.start(replace(stage.job("stop", step), in_place=0 if step == "filled" else 40))
    asleep.wait_for("at")
    time.sleep(LEASE + 0.2)
    other = stage.start(replace(stage.job(), now=stage.hour + 30 * UNITS["min"]))
    other.ends()
    before = {
        (client, info.name): info.version
        for client in stage.clients
        for info in stage.sets.published(client)
    }
    os.kill(asleep.process.pid, signal.SIGCONT)
    assert asleep.ends() == []
    after = {
        (client, info.name): info.version
        for client in stage.clients
        for info in stage.sets.published(client)
    }
    assert after == before
    stage.check()
