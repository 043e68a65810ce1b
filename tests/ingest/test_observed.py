"""Events that nobody has described yet: accepted, and shown by `GET /catalog`."""

from __future__ import annotations

from relo_dsl.times import UNITS, format_instant
from relo_server.security.roles import Role
from tests.api.conftest import NOW, Service
from tests.ingest.test_batch import purchase, send, stored

DAY = UNITS["d"]


def test_events_that_no_catalog_names(service: Service) -> None:
    send(
        service,
        purchase("a"),
        {"t": "quiz", "ts": NOW - DAY, "did": "a", "props": {"score": 3, "revenue": 9, "tags": []}},
        {"t": "quiz", "ts": NOW - 2 * DAY, "did": "b", "props": {"score": "high", "won": True}},
        {"t": "spin", "ts": NOW - 3 * DAY, "did": "b"},
        {"t": "long_ago", "ts": NOW - 31 * DAY, "did": "b"},
    )
    stored(service, 5)
    found = service.ok("GET", "/catalog")["observed"]
    assert list(found) == ["quiz", "spin"]
    assert found["quiz"] == {
        "last": format_instant(NOW - DAY),
        "properties": {
            "revenue": ["number"], "score": ["number", "string"], "tags": ["array"],
            "won": ["boolean"],
        },
    }  # fmt: skip
    assert found["spin"]["properties"] == {}
    partner = service.ok("GET", "/catalog", role=Role.PARTNER)["observed"]
    assert "revenue" not in partner["quiz"]["properties"]


def test_another_client_sees_none(service: Service) -> None:
    send(service, {"t": "quiz", "ts": NOW - DAY, "did": "a"})
    stored(service, 1)
    assert service.ok("GET", "/catalog", client=service.client + 700_000)["observed"] == {}
