"""`POST /audiences/build`: a form becomes a definition, and that a set."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from relo_dsl.engine import Engine
from tests.api.conftest import NOW, Service, buyers

ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def form(service: Service, **more: Any) -> dict[str, Any]:
    return {
        "client_id": service.client, "name": "winback_mx", "audience_type": "winback",
        "within_days": 180, "inactive_days": 30, "min_revenue": 50,
        "filter": {"product_line": "MX", "require_consent": True}, **more,
    }  # fmt: skip


def test_the_request_and_the_answer_that_users_know(service: Service) -> None:
    service.load(*buyers(25), *buyers(3, ago=2))
    service.load({"did": "us", "ago": 60, "props": {"revenue": 100, "product_line": "US"}})
    service.load({"did": "poor", "ago": 60, "props": {"revenue": 49.99, "product_line": "MX"}})
    found = service.ok("POST", "/audiences/build", form(service))
    assert ULID.fullmatch(found["audience_id"])
    assert (found["name"], found["device_count"], found["status"]) == (
        "winback_mx", 22, "published",
    )  # fmt: skip
    assert found["built_at"].endswith("Z")
    assert found["text"] == (
        "audience winback_mx\n  type winback\n\nmatch\n"
        '  purchase[product_line = "MX" and revenue >= 50] within 180d\n'
        "  and no purchase within 30d\n"
    )
    assert service.ok("GET", "/audiences/winback_mx")["device_count"] == 22
    again = service.ok("POST", "/audiences/build", form(service, min_revenue=1000))
    assert again["audience_id"] == found["audience_id"]
    assert again["device_count"] == 0


def test_nobody_without_consent(service: Service) -> None:
    service.load(*buyers(25))
    service.load({"t": "consent", "did": "d7", "ago": 1, "consent": 0})
    found = service.ok("POST", "/audiences/build", form(service))
    assert found["device_count"] == 24
    asked = service.ok(
        "POST", "/memberships", {"devices": ["d7", "d8"], "audiences": ["winback_mx"]}
    )
    assert asked["audiences"]["winback_mx"]["members"] == {"d7": False, "d8": True}


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"filter": {"product_lin": "MX"}}, 422, "a purchase has no property `product_lin`"),
        ({"filter": {"require_consent": False}}, 422, "consent cannot be left out"),
        ({"filter": {"product_line": []}}, 422, "`product_line` has no value"),
        ({"filter": {"product_line": 5}}, 422, "the definition has 1 error"),
        ({"min_revenu": 5}, 422, "the request is not as it is described"),
        ({"within_days": 0}, 422, "the request is not as it is described"),
        ({"audience_type": "retarget"}, 422, "the request is not as it is described"),
        ({"name": "a b"}, 422, "the request is not as it is described"),
        ({"name": "quiet"}, 409, "`quiet` is defined in `segments/quiet.seg`"),
        ({"client_id": 1}, 403, "this credential is for client"),
    ],
)
def test_what_is_wrong_with_a_form(
    service: Service, more: dict[str, Any], status: int, says: str
) -> None:
    answer = service.call("POST", "/audiences/build", form(service, **more))
    assert answer.status_code == status, answer.text
    assert says in answer.json()["detail"]
    assert "winback_mx" not in {one["name"] for one in service.ok("GET", "/audiences")["audiences"]}


def test_a_body_that_names_another_client_is_noted(service: Service) -> None:
    service.call("POST", "/audiences/build", form(service, client_id=1))
    assert service.actions()[-1][1:] == ("audiences.build", "refused (403)")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"filter": {"gift": True}}, "purchase[gift = true] within 180d"),
        ({"filter": {"product_line": ["MX", "US"]}}, 'product_line in ("MX", "US")'),
        ({"filter": {"revenue": 10.5}, "within_days": None}, "purchase[revenue = 10.5]\n"),
        ({"filter": {"require_consent": ["email", "push"]}}, "  require consent email, push\n"),
        ({"filter": {"require_consent": 36}}, "  require consent 36\n"),
        ({"filter": {}, "inactive_days": None}, "match\n  purchase within 180d\n"),
    ],
)
def test_what_else_a_form_can_say(service: Service, given: dict[str, Any], line: str) -> None:
    found = service.ok("POST", "/audiences/build", form(service, min_revenue=None, **{
        "inactive_days": 30, **given}))  # fmt: skip
    assert line in found["text"]


def test_a_build_that_takes_long_is_told_of_later(service: Service) -> None:
    service.load(*buyers(3))
    go_on = threading.Event()

    def hold(_engine: Engine) -> bool:
        return go_on.wait(60)

    service.house.building.submit(hold)
    answer = service.call("POST", "/audiences/build?wait=0.1", form(service))
    assert answer.status_code == 202
    where = answer.headers["location"]
    assert service.ok("GET", where)["status"] == "building"
    # Who looks does not wait for it.
    assert service.ok("POST", "/segments/preview", {"text": "audience a match purchase"})
    go_on.set()
    service.house.building.submit(lambda _: None).result(60)
    done = service.ok("GET", where)
    assert (done["status"], done["device_count"]) == ("published", 3)
    assert service.call("GET", where, client=service.client + 500_000).status_code == 404


def test_a_key_makes_a_repetition_harmless(service: Service) -> None:
    service.load(*buyers(3))
    first = service.call("POST", "/audiences/build", form(service), idempotency_key="k1")
    service.load({"did": "late", "ago": 60, "props": {"revenue": 100, "product_line": "MX"}})
    again = service.call("POST", "/audiences/build", form(service), idempotency_key="k1")
    assert again.json() == first.json()
    other = service.call(
        "POST", "/audiences/build", form(service, min_revenue=1), idempotency_key="k1"
    )
    assert (other.status_code, other.json()["type"]) == (422, "urn:relo:problem:idempotency")
    fresh = service.ok("POST", "/audiences/build", form(service), idempotency_key="k2")
    assert fresh["device_count"] == 4


def test_a_key_whose_request_was_lost(service: Service) -> None:
    from relo_server.platform.models import IdempotencyKey

    assert service.ok("POST", "/audiences/build", form(service), idempotency_key="k")
    with service.house.platform.tenant(service.client) as session:
        row = session.get(IdempotencyKey, (service.client, "k"))
        assert row is not None
        row.status = row.answer = None
    waiting = service.call("POST", "/audiences/build", form(service), idempotency_key="k")
    assert (waiting.status_code, waiting.headers["retry-after"]) == (409, "1")
    service.house.clock = lambda: NOW + 16 * 60_000
    assert service.ok("POST", "/audiences/build", form(service), idempotency_key="k")


def test_what_failed_may_be_tried_with_the_same_key(service: Service) -> None:
    bad = form(service, filter={"nix": 1})
    assert service.call("POST", "/audiences/build", bad, idempotency_key="k").status_code == 422
    assert service.ok("POST", "/audiences/build", form(service), idempotency_key="k")
