"""Clicks: led on by whichever process they reach, before anything else is done there.

`Clicking` stands in front of an application. A click on a link that leads somewhere it answers
itself; everything else about links takes the whole way through the routes.
"""

from __future__ import annotations

import asyncio
import time

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from relo_dsl.errors import UserError
from relo_server.api.edge import headers_of, request_id
from relo_server.api.house import Front
from relo_server.api.looks import Look, Told
from relo_server.api.problems import Problem
from relo_server.api.quick import UNUSUAL
from relo_server.ingest.agents import agent_of, is_look_ahead
from relo_server.ingest.intake import Sent
from relo_server.ingest.links import (
    COOKIE,
    COOKIE_SECONDS,
    click_event,
    known_visitor,
    with_click,
)
from relo_server.platform.links import Led
from relo_server.security.tokens import new_id
from relo_server.spool import SpoolError

OPERATION = "links.follow"
_PATH = "/c/"
#: A visitor waits so long for the disk; the click is written all the same.
_PATIENCE_SECONDS = 0.5


async def led_by(front: Front, code: str) -> Led:
    """Where a link leads. Raises Problem (404) for one that leads nowhere."""
    known, led = front.links.remembered(code)
    if not known:
        led = await front.aside(lambda: front.links.find(code))
    if led is None:
        raise Problem(404, "unknown_link", "there is no such link")
    return led


async def follow(front: Front, request: Request, code: str, led: Led) -> Response:
    """On to where the link leads. The click is an event of whoever the cookie knows."""
    now = front.clock()
    click = new_id(now)
    agent = agent_of(request.headers.get("user-agent", ""))
    if is_look_ahead(request.headers):
        agent = agent._replace(bot=True)
    # Not the click's id, which is stored as it is: a device's never is.
    visitor = known_visitor(request.cookies.get(COOKIE)) or new_id(now)
    address = request.client.host if request.client else ""
    event = click_event(
        led.client, click, visitor, now, code=code, name=led.name, agent=agent,
        place=front.places.of(address), referrer=request.headers.get("referer", ""),
    )  # fmt: skip
    try:
        checked = front.intake.check(Sent(led.client, "links", now), [event])
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.wrap_future(front.intake.keep(checked))
    except (SpoolError, TimeoutError) as error:
        # Whoever clicked wants to go on, and was promised nothing.
        front.lost_click(error)
    answer = RedirectResponse(with_click(led.destination, click), 302)
    if not agent.bot:
        answer.set_cookie(
            COOKIE, visitor, max_age=COOKIE_SECONDS, path="/", secure=True, httponly=True,
            samesite="lax",
        )  # fmt: skip
    return answer


class Clicking:
    """The application, and in front of it the short way for clicks."""

    def __init__(self, app: ASGIApp, front: Front, told: Told) -> None:
        """`told` is called for each click that was answered here."""
        self._app = app
        self._front = front
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or not scope["path"].startswith(_PATH)
            or not await self._led(scope, receive, send)
        ):
            await self._app(scope, receive, send)

    async def _led(self, scope: Scope, receive: Receive, send: Send) -> bool:
        started = time.perf_counter()
        if any(name in UNUSUAL for name, _ in scope["headers"]):
            return False
        request = Request(scope, receive)
        code = scope["path"].removeprefix(_PATH)
        try:
            led = await led_by(self._front, code)
        except (Problem, UserError, SQLAlchemyError):
            return False
        answer = await follow(self._front, request, code, led)
        id_ = request_id(request.headers.get("x-request-id", ""))
        answer.raw_headers += headers_of(id_)
        await answer(scope, receive, send)
        seconds = time.perf_counter() - started
        self._told(Look(OPERATION, led.client, "", scope["path"], "", id_, seconds, 302))
        return True
