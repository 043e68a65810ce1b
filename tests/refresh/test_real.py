"""The scheduler over the real engine and sets: some days, a failure, realtime, and its commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, load_records
from relo_dsl.records import parse_record
from relo_dsl.settings import Schedule
from relo_dsl.source import SourceFile
from relo_dsl.times import UNITS
from relo_dsl.workspace import Workspace
from relo_server.refresh.live import Live
from relo_server.refresh.schedule import scheduled
from relo_server.refresh.scheduler import Scheduler
from relo_server.sets import Sets
from tests.cli.conftest import Project, purchase

CATALOG = parse_catalog("events: {a: {properties: {n: number}}}")
KEY = b"k" * 32


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sets]:
    with Sets.embedded(tmp_path_factory.mktemp("sets")) as opened:
        yield opened


class Shop:
    """One client's events and audiences, at a time of its own."""

    def __init__(self, engine: Engine, sets: Sets, client: int, text: str) -> None:
        self.engine, self.sets, self.client = engine, sets, client
        self.workspace = Workspace(CATALOG, client, "Europe/Madrid")
        self.workspace.add(SourceFile("x.seg", text))
        # Lately: what is kept of the past is kept long enough.
        self.now = int(time.time() * 1000) // UNITS["d"] * UNITS["d"] - 4 * UNITS["d"]
        self.events = 0
        self.audiences = scheduled(self.workspace)

    def scheduler(self, holder: str = "one") -> Scheduler:
        backend = Live(self.engine, self.sets, lambda: self.workspace, holder=holder, lease=30)
        policy = Schedule(max_delay=0)
        return Scheduler(backend, lambda: self.audiences, policy, now=lambda: self.now)

    def load(self, device: str, **more: object) -> None:
        self.events += 1
        record = {"t": "a", "cid": self.client, "did": device, "ts": self.now, **more}
        record |= {"eid": f"{self.events}"} if record["t"] == "a" else {}
        load_records(self.engine, [parse_record(record)], catalog=CATALOG, key=KEY)

    def size(self, name: str) -> int | None:
        info = self.sets.info(self.client, name)
        return None if info is None else info.size


def test_some_days(engine: Engine, sets: Sets, new_client: int) -> None:
    shop = Shop(
        engine, sets, new_client,
        "audience day refresh daily at 02:30 match a\n"
        "audience six refresh every 6h match a within 6h\n"
        "audience broken refresh daily match nothing_such",
    )  # fmt: skip
    made = []
    scheduler = shop.scheduler()
    for turn in range(16):
        shop.load(f"d{turn}")
        made += list(scheduler.drain())
        shop.now += 3 * UNITS["h"]
    runs = [item.audience for item in made]
    assert runs.count("day") == 3  # at once, and twice on time
    assert runs.count("six") == 8
    assert [item.attempt for item in made if item.audience == "broken"] == [1, 2, 3, 4, 5]
    assert {item.error for item in made if item.failed} == {"the definition has errors"}
    assert shop.size("six") == 2
    shop.now -= 2 * UNITS["h"]
    # Whoever comes next knows all of it.
    assert list(shop.scheduler("two").drain()) == []
    # A process that ended before it recorded what it had published published it all the same.
    engine.command(
        "DELETE FROM refreshes WHERE client_id = {c:UInt32} AND audience != 'broken'",
        {"c": new_client},
    )
    assert list(shop.scheduler("three").drain()) == []


def test_a_client_in_use_waits(engine: Engine, sets: Sets, new_client: int) -> None:
    shop = Shop(engine, sets, new_client, "audience x match a")
    lease = sets.lease(new_client, "refresh", "another", 30)
    assert lease is not None
    assert list(shop.scheduler().drain()) == []
    lease.release()
    (made,) = shop.scheduler().drain()
    assert made.outcome == "published"
    assert sets.lease(new_client, "refresh", "another", 30) is not None


