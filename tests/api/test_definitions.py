"""Definitions over HTTP: as text, and kept by the service."""

from __future__ import annotations

import json
from typing import Any

from relo_dsl.engine.key import device_key
from relo_server.estimate import ONE_IN
from relo_server.security.roles import Role
from tests.api.conftest import QUIET, Service, buyers

TEXT = "audience fresh\n\nmatch\n  purchase within 30d\n"


def test_every_mistake_with_its_place(service: Service) -> None:
    text = "audience a\nmatch\n  purchas and count(visit) > many\n"
    found = service.ok("POST", "/segments/check", {"text": text})
    assert found["valid"] is False
    first, *others = found["diagnostics"]
    assert (first["code"], first["line"], first["column"]) == ("unknown-event", 3, 3)
    assert others
    answer = service.call("POST", "/segments/compile", {"text": text})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"] == "urn:relo:problem:definition"
    assert problem["diagnostics"][0]["help"] == "did you mean `purchase`?"


def test_what_a_definition_turns_into(service: Service) -> None:
    found = service.ok("POST", "/segments/compile", {"text": TEXT, "at": "2026-06-15T12:00:00Z"})
    (made,) = found["definitions"]
    assert found["at"] == "2026-06-15T12:00:00.000Z"
    assert made["sql"].startswith("WITH withheld AS")
    assert made["params"]["client"] == service.client
    told = service.call("POST", "/segments/explain", {"text": TEXT}, accept_language="es, en;q=0.5")
    assert told.json()["language"] == "es"
    assert "compra" in told.text or "días" in told.text
    laid = service.ok(
        "POST", "/segments/format", {"text": "audience fresh match purchase within 30d"}
    )
    assert laid == {"text": TEXT, "changed": True}


def test_a_draft_may_refer_to_what_is_kept(service: Service) -> None:
    service.load(*buyers(22), *buyers(5, ago=2))
    text = "audience both match in segment quiet and purchase\n"
    assert service.call("POST", "/segments/check", {"text": text}).status_code == 200
    kept = "audience other match in audience quiet"
    assert service.ok("POST", "/segments/check", {"text": kept})["diagnostics"]


def test_sizes_clause_by_clause(service: Service) -> None:
    service.load(*buyers(30), *buyers(5, ago=2))
    (found,) = service.ok("POST", "/segments/preview", {"text": QUIET, "sample": 3})["definitions"]
    assert (found["size"], found["universe"], len(found["sample"])) == (25, 30, 3)
    assert [step["survive"] for step in found["clauses"]] == [30, 25]
    (seen,) = service.ok("POST", "/segments/preview", {"text": QUIET, "sample": 3},
                         role=Role.VIEWER)["definitions"]  # fmt: skip
    assert "sample" not in seen
    text = "audience few match purchase within 10d"
    (few,) = service.ok("POST", "/segments/preview", {"text": text}, role=Role.VIEWER)[
        "definitions"
    ]
    assert (few["size"], few["share"], few["clauses"][0]["survive"]) == ("<20", None, "<20")


