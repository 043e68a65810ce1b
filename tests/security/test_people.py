"""People: passwords, who is let in, and what ends when they are not any more."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters

from relo_dsl.errors import UserError
from relo_server.platform import Platform
from relo_server.platform.models import User
from relo_server.security.passwords import Passwords
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import Role
from relo_server.security.sessions import Sessions
from relo_server.security.users import Users, disable_user, find_user, list_users
from tests.platform.conftest import NOW

KEY = bytes(range(32))
PASSWORD = "correct horse battery"


def add(platform: Platform, users: Users, name: str = "ana", client: int = 3) -> User:
    with platform.tenant(client) as session:
        return users.add(session, name, Role.CLIENT_MANAGER, PASSWORD, NOW)


def refusal(platform: Platform, users: Users, name: str, password: str, client: int = 3) -> str:
    with pytest.raises(Refused, match="the credential is not valid") as caught:
        users.authenticate(platform, client, name, password)
    return caught.value.reason


def test_who_is_let_in(platform: Platform, users: Users) -> None:
    user = add(platform, users)
    expected = Principal(3, f"user:{user.id}", "ana", Role.CLIENT_MANAGER)
    assert users.authenticate(platform, 3, " Ana", PASSWORD) == expected
    assert refusal(platform, users, "ana", PASSWORD + " ") == "unknown"
    assert refusal(platform, users, "anna", PASSWORD) == "unknown"
    assert refusal(platform, users, "ana", PASSWORD, client=4) == "unknown"


def test_a_name_is_taken_at_one_client(platform: Platform, users: Users) -> None:
    add(platform, users)
    with pytest.raises(UserError, match="client 3 has a user `ana` already"):
        add(platform, users, "ANA")
    add(platform, users, client=4)
    with platform.tenant(3) as session:
        assert [user.name for user in list_users(session)] == ["ana"]


@pytest.mark.parametrize("name", ["", " ", "a b", "ñandu", "-ana", "a" * 201, "a\nb"])
def test_what_is_no_name(platform: Platform, users: Users, name: str) -> None:
    with pytest.raises(UserError, match="cannot be a user's name"):
        add(platform, users, name)


@pytest.mark.parametrize(("password", "message"), [
    ("elevenchars", "at least 12"), ("a" * 1_025, "at most 1024"), ("aaaaaaaaaaaaaa", "repeats"),
    ("beatrice12345", "hardly more than the name"),
])  # fmt: skip
def test_a_bad_password(users: Users, platform: Platform, password: str, message: str) -> None:
    with pytest.raises(UserError, match=message), platform.tenant(3) as session:
        users.add(session, "beatrice", Role.VIEWER, password, NOW)
    with platform.tenant(3) as session:
        assert list_users(session) == []


def test_a_disabled_user_stays_out(platform: Platform, users: Users) -> None:
    add(platform, users)
    for now in (NOW + 5, NOW + 9):
        with platform.tenant(3) as session:
            assert disable_user(session, "ana", now).disabled_at == NOW + 5
    assert refusal(platform, users, "ana", PASSWORD) == "disabled"
    assert refusal(platform, users, "ana", "wrong password") == "unknown"


def test_an_unknown_user_is_named_with_the_nearest(platform: Platform, users: Users) -> None:
    add(platform, users)
    with pytest.raises(UserError, match="no user `anna`") as caught, platform.tenant(3) as session:
        find_user(session, "anna")
    assert caught.value.hint == "did you mean `ana`?"


@pytest.mark.parametrize("how", ["password", "disable"])
def test_what_ends_sessions(platform: Platform, users: Users, how: str) -> None:
    add(platform, users)
    who = users.authenticate(platform, 3, "ana", PASSWORD)
    with platform.tenant(3) as session:
        secret = Sessions(KEY).begin(session, who, NOW)
        if how == "password":
            users.set_password(session, "ana", "another long password", NOW)
        else:
            disable_user(session, "ana", NOW)
    with pytest.raises(Refused) as caught:
        Sessions(KEY).refresh(platform, secret.text, NOW)
    assert caught.value.reason == "revoked"
    if how == "password":
        assert refusal(platform, users, "ana", PASSWORD) == "unknown"
        assert users.authenticate(platform, 3, "ana", "another long password") == who


def test_a_hash_of_other_parameters_is_renewed(platform: Platform, users: Users) -> None:
    add(platform, users)
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    Users(Passwords(stronger)).authenticate(platform, 3, "ana", PASSWORD)
    with platform.tenant(3) as session:
        assert extract_parameters(find_user(session, "ana").password).time_cost == 2
    assert users.authenticate(platform, 3, "ana", PASSWORD).name == "ana"


def test_the_parameters_are_those_of_the_rfc() -> None:
    found = extract_parameters(Passwords().hash(PASSWORD, "ana"))
    assert (found.type.name, found.memory_cost, found.time_cost) == ("ID", 65_536, 3)


def test_what_looks_the_same_is_the_same_password() -> None:
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    assert passwords.verify(
        passwords.hash("contrase\u00f1a larga", "ana"), "contrasen\u0303a larga"
    )
    assert not passwords.verify("no hash", "anything")
