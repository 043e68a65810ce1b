"""`relo replay`: events that wait, on the disk and in storage, stored from the command line."""

from __future__ import annotations

import shutil

from relo_dsl.engine import Engine
from relo_server.ingest.intake import Intake, Sent
from relo_server.spool import SpoolWriter
from relo_server.spool.overflow import Overflow, Storage
from tests.cli.conftest import Project
from tests.cli.test_dlq import NOW, purchases


def waiting(project: Project, count: int, *, away: bool) -> None:
    """Events that a service has acknowledged before it ended."""
    from relo_dsl.cli.project import project_catalog
    from relo_dsl.engine.key import installation_key
    from relo_dsl.settings import Settings

    settings = Settings.load(project.folder)
    storage = Storage.open("overflow", settings.data)
    catalog = project_catalog(settings)
    with SpoolWriter(
        settings.data / "spool/0", segment_bytes=500, overflow=Overflow(storage, "elsewhere/0")
    ) as writer:
        intake = Intake(writer, installation_key(settings), lambda: catalog)
        for number in range(count):
            event = {"t": "purchase", "ts": NOW - 1_000, "did": f"d{number}", "eid": f"e{number}"}
            checked = intake.check(Sent(project.client, "shop", NOW), [event])
            intake.keep(checked).result()
        while away and writer.make_room():
            pass
    if away:
        shutil.rmtree(settings.data / "spool")


def test_what_waits_is_stored_once(store: Project, engine: Engine) -> None:
    waiting(store, 30, away=False)
    done = store.json("replay")
    assert done == {"adopted": 0, "stored": 30, "in_service": False, "others": {}}
    assert purchases(engine, store.client) == 30
    waiting(store, 30, away=False)
    assert store.ok("replay").stdout == "0 events stored\n"
    assert purchases(engine, store.client) == 30


def test_what_another_had_in_storage_is_stored_when_told_to(store: Project, engine: Engine) -> None:
    waiting(store, 30, away=True)
    (others,) = store.json("replay")["others"].items()
    assert others[0] == "elsewhere"
    assert others[1] > 5
    assert "relo replay --place elsewhere" in store.ok("replay").stdout
    assert purchases(engine, store.client) == 0
    done = store.json("replay", "--place", "elsewhere")
    assert (done["adopted"], done["others"]) == (others[1], {})
    assert done["stored"] == purchases(engine, store.client) > 20
    wrong = store.run("replay", "--place", "elsewhere")
    assert wrong.exit_code != 0
    assert "nothing of `elsewhere`" in wrong.output
