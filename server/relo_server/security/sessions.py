"""Staying logged in: refresh tokens, each good for one refresh, in families.

A family begins with a login. Whoever comes with a token that has been used already either stole it
or was stolen from: nobody can tell which, so the whole family ends, and both log in again.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, update

from relo_dsl.times import UNITS
from relo_server.platform import Platform
from relo_server.platform.models import RefreshToken, User
from relo_server.platform.store import TenantSession
from relo_server.security.keys import Purpose, derive
from relo_server.security.principals import Principal, Reason, Refused
from relo_server.security.secrets import Secret, new_secret, read_secret
from relo_server.security.tokens import new_id
from relo_server.security.users import principal_of

PREFIX = "relorefresh"
#: Whoever stays away for so long logs in again; and everybody does after LONGEST.
IDLE = 14 * UNITS["d"]
LONGEST = 90 * UNITS["d"]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Who refreshed, as they are now, and the secret for the next time."""

    who: Principal
    secret: Secret


class Sessions:
    """Begins, continues and ends sessions."""

    def __init__(self, installation_key: bytes) -> None:
        self._key = derive(installation_key, Purpose.REFRESH_TOKENS)

    def begin(self, session: TenantSession, who: Principal, now: int) -> Secret:
        """The first token of a family, for a user who has just logged in."""
        user_id = who.subject.removeprefix("user:")
        return self._link(session, user_id, new_id(now), now, now + IDLE)

    def refresh(self, platform: Platform, text: str, now: int) -> Refreshed:
        """Uses a token up for the next one. Raises Refused; a reused one ends its family."""
        secret = self._read(text)
        with platform.tenant(secret.client) as session:
            outcome = self._refresh(session, secret, now)
        # Raised when the transaction is over: what it ended stays ended.
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    def end(self, platform: Platform, text: str, now: int) -> None:
        """Logs out: the family ends. A token that is unknown is no error."""
        secret = self._read(text)
        with platform.tenant(secret.client) as session:
            found = self._locked(session, secret)
            if found is not None:
                _end_family(session, found[1].family, now)

    @staticmethod
    def _read(text: str) -> Secret:
        secret = read_secret(PREFIX, text)
        if secret is None:
            raise Refused("malformed")
        return secret

    def _refresh(self, session: TenantSession, secret: Secret, now: int) -> Refreshed | Refused:
        found = self._locked(session, secret)
        if found is None:
            return Refused("unknown")
        user, token = found
        reason = _why_not(user, token, now)
        if reason is not None:
            if reason in ("reused", "disabled"):
                _end_family(session, token.family, now)
            return Refused(reason, f"user:{user.id}", session.client)
        token.used_at = now
        began = session.scalar(
            select(func.min(RefreshToken.created_at)).where(RefreshToken.family == token.family)
        )
        expires = min(now + IDLE, (now if began is None else began) + LONGEST)
        following = self._link(session, user.id, token.family, now, expires)
        return Refreshed(principal_of(user), following)

    def _locked(self, session: TenantSession, secret: Secret) -> tuple[User, RefreshToken] | None:
        """A token and its user, read while the user's row is locked: of two who refresh at once,
        or one who refreshes and one who ends the family, the second sees what the first did.
        """
        query = select(RefreshToken).where(RefreshToken.hash == secret.hash(self._key))
        owner = session.scalars(query.with_only_columns(RefreshToken.user_id)).one_or_none()
        if owner is None:
            return None
        locked = select(User).where(User.id == owner).with_for_update()
        return session.scalars(locked).one(), session.scalars(query).one()

    def _link(
        self, session: TenantSession, user_id: str, family: str, now: int, expires: int
    ) -> Secret:
        secret = new_secret(PREFIX, session.client)
        session.add(
            RefreshToken(
                client_id=session.client,
                id=new_id(now),
                user_id=user_id,
                family=family,
                hash=secret.hash(self._key),
                created_at=now,
                expires_at=expires,
            )
        )
        session.flush()
        return secret


def _why_not(user: User, token: RefreshToken, now: int) -> Reason | None:
    if token.revoked_at is not None:
        return "revoked"
    if token.used_at is not None:
        return "reused"
    if token.expires_at <= now:
        return "expired"
    if user.disabled_at is not None:
        return "disabled"
    return None


def _end_family(session: TenantSession, family: str, now: int) -> None:
    session.execute(
        update(RefreshToken)
        .where(RefreshToken.family == family, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )
