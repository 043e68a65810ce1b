"""Who is erased while something of them is being stored: it goes as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, EngineError, LoadReport, load_records
from relo_dsl.engine.erase import delete_devices
from relo_dsl.engine.staging import TABLES, Staging
from relo_dsl.records import parse_record
from relo_server.ingest.dead_letters import DeadLetter, bury, letters
from relo_server.versions.barred import record_erasures

CATALOG = parse_catalog("events: {purchase: {}}")
#: The engine drops what is old by a clock of its own.
NOW = int(time.time() * 1000)
ANA, BETO = bytes(15) + b"a", bytes(15) + b"b"
KEYS = {"ana": ANA, "beto": BETO}


def load(engine: Engine, client: int) -> LoadReport:
    raws: list[dict[str, Any]] = [
        {"t": "purchase"}, {"t": "identify", "traits": {"plan": "gold"}},
        {"t": "score", "scores": {"churn": 0.5}}, {"t": "consent", "consent": 255},
    ]  # fmt: skip
    records = [
        parse_record({**raw, "ts": NOW, "did": name, "eid": f"{raw['t']} {name}"}, client)
        for name in KEYS
        for raw in raws
    ]
    return load_records(
        engine, records, catalog=CATALOG, key=b"", device_of=lambda _, name: KEYS[name]
    )


def there(engine: Engine, client: int, device: bytes) -> dict[str, int]:
    where = "WHERE client_id = {c:UInt32} AND device = unhex({k:String})"
    asked = {"c": client, "k": device.hex()}
    return {
        table: int(engine.rows(f"SELECT count() FROM {table} {where}", asked)[0][0])
        for table in TABLES
    }


def erase(engine: Engine, client: int) -> None:
    """As an erasure does, at the very moment; it finds nothing yet."""
    record_erasures(engine, client, [ANA], NOW)
    assert sum(delete_devices(engine, client, [ANA], TABLES).values()) == 0


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, do: Callable[[], None]
) -> None:
    """Has something done just before a method is called for the first time."""
    method, waiting = getattr(owner, name), [do]

    def call(*args: Any, **more: Any) -> Any:
        while waiting:
            waiting.pop()()
        return method(*args, **more)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("step", ["_drop_erased", "_find_history", "_store", "_delete_erased"])
def test_at_any_step_of_a_commit(
    engine: Engine, new_client: int, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    if step == "_delete_erased":  # all is stored by then, and the erasure finds it

        def now() -> None:
            record_erasures(engine, new_client, [ANA], NOW)
    else:

        def now() -> None:
            erase(engine, new_client)

    meanwhile(monkeypatch, Staging, step, now)
    load(engine, new_client)
    assert set(there(engine, new_client, ANA).values()) == {0}
    assert min(there(engine, new_client, BETO).values()) > 0


def test_a_commit_that_ends_before_it_looks_again(
    engine: Engine, new_client: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut() -> None:
        raise EngineError("the process ends here")

    meanwhile(monkeypatch, Staging, "_store", lambda: erase(engine, new_client))
    meanwhile(monkeypatch, Staging, "_delete_erased", cut)
    with pytest.raises(EngineError):
        load(engine, new_client)
    assert there(engine, new_client, ANA)["events"] == 1
    assert load(engine, new_client).duplicate == 8
    assert set(there(engine, new_client, ANA).values()) == {0}
    assert min(there(engine, new_client, BETO).values()) > 0


def letter(client: int, id_: str, device: bytes | None) -> DeadLetter:
    record = None if device is None else {"did": device.hex(), "t": "purchase"}
    return DeadLetter(client, id_, NOW, "shop", 0, "why", "ts", "", record)


def kept(engine: Engine, client: int) -> tuple[list[str], list[str]]:
    """The letters that are listed, and those that are there."""
    rows = engine.rows(
        "SELECT id FROM dead_letters WHERE client_id = {c:UInt32} ORDER BY id", {"c": client}
    )
    return [one.id for one in letters(engine, client)], [str(row[0]) for row in rows]


def test_letters_of_the_erased_are_not_kept(engine: Engine, new_client: int) -> None:
    record_erasures(engine, new_client, [ANA], NOW)
    record_erasures(engine, new_client + 500_000, [BETO], NOW)
    sent = [
        letter(new_client, "a", ANA),
        letter(new_client, "b", BETO),
        letter(new_client, "c", None),
    ]
    assert bury(engine, sent) == 2
    assert kept(engine, new_client) == (["b", "c"], ["b", "c"])


def test_letters_of_who_is_erased_meanwhile(
    engine: Engine, new_client: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(
        monkeypatch, engine, "insert_arrow",
        lambda: record_erasures(engine, new_client, [ANA], NOW),
    )  # fmt: skip
    bury(engine, [letter(new_client, "a", ANA), letter(new_client, "b", BETO)])
    assert kept(engine, new_client) == (["b"], ["b"])


def test_letters_are_read_through_the_ledger(engine: Engine, new_client: int) -> None:
    """Those of a backup from before, say."""
    bury(engine, [letter(new_client, "a", ANA), letter(new_client, "b", BETO)])
    record_erasures(engine, new_client, [ANA], NOW)
    assert kept(engine, new_client) == (["b"], ["a", "b"])
