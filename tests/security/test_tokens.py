"""API tokens: shown once, found by nothing but themselves, ended when they end."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from relo_dsl.errors import UserError
from relo_server.platform import Platform
from relo_server.platform.models import Token
from relo_server.security.keys import Purpose, derive
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import Role
from relo_server.security.secrets import new_secret, read_secret
from relo_server.security.tokens import (
    USE_NOTED_EVERY,
    NewToken,
    Tokens,
    list_tokens,
    revoke_token,
)
from tests.platform.conftest import NOW

KEY = bytes(range(32))
NEW = NewToken("dashboard", Role.VIEWER, "os:root", expires_at=NOW + 1_000)


def create(platform: Platform, new: NewToken = NEW, client: int = 3) -> tuple[Token, str]:
    with platform.tenant(client) as session:
        token, secret = Tokens(KEY).create(session, new, NOW)
    return token, secret.text


def refusal(platform: Platform, secret: str, now: int = NOW, key: bytes = KEY) -> str:
    with pytest.raises(Refused, match="the credential is not valid") as caught:
        Tokens(key).authenticate(platform, secret, now)
    return caught.value.reason


def test_its_holder_is_known(platform: Platform) -> None:
    token, secret = create(platform)
    found = Tokens(KEY).authenticate(platform, secret, NOW)
    assert found == Principal(3, f"token:{token.id}", "dashboard", Role.VIEWER)
    assert re.fullmatch(r"relo_3_[A-Za-z0-9]{43}", secret)


def test_the_secret_is_nowhere_in_the_store(platform: Platform) -> None:
    _, secret = create(platform)
    with platform.operator() as session:
        rows = [repr(row) for table in ("tokens", "audit", "clients")
                for row in session.execute(text(f"SELECT * FROM {table}"))]  # fmt: skip
    random = secret.rpartition("_")[2]
    assert rows
    assert not any(random[:8] in row or random in row for row in rows)


@pytest.mark.parametrize("place", [0, 5, 7, 20, -1])
def test_another_secret_is_nobody(platform: Platform, place: int) -> None:
    _, secret = create(platform)
    create(platform, client=4)
    letters = list(secret)
    letters[place] = {"3": "4"}.get(letters[place], "a" if letters[place] != "a" else "b")
    assert refusal(platform, "".join(letters)) in ("unknown", "malformed")


def test_another_installation_knows_none_of_it(platform: Platform) -> None:
    _, secret = create(platform)
    assert refusal(platform, secret, key=bytes(32)) == "unknown"


def test_it_ends(platform: Platform) -> None:
    _, secret = create(platform)
    assert Tokens(KEY).authenticate(platform, secret, NOW + 999).client == 3
    assert refusal(platform, secret, NOW + 1_000) == "expired"


def test_it_can_be_ended(platform: Platform) -> None:
    token, secret = create(platform)
    for which in (token.id, "dashboard", token.id):
        with platform.tenant(3) as session:
            assert revoke_token(session, which, NOW + 7).revoked_at == NOW + 7
    assert refusal(platform, secret) == "revoked"


def test_only_its_client_can_end_it(platform: Platform) -> None:
    token, secret = create(platform)
    for which in (token.id, token.name):
        with pytest.raises(UserError, match="client 4 has no token"), platform.tenant(4) as session:
            revoke_token(session, which, NOW)
    assert Tokens(KEY).authenticate(platform, secret, NOW).client == 3


def test_a_name_that_several_have_needs_the_id(platform: Platform) -> None:
    first, _ = create(platform)
    second, _ = create(platform)
    with pytest.raises(UserError, match="2 tokens are called `dashboard`") as caught:
        revoke(platform, "dashboard")
    assert first.id in str(caught.value.hint)
    assert second.id in str(caught.value.hint)
    revoke(platform, first.id)
    revoke(platform, "dashboard")
    with platform.tenant(3) as session:
        assert [token.revoked_at for token in list_tokens(session)] == [NOW, NOW]


def revoke(platform: Platform, which: str) -> None:
    with platform.tenant(3) as session:
        revoke_token(session, which, NOW)


def test_its_use_is_noted_now_and_then(platform: Platform) -> None:
    _, secret = create(platform, replace(NEW, expires_at=None))
    noted = []
    for now in (NOW, NOW + 1, NOW + USE_NOTED_EVERY - 1, NOW + USE_NOTED_EVERY):
        Tokens(KEY).authenticate(platform, secret, now)
        with platform.tenant(3) as session:
            noted.append(list_tokens(session)[0].last_used_at)
    assert noted == [NOW, NOW, NOW, NOW + USE_NOTED_EVERY]


def test_scopes_narrow_the_role(platform: Platform) -> None:
    new = replace(NEW, scopes=frozenset({"segments.*", "audiences.members"}))
    _, secret = create(platform, new)
    found = Tokens(KEY).authenticate(platform, secret, NOW)
    assert found.may("segments.check")
    assert not found.may("audiences.list")
    assert not found.may("audiences.members"), "a viewer may not, whatever the scopes say"


@pytest.mark.parametrize("scope", ["segment.*", "segments.chek", "*", "*.*", "", "segments."])
def test_an_unknown_scope_is_refused(platform: Platform, scope: str) -> None:
    with pytest.raises(UserError, match=f"no scope is called `{re.escape(scope)}`"):
        create(platform, replace(NEW, scopes=frozenset({scope})))


def test_one_that_has_ended_is_not_made(platform: Platform) -> None:
    with pytest.raises(UserError, match="would have expired already"):
        create(platform, replace(NEW, expires_at=NOW))


@given(st.integers(0, 2**32 - 1))
def test_a_secret_names_its_client(client: int) -> None:
    secret = new_secret("relo", client)
    assert read_secret("relo", secret.text) == secret
    assert secret.text not in repr(secret)


@pytest.mark.parametrize("wrong", [
    "", "relo_3_", "relo_3_" + "a" * 42, "relo_3_" + "a" * 44, "relo_03_" + "a" * 43,
    "relo_4294967296_" + "a" * 43, "relo_-1_" + "a" * 43, "other_3_" + "a" * 43,
    "relo_3_" + "a" * 42 + "ñ", "relo_3_" + "a" * 43 + "\n", "relo_٣_" + "a" * 43,
])  # fmt: skip
def test_what_is_no_secret(wrong: str) -> None:
    assert read_secret("relo", wrong) is None


def test_no_purpose_shares_a_key() -> None:
    keys = {derive(KEY, purpose, which) for purpose in Purpose for which in ("", "a", "b")}
    assert len(keys) == len(Purpose) * 3
    assert {len(key) for key in keys} == {32}
    # Fixed for good: another derivation would lock everybody out.
    assert derive(KEY, Purpose.API_TOKENS).hex()[:16] == "7e557bc6bce9fa54"
