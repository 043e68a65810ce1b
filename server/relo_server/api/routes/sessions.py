"""Logging in with a password, staying logged in, and logging out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import Field, SecretStr

from relo_server.api.callers import house_of
from relo_server.api.house import House
from relo_server.api.problems import Problem
from relo_server.api.routes.parts import Strict, problems
from relo_server.security.access import LIFETIME
from relo_server.security.principals import Principal, Refused
from relo_server.security.secrets import Secret

router = APIRouter(prefix="/session", tags=["session"], responses=problems())


class Login(Strict):
    """A person of a client."""

    client_id: int = Field(ge=0, lt=2**32, examples=[3])
    name: str = Field(max_length=200, examples=["ana"])
    password: SecretStr = Field(max_length=1_000)


class Continuing(Strict):
    """The refresh token of the last answer."""

    refresh_token: SecretStr = Field(max_length=1_000, examples=["relorefresh_3_…"])


@router.post("", name="session.login", operation_id="log_in")
async def login(request: Request, body: Login) -> dict[str, Any]:
    """An access token for some minutes, and a refresh token that is good for one more of each."""
    house = house_of(request)
    request.state.operation = "session.login"
    request.state.client = body.client_id

    def work() -> dict[str, Any]:
        password = body.password.get_secret_value()
        who = house.users.authenticate(house.platform, body.client_id, body.name, password)
        request.state.who = who.subject
        now = house.clock()
        with house.platform.tenant(who.client) as session:
            secret = house.sessions.begin(session, who, now)
        return _tokens(house, who, secret, now)

    return await house.aside(lambda: _taken(request, work))


@router.post("/refresh", name="session.refresh", operation_id="stay_logged_in")
async def refresh(request: Request, body: Continuing) -> dict[str, Any]:
    """Uses a refresh token up. One that was used before ends the whole session."""
    house = house_of(request)
    request.state.operation = "session.refresh"

    def work() -> dict[str, Any]:
        now = house.clock()
        done = house.sessions.refresh(house.platform, body.refresh_token.get_secret_value(), now)
        request.state.who, request.state.client = done.who.subject, done.who.client
        return _tokens(house, done.who, done.secret, now)

    return await house.aside(lambda: _taken(request, work))


@router.delete("", name="session.logout", operation_id="log_out", status_code=204)
async def logout(request: Request, body: Annotated[Continuing, Body()]) -> None:
    """Ends a session. The access token that is still about holds for its last minutes."""
    house = house_of(request)
    request.state.operation = "session.logout"
    token = body.refresh_token.get_secret_value()
    await house.aside(
        lambda: _taken(request, lambda: house.sessions.end(house.platform, token, house.clock()))
    )


def _taken(request: Request, work: Any) -> Any:
    """What is done with a credential; the audit is told why one was not taken, the caller not."""
    try:
        return work()
    except Refused as refused:
        request.state.why = refused.reason
        request.state.who = refused.subject
        if refused.client is not None:
            request.state.client = refused.client
        raise Problem(401, "credential", "the credential is not valid") from None


def _tokens(house: House, who: Principal, secret: Secret, now: int) -> dict[str, Any]:
    with house.platform.tenant(who.client) as session:
        access = house.access.issue(session, who, now)
    return {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": LIFETIME // 1000,
        "refresh_token": secret.text,
    }
