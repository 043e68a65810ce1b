"""API tokens: `relo_3_…`, for programs. Whoever holds one acts as its role at its client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from ulid import ULID

from relo_dsl.diagnostics import did_you_mean
from relo_dsl.errors import UserError
from relo_dsl.times import UNITS, TimeError, format_instant, parse_duration, parse_instant
from relo_server.platform import Platform
from relo_server.platform.models import Token
from relo_server.platform.store import TenantSession
from relo_server.security.clients import ensure_client
from relo_server.security.keys import Purpose, derive
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import OPERATIONS, Role, known_scope
from relo_server.security.secrets import Secret, new_secret, read_secret

PREFIX = "relo"
#: A use is noted when the last one noted lies so many milliseconds back: reading stays reading.
USE_NOTED_EVERY = 60_000
#: Nothing that is asked to end is to hold longer.
LONGEST = 3_653 * UNITS["d"]


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a new token is to be. `expires_at` None: it holds until it is revoked."""

    name: str
    role: Role
    created_by: str
    expires_at: int | None = None
    scopes: frozenset[str] | None = None


class Tokens:
    """Makes tokens and recognises them, with a key derived from the installation's."""

    def __init__(self, installation_key: bytes) -> None:
        self._key = derive(installation_key, Purpose.API_TOKENS)

    def create(self, session: TenantSession, new: NewToken, now: int) -> tuple[Token, Secret]:
        """A token of the session's client, and its secret, which nobody can ever read again.

        Raises UserError for an unknown scope, and an end that has passed.
        """
        for scope in sorted(new.scopes or ()):
            if not known_scope(scope):
                hint, _ = did_you_mean(scope, _scopes(), "scope")
                raise UserError(f"no scope is called `{scope}`", hint)
        if new.expires_at is not None and new.expires_at <= now:
            raise UserError("the token would have expired already")
        ensure_client(session, now)
        secret = new_secret(PREFIX, session.client)
        token = Token(
            client_id=session.client,
            id=new_id(now),
            name=new.name,
            role=new.role.value,
            scopes=None if new.scopes is None else sorted(new.scopes),
            hash=secret.hash(self._key),
            hint=secret.hint,
            created_by=new.created_by,
            created_at=now,
            expires_at=new.expires_at,
        )
        session.add(token)
        session.flush()
        return token, secret

    def authenticate(self, platform: Platform, text: str, now: int) -> Principal:
        """Who holds a token. Raises Refused where it is unknown, expired or revoked."""
        secret = read_secret(PREFIX, text)
        if secret is None:
            raise Refused("malformed")
        with platform.tenant(secret.client, reading=True) as session:
            token = session.scalars(
                select(Token).where(Token.hash == secret.hash(self._key))
            ).one_or_none()
            if token is None:
                raise Refused("unknown", client=None)
            subject = f"token:{token.id}"
            if token.revoked_at is not None:
                raise Refused("revoked", subject, token.client_id)
            if token.expires_at is not None and token.expires_at <= now:
                raise Refused("expired", subject, token.client_id)
            scopes = None if token.scopes is None else frozenset(token.scopes)
            found = Principal(token.client_id, subject, token.name, Role(token.role), scopes)
            fresh = token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY
        if not fresh:
            _note_use(platform, found, now)
        return found


def _note_use(platform: Platform, found: Principal, now: int) -> None:
    with platform.tenant(found.client) as session:
        token = session.get(Token, (found.client, found.subject.removeprefix("token:")))
        if token is not None:
            token.last_used_at = max(now, token.last_used_at or now)


def list_tokens(session: TenantSession) -> Sequence[Token]:
    """The client's tokens, the oldest first, revoked and expired ones too."""
    return session.scalars(select(Token).order_by(Token.id)).all()


def revoke_token(session: TenantSession, which: str, now: int) -> Token:
    """Ends the token with that id, or that name if only one in force has it; again is no error.

    Raises UserError where there is no such token, or several.
    """
    token = session.get(Token, (session.client, which))
    if token is None:
        named = session.scalars(select(Token).where(Token.name == which)).all()
        live = [one for one in named if one.revoked_at is None] or named
        if len(live) > 1:
            ids = ", ".join(f"`{one.id}`" for one in live)
            raise UserError(f"{len(live)} tokens are called `{which}`", f"give the id: {ids}")
        if not live:
            raise UserError(
                f"client {session.client} has no token `{which}`", "`relo token list` shows them"
            )
        token = live[0]
    if token.revoked_at is None:
        token.revoked_at = now
    return token


def new_id(now: int) -> str:
    """A ULID: later ones sort behind earlier ones."""
    return str(ULID.from_timestamp(now / 1000))


def _scopes() -> Iterable[str]:
    groups = {name.partition(".")[0] + ".*" for name in OPERATIONS}
    return [*OPERATIONS, *sorted(groups)]


def read_end(text: str | None, now: int) -> int | None:
    """When something is to end: after a duration, or at a date or time. Raises UserError."""
    if text is None:
        return None
    try:
        end = now + parse_duration(text)
    except TimeError:
        try:
            end = parse_instant(text)
        except TimeError:
            raise UserError(
                f"`{text}` is neither a duration nor a time",
                "write `90d`, or `2027-01-01`",
            ) from None
    if not now < end <= now + LONGEST:
        raise UserError(f"`{text}` does not lie in the next ten years")
    return end


def token_json(token: Token, now: int) -> dict[str, Any]:
    """What may be told of a token; its secret is not known."""
    expired = token.expires_at is not None and token.expires_at <= now
    state = "revoked" if token.revoked_at is not None else "expired" if expired else "valid"
    return {
        "id": token.id,
        "client": token.client_id,
        "name": token.name,
        "role": token.role,
        "scopes": token.scopes,
        "hint": token.hint,
        "state": state,
        "created": moment(token.created_at),
        "created_by": token.created_by,
        "expires": moment(token.expires_at),
        "revoked": moment(token.revoked_at),
        "last_used": moment(token.last_used_at),
    }


def moment(instant: int | None) -> str | None:
    """An instant for JSON."""
    return None if instant is None else format_instant(instant)
