"""`POST /ingest/batch`: what is taken, what is refused and why, and that it reaches definitions."""

from __future__ import annotations

import functools
import gzip
import json
import operator
import time
from typing import Any

import pyarrow as pa
import pytest

from relo_server.security.roles import Role
from tests.api.conftest import NOW, Service

LINES = "application/x-ndjson"
PURCHASES = "audience shoppers\n  type retargeting\nmatch\n  purchase.revenue > 50 within 30d\n"


def purchase(device: str, eid: str | None = None, **props: Any) -> dict[str, Any]:
    given = {"revenue": 100, "product_line": "MX", **props}
    found = {"t": "purchase", "ts": NOW - 3_600_000, "did": device, "props": given}
    return found if eid is None else {**found, "eid": eid}


def send(service: Service, *events: Any, token: str | None = None) -> Any:
    return service.ok("POST", "/ingest/batch", list(events), token=token)


def stored(service: Service, count: int, table: str = "events") -> list[tuple[Any, ...]]:
    """The rows of the client, when there are so many: they are on disk long before."""
    late = time.monotonic() + 20
    while True:
        rows = service.engine.rows(
            f"SELECT * FROM {table} WHERE client_id = {{c:UInt32}}", {"c": service.client}
        )
        if len(rows) >= count or time.monotonic() > late:
            assert len(rows) == count
            return rows
        time.sleep(0.02)


def test_events_are_taken_and_found_by_a_definition(service: Service) -> None:
    answer = send(service, purchase("a"), purchase("b", revenue=10), purchase("c"))
    assert answer == {"accepted": 3, "duplicate": 0, "refused": []}
    stored(service, 3)
    found = service.ok("POST", "/segments/preview", {"text": PURCHASES})
    assert found["definitions"][0]["size"] == 2


def test_an_event_that_is_wrong_is_refused_by_itself(service: Service) -> None:
    answer = send(
        service,
        purchase("a"),
        purchase("b", revenue="much"),
        {"t": "purchase", "ts": "yesterday", "did": "c"},
        "nonsense",
        purchase("d"),
    )
    assert answer["accepted"] == 2
    assert answer["refused"] == [
        {
            "index": 1, "reason": "expected number, found string", "field": "props.revenue",
            "value": "much",
        },
        {
            "index": 2, "reason": "expected epoch milliseconds or RFC 3339", "field": "ts",
            "value": "yesterday",
        },
        {"index": 3, "reason": "a record is a JSON object", "field": None, "value": ""},
    ]  # fmt: skip
    stored(service, 2)


def test_what_comes_twice_counts_once(service: Service) -> None:
    one, two = purchase("a", "1"), purchase("b")
    assert send(service, one, two, one)["duplicate"] == 1
    assert send(service, one, two) == {"accepted": 0, "duplicate": 2, "refused": []}
    service.house.intake._recent._new.clear()  # as after a restart: the engine knows them
    assert send(service, one, two)["accepted"] == 2
    send(service, purchase("c"))
    stored(service, 3)
    late = time.monotonic() + 20
    while True:  # the counts are written after the events
        (source,) = service.ok("GET", "/ingest/health")["sources"]
        if (source["accepted"], source["duplicate"]) == (3, 5):
            break
        assert time.monotonic() < late, source