@pytest.fixture
def no_merges(engine: Engine) -> Iterator[None]:
    """Parts are not merged, which would count as a change whenever it happens."""
    engine.command("SYSTEM STOP MERGES")
    yield
    engine.command("SYSTEM START MERGES")


@pytest.mark.usefixtures("no_merges")
def test_realtime_sees_every_change(engine: Engine, sets: Sets, new_client: int) -> None:
    shop = Shop(engine, sets, new_client, "audience x type suppression match a")
    scheduler = shop.scheduler()
    assert len(list(scheduler.drain())) == 1
    for turn in range(5):
        shop.now += 10 * UNITS["s"]
        assert list(scheduler.drain()) == []
        shop.load(f"d{turn}")
        assert len(list(scheduler.drain())) == 1
        assert shop.size("x") == turn + 1
    shop.now += 10 * UNITS["s"]
    shop.load("d0", t="consent", consent=0)
    assert len(list(scheduler.drain())) == 1
    assert shop.size("x") == 4


def test_a_lost_lease_publishes_nothing(engine: Engine, sets: Sets, new_client: int) -> None:
    shop = Shop(engine, sets, new_client, "audience x match a")
    backend = Live(engine, sets, lambda: shop.workspace, holder="one", lease=30)
    taken = backend.lease(new_client)
    assert taken is not None
    with taken as lease:
        lease.release()
        other = sets.lease(new_client, "refresh", "two", 30)
        assert other is not None
        scheduler = shop.scheduler()
        assert list(scheduler.drain()) == []
    assert shop.size("x") is None
    assert other.held()


# ---- commands ------------------------------------------------------------------------------------


def test_the_commands(store: Project) -> None:
    store.load(purchase("ana", 120), purchase("beto", 5))
    store.seg("more", "audience all_buyers refresh every 1h minimum 5 match purchase")
    (before,) = [
        json.loads(line)
        for line in store.ok("schedule", "all_buyers", "--json").stdout.splitlines()
    ]
    assert (before["status"], before["due"], before["published_at"]) == ("never", True, None)
    assert before["refresh"] == "every 1h"
    lines = [
        json.loads(line) for line in store.ok("refresh", "--due", "--json").stdout.splitlines()
    ]
    assert {line["name"]: line["outcome"] for line in lines} == {
        "all_buyers": "held", "winback_customers": "published"
    }  # fmt: skip
    assert store.ok("refresh", "--due").output == "nothing is due\n"
    shown = store.ok("refresh", "all_buyers").output
    assert "`all_buyers` was held back: 2 members, and its minimum is 5" in shown
    shown = store.ok("schedule").output
    assert "held" in shown
    assert "published" in shown


def test_a_failing_audience_says_why(store: Project) -> None:
    store.load(purchase("ana"))
    store.seg("bad", "audience bad refresh daily match nothing_such")
    for _ in range(4):
        failed = store.run("refresh", "bad")
        assert failed.exit_code == 1
        assert "`bad` was not refreshed: the definition has errors" in failed.output
    shown = store.ok("schedule").output
    assert "failing" in shown
    assert "`bad` is failing: the definition has errors" in shown
    line = store.json("schedule", "bad")
    assert (line["failing"], line["last"]["attempt"]) == (True, 4)


@pytest.mark.parametrize("options", [[], ["--all", "--due"], ["x", "--all"], ["--watch", "--due"]])
def test_what_is_asked_for_must_be_one_thing(shop: Project, options: list[str]) -> None:
    assert shop.run("refresh", *options).exit_code == 2


def test_a_watch_ends_when_it_is_told_to(shop: Project) -> None:
    """In a process of its own: it refreshes, takes in a new definition, and ends with status 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "relo_dsl", "refresh", "--watch", "--json"],
        cwd=shop.folder, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, map(Path, sys.path)))},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["name"] == "winback_customers"
        shop.seg("more", "audience all_buyers match purchase")
        assert json.loads(process.stdout.readline())["name"] == "all_buyers"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, "")
    finally:
        process.kill()
        process.wait()
