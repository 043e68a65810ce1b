"""The pixel: its script, and what it sends from pages."""

from __future__ import annotations

import asyncio
import hashlib
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from relo_server.api.callers import house_of
from relo_server.api.routes.parts import problems, small_body
from relo_server.ingest.agents import agent_of
from relo_server.ingest.intake import Sent
from relo_server.ingest.pixel.visits import (
    MOST_BYTES,
    SOURCE,
    client_of,
    records,
    require_origin,
    visit_of,
)
from relo_server.security.tokens import new_id

router = APIRouter(tags=["pixel"])
_SCRIPT = files("relo_server.ingest.pixel").joinpath("r.js").read_bytes()
_TAG = f'"{hashlib.sha256(_SCRIPT).hexdigest()[:20]}"'
_HEADERS = {
    "Cache-Control": "public, max-age=3600, stale-while-revalidate=86400",
    "ETag": _TAG,
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_SENT = {
    "type": "object",
    "required": ["c", "d", "e"],
    "properties": {
        "c": {"type": "integer", "description": "The client."},
        "d": {"type": "string", "description": "The visitor's device."},
        "e": {"type": "array", "items": {"type": "object"}, "description": "Its events."},
        "s": {"type": "string", "description": "What `/p/device` said to prove the device."},
    },
}
_CLIENT = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object", "required": ["c"], "properties": {"c": {"type": "integer"}},
            }
        }
    },
}  # fmt: skip
_SMALL = 1_000
#: The script calls it `text/plain`, which browsers send to other hosts without asking first.
_BODY = {"required": True, "content": {"application/json": {"schema": _SENT}}}


@router.get(
    "/r.js", name="pixel.script", operation_id="pixel_script", response_class=Response,
    responses={200: {"content": {"text/javascript": {}}, "description": "The script."},
               304: {"description": "It has not changed."}},
)  # fmt: skip
async def script(request: Request) -> Response:
    """The script that a page loads; it is the same for every client."""
    request.state.operation = "pixel.script"
    if _TAG in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=_HEADERS)
    return Response(_SCRIPT, media_type="text/javascript; charset=utf-8", headers=_HEADERS)


@router.post(
    "/p", name="pixel.send", operation_id="pixel_send", status_code=204, response_class=Response,
    responses=problems(), openapi_extra={"requestBody": _BODY},
)  # fmt: skip
async def send(request: Request) -> Response:
    """Takes what the pixel sends from a page whose origin may. When it answers, it is on disk."""
    request.state.operation = "pixel.send"
    house = house_of(request)
    visit = visit_of(await small_body(request, MOST_BYTES))
    require_origin(visit.c, request.headers.get("origin"), house.settings.ingest.origins)
    address = request.client.host if request.client else ""
    now = house.receipt()
    agent = agent_of(request.headers.get("user-agent", ""))
    gpc = request.headers.get("sec-gpc") == "1"
    proven = house.proofs.fits(visit.c, visit.d, visit.s)
    key = house.intake.device_key(visit.c, visit.d)
    place = house.places.of(address)
    found = records(visit, now, agent, place, key=key, gpc=gpc, proven=proven)
    checked = house.intake.check(Sent(visit.c, SOURCE, now, may_change=True), found)
    await asyncio.wrap_future(house.intake.keep(checked))
    return Response(status_code=204)


@router.post(
    "/p/device", name="pixel.device", operation_id="pixel_device", responses=problems(),
    openapi_extra={"requestBody": _CLIENT},
)  # fmt: skip
async def device(request: Request) -> dict[str, str]:
    """Makes the id of a new visitor, and what proves later that the visitor was told it."""
    request.state.operation = "pixel.device"
    house = house_of(request)
    client = client_of(await small_body(request, _SMALL))
    require_origin(client, request.headers.get("origin"), house.settings.ingest.origins)
    made = new_id(house.clock())
    return {"d": made, "s": house.proofs.of(client, made)}
