"""What may happen to a service that takes events in: nothing that was acknowledged is lost."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relo_dsl.engine import Engine, EngineError
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_dsl.times import UNITS
from relo_server.ingest.dead_letters import letters
from relo_server.ingest.intake import Checked, Intake, Sent
from relo_server.ingest.storing import CONSENT, Storing
from relo_server.sets import Sets
from relo_server.spool import SpoolFull, SpoolWriter
from relo_server.spool.overflow import Overflow, Storage, adopt
from tests.engine.http_server import Fault, Server, serve
from tests.faults.ingest_child import CATALOG, KEY, batch

#: The engine drops what is old by a clock of its own.
START = int(time.time() * 1000)


@dataclass
class House:
    """An intake, its spool and what moves it into an engine, step by step, by a clock of ours."""

    engine: Engine
    looking: Engine
    sets: Sets
    server: Server
    folder: Path
    client: int
    now: int = START
    limit: int = 2**30
    segment: int = 64 * 2**20
    storage: Storage | None = None
    intake: Intake = field(init=False)
    storing: Storing = field(init=False)
    writer: SpoolWriter = field(init=False)

    def open(self) -> None:
        overflow = None if self.storage is None else Overflow(self.storage, "here/0")
        self.writer = SpoolWriter(
            self.folder / "0", limit_bytes=self.limit, reserve_bytes=0,
            segment_bytes=self.segment, overflow=overflow,
        )  # fmt: skip
        self.storing = Storing(
            self.folder, self.engine, self.sets, lambda: CATALOG, lambda: self.now, self.storage
        )
        self.intake = Intake(self.writer, KEY, lambda: CATALOG)

    def close(self) -> None:
        self.writer.close()
        self.storing.close()

    def take(self, *events: dict[str, Any]) -> Checked:
        """Events that are acknowledged when this returns."""
        checked = self.intake.check(Sent(self.client, "test", self.now), events)
        self.intake.keep(checked).result(30)
        return checked

    def store(self) -> None:
        while self.storing.step():
            pass
        assert self.storing.waiting() == 0

    def fail(self, *faults: Fault) -> None:
        """From now on these faults strike, and none from before."""
        self.server.faults[:] = faults

    def count(self) -> tuple[int, int]:
        """Events of the client, and different ones."""
        rows = self.looking.rows(
            "SELECT count(), uniqExact(tie) FROM events WHERE client_id = {c:UInt32}",
            {"c": self.client},
        )
        return int(rows[0][0]), int(rows[0][1])


@pytest.fixture
def house(engine: Engine, tmp_path: Path, new_client: int) -> Iterator[House]:
    data = Path(str(engine.client.path)).parent  # type: ignore[attr-defined]
    (tmp_path / "sets").mkdir()
    settings = Settings(data=tmp_path / "data")
    with serve(data) as server, Sets.embedded(tmp_path / "sets") as sets:
        settings = settings.model_copy(update={"events": server.url})
        with Engine.open(settings) as over_http:
            found = House(over_http, engine, sets, server, tmp_path / "spool", new_client)
            found.open()
            yield found
            found.close()


def keep(house: House, *events: dict[str, Any]) -> None:
    """Takes them, again as long as there is no room, as a sender would."""
    while True:
        try:
            house.take(*events)
        except SpoolFull:
            time.sleep(0.05)
        else:
            return


def test_an_engine_that_is_away_for_longer_than_the_disk_lasts(house: House) -> None:
    """What the disk has no room for is in storage, and comes back in order, once."""
    house.close()
    house.limit, house.segment = 60_000, 5_000
    house.storage = Storage.open("overflow", house.folder.parent)
    house.open()
    house.fail(Fault("hang up", times=10_000))
    for number in range(60):
        keep(house, *batch(f"part{number}", 20))
        if number % 20 == 0:
            with pytest.raises((EngineError, UserError)):
                house.storing.step()
    there = house.storage.sizes("here")
    assert len(there) > 10
    held = sum(path.stat().st_size for path in house.folder.glob("0/*.spool"))
    assert held <= house.limit
    house.take(*batch("part7", 20))
    house.fail()
    house.store()
    assert house.count() == (1_200, 1_200)
    assert house.storage.sizes("here") == {}


def test_a_disk_that_is_lost_while_much_is_in_storage(house: House) -> None:
    house.close()
    house.limit, house.segment = 60_000, 5_000
    house.storage = storage = Storage.open("overflow", house.folder.parent)
    house.open()
    house.fail(Fault("hang up", times=10_000))
    for number in range(60):
        keep(house, *batch(f"part{number}", 20))
    house.close()
    objects = len(storage.sizes())
    shutil.rmtree(house.folder)
    house.fail()
    house.open()
    assert adopt(storage, house.folder, "here") == objects
    house.store()
    rows, different = house.count()
    assert rows == different > 500, "all that was in storage; what was on the disk alone is lost"
    house.close()
    house.open()


def test_an_engine_that_is_away_for_an_hour(house: House) -> None:
    house.fail(Fault("hang up", times=10_000))
    for minute in range(60):
        house.now += 60_000
        house.take(*batch(f"minute{minute}", 20))
        if minute % 10 == 0:
            with pytest.raises((EngineError, UserError)):
                house.storing.step()
    assert house.storing.waiting() > 60 * 20 * 100
    house.fail()
    house.store()
    assert house.count() == (1_200, 1_200)


@pytest.mark.parametrize("kind", ["hang up", "lost", "500", "cut"])
@pytest.mark.parametrize("skip", [0, 3, 9, 15, 22])
def test_an_engine_that_fails_in_the_midst(house: House, kind: Any, skip: int) -> None:
    house.take(*batch("one", 30))
    house.fail(Fault(kind, skip=skip))
    with suppress(EngineError, UserError):
        house.storing.step()
    house.fail()
    house.store()
    assert house.count() == (30, 30)


@pytest.mark.parametrize("table", ["consent", "events", "traits"])
def test_an_engine_that_goes_on_after_the_connection_broke(house: House, table: str) -> None:
    """What is repeated must not overtake what the server is still doing."""
    one = {"did": "d", "ts": START}
    house.take(
        *batch("one", 30),
        {"t": "consent", "eid": "c", "consent": 255, **one},
        {"t": "identify", "eid": "i", "traits": {"plan": "gold"}, **one},
    )
    house.fail(Fault("goes on", f"INSERT INTO {table} "))
    with pytest.raises((EngineError, UserError)):
        house.storing.step()
    threading.Timer(0.5, house.server.go.set).start()
    house.store()
    _until(lambda: not house.server.running)
    assert house.count() == (30, 30)
    for name, count in (("consent", 1), ("traits", 2)):
        rows = house.looking.rows(
            f"SELECT count() FROM {name} WHERE client_id = {{c:UInt32}}", {"c": house.client}
        )
        assert rows == [(count,)]


def test_a_withdrawal_does_not_wait_for_events(house: House) -> None:
    """Thousands of events wait, and the engine takes none: consent goes before them."""
    with SpoolWriter(house.folder / f"{CONSENT}0", reserve_bytes=0) as consent:
        house.intake = Intake(house.writer, KEY, lambda: CATALOG, consent=consent)
        house.take(*batch("before", 500))
        told = {"t": "consent", "did": "d", "ts": START, "consent": 0}
        checked = house.take(*batch("beside", 20), told)
        assert (checked.to_json()["accepted"], len(checked.keys)) == (21, 20)
        house.fail(Fault("500", "INSERT INTO events", times=1_000))
        with pytest.raises((EngineError, UserError)):
            house.storing.step()
        said = "SELECT count() FROM consent WHERE client_id = {c:UInt32}"
        assert house.looking.rows(said, {"c": house.client}) == [(2,)]
        house.fail()
        house.store()
        assert house.count() == (520, 520)


def test_an_engine_that_is_slow_while_more_comes(house: House) -> None:
    house.storing.start()
    house.fail(Fault("held", "INSERT INTO events", times=1_000))
    for number in range(40):
        house.take(*batch(f"b{number}", 10))
    assert house.count() == (0, 0), "no answer waited for the engine"
    house.fail()
    house.server.go.set()
    _until(lambda: house.count() == (400, 400))


def _until(holds: Callable[[], bool]) -> None:
    late = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.05)


def test_sets_that_were_wiped(house: House, tmp_path: Path) -> None:
    """Events do not need them; a withdrawal waits for them and is not forgotten."""
    withdrawal = {"t": "consent", "ts": START, "did": "d1", "consent": 0}
    house.take(*batch("one", 10), withdrawal)
    house.sets.close()
    with pytest.raises(UserError):
        house.storing.step()
    shutil.rmtree(tmp_path / "sets")
    (tmp_path / "sets").mkdir()
    house.storing.close()
    with Sets.embedded(tmp_path / "sets") as sets:
        house.sets = sets
        house.storing = Storing(
            house.folder, house.engine, sets, lambda: CATALOG, lambda: house.now
        )
        house.store()
        house.storing.close()
    assert house.count() == (10, 10)


@pytest.mark.parametrize("jump", [-24, 24])
def test_a_clock_that_jumps_by_a_day(house: House, jump: int) -> None:
    events = batch("one", 10)
    house.take(*events)
    house.now += jump * UNITS["h"]
    assert house.take(*events).duplicate == 10
    house.take(*batch("two", 10))
    house.store()
    assert house.count() == (20, 20)


def test_the_same_batch_a_hundred_times(house: House) -> None:
    events = batch("one", 50)
    for turn in range(100):
        if turn % 10 == 0:  # nothing is remembered: the engine has to tell them
            house.intake = Intake(house.writer, KEY, lambda: CATALOG)
        house.take(*events)
        if turn % 7 == 0:
            house.store()
    house.store()
    assert house.count() == (50, 50)


def test_one_poisoned_event_in_ten_thousand(house: House) -> None:
    events = batch("one", 10_000)
    events[6_543]["props"]["n"] = "9,50"
    checked = house.take(*events)
    assert [one.index for one in checked.refused] == [6_543]
    house.store()
    assert house.count() == (9_999, 9_999)
    (letter,) = letters(house.engine, house.client)
    assert letter.record is not None
    assert letter.record["props"] == {"batch": "one", "n": "9,50"}


def test_a_catalog_that_changes_meanwhile_loses_nothing(house: House) -> None:
    """What the engine's types refuse later is a dead letter, like what was refused at once."""
    from relo_dsl.catalog import parse_catalog

    house.take(*batch("one", 3))
    changed = parse_catalog("events: {bought: {properties: {batch: number, n: number}}}")
    house.storing.close()
    house.storing = Storing(
        house.folder, house.engine, house.sets, lambda: changed, lambda: house.now
    )
    house.store()
    assert house.count() == (0, 0)
    found = letters(house.engine, house.client)
    assert [one.reason for one in found] == ["expected number, found string"] * 3


