"""Who is in: one device, many devices, or all members, always of one version of a set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import StreamingResponse

from relo_dsl.engine.key import device_key
from relo_dsl.times import format_instant
from relo_server.api.callers import Called
from relo_server.api.problems import Problem
from relo_server.api.quick import freshness
from relo_server.api.routes.parts import OfClient, problems
from relo_server.sets.reading import Listing

router = APIRouter(tags=["members"], responses=problems(404))
#: Lines that are sent at a time.
_LINES = 2_000
_Id = Annotated[str, Field(min_length=1, max_length=1_000)]


class Asked(OfClient):
    """Devices by their own ids, and names of audiences."""

    devices: list[_Id] = Field(min_length=1, max_length=1_000, examples=[["device-1", "device-2"]])
    audiences: list[Annotated[str, Field(max_length=200)]] = Field(
        min_length=1, max_length=200, examples=[["winback_mx_highvalue"]]
    )


@router.get(
    "/audiences/{name}/members", name="audiences.members", operation_id="list_members",
    responses={200: {"content": {"application/x-ndjson": {}}, "description": "A line a member."}},
    response_class=StreamingResponse,
)  # fmt: skip
async def members(
    caller: Called,
    name: Annotated[str, Path(max_length=200)],
    limit: Annotated[int | None, Query(ge=0)] = None,
) -> StreamingResponse:
    """The keys of the members in no order, a line each (NDJSON); the last line counts them.

    A stream without that line broke off.
    """
    listing = await caller.house.aside(lambda: caller.house.sets.listing(caller.client, name))
    if listing is None:
        raise _unpublished(name)
    return StreamingResponse(
        _lines(listing, limit),
        media_type="application/x-ndjson",
        headers={
            "X-Version": listing.info.version,
            "X-Version-At": format_instant(listing.info.at),
        },
    )


def _lines(listing: Listing, limit: int | None) -> Iterator[str]:
    count, lines = 0, []
    for key in listing.members(limit):
        lines.append(json.dumps({"device": key.hex()}))
        count += 1
        if len(lines) == _LINES:
            yield "\n".join(lines) + "\n"
            lines = []
    lines.append(json.dumps({"end": True, "count": count, "version": listing.info.version}))
    yield "\n".join(lines) + "\n"


@router.get(
    "/audiences/{name}/members/{device}", name="audiences.member", operation_id="ask_member"
)
async def member(
    caller: Called,
    name: Annotated[str, Path(max_length=200)],
    device: Annotated[str, Path(min_length=1, max_length=1_000)],
) -> dict[str, Any]:
    """Whether a device is in the published set, and as of when."""
    key = device_key(caller.house.key, caller.client, device)
    asked = await caller.house.aside(lambda: caller.house.sets.ask(caller.client, name, [key]))
    if asked is None:
        raise _unpublished(name)
    return {
        "device": device,
        "member": asked.members[0],
        **freshness(asked.info, caller.house.clock()),
    }


@router.post("/memberships", name="memberships.read", operation_id="ask_memberships")
async def memberships(caller: Called, asked: Asked) -> dict[str, Any]:
    """Many devices in many audiences at once. An audience that is not published has no answers."""
    caller.require_client(asked.client_id)
    names = list(dict.fromkeys(asked.audiences))
    keys = [device_key(caller.house.key, caller.client, device) for device in asked.devices]
    found = await caller.house.aside(
        lambda: caller.house.sets.ask_several(caller.client, names, keys)
    )
    told: dict[str, Any] = {}
    for name, answers in zip(names, found, strict=True):
        if answers is None:
            told[name] = None
            continue
        inside = dict(zip(asked.devices, answers.members, strict=True))
        told[name] = {**freshness(answers.info, caller.house.clock()), "members": inside}
    return {"audiences": told}


def _unpublished(name: str) -> Problem:
    return Problem(
        404, "unpublished", f"nothing is published as `{name}`",
        "`POST /audiences/{name}/refresh` publishes it",
    )  # fmt: skip
