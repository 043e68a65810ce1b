"""The table of roles: complete, strict, and printed in the documentation as it is."""

from __future__ import annotations

import click
import pytest

from relo_dsl.cli.main import relo
from relo_server.security.principals import Principal
from relo_server.security.roles import (
    OPERATIONS,
    ROLES,
    Role,
    allowed,
    in_scope,
    known_scope,
    shown_count,
)
from tests.security.roles_page import PAGE, updated

#: Every request that the service is to answer.
REQUESTS = """
POST /audiences/build
POST /segments/check
POST /segments/compile
POST /segments/format
POST /segments/explain
POST /segments/preview
POST /segments/estimate
GET /audiences
GET /audiences/{name}
PUT /audiences/{name}
DELETE /audiences/{name}
POST /audiences/{name}/refresh
POST /audiences/{name}/rollback
POST /audiences/{name}/verify
GET /audiences/{name}/versions
GET /audiences/{name}/history
GET /audiences/{name}/diff
GET /audiences/{name}/members
GET /audiences/{name}/members/{device}
GET /audiences/{name}/live
POST /memberships
GET /catalog
GET /schedule
GET /healthz
GET /readyz
GET /metrics
GET /docs
"""


@pytest.mark.parametrize("request_line", REQUESTS.split("\n")[1:-1])
def test_every_request_has_an_entry(request_line: str) -> None:
    known = {f"{one.method} {one.path}" for one in OPERATIONS.values()}
    assert request_line in known


def test_requests_and_names_are_unique() -> None:
    requests = [(one.method, one.path) for one in OPERATIONS.values()]
    assert len(set(requests)) == len(requests)
    assert all(name == one.name for name, one in OPERATIONS.items())


@pytest.mark.parametrize("role", [*Role, None])
def test_what_is_not_in_the_table_is_allowed_to_nobody(role: Role | None) -> None:
    for operation in ("", "audiences", "audiences.*", "AUDIENCES.READ", "audiences.burn"):
        assert not allowed(role, operation)


def test_without_a_credential_only_what_is_public() -> None:
    assert {name for name in OPERATIONS if allowed(None, name)} == {
        "session.login", "session.refresh", "session.logout",
        "service.health", "service.ready", "service.schema", "service.docs", "links.follow",
        "pixel.script", "pixel.send", "pixel.device", "postbacks.appsflyer",
    }  # fmt: skip


def test_who_may_see_members_is_who_may_ask_for_them() -> None:
    for operation in ("audiences.members", "audiences.member", "memberships.read"):
        assert {role for role in Role if allowed(role, operation)} == {
            role for role in Role if ROLES[role].members
        }


def test_only_managers_change_anything_and_only_admins_people() -> None:
    reading = {"GET"}
    for one in OPERATIONS.values():
        if one.name.startswith(("tokens.", "users.", "audit.", "privacy.")):
            assert one.roles == {Role.ADMIN}
        elif one.method not in reading and not one.public and not one.name.startswith("segments."):
            assert one.roles == {Role.ADMIN, Role.CLIENT_MANAGER}


def test_partners_never_see_revenue() -> None:
    assert [role for role in Role if not ROLES[role].revenue] == [Role.PARTNER]


@pytest.mark.parametrize(("count", "shown"), [(0, "<20"), (19, "<20"), (20, 20), (21, 21)])
def test_small_counts(count: int, shown: int | str) -> None:
    assert shown_count(Role.PARTNER, count) == shown_count(Role.VIEWER, count) == shown
    assert shown_count(Role.ADMIN, count) == shown_count(Role.CLIENT_MANAGER, count) == count


def test_scopes() -> None:
    assert all(known_scope(name) for name in OPERATIONS)
    assert known_scope("audit.*")
    assert not any(known_scope(name) for name in ("audit", "audi*", "*", "a.*", "audit.re*"))
    scopes = frozenset({"audit.*", "audiences.read"})
    kept = {name for name in OPERATIONS if in_scope(scopes, name)}
    assert kept == {"audit.read", "audit.verify", "audiences.read"}
    viewer = Principal(3, "token:x", "x", Role.VIEWER, scopes)
    assert {name for name in OPERATIONS if viewer.may(name)} == {"audiences.read"}
    assert not Principal(3, "token:x", "x", Role.ADMIN, frozenset()).may("audit.read")


def test_the_page_is_printed_from_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert updated(text) == text, "python -m tests.security.roles_page"
    for name in OPERATIONS:
        assert f"`{name}`" in text


@pytest.mark.parametrize(("group", "name"), [("token", "create"), ("user", "add")])
def test_the_commands_know_every_role(group: str, name: str) -> None:
    command = relo.get_command(click.Context(relo), group)
    assert isinstance(command, click.Group)
    (option,) = [one for one in command.commands[name].params if one.name == "role"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == [role.value for role in Role]