def _lines(*events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def _zstd(body: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(body)
    return bytes(sink.getvalue())


def raw(service: Service, body: bytes, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["authorization"] = f"Bearer {service.token()}"
    return service.http.post("/ingest/batch", content=body, headers=named)


@pytest.mark.parametrize(
    ("body", "media", "encoding"),
    [
        (json.dumps([purchase("a"), purchase("b")]).encode(), "application/json", ""),
        (_lines(purchase("a"), purchase("b")), LINES, ""),
        (_lines(purchase("a"), purchase("b")) + b"\n\n", LINES, "identity"),
        (gzip.compress(_lines(purchase("a"), purchase("b"))), LINES, "gzip"),
        (
            gzip.compress(_lines(purchase("a"))) + gzip.compress(_lines(purchase("b"))),
            LINES,
            "gzip",
        ),
        (_zstd(_lines(purchase("a"), purchase("b"))), "application/jsonl; charset=utf-8", "zstd"),
        (_zstd(json.dumps([purchase("a"), purchase("b")]).encode()), "application/json", "zstd"),
    ],
    ids=range(7),
)
def test_all_forms(service: Service, body: bytes, media: str, encoding: str) -> None:
    answer = raw(service, body, content_type=media, content_encoding=encoding)
    assert answer.json() == {"accepted": 2, "duplicate": 0, "refused": []}, answer.text


@pytest.mark.parametrize(
    ("body", "media", "encoding", "status", "reason"),
    [
        (b"[", "application/json", "", 422, "not JSON"),
        (b"[1]", "text/csv", "", 415, "text/csv"),
        (b"[]", "application/json", "br", 415, "br"),
        (b"plain", "application/json", "gzip", 422, "not gzip"),
        (gzip.compress(b"[]" * 100)[:-12], "application/json", "gzip", 422, "midst"),
        (b"plain", "application/json", "zstd", 422, "not zstd"),
        (b"\n".join([b"{}"] * 10_001), LINES, "", 413, "10,000"),
        (gzip.compress(b" " * 40_000_000), LINES, "gzip", 413, "33,554,432"),
        (_zstd(b" " * 40_000_000), LINES, "zstd", 413, "33,554,432"),
    ],
    ids=range(9),
)
def test_what_can_not_be_read_is_refused_whole(
    service: Service, body: bytes, media: str, encoding: str, status: int, reason: str
) -> None:
    answer = raw(service, body, content_type=media, content_encoding=encoding)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["detail"]
    assert answer.json()["hint"]


def test_a_line_that_is_no_json_is_refused_by_itself(service: Service) -> None:
    answer = raw(service, _lines(purchase("a")) + b'{"t": \n' + _lines(purchase("b")),
                 content_type=LINES).json()  # fmt: skip
    assert answer["accepted"] == 2
    assert answer["refused"] == [{"index": 1, "reason": "not JSON", "field": None, "value": ""}]


def test_an_event_that_is_nested_too_deep_is_refused_by_itself(service: Service) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = {"a": deep}
    answer = send(service, {**purchase("a"), "props": deep}, purchase("b"))
    assert answer["accepted"] == 1
    assert answer["refused"][0]["reason"] == "nested deeper than 32"
    body = b'[{"t": "purchase", "ts": 1, "did": "a", "props": ' + b'{"a":' * 5_000
    assert raw(service, body, content_type="application/json").status_code == 422
    body = b"[" * 100_000
    assert raw(service, body, content_type="application/json").status_code == 422
    body = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    assert raw(service, body, content_type=LINES).json()["refused"][0]["index"] == 0


_ODD = [
    '{"t":"purchase","ts":1,"did":"a","props":{"revenue":1e99999999999999999999}}',
    '{"t":"purchase","ts":1,"did":"a","props":{"revenue":-1E-99999999999999999999}}',
    '{"t":"purchase","ts":1,"did":"a","props":{"note":"half \\ud83d"}}',
    '{"t":"purchase","ts":1,"did":"a","props":{"half \\ud83d":1}}',
    '{"t":"purchase","ts":1,"did":"half \\ud83d"}',
    '{"t":"half \\ud83d","ts":1,"did":"a"}',
    '{"t":"purchase","ts":1,"did":"a","half \\ud83d":1}',
]


@pytest.mark.parametrize("form", ["array", "lines"])
def test_a_record_that_can_not_be_kept_is_refused_by_itself(service: Service, form: str) -> None:
    good = json.dumps(purchase("g"))
    if form == "array":
        answer = raw(service, f" [{good} , {','.join(_ODD)}]\n".encode(), content_type="")
    else:
        answer = raw(service, "\n".join([good, *_ODD]).encode(), content_type=LINES)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 1
    assert [one["index"] for one in answer.json()["refused"]] == list(range(1, len(_ODD) + 1))
    stored(service, len(_ODD), "dead_letters")
    assert all(one["record"] for one in service.ok("GET", "/ingest/dead-letters")["letters"])


def test_an_event_that_is_no_utf8_is_refused_by_itself(service: Service) -> None:
    bad = b'{"t":"purchase","ts":1,"did":"a","props":{"note":"\xed\xa0\x80"}}'
    for body, media in ((b"[%s]" % bad, ""), (bad, LINES)):
        answer = raw(service, body, content_type=media)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 0), answer.text


def test_a_record_of_another_client_is_refused_with_all_of_it(service: Service) -> None:
    theirs = {**purchase("b"), "cid": service.client + 1}
    answer = service.call("POST", "/ingest/batch", [purchase("a"), theirs])
    assert answer.status_code == 403
    assert "record 1" in answer.json()["detail"]
    assert ("ingest.batch", "refused (403)") in [line[1:] for line in service.actions()]
    assert send(service, {**purchase("a"), "cid": service.client})["accepted"] == 1
    stored(service, 1)


def test_custom_events_are_taken(service: Service) -> None:
    event = {"t": "spun_the_wheel", "ts": NOW - 5_000, "did": "a", "props": {"prize": "hat"}}
    assert send(service, event)["accepted"] == 1
    stored(service, 1)


def test_refusals_are_dead_letters_that_can_be_corrected(service: Service) -> None:
    send(service, purchase("a", revenue="12.50"), purchase("b", revenue="?"), purchase("c"))
    stored(service, 2, "dead_letters")
    found = service.ok("GET", "/ingest/dead-letters")["letters"]
    assert [one["value"] for one in found] == ["12.50", "?"]
    first, second = found
    assert (first["field"], first["reason"]) == ("props.revenue", "expected number, found string")
    again = service.ok("POST", "/ingest/dead-letters/replay", {"ids": [first["id"]]})
    assert again["accepted"] == 0
    assert again["refused"][0]["reason"] == "expected number, found string"
    right = {**first["record"], "props": {**first["record"]["props"], "revenue": 12.5}}
    body = {"ids": [first["id"]], "corrected": {first["id"]: right}}
    assert service.ok("POST", "/ingest/dead-letters/replay", body)["accepted"] == 1
    stored(service, 2)
    left = service.ok("GET", "/ingest/dead-letters", None)["letters"]
    assert [one["id"] for one in left] == [second["id"]]
    assert service.call("POST", "/ingest/dead-letters/replay", body).status_code == 404
    (source,) = service.ok("GET", "/ingest/health")["sources"]
    assert source["reasons"] == [
        {"field": "props.revenue", "reason": "expected number, found string", "count": 1}
    ]


def test_a_correction_is_freed_of_identifiers(service: Service) -> None:
    send(
        service,
        {**purchase("a", revenue="much"), "props": {"phone": [["5512345678"]], "revenue": "x"}},
    )
    stored(service, 1, "dead_letters")
    (letter,) = service.ok("GET", "/ingest/dead-letters")["letters"]
    corrected = {**letter["record"], "props": {"revenue": 3, "email": "Ana.New@example.com"}}
    body = {"ids": [letter["id"]], "corrected": {letter["id"]: corrected}}
    assert service.ok("POST", "/ingest/dead-letters/replay", body)["accepted"] == 1
    stored(service, 1)
    written = repr(service.engine.rows("SELECT * FROM events")) + json.dumps(letter)
    assert "5512345678" not in written
    assert "ana.new" not in written.lower()


def test_what_is_sent_again_and_replayed_counts_once(service: Service) -> None:
    wrong = {"t": "purchase", "ts": NOW, "did": "a", "props": {"revenue": "much"}}
    send(service, wrong)
    service.house.clock = lambda: NOW + 1  # the same batch, received later
    send(service, wrong)
    stored(service, 2, "dead_letters")
    letters = service.ok("GET", "/ingest/dead-letters")["letters"]
    corrected = {one["id"]: {**one["record"], "props": {"revenue": 3}} for one in letters}
    body = {"ids": list(corrected), "corrected": corrected}
    answer = service.ok("POST", "/ingest/dead-letters/replay", body)
    assert (answer["accepted"], answer["duplicate"]) == (1, 1)


def test_letters_are_listed_in_pages(service: Service) -> None:
    send(service, *(purchase(f"d{n}", revenue=f"no {n}") for n in range(5)))
    stored(service, 5, "dead_letters")
    pages, after = [], ""
    while True:
        page = service.ok("GET", f"/ingest/dead-letters?limit=2&after={after}")
        pages.append([one["value"] for one in page["letters"]])
        after = page["next"]
        if after is None:
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(functools.reduce(operator.iadd, pages, [])) == [f"no {n}" for n in range(5)]
    assert service.ok("GET", "/ingest/dead-letters?reason=TS")["letters"] == []


def test_who_may_send(service: Service) -> None:
    only = service.token(Role.CLIENT_MANAGER, scopes=frozenset({"ingest.batch"}))
    assert send(service, purchase("a"), token=only)["accepted"] == 1
    assert service.call("GET", "/audiences", token=only).status_code == 403
    assert service.call("POST", "/ingest/batch", [], role=Role.PARTNER).status_code == 403


def test_a_withdrawal_takes_a_device_out_at_once(service: Service) -> None:
    old = NOW - 60 * 86_400_000
    send(service, *({**purchase(f"d{n}"), "ts": old} for n in range(30)))
    stored(service, 30)
    service.ok("POST", "/audiences/quiet/refresh")
    assert service.ok("GET", "/audiences/quiet/members/d7")["member"]
    # A phone whose clock is a year slow.
    send(service, {"t": "consent", "ts": NOW - 365 * 86_400_000, "did": "d7", "consent": 0})
    late = time.monotonic() + 20  # how long it takes is measured elsewhere
    while service.ok("GET", "/audiences/quiet/members/d7")["member"]:
        assert time.monotonic() < late
    service.ok("POST", "/audiences/quiet/refresh")
    assert not service.ok("GET", "/audiences/quiet/members/d7")["member"]
    assert service.ok("GET", "/audiences/quiet/members/d8")["member"]


def test_a_withdrawal_that_is_said_again_holds_again(service: Service) -> None:
    """Of a sender without ids whose times are days: the third is like the first."""

    def said(consent: int, at: int) -> None:
        service.house.clock = functools.partial(int, at)
        day = NOW - NOW % 86_400_000
        send(service, {"t": "consent", "ts": day, "did": "d7", "consent": consent})

    def flags() -> int:
        return int(
            service.engine.rows(
                "SELECT argMax(flags, time) FROM consent WHERE client_id = {c:UInt32}",
                {"c": service.client},
            )[0][0]
        )

    said(0, NOW)
    said(255, NOW + 1)
    stored(service, 3, "consent")
    assert flags() == 255
    said(0, NOW + 2)
    stored(service, 4, "consent")
    assert flags() == 0
    said(255, NOW + 3)  # a copy may be one that was sent again because the answer was lost
    send(service, purchase("a"))
    stored(service, 1)
    assert flags() == 0


def test_what_is_dated_far_ahead_is_refused(service: Service) -> None:
    day = 86_400_000
    usual = purchase("a", "a")
    unusual = {**purchase("b", "b"), "props": {"note": "a+b"}}
    for one in (usual, unusual):
        late = {**one, "ts": NOW + 2 * day + 1, "eid": one["eid"] + "x"}
        answer = send(service, {**one, "ts": NOW + 2 * day}, late)
        assert answer["accepted"] == 1
        (refused,) = answer["refused"]
        assert (refused["index"], refused["field"]) == (1, "ts")
        assert "two days ahead" in refused["reason"]
    stored(service, 2, "dead_letters")


@pytest.mark.parametrize("late", [False, True])
def test_a_clock_that_was_put_back_brings_nobody_back(service: Service, late: bool) -> None:
    old, day = NOW - 60 * 86_400_000, 86_400_000
    send(service, *({**purchase(f"d{n}"), "ts": old} for n in range(30)))
    stored(service, 30)

    def said(consent: int, at: int) -> None:
        service.house.clock = lambda: at
        one = {"t": "consent", "ts": at, "did": "d7", "consent": consent, "eid": f"c{at}"}
        send(service, one)

    def member() -> bool:
        service.ok("POST", "/audiences/quiet/refresh")
        return bool(service.ok("GET", "/audiences/quiet/members/d7")["member"])

    said(0 if late else 255, NOW + day)  # the clock was a day fast
    stored(service, 1, "consent")
    if not late:
        service.house.clock = lambda: NOW
        assert member()
        said(0, NOW + 1_000)
        stored(service, 2, "consent")
    for at in (NOW + 2_000, NOW + day - 1, NOW + day, NOW + 2 * day):
        service.house.clock = functools.partial(int, at)
        assert not member()


PLANTED = {
    "email": "Ana.Planted@example.com",
    "phone": "+52 55 1234 9876",
    "device": "planted-device-4711",
    "ip": "203.0.113.77",
    "gaid": "cdda802e-fb9c-47ad-9866-0794d394c912",
}


def test_no_raw_identifier_is_written_anywhere(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    for revenue in (100, f"paid by {PLANTED['email']} from {PLANTED['phone']}"):
        send(
            service,
            {
                **purchase(PLANTED["device"], revenue=revenue),
                "props": {
                    "revenue": revenue, "email": PLANTED["email"], "telefono": PLANTED["phone"],
                    "ip": PLANTED["ip"], "gaid": PLANTED["gaid"],
                    "note": f"call {PLANTED['phone']}",
                },
            },
            {"t": "identify", "ts": NOW, "did": PLANTED["device"],
             "traits": {"email": PLANTED["email"]}},
            {"t": "purchase", "ts": "?", "did": PLANTED["device"], "eid": PLANTED["email"]},
        )  # fmt: skip
    stored(service, 1)
    stored(service, 2, "dead_letters")
    told = json.dumps(service.ok("GET", "/ingest/dead-letters")) + caplog.text
    written = told.encode() + b"".join(
        path.read_bytes() for path in (service.folder / "data").rglob("*") if path.is_file()
    )
    for table in ("events", "traits", "dead_letters", "ingested"):
        written += repr(service.engine.rows(f"SELECT * FROM {table}")).encode()
    for text in PLANTED.values():
        assert text.encode() not in written
        assert text.lower().encode() not in written
    assert b"5512349876" not in written
