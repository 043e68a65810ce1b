"""Erasure, export, rectification, opposition: by any identifier, everywhere, and for good."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, device_key, load_records
from relo_dsl.records import parse_record
from relo_dsl.times import format_instant
from relo_server.ingest.payloads import Envelope, Refusal, pack, unpack
from relo_server.privacy.erasing import TABLES, erase, forgetting
from relo_server.privacy.people import Person
from relo_server.security.roles import Role
from relo_server.spool import SpoolWriter
from tests.api.conftest import CATALOG, NOW, Service
from tests.ingest.test_batch import purchase, send, stored

OLD = NOW - 60 * 86_400_000
EMAIL = "Ana.Perez@example.com"


def known(service: Service) -> None:
    """Thirty devices that are in a set; `ana` has said who she is, and sent something wrong."""
    send(service, *({**purchase(f"d{n}"), "ts": OLD} for n in range(30)))
    send(
        service,
        {**purchase("ana"), "ts": OLD},
        {"t": "identify", "ts": OLD, "did": "ana", "traits": {"plan": "gold", "email": EMAIL}},
        {"t": "consent", "ts": OLD, "did": "ana", "consent": 255},
        {"t": "score", "ts": OLD, "did": "ana", "scores": {"churn": 0.5}},
        purchase("ana", revenue="much"),
    )
    stored(service, 31)
    stored(service, 1, "dead_letters")
    service.ok("POST", "/audiences/quiet/refresh")
    assert service.ok("GET", "/audiences/quiet/members/ana")["member"]


def rows_of(service: Service, device: str) -> dict[str, int]:
    key = device_key(service.house.key, service.client, device).hex()
    own = {"c": service.client, "k": key}
    found = {
        table: service.engine.rows(
            f"SELECT count() FROM {table} WHERE client_id = {{c:UInt32}} "
            "AND device = unhex({k:String})",
            own,
        )[0][0]
        for table in TABLES
    }
    letters = "SELECT count() FROM dead_letters WHERE position(record, {k:String}) > 0"
    return {**found, "dead_letters": service.engine.rows(letters, own)[0][0]}


@pytest.mark.parametrize("asked", [{"devices": ["ana"]}, {"emails": [f" {EMAIL.upper()} "]}])
def test_somebody_is_forgotten_everywhere(service: Service, asked: dict[str, Any]) -> None:
    known(service)
    before = rows_of(service, "ana")
    assert before["traits"] == 5
    assert min(before[table] for table in ("events", "consent", "scores", "membership")) > 0
    proof = service.ok("POST", "/privacy/erase", asked)
    assert rows_of(service, "ana") == dict.fromkeys([*TABLES, "dead_letters"], 0)
    assert proof["rows"]["events"] == 1
    assert proof["rows"]["dead_letters"] == 1
    assert proof["requested_at"] <= proof["unpublished_at"] <= proof["completed_at"]
    assert not service.ok("GET", "/audiences/quiet/members/ana")["member"]
    assert service.ok("GET", "/audiences/quiet/members/d1")["member"]
    assert rows_of(service, "d1")["events"] == 1
    assert service.ok("POST", "/audiences/quiet/verify")["right"]


def test_the_proof_counts_from_when_it_was_asked_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was being built just then."""
    monkeypatch.setattr(service.house, "clock", lambda: int(time.time() * 1000))
    token, free = service.token(), threading.Event()
    service.house.building.submit(lambda _: free.wait(20))
    with ThreadPoolExecutor(1) as other:
        erased = other.submit(
            service.ok, "POST", "/privacy/erase", {"devices": ["ana"]}, token=token
        )
        time.sleep(0.5)
        begun = format_instant(int(time.time() * 1000))
        free.set()
    assert erased.result()["requested_at"] < begun <= erased.result()["unpublished_at"]


def test_the_erased_do_not_come_back(service: Service) -> None:
    known(service)
    service.ok("POST", "/privacy/erase", {"devices": ["ana"]})
    send(service, purchase("ana"), purchase("new"))
    stored(service, 31)  # thirty, and the new one
    again = {**purchase("ana"), "cid": service.client, "eid": "from an old file"}
    report = load_records(
        service.engine, [parse_record(again)], catalog=parse_catalog(CATALOG),
        key=service.house.key,
    )  # fmt: skip
    assert (report.accepted, report.duplicate, report.erased) == (0, 0, 1)
    assert rows_of(service, "ana")["events"] == 0
    service.ok("POST", "/audiences/quiet/refresh", {"force": True})
    assert not service.ok("GET", "/audiences/quiet/members/ana")["member"]
    service.call("POST", "/audiences/quiet/rollback", {"version": 1})
    assert not service.ok("GET", "/audiences/quiet/members/ana")["member"]


