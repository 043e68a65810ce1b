"""What routes share: parts of requests, and what is the same in many answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from relo_dsl.times import TimeError, parse_instant
from relo_server.api.definitions import Definitions
from relo_server.api.problems import MEDIA_TYPE, Problem
from relo_server.ingest.bodies import TooLarge


class Strict(BaseModel):
    """A body in which a key that is not known is an error, never ignored."""

    model_config = ConfigDict(extra="forbid")


class OfClient(Strict):
    """A body that may name the client: see `Caller.require_client`."""

    client_id: int | None = Field(None, ge=0, lt=2**32, description="The credential's own, if any.")


class Draft(OfClient):
    """A definition as text, with whatever it refers to or without."""

    text: str = Field(max_length=200_000, description="One definition or several, in the language.")


class DraftAt(Draft):
    """The same, at an instant."""

    at: str | None = Field(None, description="The instant T, RFC 3339; now if it is left out.")


def definitions_of(request: Request) -> Definitions:
    """The definitions that the application was made with."""
    found: Definitions = request.app.state.definitions
    return found


Defined = Annotated[Definitions, Depends(definitions_of)]


def instant(text: str | None, now: int) -> int:
    """An instant of a request in epoch milliseconds. Raises Problem for what is none."""
    if text is None:
        return now
    try:
        return parse_instant(text)
    except TimeError as error:
        raise Problem(
            422, "request", f"`{text}` is no instant: {error}", "write `2026-06-15T12:00:00Z`"
        ) from None


async def small_body(request: Request, most: int) -> bytes:
    """The body of a request that has to be small. Raises TooLarge."""
    body = await request.body()
    if len(body) > most:
        raise TooLarge(f"the body is larger than {most:,} bytes", "send it in parts")
    return body


At = Annotated[str | None, Query(description="The instant T, RFC 3339; now if it is left out.")]


def _problem(what: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": what, "content": {MEDIA_TYPE: {"schema": schema}}}


_WHAT = {
    400: "The request cannot be read.",
    401: "No credential, or one that is not valid.",
    403: "The credential may not do this.",
    404: "There is nothing of that name.",
    409: "Something else is there.",
    412: "It has changed meanwhile.",
    413: "The body is too large.",
    415: "The body is of a type that is not known.",
    422: "The request, or the definition in it, has mistakes; all of them are listed.",
    428: "Say which version you have seen.",
    429: "Too many requests; `Retry-After` says when to go on.",
    503: "A store cannot be used now.",
}


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route documents: those of every route, and `more`."""
    return {
        status: _problem(_WHAT[status])
        for status in sorted({400, 401, 403, 413, 422, 429, 503, *more})
    }
