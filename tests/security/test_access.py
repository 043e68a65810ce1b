"""Access tokens: nothing about one can be changed, and keys come and go unnoticed."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from relo_dsl.times import UNITS
from relo_server.platform import Platform
from relo_server.platform.models import SigningKey
from relo_server.security.access import LIFETIME, SKEW, AccessTokens
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import Role
from relo_server.security.signing import (
    OVERLAP,
    SIGNS_FOR,
    current_kid,
    distrust,
    rotate,
    signing_key,
)
from tests.platform.conftest import NOW

KEY = bytes(range(32))
WHO = Principal(3, "user:01ABC", "ana", Role.PARTNER)


def issue(platform: Platform, now: int = NOW) -> str:
    with platform.tenant(3) as session:
        return AccessTokens(KEY).issue(session, WHO, now)


def refusal(platform: Platform, token: str, now: int = NOW, **how: Any) -> str:
    with pytest.raises(Refused, match="the credential is not valid") as caught:
        AccessTokens(how.pop("key", KEY), **how).verify(platform, token, now)
    return caught.value.reason


def read(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def write(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_its_holder_is_known(platform: Platform) -> None:
    assert AccessTokens(KEY).verify(platform, issue(platform), NOW) == WHO


def test_it_ends_by_the_clock_that_is_given(platform: Platform) -> None:
    token = issue(platform)
    access = AccessTokens(KEY)
    assert access.verify(platform, token, NOW + LIFETIME - 1) == WHO
    assert refusal(platform, token, NOW + LIFETIME) == "expired"
    assert access.verify(platform, token, NOW - SKEW) == WHO
    assert refusal(platform, token, NOW - SKEW - 1) == "early"


@pytest.mark.parametrize("change", [
    {"client": 4}, {"role": "admin"}, {"sub": "user:other"}, {"exp": 2**33}, {"name": "beto"},
])  # fmt: skip
def test_no_claim_can_be_changed(platform: Platform, change: dict[str, Any]) -> None:
    header, claims, signature = issue(platform).split(".")
    assert (
        refusal(platform, f"{header}.{write({**read(claims), **change})}.{signature}")
        == "malformed"
    )


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", "Ed25519"])
def test_the_algorithm_is_pinned(platform: Platform, algorithm: str) -> None:
    header, claims, signature = issue(platform).split(".")
    assert refusal(
        platform, f"{write({**read(header), 'alg': algorithm})}.{claims}.{signature}"
    ) == ("malformed")
    assert (
        refusal(platform, f"{write({**read(header), 'alg': algorithm})}.{claims}.") == "malformed"
    )


def test_the_public_key_is_no_secret_of_another_algorithm(platform: Platform) -> None:
    header, claims, _ = issue(platform).split(".")
    public = signing_key(KEY, read(header)["kid"]).public_key().public_bytes_raw()
    forged = jwt.api_jws.encode(
        json.dumps(read(claims)).encode(), public, algorithm="HS256", headers={
            "kid": read(header)["kid"], "typ": "at+jwt",
        },
    )  # fmt: skip
    assert refusal(platform, forged) == "malformed"


@pytest.mark.parametrize("how", [{"issuer": "other"}, {"audience": "other"}, {"key": bytes(32)}])
def test_it_is_for_one_service(platform: Platform, how: dict[str, Any]) -> None:
    assert refusal(platform, issue(platform), **how) == "malformed"


@pytest.mark.parametrize(
    "claim", ["iss", "aud", "exp", "nbf", "iat", "sub", "client", "role", "jti"]
)
def test_every_claim_is_needed(platform: Platform, claim: str) -> None:
    header, claims, _ = issue(platform).split(".")
    left = {name: value for name, value in read(claims).items() if name != claim}
    key = signing_key(KEY, read(header)["kid"])
    assert refusal(platform, jwt.encode(left, key, "EdDSA", read(header))) == "malformed"


@pytest.mark.parametrize("change", [
    {"client": "3"}, {"client": True}, {"client": -1}, {"role": "root"}, {"role": None},
    {"exp": "soon"}, {"exp": 1e300}, {"nbf": None}, {"sub": 3}, {"exp": 2**80},
])  # fmt: skip
def test_odd_claims_are_refused_even_if_signed(platform: Platform, change: dict[str, Any]) -> None:
    header, claims, _ = issue(platform).split(".")
    key = signing_key(KEY, read(header)["kid"])
    signed = jwt.encode({**read(claims), **change}, key, "EdDSA", read(header))
    assert refusal(platform, signed) == "malformed"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "x" * 5_000, "é.é.é", "relo_3_x", "\ud800"]
)
def test_what_is_no_token(platform: Platform, token: str) -> None:
    assert refusal(platform, token) == "malformed"


def test_another_type_of_token_is_none(platform: Platform) -> None:
    header, claims, _ = issue(platform).split(".")
    for change in ({"typ": "JWT"}, {"kid": 3}, {"kid": None}):
        key = signing_key(KEY, read(header)["kid"])
        signed = f"{write({**read(header), **change})}.{claims}"
        signature = base64.urlsafe_b64encode(key.sign(signed.encode())).decode().rstrip("=")
        assert refusal(platform, f"{signed}.{signature}") == "malformed"


def test_keys_rotate_with_an_overlap(platform: Platform) -> None:
    old = issue(platform)
    with platform.shared() as session:
        kid = rotate(session, NOW + 1_000)
    new = issue(platform, NOW + 2_000)
    assert jwt.get_unverified_header(new)["kid"] == kid != jwt.get_unverified_header(old)["kid"]
    for token in (old, new):
        assert AccessTokens(KEY).verify(platform, token, NOW + LIFETIME - 1) == WHO
    assert OVERLAP > LIFETIME + SKEW
    with platform.shared() as session:
        kids = [
            key.kid
            for key in session.query(SigningKey)
            if key.believed_until > NOW + OVERLAP + 1_000
        ]
    assert kids == [kid]


def test_a_key_that_has_signed_long_enough_gives_way(platform: Platform) -> None:
    with platform.shared() as session:
        first = current_kid(session, NOW)
        assert current_kid(session, NOW + SIGNS_FOR - 1) == first
        second = current_kid(session, NOW + SIGNS_FOR)
    assert second > first
    token = issue(platform, NOW + SIGNS_FOR - 1)
    later = NOW + SIGNS_FOR + LIFETIME - 2 * UNITS["s"]
    assert AccessTokens(KEY).verify(platform, token, later) == WHO


def test_keys_can_be_distrusted_at_once(platform: Platform) -> None:
    token = issue(platform)
    with platform.shared() as session:
        distrust(session, NOW + 1)
    assert refusal(platform, token, NOW + 1) == "unknown"
    assert AccessTokens(KEY).verify(platform, issue(platform, NOW + 2), NOW + 2) == WHO


def test_a_key_written_into_the_store_signs_nothing(platform: Platform) -> None:
    """Whoever can write the table, but does not know the installation's key, gains nothing."""
    with platform.shared() as session:
        session.add(SigningKey(kid="mine", signs_from=0, signs_until=2**40, believed_until=2**50))
    claims = read(issue(platform).split(".")[1])
    header = {"kid": "mine", "typ": "at+jwt"}
    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", header)
    assert refusal(platform, forged) == "malformed"


def test_a_key_that_is_not_in_the_store_signs_nothing(platform: Platform) -> None:
    claims = read(issue(platform).split(".")[1])
    forged = jwt.encode(claims, signing_key(KEY, "x"), "EdDSA", {"kid": "x", "typ": "at+jwt"})
    assert refusal(platform, forged) == "unknown"


def test_no_key_is_in_the_store(platform: Platform) -> None:
    token = issue(platform)
    kid = jwt.get_unverified_header(token)["kid"]
    private = signing_key(KEY, kid).private_bytes_raw()
    with platform.shared() as session:
        row = session.execute(text("SELECT * FROM signing_keys")).one()
    assert private.hex() not in repr(row)
    assert repr(private) not in repr(row)
