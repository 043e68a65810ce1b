"""People: a name and a password at one client, in one role."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update

from relo_dsl.diagnostics import did_you_mean
from relo_dsl.errors import UserError
from relo_server.platform import Platform
from relo_server.platform.models import RefreshToken, User
from relo_server.platform.store import TenantSession
from relo_server.security.clients import ensure_client
from relo_server.security.passwords import Passwords
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import Role
from relo_server.security.tokens import moment, new_id

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,199}", re.ASCII)


class Users:
    """Adds people and lets them in."""

    def __init__(self, passwords: Passwords | None = None) -> None:
        self._passwords = passwords or Passwords()

    def add(self, session: TenantSession, name: str, role: Role, password: str, now: int) -> User:
        """Raises UserError for a name that is taken or cannot be one, and a bad password."""
        name = _name(name)
        if session.scalars(select(User.id).where(User.name == name)).first() is not None:
            raise UserError(f"client {session.client} has a user `{name}` already")
        ensure_client(session, now)
        user = User(
            client_id=session.client,
            id=new_id(now),
            name=name,
            role=role.value,
            password=self._passwords.hash(password, name),
            created_at=now,
            password_at=now,
        )
        session.add(user)
        session.flush()
        return user

    def set_password(self, session: TenantSession, name: str, password: str, now: int) -> User:
        """Also ends every session that was begun with the old one."""
        user = find_user(session, name)
        user.password = self._passwords.hash(password, user.name)
        user.password_at = now
        end_sessions(session, user.id, now)
        return user

    def authenticate(self, platform: Platform, client: int, name: str, password: str) -> Principal:
        """Who logs in. Raises Refused; a wrong name takes as long as a wrong password."""
        with platform.tenant(client, reading=True) as session:
            query = select(User).where(User.name == name.strip().lower())
            user = session.scalars(query).one_or_none()
        right = self._passwords.verify(user.password if user else None, password)
        if user is None or not right:
            raise Refused("unknown", f"user:{user.id}" if user else "", client)
        if user.disabled_at is not None:
            raise Refused("disabled", f"user:{user.id}", client)
        if self._passwords.outdated(user.password):
            self._renew(platform, user, password)
        return principal_of(user)

    def _renew(self, platform: Platform, known: User, password: str) -> None:
        fresh = self._passwords.again(password)
        with platform.tenant(known.client_id) as session:
            session.execute(
                update(User)
                .where(User.id == known.id, User.password == known.password)
                .values(password=fresh)
            )


def principal_of(user: User) -> Principal:
    """A user as somebody who may do something."""
    return Principal(user.client_id, f"user:{user.id}", user.name, Role(user.role))


def list_users(session: TenantSession) -> Sequence[User]:
    """The client's people by name, disabled ones too."""
    return session.scalars(select(User).order_by(User.name)).all()


def find_user(session: TenantSession, name: str) -> User:
    """The user of that name. Raises UserError, with the nearest names, where there is none."""
    user = session.scalars(select(User).where(User.name == name.strip().lower())).one_or_none()
    if user is None:
        hint, _ = did_you_mean(name, [one.name for one in list_users(session)], "user")
        raise UserError(f"client {session.client} has no user `{name}`", hint)
    return user


def disable_user(session: TenantSession, name: str, now: int) -> User:
    """Lets nobody in by that name any more, and ends their sessions; again is no error."""
    user = find_user(session, name)
    if user.disabled_at is None:
        user.disabled_at = now
    end_sessions(session, user.id, now)
    return user


def user_json(user: User) -> dict[str, Any]:
    """What may be told of a user."""
    return {
        "id": user.id,
        "client": user.client_id,
        "name": user.name,
        "role": user.role,
        "created": moment(user.created_at),
        "password_set": moment(user.password_at),
        "disabled": moment(user.disabled_at),
    }


def end_sessions(session: TenantSession, user_id: str, now: int) -> None:
    """Revokes every refresh token of a user.

    The user's row is locked first, as whoever refreshes locks it: none slips through.
    """
    session.execute(select(User.id).where(User.id == user_id).with_for_update())
    session.execute(
        update(RefreshToken)
        .where(RefreshToken.user_id == user_id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def _name(text: str) -> str:
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise UserError(
            f"`{text}` cannot be a user's name", "letters, digits and `.`, `_`, `@`, `+`, `-`"
        )
    return name