def test_two_processes_write_and_one_stores(house: House) -> None:
    with SpoolWriter.free(house.folder) as other:
        theirs = Intake(other, KEY, lambda: CATALOG)
        with pytest.raises(UserError, match="spool"):
            SpoolWriter(house.folder / "0")
        for number in range(5):
            house.take(*batch(f"a{number}", 10))
            sent = Sent(house.client, "other", house.now)
            theirs.keep(theirs.check(sent, batch(f"b{number}", 10))).result(30)
    house.store()
    assert house.count() == (100, 100)


def _fill(house: House) -> int:
    """Sends until nothing more is taken; how many events were acknowledged."""
    for number in range(100):
        try:
            house.take(*batch(f"b{number}", 50))
        except SpoolFull:
            return number * 50
    pytest.fail("it never was full")


def test_past_its_limit_nothing_is_acknowledged_and_nothing_lost(house: House) -> None:
    house.close()
    house.limit = 200_000
    house.open()
    kept = _fill(house)
    house.store()
    assert house.count() == (kept, kept)
    time.sleep(0.6)  # until it looks again
    house.take(*batch("again", 50))
    house.store()
    assert house.count() == (kept + 50, kept + 50)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A disk of its own for a folder; False where this machine lets nobody mount one."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full(house: House, tmp_path: Path) -> None:
    house.close()
    house.folder = tmp_path / "small"
    with small_disk(house.folder, 2**18) as mounted:
        if not mounted:  # then the spool's own limit stands in for the disk's
            house.limit = 2**18
        house.open()
        kept = _fill(house)
        house.store()
        assert house.count() == (kept, kept)
        if not mounted:
            time.sleep(0.6)  # until it looks again
            house.store()
        house.take(*batch("again", 50))
        house.store()
        assert house.count() == (kept + 50, kept + 50)
        house.close()
    house.folder = tmp_path / "spool"
    house.open()
