"""Postbacks of mobile measurement: signed by who sends them."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from relo_dsl.times import UNITS
from relo_server.api.callers import house_of
from relo_server.api.problems import Problem, told_in
from relo_server.api.routes.parts import problems, small_body
from relo_server.ingest.appsflyer import MOST_BYTES, message_of, record_of, verify
from relo_server.ingest.intake import Sent

router = APIRouter(tags=["postbacks"], responses=problems())
_SENT = {"type": "object", "required": ["app_id", "event_name", "event_time"]}
_BODY = {"required": True, "content": {"application/json": {"schema": _SENT}}}


@router.post(
    "/postback/appsflyer", name="postbacks.appsflyer", operation_id="appsflyer_postback",
    openapi_extra={"requestBody": _BODY},
)  # fmt: skip
async def appsflyer(request: Request) -> dict[str, Any]:
    """Takes a message of AppsFlyer's Push API. The client is whoever the app belongs to."""
    request.state.operation = "postbacks.appsflyer"
    house = house_of(request)
    body = await small_body(request, MOST_BYTES)
    message = message_of(body)
    limits = house.settings.ingest
    app = limits.apps.get(message["app_id"])
    if app is None:
        raise Problem(
            403, "unknown_app", "no client has an app of that id",
            "`[ingest.apps.\"APP_ID\"]` in relo.toml names its client and keys",
        )  # fmt: skip
    if not app.unsigned:
        keys = [key.get_secret_value().encode() for key in app.keys]
        verify(body, request.headers.get(limits.signature.header), keys, limits.signature.encoding)
    now = house.clock()
    record = record_of(message, now, limits.signature.replay_hours * UNITS["h"])
    checked = house.intake.check(Sent(app.client, "appsflyer", now), [record])
    await asyncio.wrap_future(house.intake.keep(checked))
    return told_in(request.headers, checked.to_json())