def _typical(service: Service, count: int) -> list[dict[str, Any]]:
    """Buyers of whom as many are in the sample as is to be expected: the installation's key, and
    with it the sample, is another each time, and 5 intervals of 100 are beside the truth.
    """
    end = (2**128 // ONE_IN).to_bytes(16, "big")
    inside: list[dict[str, Any]] = []
    outside: list[dict[str, Any]] = []
    for buyer in buyers(count * 3):
        key = device_key(service.house.key, service.client, buyer["did"])
        (inside if key < end else outside).append(buyer)
    expected = round(count / ONE_IN)
    assert len(inside) >= expected
    return inside[:expected] + outside[: count - expected]


def test_an_estimate_then_the_exact_count(service: Service) -> None:
    service.load(*_typical(service, 400))
    answer = service.call("POST", "/segments/estimate", {"text": QUIET})
    first, second = map(json.loads, answer.text.splitlines())
    assert (first["method"], second["method"]) == ("sample", "exact")
    assert first["low"] <= 400 <= first["high"]
    assert (second["size"], second["low"], second["high"]) == (400, 400, 400)
    ranked = "audience r match purchase keep top 10 by count(purchase)"
    (only,) = map(json.loads, service.call(
        "POST", "/segments/estimate", {"text": ranked}).text.splitlines())  # fmt: skip
    assert (only["method"], only["size"]) == ("exact", 10)
    hidden = service.call("POST", "/segments/estimate", {"text": "audience n match visit"},
                          role=Role.VIEWER)  # fmt: skip
    for line in map(json.loads, hidden.text.splitlines()):
        assert (line["size"], line["low"], line["high"]) == ("<20", None, None)


# ---- kept ----------------------------------------------------------------------------------------


def put(service: Service, name: str, text: str, **headers: Any) -> Any:
    return service.call("PUT", f"/audiences/{name}", {"text": text}, **headers)


def test_written_read_changed_and_taken_away(service: Service) -> None:
    made = put(service, "fresh", TEXT, if_none_match="*")
    assert made.status_code == 201
    etag = made.headers["etag"]
    assert put(service, "fresh", TEXT, if_none_match="*").status_code == 412
    read = service.call("GET", "/audiences/fresh")
    assert read.headers["etag"] == etag
    assert read.json()["text"] == TEXT
    other = TEXT.replace("30d", "7d")
    assert put(service, "fresh", other, if_match='"old"').status_code == 412
    changed = put(service, "fresh", other, if_match=etag)
    assert (changed.status_code, changed.json()["etag"]) != (200, etag)
    assert put(service, "fresh", TEXT, if_match=etag).json()["type"] == "urn:relo:problem:changed"
    service.ok("POST", "/audiences/fresh/refresh")
    assert service.house.sets.info(service.client, "fresh") is not None
    assert service.call("DELETE", "/audiences/fresh", if_match=etag).status_code == 412
    assert service.call("DELETE", "/audiences/fresh").status_code == 204
    assert service.house.sets.info(service.client, "fresh") is None
    assert service.call("GET", "/audiences/fresh").status_code == 404


def test_what_a_file_owns_is_changed_there(service: Service) -> None:
    for answer in (
        put(service, "quiet", QUIET), service.call("DELETE", "/audiences/quiet"),
    ):  # fmt: skip
        assert answer.status_code == 409
        assert "segments/quiet.seg" in answer.json()["detail"]


def test_what_is_not_written(service: Service) -> None:
    wrong = {
        "fresh": "audience other match purchase",
        "a": "audience a match purchas",
        "s": "segment s match purchase",
        "two": "audience two match purchase\naudience three match purchase",
        "none": "",
        "elsewhere": f"audience elsewhere\n  client {service.client + 1}\nmatch purchase",
    }
    for name, text in wrong.items():
        answer = put(service, name, text)
        assert answer.status_code in (403, 422), (name, answer.text)
        assert service.call("GET", f"/audiences/{name}").status_code == 404


def test_pages_and_filters(service: Service) -> None:
    for number in range(5):
        kind = "suppression" if number % 2 else "winback"
        text = f"audience a{number}\n  type {kind}\n  tags x{number}\nmatch purchase\n"
        assert put(service, f"a{number}", text).status_code == 201
    seen, cursor = [], ""
    while cursor is not None:
        page = service.ok("GET", f"/audiences?limit=2{cursor and f'&cursor={cursor}'}")
        seen += [one["name"] for one in page["audiences"]]
        cursor = page["next"]
    assert seen == ["a0", "a1", "a2", "a3", "a4", "quiet"]

    def names(query: str) -> list[str]:
        return [one["name"] for one in service.ok("GET", f"/audiences?{query}")["audiences"]]

    assert names("type=suppression") == ["a1", "a3"]
    assert names("tag=x2") == ["a2"]
    assert names("prefix=q") == ["quiet"]


def test_nothing_of_another_client(service: Service) -> None:
    assert put(service, "fresh", TEXT).status_code == 201
    service.load(*buyers(25))
    service.ok("POST", "/audiences/fresh/refresh")
    other = service.client + 500_000
    assert service.ok("GET", "/audiences", client=other) == {"audiences": [], "next": None}
    for method, path in (
        ("GET", "/audiences/fresh"), ("GET", "/audiences/fresh/versions"),
        ("GET", "/audiences/fresh/members"), ("GET", "/audiences/fresh/members/d1"),
        ("POST", "/audiences/fresh/refresh"), ("POST", "/audiences/fresh/verify"),
        ("GET", "/audiences/quiet"),
    ):  # fmt: skip
        assert service.call(method, path, client=other).status_code == 404, path
    (found,) = service.ok("POST", "/segments/preview", {"text": TEXT}, client=other)["definitions"]
    assert (found["universe"], found["size"]) == (0, 0)
    asked = service.ok("POST", "/memberships", {"devices": ["d1"], "audiences": ["fresh"]},
                       client=other)  # fmt: skip
    assert asked["audiences"] == {"fresh": None}
