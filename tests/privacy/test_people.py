"""Whoever is named by an e-mail, a phone or an advertising id is found wherever it stands."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest

from relo_dsl.engine import device_key
from relo_server.ingest.payloads import Envelope, Refusal, pack, unpack
from relo_server.privacy.erasing import forgetting
from relo_server.privacy.people import Person
from tests.api.conftest import CATALOG, NOW, Service
from tests.ingest.test_batch import purchase, send, stored

EMAIL, PHONE = "Ana.Perez@example.com", "+52 55 1234 5678"
GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"
ASKED = {"emails": [EMAIL], "phones": [PHONE], "advertising_ids": [GAID]}
COLUMNS = """
  visit:
    properties:
      {page: string, login: string, email_hash: string, member: string, email_sha256: string,
       tags: "string[]", mail_sha256: "string[]"}
  shared:
    properties:
      people: {type: "object[]", fields: {email_sha256: string, note: string}}
"""
#: With columns for what stands in texts, lists and elements.
WITH_COLUMNS = CATALOG.replace("\n  visit: {properties: {page: string}}\n", COLUMNS)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


HASH = digest(EMAIL.lower())
PLACES: dict[str, dict[str, Any]] = {
    "an e-mail in a text": {"props": {"login": EMAIL}},
    "a phone in a text": {"props": {"login": f"call {PHONE}, please"}},
    "in a URL": {"props": {"page": f"https://shop.example/?mail={EMAIL.replace('@', '%40')}&a=1"}},
    "a key for an e-mail": {"props": {"email": EMAIL}},
    "a key for several": {"props": {"mail": ["b@b.mx", EMAIL]}},
    "a hash that the sender made": {"props": {"email_hash": HASH}},
    "a hash in capitals": {"props": {"email_hash": HASH.upper()}},
    "a hash under any name": {"props": {"member": HASH}},
    "a list of texts": {"props": {"tags": ["a", f"by {EMAIL}"]}},
    "a text that no catalog names": {"props": {"remark": f"from {EMAIL}"}},
    "a hash in capitals that no catalog names": {"props": {"mail_hash": HASH.upper()}},
    "an element": {"t": "shared", "props": {"people": [{"email": "b@b.mx"}, {"email": EMAIL}]}},
    "an element's text": {"t": "shared", "props": {"people": [{"note": EMAIL}]}},
    "a trait": {"t": "identify", "traits": {"nickname": EMAIL}},
    "a trait's hash in capitals": {"t": "identify", "traits": {"email_hash": HASH.upper()}},
    "a trait's list": {"t": "identify", "traits": {"friends": ["x", EMAIL]}},
    "a trait's name": {"t": "identify", "traits": {EMAIL: 1}},
    "an advertising id": {"props": {"gaid": GAID}},
}


def key_of(service: Service, device: str) -> str:
    return device_key(service.house.key, service.client, device).hex()


@pytest.mark.parametrize("where", PLACES)
def test_somebody_is_found_by_what_stands_in(service: Service, where: str) -> None:
    (service.folder / "segments/catalog.yaml").write_text(WITH_COLUMNS)
    visit = {"t": "visit", "ts": NOW - 1_000}
    ana = {**visit, "did": "ana", **PLACES[where]}
    send(service, ana, {**visit, "did": "beto", "props": {"login": "beto@example.com"}})
    events = int(ana["t"] != "identify")
    stored(service, 1 + events)
    late = time.monotonic() + 20
    while not (told := service.ok("POST", "/privacy/export", ASKED)["devices"]):
        assert time.monotonic() < late  # traits are stored after events
    assert [one["device"] for one in told] == [key_of(service, "ana")]
    assert service.ok("POST", "/privacy/erase", ASKED)["rows"]["events"] == events
    assert service.ok("POST", "/privacy/export", ASKED)["devices"] == []
    stored(service, 1)


def test_many_identifiers_at_once(service: Service) -> None:
    emails = [f"{n}@example.com" for n in range(120)]
    props = [{"note": email} for email in (emails[0], emails[119], "other@example.com")]
    send(service, *(purchase(f"d{n}", **given) for n, given in enumerate(props)))
    stored(service, 3)
    told = service.ok("POST", "/privacy/export", {"emails": emails})
    found = {one["device"] for one in told["devices"]}
    assert found == {key_of(service, "d0"), key_of(service, "d1")}


def test_letters_of_who_is_known_by_nothing_else(service: Service) -> None:
    send(
        service,
        purchase("ana", revenue="much", email=EMAIL),
        {"t": "purchase", "ts": NOW, "props": {"login": EMAIL}},
        {"t": "purchase", "ts": NOW, "did": "", "props": {"email_hash": HASH.upper()}},
        purchase("beto", revenue=EMAIL),
        purchase("carla", revenue="carla@example.com"),
        {"t": "purchase", "ts": NOW, "props": {"login": "carla@example.com"}},
        purchase("dora"),
    )
    stored(service, 6, "dead_letters")
    told = service.ok("POST", "/privacy/export", ASKED)
    devices = {one["device"]: one["refused"] for one in told["devices"]}
    assert devices.keys() == {key_of(service, "ana"), key_of(service, "beto")}
    assert [len(letters) for letters in devices.values()] == [1, 1]
    assert [set(one["props"]) for one in told["refused"]] == [{"login"}, {"email_hash"}]
    proof = service.ok("POST", "/privacy/erase", ASKED)
    assert (proof["devices"], proof["rows"]["dead_letters"]) == (2 + _ids(), 4)
    told = service.ok("POST", "/privacy/export", ASKED)
    assert (told["devices"], told["refused"]) == ([], [])
    stored(service, 2, "dead_letters")


def _ids() -> int:
    """How many devices the identifiers may be themselves."""
    return len(set(Person(**ASKED).ids()))


def test_letters_that_wait_on_disk() -> None:
    def letter(index: int, text: str, device: str | None = None) -> Refusal:
        named = {} if device is None else {"did": device}
        return Refusal(index, "why", None, "", {"t": "visit", "props": {"login": text}, **named})

    letters = [
        letter(0, "sha256:" + HASH), letter(1, HASH.upper()), letter(2, "other"),
        letter(3, HASH, "0" * 32), Refusal(4, "no JSON"),
    ]  # fmt: skip
    payload = pack(Envelope(3, "shop", NOW, 0, letters), [])
    assert forgetting(4, [], [HASH])(payload) == payload, "another client's"
    left, _ = unpack(forgetting(3, [], [HASH])(payload))
    assert [one.index for one in left.refused] == [2, 3, 4]
