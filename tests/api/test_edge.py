"""What every request passes: ids, sizes, headers, limits, problems, sessions, the office."""

from __future__ import annotations

from typing import Any

import pytest

from relo_server.security.roles import Role
from tests.api.conftest import NOW, Service

PASSWORD = "correct horse battery"


def test_ids_and_headers(service: Service) -> None:
    answer = service.call("GET", "/nothing", x_request_id="mine-1")
    assert answer.status_code == 404
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.json()["instance"] == "urn:relo:request:mine-1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.call("GET", "/audiences", x_request_id="no good").headers["x-request-id"] != (
        "no good"
    )
    for name in ("x-content-type-options", "content-security-policy", "referrer-policy"):
        assert name in answer.headers
    assert (
        "access-control-allow-origin"
        not in service.call("GET", "/audiences", origin="https://elsewhere.example").headers
    )
    assert service.call("PATCH", "/audiences").status_code == 405


def test_too_large_a_body(service: Service) -> None:
    largest = service.house.settings.service.largest_body
    headers = {"authorization": f"Bearer {service.token()}"}
    whole = service.http.post("/segments/check", content=b"x" * (largest + 1), headers=headers)
    assert whole.status_code == 413
    parts = (b"x" * 100_000 for _ in range(largest // 100_000 + 2))
    assert service.http.post("/segments/check", content=parts, headers=headers).status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"text": 5}', b'{"text": "a", "more": 1}'])
def test_what_is_no_request(service: Service, body: bytes) -> None:
    headers = {"authorization": f"Bearer {service.token()}", "content-type": "application/json"}
    answer = service.http.post("/segments/check", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_too_many_requests(service: Service) -> None:
    from relo_server.api.rates import Rates

    few = service.house.settings.service.model_copy(update={"requests_per_minute": 3})
    service.house.rates = Rates(service.house.sets, few)
    token = service.token()
    codes = [service.call("GET", "/catalog", token=token).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    answer = service.call("GET", "/catalog", token=token)
    assert 1 <= int(answer.headers["retry-after"]) <= 61
    assert service.call("GET", "/catalog").status_code == 200, "another token may"


def test_a_store_that_is_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from relo_server.sets import SetsError

    def away(*_: Any) -> None:
        raise SetsError("the set server cannot be reached")

    monkeypatch.setattr(service.house.sets, "ask", away)
    monkeypatch.setattr(service.house.sets, "info", away)
    answer = service.call("GET", "/audiences/quiet/members/d1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    ready = service.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["parts"]["sets"] == "the set server cannot be reached"
    assert ready.json()["parts"]["events"] == "ok"


def test_a_catalog_that_cannot_be_used(service: Service) -> None:
    catalog = service.folder / "segments/catalog.yaml"
    text = catalog.read_text()
    for broken in ("events: [", None):
        catalog.write_text(broken) if broken else catalog.unlink()
        answer = service.call("GET", "/catalog")
        assert answer.status_code == 503, answer.text
        assert "the service's catalog cannot be used" in answer.json()["detail"]
        assert service.http.get("/readyz").json()["parts"]["definitions"] != "ok"
    catalog.write_text(text)
    assert service.call("GET", "/catalog").status_code == 200


def test_what_nobody_thought_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(service.house.sets, "ask", broken)
    answer = service.call("GET", "/audiences/quiet/members/d1")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    service.ok("GET", "/audiences")  # what is urgent takes all along that waits
    assert service.actions()[-2][1:] == ("audiences.member", "failed (500)")


# ---- people --------------------------------------------------------------------------------------


def login(service: Service, password: str = PASSWORD) -> Any:
    body = {"client_id": service.client, "name": "ana", "password": password}
    return service.http.post("/session", json=body)


@pytest.fixture
def ana(service: Service) -> dict[str, Any]:
    body = {"name": "ana", "role": "client_manager", "password": PASSWORD}
    made: dict[str, Any] = service.ok("POST", "/users", body)
    return made


def test_a_session_from_login_to_logout(service: Service, ana: dict[str, Any]) -> None:
    assert login(service, "wrong").status_code == 401
    assert service.actions()[-1][1:] == ("session.login", "refused (401, unknown)")
    first = login(service).json()
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 600)
    assert service.call("GET", "/audiences", token=first["access_token"]).status_code == 200
    assert service.call("GET", "/tokens", token=first["access_token"]).status_code == 403
    assert (f"user:{ana['id']}", "audiences.list", "done (200)") in service.actions()
    second = service.http.post("/session/refresh", json={"refresh_token": first["refresh_token"]})
    assert second.status_code == 200
    again = service.http.post("/session/refresh", json={"refresh_token": first["refresh_token"]})
    assert again.status_code == 401, "it was used before: the whole session ends"
    last = {"refresh_token": second.json()["refresh_token"]}
    assert service.http.post("/session/refresh", json=last).status_code == 401
    third = login(service).json()
    out = service.http.request("DELETE", "/session", json={"refresh_token": third["refresh_token"]})
    assert out.status_code == 204
    gone = service.http.post("/session/refresh", json={"refresh_token": third["refresh_token"]})
    assert gone.status_code == 401


def test_an_access_token_ends(service: Service, ana: dict[str, Any]) -> None:
    assert ana
    token = login(service).json()["access_token"]
    service.house.clock = lambda: NOW + 601_000
    assert service.call("GET", "/audiences", token=token).status_code == 401
    service.house.clock = lambda: NOW


def test_people_change(service: Service, ana: dict[str, Any]) -> None:
    path = f"/users/{ana['id']}"
    assert service.ok("PATCH", path, {"role": "viewer"})["role"] == "viewer"
    assert service.ok("PATCH", path, {"disabled": True})["disabled"] is not None
    assert login(service).status_code == 401
    assert service.ok("PATCH", path, {"disabled": False})["disabled"] is None
    assert login(service).status_code == 200
    assert service.ok("GET", "/users")["users"][0]["name"] == "ana"
    assert service.call("PATCH", "/users/none", {"role": "viewer"}).status_code == 404
    assert PASSWORD not in service.call("GET", "/users").text


def test_tokens_over_http(service: Service) -> None:
    made = service.call("POST", "/tokens", {"name": "x", "role": "viewer", "expires": "90d"})
    assert made.status_code == 201
    token = made.json()["token"]
    assert service.call("GET", "/audiences", token=token).status_code == 200
    assert token not in service.call("GET", "/tokens").text
    assert service.ok("DELETE", f"/tokens/{made.json()['id']}")["state"] == "revoked"
    assert service.call("GET", "/audiences", token=token).status_code == 401
    assert service.call("DELETE", "/tokens/none").status_code == 404
    bad = service.call("POST", "/tokens", {"name": "x", "role": "viewer", "expires": "soon"})
    assert (bad.status_code, bad.json()["detail"]) == (
        422, "`soon` is neither a duration nor a time",
    )  # fmt: skip


def test_the_audit_over_http(service: Service) -> None:
    service.call("GET", "/audiences")
    lines = service.ok("GET", "/audit?action=audiences.list")["lines"]
    assert [line["outcome"] for line in lines] == ["done (200)"]
    assert lines[0]["address"] == "127.0.0.1"
    proof = service.ok("POST", "/audit/verify")
    assert (proof["whole"], proof["findings"]) == (True, [])
    assert service.call("GET", "/audit", role=Role.CLIENT_MANAGER).status_code == 403


def test_the_description_works_without_a_network(service: Service) -> None:
    page = service.http.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"docs-static/{name}" in page
        assert service.http.get(f"/docs-static/{name}").status_code == 200
    found = service.http.get("/openapi.json").json()
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                assert "example" in str(content) or "example" in str(_schema(found, content)), path


def _schema(found: dict[str, Any], content: dict[str, Any]) -> Any:
    reference = content["schema"].get("$ref") or content["schema"]["anyOf"][0]["$ref"]
    return found["components"]["schemas"][reference.rpartition("/")[2]]
