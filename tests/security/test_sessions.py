"""Refresh tokens: each is good once, and one that comes twice ends all that came of it."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from relo_server.platform import Platform
from relo_server.platform.models import RefreshToken
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import Role
from relo_server.security.sessions import IDLE, LONGEST, Sessions
from relo_server.security.users import Users, disable_user, find_user
from tests.platform.conftest import NOW

KEY = bytes(range(32))


@pytest.fixture
def ana(platform: Platform, users: Users) -> Principal:
    with platform.tenant(3) as session:
        users.add(session, "ana", Role.VIEWER, "correct horse battery", NOW)
    return users.authenticate(platform, 3, "ana", "correct horse battery")


def begin(platform: Platform, who: Principal, now: int = NOW) -> str:
    with platform.tenant(3) as session:
        return Sessions(KEY).begin(session, who, now).text


def refresh(platform: Platform, secret: str, now: int = NOW) -> str:
    return Sessions(KEY).refresh(platform, secret, now).secret.text


def refusal(platform: Platform, secret: str, now: int = NOW) -> str:
    with pytest.raises(Refused) as caught:
        Sessions(KEY).refresh(platform, secret, now)
    return caught.value.reason


def test_each_refresh_gives_the_next(platform: Platform, ana: Principal) -> None:
    secret = begin(platform, ana)
    for step in range(1, 5):
        done = Sessions(KEY).refresh(platform, secret, NOW + step)
        assert done.who == ana
        assert done.secret.text != secret
        secret = done.secret.text


def test_a_reused_one_ends_its_family(platform: Platform, ana: Principal) -> None:
    other = begin(platform, ana)
    first = begin(platform, ana)
    second = refresh(platform, first)
    third = refresh(platform, second)
    assert refusal(platform, first) == "reused"
    for secret in (third, second, first):
        assert refusal(platform, secret) == "revoked"
    assert refresh(platform, other), "another login is another family"


def test_whoever_stays_away_logs_in_again(platform: Platform, ana: Principal) -> None:
    secret = refresh(platform, begin(platform, ana), NOW + IDLE - 1)
    assert refusal(platform, secret, NOW + 2 * IDLE - 1) == "expired"


def test_everybody_logs_in_again_some_day(platform: Platform, ana: Principal) -> None:
    secret, now = begin(platform, ana), NOW
    while now + IDLE - 1 < NOW + LONGEST:
        now += IDLE - 1
        secret = refresh(platform, secret, now)
    assert refusal(platform, secret, NOW + LONGEST) == "expired"


def test_who_refreshes_is_who_they_are_now(platform: Platform, ana: Principal) -> None:
    secret = begin(platform, ana)
    with platform.tenant(3) as session:
        find_user(session, "ana").role = "partner"
    assert Sessions(KEY).refresh(platform, secret, NOW).who.role is Role.PARTNER


def test_a_logout_ends_it(platform: Platform, ana: Principal) -> None:
    first = begin(platform, ana)
    second = refresh(platform, first)
    Sessions(KEY).end(platform, second, NOW)
    Sessions(KEY).end(platform, second, NOW)
    assert refusal(platform, second) == "revoked"


def test_what_is_no_token_of_this_kind(platform: Platform, ana: Principal) -> None:
    secret = begin(platform, ana)
    assert refusal(platform, secret.replace("relorefresh_", "relo_")) == "malformed"
    assert refusal(platform, secret.replace("_3_", "_4_")) == "unknown"
    assert refusal(platform, secret[:-1] + ("a" if secret[-1] != "a" else "b")) == "unknown"


def test_a_disabled_user_does_not_stay(platform: Platform, ana: Principal) -> None:
    with platform.tenant(3) as session:
        disable_user(session, "ana", NOW)
    secret = begin(platform, ana)
    assert refusal(platform, secret) == "disabled"
    assert refusal(platform, secret) == "revoked"


def at_once(platform: Platform, secret: str) -> list[str]:
    """What becomes of three who come with the same token: the next one, or a reason."""
    outcomes: list[str] = []
    barrier = threading.Barrier(3)

    def come() -> None:
        barrier.wait()
        try:
            outcomes.append(refresh(platform, secret))
        except Refused as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=come) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_two_at_once_one_is_a_reuse(platform: Platform, ana: Principal) -> None:
    for _ in range(4):
        outcomes = at_once(platform, begin(platform, ana))
        (won,) = [one for one in outcomes if one.startswith("relorefresh_")]
        assert sorted(set(outcomes) - {won}) in (["reused"], ["reused", "revoked"])
        assert refusal(platform, won) == "revoked"


def test_no_secret_is_in_the_store(platform: Platform, ana: Principal) -> None:
    secret = begin(platform, ana)
    with platform.tenant(3) as session:
        row = session.scalars(select(RefreshToken)).one()
    assert secret.rpartition("_")[2].encode() not in row.hash
    assert len(row.hash) == 32
