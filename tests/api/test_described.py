"""What the API answers to anything at all is what its description says: no 5xx, no other status."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from relo_server.api.rates import Rates
from relo_server.security.roles import OPERATIONS, Role
from tests.api.conftest import Service, buyers

_CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
#: Examples of each operation and role.
_EXAMPLES = int(os.environ.get("API_EXAMPLES", "3"))


@pytest.fixture
def described(service: Service) -> Any:
    many = {"requests_per_minute": 10**6, "client_requests_per_minute": 10**6}
    limits = service.house.settings.service.model_copy(update=many)
    service.house.rates = Rates(service.house.sets, limits)
    service.load(*buyers(25))
    service.ok("POST", "/audiences/quiet/refresh")
    return schemathesis.openapi.from_url(f"{service.http.base_url}/openapi.json")


@pytest.mark.parametrize("role", list(Role))
def test_any_request_at_all(service: Service, described: Any, role: Role) -> None:
    headers = {"authorization": f"Bearer {service.token(role)}"}
    asked = set()
    for found in described.get_all_operations():
        operation = found.ok()
        asked.add((operation.method.upper(), operation.path))
        _ask(operation, headers)
    documented = {(one.method, one.path) for one in OPERATIONS.values()}
    assert documented - asked == {("GET", "/docs"), ("GET", "/openapi.json")}
    lines = [line for line in service.actions() if line[1] == "segments.check"]
    assert len(lines) >= _EXAMPLES


def _ask(operation: Any, headers: dict[str, str]) -> None:
    """Asks an operation with bodies, paths and queries that are as described."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=_EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=_CHECKS, timeout=60)

    ask()