def test_the_ledger_outlives_a_restore(service: Service) -> None:
    known(service)
    service.ok("POST", "/privacy/erase", {"devices": ["ana"]})
    # The events come from a backup of before: it knows of no erasure.
    service.engine.delete("erasures", "client_id = {c:UInt32}", {"c": service.client})
    send(service, {**purchase("ana", "restored"), "ts": OLD})
    stored(service, 31)
    assert rows_of(service, "ana")["events"] == 1
    service.house.finish_erasures()
    assert sum(rows_of(service, "ana").values()) == 0
    service.house.finish_erasures()


def test_an_erasure_that_was_interrupted_is_finished(service: Service) -> None:
    known(service)
    house = service.house
    key = device_key(house.key, service.client, "ana")

    def stopped(_step: str) -> None:
        raise KeyboardInterrupt

    def interrupted(engine: Engine) -> None:
        publisher = replace(house.publisher(engine, "test"), at_step=stopped)
        spools = house.storing.rewrite
        with pytest.raises(KeyboardInterrupt):
            erase(publisher, house.platform, service.client, [key], spools, service.folder)

    house.building.submit(interrupted).result()
    assert service.ok("GET", "/audiences/quiet/members/ana")["member"]
    house.finish_erasures()
    assert not service.ok("GET", "/audiences/quiet/members/ana")["member"]
    assert not any(rows_of(service, "ana").values())
    before = service.engine.rows("SELECT count() FROM erasures")
    house.finish_erasures()
    assert service.engine.rows("SELECT count() FROM erasures") == before, "once is enough"


def test_what_waits_on_disk_is_rewritten(service: Service) -> None:
    service.house.storing.close()
    send(service, purchase("ana"), purchase("beto"))
    key = device_key(service.house.key, service.client, "ana").hex().encode()
    other = device_key(service.house.key, service.client, "beto").hex().encode()
    spool = service.folder / "data/spool"

    def written() -> bytes:
        return b"".join(path.read_bytes() for path in spool.rglob("*.spool"))

    assert key in written()
    proof = service.ok("POST", "/privacy/erase", {"devices": ["ana"]})
    assert proof["rows"]["spool"] == 1
    assert key not in written()
    assert other in written()


def test_all_is_told(service: Service) -> None:
    known(service)
    told = service.ok("POST", "/privacy/export", {"emails": [EMAIL]})
    (device,) = told["devices"]
    assert device["device"] == device_key(service.house.key, service.client, "ana").hex()
    (event,) = device["events"]
    assert event["type"] == "purchase"
    assert event["values"] == {"revenue": 100, "product_line": "MX"}
    (identify,) = device["traits"]
    assert identify["values"]["plan"] == "gold"
    assert [one["flags"] for one in device["consent"]] == [255]
    assert device["scores"][0]["values"] == {"churn": 0.5}
    assert device["audiences"] == [{"audience": "quiet", "version": 1, "entered": True}]
    assert device["refused"][0]["props"]["revenue"] == "much"
    assert service.ok("POST", "/privacy/export", {"devices": ["nobody"]})["devices"] == []


def test_all_is_told_whatever_the_catalog_says_now(service: Service) -> None:
    """What was stored by another catalog, in columns that the one of today does not name."""
    catalog = service.folder / "segments/catalog.yaml"
    catalog.write_text("""
events:
  purchase:
    properties:
      revenue: number
      color: string
      Größe's: number
      due: time
      place: point
      tags: "string[]"
      none: "string[]"
      sizes: "number[]"
      gift: boolean
      items: {type: "object[]", fields: {id: string, price: number, Wann: time}}
""")
    props = """{
        "revenue": 123456789012345.123456789, "color": "red", "Größe's": 41, "due": "2026-05-01",
        "place": [19.4, -99.1], "tags": ["a", "b"], "none": [], "sizes": [1.5], "gift": true,
        "items": [{"id": "x", "price": 0.1, "note": "n"}, {"Wann": "2026-05-02"}], "other": 7
    }"""
    body = json.dumps([{**purchase("ana"), "props": "PROPS"}]).replace('"PROPS"', props)
    service.http.post(
        "/ingest/batch", content=body.encode(),
        headers={
            "authorization": f"Bearer {service.token()}", "content-type": "application/json",
        },
    ).raise_for_status()  # fmt: skip
    stored(service, 1)
    expected = json.loads(props, parse_float=Decimal)
    asked = {"devices": ["ana"]}
    for text in (
        catalog.read_text(),
        "events: {purchase: {properties: {color: number, items: string, due: string}}}",
        "events: {purchase: {properties: {items: {type: 'object[]', fields: {id: number}}}}}",
        "events: {visit: {}}",
    ):
        catalog.write_text(text)
        told = service.call("POST", "/privacy/export", asked)
        (device,) = json.loads(told.text, parse_float=Decimal)["devices"]
        (event,) = device["events"]
        assert event["flags"] == 255
        assert event["values"] == expected, text


