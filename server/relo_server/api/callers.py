"""Who calls: the credential, what it may do, and a line in the audit whatever comes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from relo_server.api.house import House
from relo_server.api.problems import Problem
from relo_server.security.principals import Principal, Refused
from relo_server.security.roles import OPERATIONS, ROLES, Role, shown_count

#: A token that was revoked elsewhere is good for so long where it was just used.
_REMEMBERED_SECONDS = 1.0
_MOST_REMEMBERED = 10_000


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
        who = _remembered(house, text.strip())
        if who is None:
            who = await house.aside(lambda: _recognise(house, text.strip()))
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
    if not house.rates.take(who):
        await house.aside(lambda: house.rates.settle(who))
    return Caller(house, who, operation)


def _remembered(house: House, text: str) -> Principal | None:
    """Who came with the same API token within the last second."""
    found = house.known.get(text)
    if found is None or time.monotonic() - found[0] > _REMEMBERED_SECONDS:
        return None
    return found[1]


def _recognise(house: House, text: str) -> Principal:
    now = house.clock()
    if not text.startswith("relo_"):
        return house.access.verify(house.platform, text, now)
    who = house.tokens.authenticate(house.platform, text, now)
    if len(house.known) >= _MOST_REMEMBERED:
        house.known.clear()
    house.known[text] = time.monotonic(), who
    return who


def _unauthorised(detail: str) -> Problem:
    return Problem(
        401, "credential", detail, "`relo token create` makes one",
        headers={"WWW-Authenticate": "Bearer"},
    )  # fmt: skip


Called = Annotated[Caller, Depends(called)]
"""The parameter of every route that asks for a credential."""
