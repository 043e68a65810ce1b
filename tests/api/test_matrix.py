"""Who may do what: every route of the application beside the table of roles."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from relo_server.api.app import routes_of
from relo_server.api.callers import called
from relo_server.security.roles import OPERATIONS, Operation, Role
from tests.api.conftest import Service

#: Served by a mount, or there for programs alone.
_MOUNTED = {"docs-static"}


def test_every_route_is_an_operation_of_the_table_and_the_other_way_round(service: Service) -> None:
    routes = routes_of(service.app)
    found = {route.name: (next(iter(route.methods or ())), route.path) for route in routes}
    assert found == {name: (one.method, one.path) for name, one in OPERATIONS.items()}
    everything = {route.name for route in iter_route_contexts(service.app.routes)}
    assert everything - set(found) == _MOUNTED


def test_every_route_that_is_not_public_asks_for_a_credential(service: Service) -> None:
    for route in routes_of(service.app):
        assert isinstance(route.original_route, APIRoute)
        asks = any(one.call is called for one in route.original_route.dependant.dependencies)
        assert asks is not OPERATIONS[str(route.name)].public, route.name


def requests() -> Iterator[tuple[Operation, Role]]:
    for operation in OPERATIONS.values():
        if not operation.public:
            yield from ((operation, role) for role in Role)


def test_what_each_role_may_do_is_what_the_table_says(service: Service) -> None:
    for operation, role in requests():
        path = re.sub(r"\{\w+\}", "none", operation.path)
        answer = service.call(operation.method, path, role=role)
        if role in operation.roles:
            assert answer.status_code not in (401, 403), (operation.name, role, answer.text)
        else:
            assert answer.status_code == 403, (operation.name, role, answer.text)
            assert answer.json()["type"] == "urn:relo:problem:not_allowed"
            assert service.actions()[-1][1:] == (operation.name, "refused (403)")


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if not one.public])
def test_nobody_without_a_credential(service: Service, name: str) -> None:
    operation = OPERATIONS[name]
    path = operation.path.replace("{", "").replace("}", "")
    for headers in ({}, {"authorization": "Bearer relo_1_no"}, {"authorization": "Basic YTpi"}):
        answer = service.http.request(operation.method, path, headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_scope_narrows_a_token(service: Service) -> None:
    token = service.token(scopes=frozenset({"segments.*"}))
    good = {"text": "audience a match purchase"}
    assert service.call("POST", "/segments/check", good, token=token).status_code == 200
    assert service.call("GET", "/audiences", token=token).status_code == 403


def test_a_revoked_token_ends_at_once(service: Service) -> None:
    token = service.token()
    assert service.call("GET", "/audiences", token=token).status_code == 200
    known = service.ok("GET", "/tokens")["tokens"]
    (own,) = [one["id"] for one in known if token.endswith(one["hint"][-4:])]
    service.ok("DELETE", f"/tokens/{own}")
    assert service.call("GET", "/audiences", token=token).status_code == 401
    assert service.actions()[-1][2] == "refused (401, revoked)"
