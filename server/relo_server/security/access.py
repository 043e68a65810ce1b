"""Access tokens: JWTs of a few minutes, for people who have logged in.

They say who, at which client, in which role, and are believed without a look at the user's row: a
disabled user's last one ends within LIFETIME.
"""

from __future__ import annotations

from typing import Any

import jwt
from ulid import ULID

from relo_dsl.times import UNITS
from relo_server.platform import Platform
from relo_server.platform.store import TenantSession
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import Role
from relo_server.security.signing import current_kid, is_believed, signing_key

ALGORITHM = "EdDSA"
LIFETIME = 10 * UNITS["min"]
#: The clocks of two machines may differ by so much when one signs and the other reads.
SKEW = 30 * UNITS["s"]
_REQUIRED = ("iss", "aud", "sub", "iat", "nbf", "exp", "jti", "client", "role", "name")
_TYPE = "at+jwt"
#: Nothing longer is parsed.
_LONGEST = 4_096


class AccessTokens:
    """Signs and reads them for one issuer and one audience."""

    def __init__(
        self, installation_key: bytes, issuer: str = "relo", audience: str = "relo"
    ) -> None:
        self._key = installation_key
        self._issuer = issuer
        self._audience = audience

    def issue(self, session: TenantSession, who: Principal, now: int) -> str:
        """A token for a user of the session's client, valid for LIFETIME."""
        assert who.client == session.client, "a session of another client"
        kid = current_kid(session, now)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": who.subject,
            "iat": now // 1000,
            "nbf": now // 1000,
            "exp": (now + LIFETIME) // 1000,
            "jti": str(ULID()),
            "client": who.client,
            "role": who.role.value,
            "name": who.name,
        }
        headers = {"kid": kid, "typ": _TYPE}
        key = signing_key(self._key, kid)
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers=headers)

    def verify(self, platform: Platform, text: str, now: int) -> Principal:
        """Who holds a token. Raises Refused where anything about it is not as it was issued."""
        claims = self._claims(platform, text, now)
        try:
            who = Principal(
                _whole(claims["client"]), claims["sub"], str(claims["name"]), Role(claims["role"])
            )
            begins, ends = _whole(claims["nbf"]) * 1000, _whole(claims["exp"]) * 1000
        except ValueError:
            raise Refused("malformed") from None
        # By the clock that is given, not the machine's, as pyjwt would.
        if now >= ends:
            raise Refused("expired", who.subject, who.client)
        if now < begins - SKEW:
            raise Refused("early", who.subject, who.client)
        return who

    def _claims(self, platform: Platform, text: str, now: int) -> dict[str, Any]:
        try:
            if len(text) > _LONGEST:
                raise Refused("malformed")
            header = jwt.get_unverified_header(text)
            kid = header.get("kid")
            if header.get("typ") != _TYPE or not isinstance(kid, str):
                raise Refused("malformed")
            with platform.shared(reading=True) as session:
                believed = is_believed(session, kid, now)
            if not believed:
                raise Refused("unknown")
            claims: dict[str, Any] = jwt.decode(
                text,
                signing_key(self._key, kid).public_key(),
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.InvalidTokenError, UnicodeError):
            raise Refused("malformed") from None
        return claims


def _whole(value: object) -> int:
    """A claim that must be a whole number in the range of times and clients."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**40:
        raise ValueError("not a whole number")
    return value
