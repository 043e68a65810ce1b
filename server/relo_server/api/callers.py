"""Who calls: the credential, what it may do, and a line in the audit whatever comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from relo_server.api.house import House
from relo_server.api.problems import Problem
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import OPERATIONS, ROLES, Role, shown_count
from relo_server.security.tokens import PREFIX

#: What an API token begins with, and no other credential.
API_TOKEN = f"{PREFIX}_"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a valid credential who may do this operation."""

    house: House
    who: Principal
    operation: str

    @property
    def client(self) -> int:
        return self.who.client

    @property
    def role(self) -> Role:
        return self.who.role

    @property
    def sees_members(self) -> bool:
        return ROLES[self.role].members

    @property
    def sees_revenue(self) -> bool:
        return ROLES[self.role].revenue

    def count(self, number: int) -> int | str:
        """A number of devices as the caller may see it."""
        return shown_count(self.role, number)

    def require_client(self, named: int | None) -> None:
        """Raises Problem (403) where a request names a client that is not the caller's own."""
        if named is not None and named != self.client:
            raise Problem(
                403, "other_client", f"this credential is for client {self.client}, not {named}",
                "leave `client_id` out, or use a token of that client",
            )  # fmt: skip


def house_of(request: Request) -> House:
    """The house that the application was made with."""
    house: House = request.app.state.house
    return house


async def called(request: Request) -> Caller:
    """Whoever calls. Raises Problem (401, 403, 429); what it found is noted for the audit."""
    house = house_of(request)
    operation = request.scope["route"].name
    request.state.operation = operation
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise _unauthorised("give a token: `Authorization: Bearer relo_3_…`")
    try:
        who = await _recognised(house, text.strip())
    except Refused as refused:
        request.state.client = refused.client
        request.state.who = refused.subject
        request.state.why = refused.reason
        raise _unauthorised("the credential is not valid") from None
    request.state.client, request.state.who = who.client, who.subject
    if not who.may(operation):
        able = ", ".join(sorted(role.value for role in OPERATIONS[operation].roles))
        raise Problem(
            403, "not_allowed", f"`{who.role.value}` may not do this: {OPERATIONS[operation].what}",
            f"it takes one of these roles: {able}, and a token whose scopes have `{operation}`",
        )  # fmt: skip
    await house.count(who)
    return Caller(house, who, operation)


async def _recognised(house: House, text: str) -> Principal:
    if text.startswith(API_TOKEN):
        return await house.known.principal(text)
    return await house.aside(lambda: house.access.verify(house.platform, text, house.clock()))


def _unauthorised(detail: str) -> Problem:
    return Problem(
        401, "credential", detail, "`relo token create` makes one",
        headers={"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


Called = Annotated[Caller, Depends(called)]
"""The parameter of every route that asks for a credential."""
