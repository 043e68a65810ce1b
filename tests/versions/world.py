"""A client whose audiences are lists, so that a test says who is in, and a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, device_key, load_list, load_records
from relo_dsl.records import parse_record
from relo_dsl.settings import Publishing
from relo_dsl.source import SourceFile
from relo_dsl.workspace import Workspace
from relo_server.refresh.results import RefreshResult
from relo_server.refresh.run import refresh
from relo_server.sets import Sets
from relo_server.versions import ledger, membership
from relo_server.versions.barred import record_erasures
from relo_server.versions.ledger import Version
from relo_server.versions.publisher import Publisher, no_step
from relo_server.versions.withdrawal import withdraw

KEY = bytes(32)
#: Not any instant: the set server drops what has expired by a clock of its own.
START = int(time.time() * 1000)
SECOND = 1_000
CATALOG = """
events: {purchase: {}}
lists: {chosen: {}, other: {}}
retention: {months: 1200, extended_months: 1200}
"""
WEEK = 7 * 86_400_000


@dataclass
class World:
    """`devices` all have an event and consent to everything, until a test says otherwise."""

    engine: Engine
    sets: Sets
    client: int
    now: int = START
    text: str = "audience a match in list chosen"
    devices: list[str] = field(default_factory=list)
    limits: Publishing = field(default_factory=lambda: Publishing(compared_from=1_000_000))
    catalog: str = CATALOG

    def clock(self) -> int:
        """Every look at the clock is a second later."""
        self.now += SECOND
        return self.now

    # ---- what is there -------------------------------------------------------------------------

    def populate(self, devices: Iterable[str]) -> None:
        self.devices = list(devices)
        self.store(*({"t": "purchase", "did": d, "ts": START - WEEK} for d in self.devices))

    def store(self, *records: dict[str, object]) -> None:
        parsed = [parse_record({"cid": self.client, **record}) for record in records]
        report = load_records(self.engine, parsed, catalog=parse_catalog(self.catalog), key=KEY)
        assert report.refused == 0

    def choose(self, devices: Iterable[str], name: str = "chosen") -> None:
        load_list(self.engine, self.client, name, devices, key=KEY)

    def consent(self, flags: int, *devices: str, at: int | None = None) -> None:
        """Stores consent records as a load does, and does no more."""
        self.engine.command(
            "INSERT INTO consent (client_id, device, time, flags, tie) SELECT {c:UInt32}, "
            "unhex(arrayJoin({d:Array(String)})), fromUnixTimestamp64Milli({t:Int64}, 'UTC'), "
            "{f:UInt8}, 0",
            {
                "c": self.client, "d": [key.hex() for key in self.keys(devices)],
                "t": self.clock() if at is None else at, "f": flags,
            },
        )  # fmt: skip

    def erase(self, *devices: str) -> None:
        record_erasures(self.engine, self.client, self.keys(devices), self.clock())

    # ---- what is done --------------------------------------------------------------------------

    def publisher(self, at_step: Callable[[str], None] = no_step) -> Publisher:
        return Publisher(
            self.engine,
            self.sets,
            parse_catalog(self.catalog).flags_of,
            "a test",
            self.clock,
            None,
            at_step,
        )

    def workspace(self) -> Workspace:
        workspace = Workspace(parse_catalog(self.catalog), self.client, "UTC")
        workspace.add(SourceFile("a.seg", self.text))
        return workspace

    def refresh(
        self, *names: str, at: int | None = None, force: bool = False,
        at_step: Callable[[str], None] = no_step,
    ) -> list[RefreshResult]:  # fmt: skip
        workspace = self.workspace()
        return refresh(
            workspace, self.engine, self.sets, names or workspace.names,
            at=self.clock() if at is None else at, by="a test", force=force, limits=self.limits,
            clock=self.clock, at_step=at_step,
        )  # fmt: skip

    def withdraw(self, at_step: Callable[[str], None] = no_step) -> list[Version]:
        return withdraw(self.publisher(at_step), self.client)

    # ---- what is seen --------------------------------------------------------------------------

    def keys(self, devices: Iterable[str]) -> list[bytes]:
        return [device_key(KEY, self.client, device) for device in devices]

    def named(self, keys: Iterable[bytes]) -> set[str]:
        known = dict(zip(self.keys(self.devices), self.devices, strict=True))
        return {known[key] for key in keys}

    def inside(self, name: str = "a") -> set[str]:
        """Who is in the set; nobody where nothing is published."""
        if self.sets.info(self.client, name) is None:
            return set()
        return self.named(self.sets.members(self.client, name))

    def stored(self, version: Version) -> set[str]:
        """Who is a member of a version by the ledger."""
        return self.named(k for c in membership.members(self.engine, version) for k in c)

    def history(self, name: str = "a") -> list[Version]:
        return ledger.history(self.engine, self.client, name)

    def last(self, name: str = "a") -> Version:
        found = ledger.last(self.engine, self.client, name)
        assert found is not None
        return found


def each_device(count: int) -> Iterator[str]:
    return (f"d{number}" for number in range(count))


def folder_of(sets: Sets) -> Path:
    """Where an embedded server's files are."""
    assert sets._server is not None
    return sets._server.folder.parent
