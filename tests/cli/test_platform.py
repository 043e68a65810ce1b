"""`relo token`, `relo user` and `relo audit`, on each database."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click
import pytest
from sqlalchemy import make_url, text

from relo_dsl.engine.key import installation_key
from relo_dsl.settings import Settings
from relo_server.platform import Platform
from relo_server.platform.models import Client
from relo_server.security.principals import Refused
from relo_server.security.roles import Role
from relo_server.security.tokens import Tokens
from relo_server.security.users import Users
from tests.cli.conftest import Project
from tests.platform.conftest import Cluster, cluster, kind

__all__ = ["cluster", "kind"]

PASSWORD = "correct horse battery"


@pytest.fixture
def desk(
    request: pytest.FixtureRequest, shop: Project, kind: str, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A project whose platform store is SQLite, or PostgreSQL."""
    if kind == "postgresql":
        found: Cluster = request.getfixturevalue("cluster")
        url = found.store().render_as_string(hide_password=False)
        monkeypatch.setenv("RELO_PLATFORM", url)
    return shop


def now() -> int:
    return time.time_ns() // 1_000_000


def authenticate(secret: str) -> tuple[int, Role, str]:
    settings = Settings.load()
    with Platform.open(settings) as platform:
        found = Tokens(installation_key(settings)).authenticate(platform, secret, now())
    return found.client, found.role, found.name


def actions(desk: Project, *args: str) -> list[tuple[str, str, int]]:
    lines = desk.json("audit", "list", *args)["lines"]
    return [(line["action"], line["outcome"], line["client"]) for line in lines]


def test_a_token_from_its_making_to_its_end(desk: Project) -> None:
    made = desk.ok("token", "create", "--client", 3, "--role", "admin", "--expires", "90d")
    secret = made.stdout.strip()
    assert re.fullmatch(r"relo_3_[A-Za-z0-9]{43}", secret), "the secret alone is on stdout"
    assert secret not in made.stderr
    assert authenticate(secret) == (3, Role.ADMIN, "admin")
    (listed,) = desk.json("token", "list", "--client", 3)["tokens"]
    assert listed["state"] == "valid"
    assert listed["last_used"] is not None
    assert secret not in str(listed)
    assert desk.json("token", "list") == {"client": desk.client, "tokens": []}
    desk.ok("token", "revoke", listed["id"], "--client", 3)
    with pytest.raises(Refused):
        authenticate(secret)
    assert desk.json("token", "list", "--client", 3)["tokens"][0]["state"] == "revoked"
    assert actions(desk, "--client", "3") == [
        ("tokens.create", "done", 3), ("tokens.revoke", "done", 3),
    ]  # fmt: skip
    assert desk.json("audit", "verify")["findings"] == []


def test_a_token_has_the_scopes_that_were_given(desk: Project) -> None:
    made = desk.json("token", "create", "--role", "viewer", "--scope", "segments.*")
    assert made["scopes"] == ["segments.*"]
    assert authenticate(made["token"]) == (desk.client, Role.VIEWER, "viewer")
    wrong = desk.run("token", "create", "--role", "viewer", "--scope", "segment.check")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "did you mean `segments.check`" in wrong.stderr


@pytest.mark.parametrize(("when", "message"), [
    ("soon", "is neither a duration nor a time"), ("2001-01-01", "in the next ten years"),
    ("9999-01-01", "in the next ten years"), ("0d", "neither a duration"),
])  # fmt: skip
def test_an_end_that_can_not_be(shop: Project, when: str, message: str) -> None:
    result = shop.run("token", "create", "--role", "admin", "--expires", when)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert shop.json("token", "list")["tokens"] == []


def test_an_end_by_date(shop: Project) -> None:
    year = time.gmtime().tm_year + 1
    made = shop.json("token", "create", "--role", "admin", "--expires", f"{year}-01-01")
    assert made["expires"] == f"{year}-01-01T00:00:00.000Z"


def test_what_fails_is_in_the_audit_and_makes_no_client(desk: Project) -> None:
    assert desk.run("token", "revoke", "x", "--client", 77).exit_code == 2
    assert actions(desk, "--client", "77") == [("tokens.revoke", "failed", 77)]
    assert actions(desk) == []
    assert actions(desk, "--all") == [("tokens.revoke", "failed", 77)]
    with Platform.open(Settings.load()) as platform, platform.operator() as session:
        assert session.query(Client).all() == []


