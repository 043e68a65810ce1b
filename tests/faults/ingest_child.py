"""A process that takes events in and stores them, until it is killed.

What is real: the intake, the spool on the disk, the thread that moves it into the engine, which is
behind HTTP, and the sets. Batches are made here, so that none is lost on its way to this process.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine
from relo_dsl.settings import Settings
from relo_server.ingest.intake import Intake, Sent
from relo_server.ingest.storing import Storing
from relo_server.sets import Sets
from relo_server.spool import SpoolWriter

CATALOG = parse_catalog(
    """
    events: {bought: {properties: {batch: string, n: number}}}
    retention: {months: 1200, extended_months: 1200}
    """
)
KEY = b"k" * 32


@dataclass(frozen=True)
class Source:
    """A process that sends itself batches of `size` events, which nobody else has sent."""

    url: str
    sets: str
    folder: Path
    client: int
    name: str
    size: int = 40
    threads: int = 3


def batch(name: str, size: int) -> list[dict[str, Any]]:
    """The events of a batch, each with an id of its own."""
    return [
        {
            "t": "bought", "ts": 1_780_000_000_000 + n, "did": f"d{n % 7}", "eid": f"{name}/{n}",
            "props": {"batch": name, "n": n},
        }
        for n in range(size)
    ]  # fmt: skip


def run(source: Source, pipe: Connection) -> None:
    """Sends ("sent", batch) before a batch, and ("kept", batch) when it is acknowledged."""
    telling = threading.Lock()

    def tell(word: str, name: str) -> None:
        with telling:
            pipe.send((word, name))

    settings = Settings(events=source.url, sets=source.sets, data=source.folder)
    with Engine.open(settings) as engine, Sets.open(settings) as sets:
        storing = Storing(
            source.folder, engine, sets, lambda: CATALOG, lambda: int(time.time() * 1000)
        )
        writer = SpoolWriter.free(source.folder)
        intake = Intake(writer, KEY, lambda: CATALOG, kept=storing.wake)
        storing.start()

        def send(thread: int) -> None:
            number = 0
            while True:
                number += 1
                name = f"{source.name}.{thread}.{number}"
                tell("sent", name)
                sent = Sent(source.client, "test", int(time.time() * 1000))
                intake.keep(intake.check(sent, batch(name, source.size))).result(60)
                tell("kept", name)

        threads = [threading.Thread(target=send, args=(n,)) for n in range(source.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
