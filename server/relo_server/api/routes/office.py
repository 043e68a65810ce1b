"""Whoever runs the installation for a client: its tokens, its people, its audit."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field, SecretStr
from sqlalchemy import select

from relo_dsl.times import format_instant
from relo_server.api.callers import Called
from relo_server.api.problems import Problem
from relo_server.api.routes.parts import Strict, problems
from relo_server.platform.audit_lines import Wanted, latest
from relo_server.platform.audit_proof import prove
from relo_server.platform.models import User
from relo_server.security.keys import Purpose, derive
from relo_server.security.roles import Role
from relo_server.security.tokens import (
    NewToken,
    list_tokens,
    read_end,
    revoke_token,
    token_json,
)
from relo_server.security.users import disable_user, end_sessions, list_users, user_json

router = APIRouter(responses=problems())
Id = Annotated[str, Path(max_length=200)]


# ---- tokens --------------------------------------------------------------------------------------


class TokenWanted(Strict):
    """What a new token is to be."""

    name: str = Field(min_length=1, max_length=200, examples=["dashboard"])
    role: Role = Field(examples=[Role.VIEWER])
    expires: str | None = Field(None, max_length=40, examples=["90d"])
    scopes: list[Annotated[str, Field(max_length=100)]] | None = Field(None, max_length=100)


@router.get("/tokens", name="tokens.list", operation_id="list_tokens", tags=["tokens"])
async def tokens(caller: Called) -> dict[str, Any]:
    """The client's tokens, those that have ended too. Secrets are not among it."""
    house = caller.house

    def work() -> dict[str, Any]:
        with house.platform.tenant(caller.client, reading=True) as session:
            now = house.clock()
            return {"tokens": [token_json(one, now) for one in list_tokens(session)]}

    return await house.aside(work)


@router.post(
    "/tokens", name="tokens.create", operation_id="create_token", tags=["tokens"], status_code=201
)
async def create_token(caller: Called, request: Request, body: TokenWanted) -> dict[str, Any]:
    """Makes a token. Its secret stands in this answer and nowhere else."""
    house = caller.house

    def work() -> dict[str, Any]:
        now = house.clock()
        new = NewToken(
            body.name, body.role, caller.who.subject, read_end(body.expires, now),
            None if body.scopes is None else frozenset(body.scopes),
        )  # fmt: skip
        with house.platform.tenant(caller.client) as session:
            token, secret = house.tokens.create(session, new, now)
            request.state.object = f"{token.name} ({token.role}) {token.id}"
            return {"token": secret.text, **token_json(token, now)}

    return await house.aside(work)


@router.delete(
    "/tokens/{id}", name="tokens.revoke", operation_id="revoke_token", tags=["tokens"],
    responses=problems(404),
)  # fmt: skip
async def revoke(caller: Called, id: Id) -> dict[str, Any]:
    """Ends a token now; again is no error."""
    house = caller.house

    def work() -> dict[str, Any]:
        now = house.clock()
        with house.platform.tenant(caller.client) as session:
            if all(one.id != id for one in list_tokens(session)):
                raise Problem(404, "unknown_token", f"there is no token `{id}`")
            revoked = revoke_token(session, id, now)
        house.known.forget()
        return token_json(revoked, now)

    return await house.aside(work)


# ---- people --------------------------------------------------------------------------------------


class UserWanted(Strict):
    """A new person."""

    name: str = Field(max_length=200, examples=["ana"])
    role: Role = Field(examples=[Role.CLIENT_MANAGER])
    password: SecretStr = Field(max_length=1_000)


class UserChanged(Strict):
    """What is to change; whatever is left out stays."""

    role: Role | None = Field(None, examples=[Role.VIEWER])
    password: SecretStr | None = Field(None, max_length=1_000)
    disabled: bool | None = Field(None, description="`true`: nobody gets in by that name.")


@router.get("/users", name="users.list", operation_id="list_users", tags=["users"])
async def users(caller: Called) -> dict[str, Any]:
    """The client's people by name, disabled ones too."""
    house = caller.house

    def work() -> dict[str, Any]:
        with house.platform.tenant(caller.client, reading=True) as session:
            return {"users": [user_json(one) for one in list_users(session)]}

    return await house.aside(work)


@router.post(
    "/users", name="users.create", operation_id="create_user", tags=["users"], status_code=201
)
async def create_user(caller: Called, request: Request, body: UserWanted) -> dict[str, Any]:
    """Adds a person, who logs in with name and password."""
    house = caller.house
    request.state.object = f"{body.name} ({body.role.value})"

    def work() -> dict[str, Any]:
        password = body.password.get_secret_value()
        with house.platform.tenant(caller.client) as session:
            return user_json(
                house.users.add(session, body.name, body.role, password, house.clock())
            )

    return await house.aside(work)


@router.patch(
    "/users/{id}", name="users.change", operation_id="change_user", tags=["users"],
    responses=problems(404),
)  # fmt: skip
async def change_user(caller: Called, id: Id, body: UserChanged) -> dict[str, Any]:
    """Another role or password, or no entry any more. Any of these ends the person's sessions."""
    house = caller.house

    def work() -> dict[str, Any]:
        now = house.clock()
        with house.platform.tenant(caller.client) as session:
            user = session.scalars(select(User).where(User.id == id)).one_or_none()
            if user is None:
                raise Problem(404, "unknown_user", f"there is no user `{id}`")
            if body.password is not None:
                house.users.set_password(session, user.name, body.password.get_secret_value(), now)
            if body.role is not None:
                user.role = body.role.value
                end_sessions(session, user.id, now)
            if body.disabled:
                disable_user(session, user.name, now)
            elif body.disabled is False:
                user.disabled_at = None
            return user_json(user)

    return await house.aside(work)


# ---- the audit -----------------------------------------------------------------------------------


@router.get("/audit", name="audit.read", operation_id="read_audit", tags=["audit"])
async def audit(
    caller: Called,
    action: Annotated[str | None, Query(max_length=100)] = None,
    who: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> dict[str, Any]:
    """Who did what at this client, the latest first."""
    house = caller.house

    def work() -> dict[str, Any]:
        wanted = Wanted(action=action, who=who, limit=limit)
        with house.platform.tenant(caller.client, reading=True) as session:
            lines = latest(session, wanted)
        return {"lines": [{**line, "at": format_instant(line["at"])} for line in lines]}

    return await house.aside(work)


@router.post("/audit/verify", name="audit.verify", operation_id="verify_audit", tags=["audit"])
async def verify(caller: Called) -> dict[str, Any]:
    """Proves that no line of the client's audit was altered, removed or moved, or names those."""
    house = caller.house

    def work() -> dict[str, Any]:
        key = derive(house.key, Purpose.AUDIT)
        with house.platform.tenant(caller.client, reading=True) as session:
            proof = prove(session, key, caller.client)
        found = [{"line": x.seq, "what": x.what, "message": x.message} for x in proof.findings]
        last = f"{proof.last[0]}:{proof.last[1]}"
        return {"whole": not found, "lines": proof.lines, "last": last, "findings": found}

    return await house.aside(work)