def test_a_person_from_their_coming_to_their_going(desk: Project) -> None:
    desk.ok("user", "add", "Ana", "--role", "partner", input=f"{PASSWORD}\nnot this\n")
    with Platform.open(Settings.load()) as platform:
        users = Users()
        assert users.authenticate(platform, desk.client, "ana", PASSWORD).role is Role.PARTNER
        desk.ok("user", "password", "ana", input="another long password")
        assert (
            users.authenticate(platform, desk.client, "ana", "another long password").name == "ana"
        )
        desk.ok("user", "disable", "ana")
        with pytest.raises(Refused):
            users.authenticate(platform, desk.client, "ana", "another long password")
    (listed,) = desk.json("user", "list")["users"]
    assert listed["disabled"] is not None
    assert "argon2" not in str(listed)
    assert [action for action, _, _ in actions(desk)] == [
        "users.create", "users.password", "users.disable",
    ]  # fmt: skip
    assert PASSWORD not in str(desk.json("audit", "list"))


def test_a_bad_password_adds_nobody(shop: Project) -> None:
    for given, message in (("short", "at least 12"), ("", "no password is given")):
        result = shop.run("user", "add", "ana", "--role", "viewer", input=given)
        assert result.exit_code == 2
        assert message in result.stderr
    assert shop.json("user", "list")["users"] == []


def test_a_terminal_is_asked_twice(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def prompt(_text: str, **how: object) -> str:
        asked.append(how)
        return PASSWORD

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr("relo_server.cli.user._on_terminal", lambda: True)
    shop.ok("user", "add", "ana", "--role", "viewer")
    assert asked == [{"hide_input": True, "confirmation_prompt": True, "err": True}]


def test_no_command_takes_a_password_as_an_argument(shop: Project) -> None:
    assert shop.run("user", "add", "ana", PASSWORD, "--role", "viewer").exit_code == 2
    assert shop.run("user", "password", "ana", "--password", PASSWORD).exit_code == 2


def test_a_changed_audit_is_status_1(desk: Project) -> None:
    for name in ("a", "b", "c"):
        desk.ok("token", "create", "--role", "viewer", "--name", name)
    noted = desk.json("audit", "verify")["last"]
    with Platform.open(Settings.load()) as platform, platform.operator() as session:
        if session.connection().dialect.name == "sqlite":
            session.execute(text("DROP TRIGGER audit_no_update"))
        session.execute(text("UPDATE audit SET object = 'x' WHERE seq = 2"))
    result = desk.run("audit", "verify")
    assert (result.exit_code, result.stdout) == (
        1, "line 2 was altered\n3 lines: the audit is not as it was written\n",
    )  # fmt: skip
    result = desk.run("audit", "verify", "--client", desk.client, "--json")
    assert result.exit_code == 1
    assert (
        '"findings":[{"line":2,"what":"altered","message":"line 2 was altered"}]' in result.stdout
    )
    desk.ok("audit", "verify", "--client", 4)
    assert desk.run("audit", "verify", "--expect", noted).exit_code == 1
    assert desk.run("audit", "verify", "--expect", "2:x").exit_code == 2


def test_the_audit_is_asked_for_parts(shop: Project) -> None:
    shop.ok("token", "create", "--role", "viewer", "--name", "a_b")
    shop.ok("user", "add", "ana", "--role", "viewer", input=PASSWORD)
    shop.ok("token", "revoke", "a_b")
    assert len(actions(shop, "--limit", "2")) == 2
    assert actions(shop, "--limit", "1")[0][0] == "tokens.revoke"
    assert [a for a, _, _ in actions(shop, "--action", "tokens.*")] == [
        "tokens.create", "tokens.revoke",
    ]  # fmt: skip
    assert len(actions(shop, "--action", "users.create")) == 1
    assert actions(shop, "--who", "user:x") == []
    who = shop.json("audit", "list")["lines"][0]["who"]
    assert len(actions(shop, "--who", who)) == 3


def test_the_applications_user_is_told_who_may(
    cluster: Cluster, shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.store().set(username="web").render_as_string(hide_password=False)
    monkeypatch.setenv("RELO_PLATFORM", url)
    assert make_url(url).username == "web"
    shop.ok("token", "create", "--role", "viewer")
    shop.ok("audit", "verify", "--client", shop.client)
    result = shop.run("audit", "verify")
    assert result.exit_code == 2
    assert "looks at all clients, which the application's user must not" in result.stderr


def test_the_store_is_where_the_data_are(shop: Project, tmp_path: Path) -> None:
    shop.ok("token", "create", "--role", "viewer", "--data", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "platform.db").exists()
    assert not (tmp_path / ".relo" / "platform.db").exists()


def test_reading_the_help_opens_nothing(shop: Project) -> None:
    for group in ("token", "user", "audit"):
        for args in ((group,), (group, "--help"), (group, "list", "--help")):
            assert "Example:" in shop.run(*args).output
    assert not (shop.folder / ".relo").exists()
