"""The short way for look-ups says what the whole way says, and leaves the rest to it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from relo_server.security.roles import Role
from tests.api.conftest import Service, buyers

_WHOLE = "?whole=1"  # a query is more than the short way knows


@pytest.fixture
def quiet(service: Service) -> Service:
    service.load(*buyers(3))
    service.ok("POST", "/audiences/quiet/refresh")
    return service


def both(service: Service, path: str, **more: Any) -> tuple[httpx.Response, httpx.Response]:
    token = more.pop("token", None) or service.token(more.pop("role", Role.ADMIN))
    first, second = (
        service.call("GET", path + query, token=token, **more) for query in ("", _WHOLE)
    )
    return first, second


def alike(service: Service, path: str, **more: Any) -> httpx.Response:
    """The answer of the short way, after seeing that the whole way's is the same."""
    first, second = both(service, path, **more)
    assert first.status_code == second.status_code
    varying = ("instance", "x-request-id", "date")
    bodies = [{k: v for k, v in one.json().items() if k not in varying} for one in (first, second)]
    assert bodies[0] == bodies[1]
    heads = [{k: v for k, v in one.headers.items() if k not in varying} for one in (first, second)]
    assert heads[0] == heads[1]
    return first


def test_members_and_others(quiet: Service) -> None:
    assert alike(quiet, "/audiences/quiet/members/d1").json()["member"] is True
    assert alike(quiet, "/audiences/quiet/members/d9").json()["member"] is False
    assert alike(quiet, "/audiences/quiet/members/ñ%20%22%F0%9F%99%82").json()["device"] == 'ñ "🙂'
    assert alike(quiet, "/audiences/nothing/members/d1").status_code == 404
    assert alike(quiet, "/audiences/a:b/members/d1").status_code == 422
    assert alike(quiet, "/audiences/quiet/members/d1", token="relo_1_x").status_code == 401
    some = frozenset({"segments.*"})
    scoped = quiet.token(scopes=some)
    assert alike(quiet, "/audiences/quiet/members/d1", token=scoped).status_code == 403


def test_the_answer_is_of_the_version_that_holds(quiet: Service) -> None:
    before = alike(quiet, "/audiences/quiet/members/d7").json()
    assert not before["member"]
    quiet.load({"did": "d7", "ago": 61, "props": {"revenue": 5, "product_line": "MX"}})
    quiet.ok("POST", "/audiences/quiet/refresh")
    after = alike(quiet, "/audiences/quiet/members/d7").json()
    assert after["member"]
    assert after["version"] > before["version"]
    assert after["age_seconds"] == 0


def test_a_set_that_was_changed_by_somebody_else_answers_nothing(quiet: Service) -> None:
    info = quiet.house.sets.info(quiet.client, "quiet")
    assert info is not None
    alike(quiet, "/audiences/quiet/members/d1")
    quiet.house.sets._redis.srem(info.key, "x", next(quiet.house.sets.found(quiet.client, "quiet")))
    assert alike(quiet, "/audiences/quiet/members/d1").status_code == 503


def test_a_revoked_token_is_none(quiet: Service) -> None:
    token = quiet.token()
    assert alike(quiet, "/audiences/quiet/members/d1", token=token).status_code == 200
    for one in quiet.ok("GET", "/tokens")["tokens"]:
        if token.endswith(one["hint"].split("…")[1]):
            quiet.ok("DELETE", f"/tokens/{one['id']}")
    assert alike(quiet, "/audiences/quiet/members/d1", token=token).status_code == 401


def test_it_is_noted_counted_and_told(quiet: Service) -> None:
    for number in range(3):
        answer = quiet.call(
            "GET", f"/audiences/quiet/members/d{number}", x_request_id=f"mine{number}"
        )
        assert answer.headers["x-request-id"] == f"mine{number}"
    quiet.house.notes.close()
    lines = [line for line in quiet.actions() if line[1] == "audiences.member"]
    assert [outcome for *_, outcome in lines] == ["done (200)"] * 3
    assert 'relo_requests_total{operation="audiences.member",status="200"} 3.0' in (
        quiet.app.state.metrics.text().decode()
    )


def test_over_the_limit(quiet: Service) -> None:
    quiet.house.rates._own = type(quiet.house.rates._own)(5)
    token = quiet.token()
    found = [
        quiet.call("GET", "/audiences/quiet/members/d1", token=token).status_code for _ in range(8)
    ]
    assert found == [200] * 5 + [429] * 3