def test_a_trait_is_corrected(service: Service) -> None:
    known(service)
    answer = service.ok("POST", "/privacy/rectify", {"emails": [EMAIL], "traits": {"plan": "none"}})
    assert answer["devices"] == 1
    text = 'audience a\nmatch\n  user.plan = "none"\n'

    def size() -> int:
        found = service.ok("POST", "/segments/preview", {"text": text, "at": _later()})
        return int(found["definitions"][0]["size"])

    _until(lambda: size() == 1)
    wrong = service.call("POST", "/privacy/rectify", {"devices": ["ana"], "traits": {"plan": 5}})
    assert wrong.status_code == 422
    assert "traits.plan" in wrong.json()["detail"]


def _later() -> str:
    return format_instant(NOW + 1_000)


def _until(holds: Any) -> None:
    late = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.05)


def test_an_identifier_that_is_corrected_is_hashed(service: Service) -> None:
    known(service)
    traits = {"email": "Ana.New@example.com", "note": "call +52 55 1234 9876"}
    service.ok("POST", "/privacy/rectify", {"devices": ["d1"], "traits": traits})
    mine, own = "FROM traits WHERE client_id = {c:UInt32}", {"c": service.client}
    _until(lambda: service.engine.rows(f"SELECT 1 {mine} AND name = 'note'", own))
    names = {row[0] for row in service.engine.rows(f"SELECT name {mine}", own)}
    assert names >= {"email_sha256", "email_sha256_google", "email_sha256_uid2"}
    assert "email" not in names
    written = repr(service.engine.rows(f"SELECT * {mine}", own)).lower()
    assert "ana.new" not in written
    assert "1234 9876" not in written


def test_somebody_objects(service: Service) -> None:
    known(service)
    service.ok("POST", "/privacy/object", {"devices": ["ana"], "to": ["dsp", "email"]})
    stored(service, 1 + len(_ids({"devices": ["ana"]})), "consent")
    key = device_key(service.house.key, service.client, "ana").hex()
    flags = service.engine.rows(
        "SELECT flags FROM consent WHERE device = unhex({k:String}) ORDER BY flags", {"k": key}
    )
    assert flags == [(255 - 4 - 16,), (255,)]
    service.ok("POST", "/privacy/object", {"devices": ["ana"]})
    _until(lambda: not service.ok("GET", "/audiences/quiet/members/ana")["member"])
    assert service.ok("GET", "/audiences/quiet/members/d1")["member"]


def _ids(asked: dict[str, Any]) -> set[str]:
    return set(Person(**asked).ids())


def test_who_may_and_what_is_noted(service: Service) -> None:
    for operation in ("erase", "export", "object"):
        for role in (Role.CLIENT_MANAGER, Role.PARTNER, Role.VIEWER):
            answer = service.call("POST", f"/privacy/{operation}", {"devices": ["ana"]}, role=role)
            assert answer.status_code == 403
    service.ok("POST", "/privacy/erase", {"emails": [EMAIL]})
    from sqlalchemy import select

    from relo_server.platform.models import AuditLine

    with service.house.platform.tenant(service.client, reading=True) as session:
        lines = [
            f"{line.action} {line.object} {line.outcome}"
            for line in session.scalars(select(AuditLine)).all()
        ]
    assert any("privacy.erase" in line and "devices" in line and "done" in line for line in lines)
    assert not any("ana" in line.lower().replace("client_manager", "") for line in lines)


def test_nobody_named_is_a_mistake(service: Service) -> None:
    answer = service.call("POST", "/privacy/erase", {})
    assert answer.status_code == 422
    assert "at least one" in answer.text


def test_another_client_s_devices_are_not_touched(service: Service) -> None:
    known(service)
    other = service.client + 500_000
    service.ok("POST", "/privacy/erase", {"devices": ["ana"], "emails": [EMAIL]}, client=other)
    assert rows_of(service, "ana")["events"] == 1


_KEYS = [f"{n:032x}" for n in range(4)]
_RECORDS = st.lists(st.tuples(st.sampled_from(_KEYS), st.text(max_size=20)), max_size=6)


@given(records=_RECORDS, refused=_RECORDS, gone=st.sets(st.sampled_from(_KEYS)))
def test_a_payload_without_some_devices(
    records: list[tuple[str, str]], refused: list[tuple[str, str]], gone: set[str]
) -> None:
    def record(key: str, text: str) -> dict[str, Any]:
        return {"t": "a", "ts": 1, "did": key, "eid": text or "x", "props": {"text": text}}

    letters = [Refusal(n, "why", "f", "v", record(*one)) for n, one in enumerate(refused)]
    payload = pack(Envelope(3, "shop", 5, 1, letters), [record(*one) for one in records])
    assert forgetting(4, gone)(payload) == payload, "another client's"
    left = forgetting(3, gone)(payload)
    assert len(left) <= len(payload)
    envelope, lines = unpack(left)
    assert [json.loads(line)["did"] for line in lines] == [k for k, _ in records if k not in gone]
    assert [one.index for one in envelope.refused] == [
        n for n, (key, _) in enumerate(refused) if key not in gone
    ]
    assert (envelope.source, envelope.received, envelope.duplicate) == ("shop", 5, 1)


def test_what_was_being_written_is_rewritten_within_hours(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that another process is writing while somebody is erased is open till later."""
    house = service.house
    with SpoolWriter(house.settings.data / "spool/another") as writer:
        monkeypatch.setattr(house.storing, "step", lambda: 0)  # the engine is away
        key = device_key(house.key, service.client, "ana").hex()
        envelope = Envelope(service.client, "shop", NOW)
        records = [{"t": "purchase", "ts": NOW, "did": one, "eid": one} for one in (key, "0" * 32)]
        writer.keep(pack(envelope, records)).result()
        service.ok("POST", "/privacy/erase", {"devices": ["ana"]})
        (segment,) = (house.settings.data / "spool/another").glob("*.spool")
        assert key.encode() in segment.read_bytes()
        writer.roll()
        house.rewrite_again()
        left = segment.read_bytes()
        assert key.encode() not in left
        assert b"0" * 32 in left


def test_what_is_damaged_is_looked_through_later(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can rewrite a broken frame: once it was read it is a copy, and goes with the hour."""
    house = service.house
    spool = house.settings.data / "spool/another"
    step = house.storing.step
    monkeypatch.setattr(house.storing, "step", lambda: 0)  # the engine is away
    keys = [device_key(house.key, service.client, name).hex() for name in ("ana", "beto")]
    with SpoolWriter(spool) as writer:
        for key in keys:
            record = {"t": "purchase", "ts": NOW, "did": key, "eid": key}
            writer.keep(pack(Envelope(service.client, "shop", NOW), [record])).result()
        writer.roll()
    segment = min(spool.glob("*.spool"))
    segment.write_bytes(segment.read_bytes().replace(b"purchase", b"purchasf"))
    service.ok("POST", "/privacy/erase", {"devices": ["ana"]})
    assert keys[0].encode() in segment.read_bytes()
    step()
    assert len(list(spool.glob("damaged/*"))) == 1, "two in a row are one piece"
    house.rewrite_again()
    assert list(spool.glob("damaged/*")) == []


def test_copies_of_what_is_damaged_are_not_kept_for_ever(service: Service) -> None:
    house = service.house
    folder = house.settings.data / "spool/another/damaged"
    folder.mkdir(parents=True)
    for days in (89, 91):
        (folder / f"{days}").write_bytes(b"broken")
        os.utime(folder / f"{days}", (NOW / 1000 - days * 86_400,) * 2)
    house.expire_copies()
    assert [path.name for path in folder.iterdir()] == ["89"]


def test_what_was_stored_too_late_goes_within_the_hour(service: Service) -> None:
    """Another process's build, which the erasure overtakes, may store members all the same."""
    known(service)
    service.ok("POST", "/privacy/erase", {"devices": ["ana"]})
    key = device_key(service.house.key, service.client, "ana").hex()
    for device in (key, "0" * 32):
        service.engine.command(
            "INSERT INTO membership "
            "SELECT {c:UInt32}, 'quiet', unhex({k:String}), 2, 'not published', 1",
            {"c": service.client, "k": device},
        )
    assert rows_of(service, "ana")["membership"] == 1
    service.house.rewrite_again()
    assert not any(rows_of(service, "ana").values())
    left = service.engine.rows("SELECT count() FROM membership WHERE version = 'not published'")
    assert left == [(1,)]
